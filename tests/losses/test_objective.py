import tomllib

import numpy as np
import pytest
import torch

from matchcut.losses import LOSSES, Expert, HingeLoss, InfoNCE, LadderLoss, NegNCE, Objective, Ramp, Term, presets
from matchcut.negatives import (
    AdaptiveMargin,
    DropAbove,
    DropSimilar,
    Evidence,
    PairTable,
    RelevanceMargin,
    SemanticMargin,
    TopK,
)

IDS = torch.tensor([0, 1, 2, 3])
TABLE = PairTable.from_ids(text_items=IDS, items=IDS)


def scores(seed=0):
    return torch.rand(4, 4, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def test_is_the_weighted_sum_of_its_terms():
    objective = Objective([Term(HingeLoss(), weight=0.5), Term(NegNCE(), weight=Ramp(first=0.0, last=2.0))])
    s = scores()
    for progress in (0.0, 0.25, 1.0):
        wanted = 0.5 * HingeLoss()(s, TABLE) + 2 * progress * NegNCE()(s, TABLE)
        torch.testing.assert_close(objective(s, TABLE, progress=progress), wanted)


def test_treatments_go_in_order():
    s, evidence = scores(), Evidence(text={"e": torch.randn(4, 3).double()})
    by_hand = TopK(1)(SemanticMargin("e", scale=1.0)(TABLE, evidence, s), evidence, s)
    objective = Objective([Term(HingeLoss(negatives="all"), [SemanticMargin("e", scale=1.0), TopK(1)])])
    assert objective(s, TABLE, evidence) == HingeLoss(negatives="all")(s, by_hand)


def test_several_score_matrices_by_name():
    both = {"latent": scores(1), "concept": scores(2)}
    objective = Objective([Term(HingeLoss(), scores="latent"), Term(HingeLoss(), scores="concept", label="second")])
    wanted = HingeLoss()(both["latent"], TABLE) + HingeLoss()(both["concept"], TABLE)
    torch.testing.assert_close(objective(both, TABLE), wanted)
    assert objective.report["second"] == pytest.approx(HingeLoss()(both["concept"], TABLE).item())
    with pytest.raises(ValueError, match="asks for the scores 'latent'"):
        objective(scores(), TABLE)
    with pytest.raises(ValueError, match="there are a, b"):
        objective({"a": scores(), "b": scores()}, TABLE)
    assert Objective([Term(HingeLoss())])({"only": scores()}, TABLE) == HingeLoss()(scores(), TABLE)


def test_parts_that_the_network_hands_over():
    objective = Objective([Term(HingeLoss())], extra={"captions": 0.5})
    extra = {"captions": torch.tensor(2.0), "concepts": torch.tensor(3.0)}
    got = objective(scores(), TABLE, extra=extra)
    torch.testing.assert_close(got, HingeLoss()(scores(), TABLE) + 0.5 * 2 + 3)
    assert objective.report["captions"] == 2
    with pytest.raises(ValueError, match="weights the part 'captions'"):
        objective(scores(), TABLE)
    assert Objective([Term(HingeLoss())], extra={"captions": 0.0})(scores(), TABLE) == HingeLoss()(scores(), TABLE)


def test_report():
    ids = torch.arange(10)
    table = PairTable.from_ids(text_items=ids, items=ids)
    evidence = Evidence(text={"e": torch.randn(10, 4)})
    terms = [
        Term(HingeLoss(), [DropSimilar("e", percent=20), SemanticMargin("e", base=0.3, scale=0.1)]),
        Term(InfoNCE()),
    ]
    objective = Objective(terms)
    total = objective(torch.rand(10, 10), table, evidence)
    report = objective.report
    assert report["total"] == pytest.approx(total.item())
    assert report["total"] == pytest.approx(report["hinge"] + report["infonce"])
    assert report["hinge/left_out"] == pytest.approx(0.2)
    assert report["hinge/margin_min"] <= report["hinge/margin_mean"] <= report["hinge/margin_max"] <= 0.4 + 1e-6
    assert 0 <= report["hinge/active"] <= 1
    objective(torch.rand(10, 10), table, evidence, report=False)
    assert objective.report == {}


def test_nothing_left_out_is_exactly_nothing():
    ids = torch.arange(300)
    table = PairTable.from_ids(text_items=ids, items=ids)
    objective = Objective([Term(HingeLoss(), [DropAbove("e", threshold=1.0)])])
    for scores, wanted in ((torch.zeros(300, 300), 0.0), (torch.zeros(300, 300).index_fill(1, ids[7:8], 2.0), 1 / 300)):
        objective(scores, table, Evidence(scores={"e": scores}))
        assert objective.report["left_out"] == pytest.approx(wanted, abs=0.0 if wanted == 0 else 1e-9)


def test_reported_margins_are_those_of_the_negatives():
    margin = torch.tensor([[9.0, 0.1, 0.2], [0.3, -9.0, 0.4], [0.5, 0.6, 9.0]])
    ids = torch.arange(3)
    objective = Objective([Term(HingeLoss(), [RelevanceMargin("e")])])
    objective(torch.zeros(3, 3), PairTable.from_ids(text_items=ids, items=ids), Evidence(scores={"e": 1 - margin}))
    told = [objective.report[f"margin_{what}"] for what in ("min", "mean", "max")]
    assert told == pytest.approx([0.1, 0.35, 0.6])
    none = torch.empty(0, dtype=torch.int64)
    empty = PairTable.from_ids(text_items=ids, items=none)
    assert objective(torch.zeros(3, 0), empty, Evidence(scores={"e": torch.zeros(3, 0)})) == 0


def test_a_report_holds_no_matrix_of_the_batch():
    objective = Objective([Term(HingeLoss(), [SemanticMargin("e")])])
    objective(scores().float(), TABLE, Evidence(text={"e": torch.randn(4, 3)}))
    assert all(value.numel() == 1 and not value.requires_grad for value in objective._report.values())


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_half_precision_scores_are_computed_in_single(dtype):
    half = scores().to(dtype).requires_grad_()
    objective = Objective([Term(HingeLoss()), Term(InfoNCE()), Term(NegNCE())])
    loss = objective(half, TABLE)
    loss.backward()
    assert loss.dtype == torch.float32
    assert half.grad.dtype == dtype
    torch.testing.assert_close(loss, objective(half.detach().float(), TABLE))


def test_autocast_does_not_reach_inside():
    vectors = torch.randn(4, 64)
    objective = Objective([Term(HingeLoss(), [SemanticMargin("e", similarity="cosine")])])
    plain = objective(scores().float(), TABLE, Evidence(text={"e": vectors}))
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert objective(scores().float(), TABLE, Evidence(text={"e": vectors})) == plain


def test_learned_temperature_is_a_parameter_of_the_objective():
    assert [name for name, _ in presets.infonce(scale=20.0, learned=True).named_parameters()] == ["losses.0.log_scale"]


def test_evidence_it_uses():
    terms = [Term(LOSSES["ladder"]("a"), [DropSimilar("b", percent=1)]), Term(LOSSES["soft_targets"](["c", "a"]))]
    assert Objective(terms).uses == ("b", "a", "c")
    assert presets.cmgsd(static_text="m").uses == ("own", "m")


def test_missing_evidence_is_named():
    with pytest.raises(ValueError, match="no evidence 'bert'; there is none"):
        presets.exclusion_2021("bert")(scores(), TABLE)


def test_evidence_of_the_wrong_batch_is_refused():
    with pytest.raises(ValueError, match="evidence of every item"):
        presets.exclusion_2021("bert")(scores(), TABLE, Evidence(text={"bert": torch.randn(5, 3)}))
    with pytest.raises(ValueError, match="scores have shape"):
        HingeLoss()(torch.zeros(3, 4), TABLE)


def test_prints_as_what_builds_it():
    objective = Objective(
        [
            Term(HingeLoss(margin=0.1), [DropSimilar("bert", percent=2)], weight=Ramp(start=0.5), label="first"),
            Term(HingeLoss(), experts=[Expert(), Expert([SemanticMargin("svd")], weight=0.5)]),
        ],
        extra={"captions": 0.5},
    )
    again = eval(repr(objective))
    assert repr(again) == repr(objective)
    expression, section = str(objective).split("\n# ")
    assert expression == repr(objective)
    assert tomllib.loads(section)["objective"] == objective.to_recipe()
    assert objective.to_recipe() == {
        "terms": [
            {
                "loss": {"name": "hinge", "margin": 0.1},
                "treatments": [{"name": "drop_similar", "evidence": "bert", "percent": 2}],
                "weight": {"name": "ramp", "start": 0.5},
                "label": "first",
            },
            {
                "loss": {"name": "hinge"},
                "experts": [{}, {"treatments": [{"name": "semantic_margin", "evidence": "svd"}], "weight": 0.5}],
            },
        ],
        "extra": {"captions": 0.5},
    }


def test_wrong_objectives():
    for wrong in (
        lambda: Objective([]),
        lambda: Term(InfoNCE(), experts=[Expert()]),
        lambda: Ramp(start=0.9, end=0.1),
    ):
        with pytest.raises(ValueError):
            wrong()


def test_ramp_with_a_step():
    step = Ramp(start=0.5, end=0.5)
    assert (step(0.4), step(0.5)) == (0.0, 1.0)


def test_a_number_that_is_not_finite_names_the_item():
    vectors = torch.randn(4, 3)
    vectors[2, 1] = torch.nan
    ids = torch.tensor([5, 6, 77, 8])
    table = PairTable.from_ids(text_items=ids, items=ids)
    objective = Objective([Term(HingeLoss(), [DropAbove("e", threshold=0.5)])])
    several = (torch.cat([torch.randn(4, 3), vectors]), torch.full((4,), 2))
    for evidence in (
        Evidence(text={"e": vectors}),
        Evidence(item={"e": torch.randn(4, 3)}, text_item={"e": vectors}),
        Evidence(scores={"e": torch.where(torch.arange(4)[:, None] == 2, torch.inf, torch.zeros(4, 4))}),
    ):
        with pytest.raises(ValueError, match=r"evidence 'e' .*text 2 of the batch.*\(text's item id: 77\)"):
            objective(scores(), table, evidence)
    with pytest.raises(ValueError, match=r"item 3 of the batch.*\(item's item id: 8\)"):
        objective(scores(), table, Evidence(text={"e": torch.randn(4, 3)}, item_text={"e": several}))


def test_captions_that_become_negatives_are_not_left_out():
    ids = torch.tensor([0, 0, 1])
    objective = presets.vsepp()
    objective(torch.rand(3, 3), PairTable.from_ids(text_items=ids, items=ids))
    assert objective.report["left_out"] == 0


def test_what_is_no_term_or_no_loss_is_refused():
    for wrong in ([HingeLoss()], Term(HingeLoss())):
        with pytest.raises(ValueError, match=r"expected a list of Terms, \[Term\(...\)\], got .*HingeLoss\(\)"):
            Objective(wrong)
    for treatments in (DropAbove("e", threshold=0.5), ["drop_above"]):
        with pytest.raises(ValueError, match="expected a list of Treatments"):
            Term(HingeLoss(), treatments)
    with pytest.raises(ValueError, match="a term needs a loss"):
        Term("hinge")


def test_an_infinite_option_prints_as_what_builds_it():
    loss = InfoNCE(learned=True, max_scale=float("inf"))
    assert eval(repr(loss)).max_scale == loss.max_scale


@pytest.mark.parametrize(
    ("build", "option"),
    [
        (lambda nan: Term(HingeLoss(margin=nan)), "margin"),
        (lambda nan: Term(LadderLoss("e", margins=[nan])), "margins"),
        (lambda nan: Term(HingeLoss(), [SemanticMargin("e", base=nan)]), "base"),
        (lambda nan: Term(HingeLoss(), weight=nan), "weight"),
        (lambda nan: Expert([AdaptiveMargin("e", mean=nan)]), "mean"),
        (lambda nan: Expert(weight=Ramp(last=nan)), "last"),
    ],
)
def test_an_option_that_is_nan_is_refused(build, option):
    with pytest.raises(ValueError, match=rf"^{option} must be a number, got .*nan"):
        build(float("nan"))


@pytest.mark.parametrize("wrong", [[[0.5]], np.zeros((4, 4))], ids=["list", "array"])
def test_scores_that_are_no_tensor_are_refused(wrong):
    with pytest.raises(ValueError, match=r"scores must be a tensor \[T, V\], or several by name, got a (list|ndarray)"):
        Objective([Term(HingeLoss())])(wrong, TABLE)
