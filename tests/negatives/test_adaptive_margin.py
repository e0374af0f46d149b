import math

import pytest
import torch

from matchcut.losses import Expert, HingeLoss, Objective, Term, presets
from matchcut.negatives import AdaptiveMargin, DropAbove, Evidence, PairTable


def paired(n):
    return PairTable.from_ids(text_items=torch.arange(n), items=torch.arange(n))


def distances(d01, d02, d12):
    """Stored similarities 1 - D."""
    d = torch.tensor([[0.0, d01, d02], [d01, 0.0, d12], [d02, d12, 0.0]], dtype=torch.float64)
    return 1 - d


STEPS = [[0.0, 0.05], [0.25, 0.1], [0.5, 0.1], [0.65, 0.3]]
TAU, OMEGA = distances(0.2, 0.6, 0.7), distances(0.3, 0.5, 0.4)
EVIDENCE = Evidence(scores={"tau": TAU, "omega": OMEGA})
S = torch.tensor([[0.50, 0.46, 0.30], [0.48, 0.52, 0.33], [0.35, 0.31, 0.55]], dtype=torch.float64)


def margins(name="tau", evidence=EVIDENCE, n=3, **options):
    return AdaptiveMargin(name, **options)(paired(n), evidence, S).margin


def test_mapping_of_the_specification():
    inside = margins(mean=0.05, spread=0.025)
    assert [inside[0, 1].item(), inside[0, 2].item(), inside[1, 2].item()] == pytest.approx(
        [0.018307, 0.060564, 0.071129], abs=1e-6
    )
    whole = margins(mean=0.05, spread=0.025, diagonal=True)
    assert [whole[0, 1].item(), whole[0, 2].item(), whole[1, 2].item()] == pytest.approx(
        [0.039325, 0.071350, 0.079357], abs=1e-6
    )


def test_margins_of_the_total_loss():
    tau, omega = margins(mean=0.1), margins("omega", mean=0.1)
    assert [tau[0, 1], tau[0, 2], tau[1, 2]] == pytest.approx([0.036613, 0.121129, 0.142258], abs=1e-6)
    assert [omega[0, 1], omega[0, 2], omega[1, 2]] == pytest.approx([0.044098, 0.155902, 0.100000], abs=1e-6)


@pytest.mark.parametrize(
    ("reduction", "negatives", "total"),
    [("mean_terms", "all", 0.022284), ("mean", "hardest", 0.088151)],
)
def test_total_loss_of_the_specification(reduction, negatives, total):
    experts = [
        Expert(),
        Expert([AdaptiveMargin("omega", mean=0.1)], weight=0.5),
        Expert([AdaptiveMargin("tau", mean=0.1)], weight=0.5),
    ]
    loss = HingeLoss(margin=0.1, negatives=negatives, reduction=reduction)
    assert Objective([Term(loss, experts=experts)])(S, paired(3), EVIDENCE).item() == pytest.approx(total, abs=1e-6)


@pytest.mark.parametrize(("fixed", "total"), [(False, 0.001756), (True, 0.021756)])
def test_one_hinge_with_the_mean_margin_of_the_specification(fixed, total):
    experts = [Expert([AdaptiveMargin(name, mean=0.1)], weight=0.5) for name in ("omega", "tau")]
    plain = HingeLoss(margin=0.1, negatives="all", reduction="mean_terms")
    shared = HingeLoss(margin=0.1, negatives="all", reduction="mean_terms", experts="margins")
    objective = Objective([Term(shared, experts=experts), *([Term(plain)] if fixed else [])])
    assert objective(S, paired(3), EVIDENCE).item() == pytest.approx(total, abs=1e-6)


def test_one_hinge_is_for_the_negatives_of_all_experts():
    experts = [Expert([DropAbove("tau", threshold=0.7)]), Expert([DropAbove("omega", threshold=0.55)])]
    shared = HingeLoss(margin=0.5, negatives="all", experts="margins")
    both = [DropAbove("tau", threshold=0.7), DropAbove("omega", threshold=0.55)]
    got = Objective([Term(shared, experts=experts)])(S, paired(3), EVIDENCE)
    assert got == Objective([Term(HingeLoss(margin=0.5, negatives="all"), both)])(S, paired(3), EVIDENCE)
    assert got > 0


@pytest.mark.parametrize(
    ("spread", "negative", "mean"), [(1.0, 0.4207, 0.5069), (0.2, 0.1587, 0.2167), (0.1, 0.0228, 0.2008)]
)
def test_share_of_negative_margins_of_the_specification(spread, negative, mean):
    n = 1200
    distance = torch.randn(n, n, generator=torch.Generator().manual_seed(0)).double()
    known = Evidence(scores={"tau": 1 - (10 + distance)})
    assert (margins(evidence=known, n=n, spread=spread, clamp=False) < 0).double().mean() == pytest.approx(
        negative, abs=2e-3
    )
    assert margins(evidence=known, n=n, spread=spread).mean() == pytest.approx(mean, abs=2e-3)


def test_single_costs_of_the_specification():
    def mean(margin):
        table = paired(3) if margin is None else paired(3).with_margin(margin)
        return HingeLoss(margin=0.1, negatives="all", reduction="mean_terms")(S, table).item()

    tau, omega = margins(mean=0.1), margins("omega", mean=0.1)
    assert mean(None) == pytest.approx(0.02, abs=1e-6)
    assert mean(tau) == pytest.approx(0.001384, abs=1e-6)
    assert mean(omega) == pytest.approx(0.003183, abs=1e-6)
    assert mean((tau + omega) / 2) == pytest.approx(0.001756, abs=1e-6)


def test_the_preset_ramps_from_static_to_dynamic():
    vectors = torch.randn(3, 8, dtype=torch.float64)
    evidence = Evidence(
        text={"minilm": vectors, "own": torch.randn(3, 8).double()}, item={"own": torch.randn(3, 8).double()}
    )
    objective = presets.cmgsd(start=0.0, end=1.0)
    static = Objective([Term(HingeLoss(reduction="mean"), experts=[Expert(), Expert([AdaptiveMargin("minilm")])])])
    assert objective(S, paired(3), evidence, progress=0.0).item() == pytest.approx(
        static(S, paired(3), evidence).item()
    )
    dynamic = [Expert([AdaptiveMargin("own", of=of)]) for of in ("item", "text")]
    late = Objective([Term(HingeLoss(reduction="mean"), experts=[Expert(), *dynamic])])
    assert objective(S, paired(3), evidence, progress=1.0).item() == pytest.approx(late(S, paired(3), evidence).item())


@pytest.mark.parametrize("mapping", ["zscore", "minmax", "proportional"])
def test_the_margin_grows_with_the_distance(mapping):
    m = margins(mapping=mapping, clamp=False)
    assert m[0, 1] < m[0, 2] < m[1, 2]
    assert torch.equal(m, m.T)


@pytest.mark.parametrize("mapping", ["zscore", "minmax", "proportional"])
@pytest.mark.parametrize("n", [1, 2, 4])
def test_no_spread_gives_the_mean(mapping, n):
    same = Evidence(scores={"tau": torch.full((n, n), 0.3, dtype=torch.float64)})
    assert margins(evidence=same, n=n, mapping=mapping)[~torch.eye(n).bool()].tolist() == pytest.approx(
        [0.2] * (n * n - n)
    )
    equal = Evidence(text={"tau": torch.ones(n, 4, requires_grad=True)})
    m = margins(evidence=equal, n=n, mapping=mapping, gradient="joint")
    m.sum().backward()
    assert torch.isfinite(m).all()
    assert torch.isfinite(equal.text["tau"].grad).all()


def test_invariants_of_the_zscore():
    off = ~torch.eye(3).bool()
    assert margins(mean=0.07, clamp=False)[off].mean().item() == pytest.approx(0.07)
    scaled = Evidence(scores={"tau": 1 - (0.1 + 3 * (1 - TAU))})
    assert torch.allclose(margins(clamp=False)[off], margins(evidence=scaled, clamp=False)[off], atol=1e-5)
    assert margins(spread=1.0).min() == 0
    assert margins(spread=1.0, clamp=False).min() < 0


def test_statistics_of_a_data_set():
    assert margins(statistics=(0.5, 0.2), mean=0.2, spread=0.1)[0, 1].item() == pytest.approx(
        0.2 + 0.1 * (0.2 - 0.5) / 0.2, abs=1e-5
    )


def test_joint_gradient():
    torch.manual_seed(0)
    similarity = (1 - torch.rand(6, 6, dtype=torch.float64)).requires_grad_()
    table, off = paired(6), ~torch.eye(6).bool()
    margin = AdaptiveMargin("x", gradient="joint", clamp=False)(table, Evidence(scores={"x": similarity}), S).margin
    margin.retain_grad()
    scores = torch.rand(6, 6, dtype=torch.float64)
    HingeLoss(negatives="all")(scores, table.with_margin(margin)).backward()
    active = (scores + margin > scores.diag()[:, None]).int() + (scores + margin > scores.diag()[None, :]).int()
    assert torch.equal(margin.grad[off], active[off].double())
    distance = 1 - similarity.detach()
    assert similarity.grad[off].sum().item() == pytest.approx(0, abs=1e-9)
    assert (similarity.grad * (distance - distance[off].mean()))[off].sum().item() == pytest.approx(0, abs=1e-4)


def test_detached_by_default():
    vectors = torch.randn(4, 8, requires_grad=True)
    assert not margins(evidence=Evidence(text={"tau": vectors}), n=4).requires_grad
    assert margins(evidence=Evidence(text={"tau": vectors}), n=4, gradient="joint").requires_grad


def test_a_detached_look_does_not_cut_a_joint_one():
    evidence = Evidence(text={"tau": torch.randn(4, 8, requires_grad=True)})
    margins(evidence=evidence, n=4)
    assert margins(evidence=evidence, n=4, gradient="joint").requires_grad


@pytest.mark.parametrize(
    "options",
    [
        {"spread": -1},
        {"mapping": "log"},
        {"statistics": (0.5, 0.0)},
        {"statistics": (0.5,)},
        {"steps": STEPS},
        {"mapping": "step"},
        {"mapping": "step", "steps": [(0.0, 0.1, 0.2)]},
        {"mapping": "step", "steps": [(0.1, 0.1)]},
        {"mapping": "step", "steps": [(0.0, 0.1), (0.5, 0.2), (0.5, 0.3)]},
        {"mapping": "step", "steps": [(0.0, 0.1), (0.5, 0.2), (0.4, 0.3)]},
        {"mapping": "step", "steps": [(0.0, 0.2), (0.5, 0.1)]},
        {"mapping": "step", "steps": STEPS, "gradient": "joint"},
        {"mapping": "step", "steps": STEPS, "diagonal": True},
        {"mapping": "step", "steps": STEPS, "spread": 0.1},
        {"mapping": "step", "steps": STEPS, "statistics": (0.5, 0.2)},
    ],
    ids=str,
)
def test_wrong_options(options):
    with pytest.raises(ValueError):
        AdaptiveMargin("tau", **options)


def test_prints_as_an_equal_object():
    made = AdaptiveMargin("tau", statistics=[0.5, 0.2])
    assert eval(repr(made)) == made


def test_steps_equal_the_loop():
    torch.manual_seed(0)
    text, other = torch.randn(6, 4), torch.randn(5, 4)
    text[1] = other[0] * 2  # distance 0 up to rounding
    table = PairTable.from_ids(text_items=torch.arange(6), items=torch.arange(5))
    got = AdaptiveMargin("e", mapping="step", steps=STEPS)(
        table, Evidence(text={"e": text}, item_text={"e": other}), torch.zeros(6, 5)
    ).margin
    unit = [[x / math.sqrt(sum(y * y for y in row)) for x in row] for row in (*text.tolist(), *other.tolist())]
    for t in range(6):
        for v in range(5):
            distance = max(0.0, 1 - sum(a * b for a, b in zip(unit[t], unit[6 + v], strict=True)))
            wanted = [margin for least, margin in STEPS if least <= distance][-1]
            assert got[t, v].item() == pytest.approx(wanted)
    assert len(got.unique()) == 3


def test_a_step_begins_at_its_distance():
    halves = Evidence(scores={"tau": 1 - torch.tensor([[0.0, 0.25, 0.5], [0.24, 0.0, 2.0], [0.75, 0.5, 0.0]])})
    steps = [(0.0, -0.1), (0.25, 0.1), (0.5, 0.2)]
    made = margins(evidence=halves, mapping="step", steps=steps, clamp=False)
    torch.testing.assert_close(made, torch.tensor([[-0.1, 0.1, 0.2], [-0.1, -0.1, 0.2], [0.2, 0.2, -0.1]]))
    assert margins(evidence=halves, mapping="step", steps=steps).min() == 0


def test_invariants_of_steps():
    text = torch.randn(40, 4, generator=torch.Generator().manual_seed(3))
    made = lambda x: margins(evidence=Evidence(text={"tau": x}), n=40, mapping="step", steps=STEPS)  # noqa: E731
    margin, distance = made(text), 1 - Evidence(text={"tau": text}).similarity("tau")
    assert torch.equal(margin, margin.T)
    order = distance.flatten().argsort()
    assert (margin.flatten()[order].diff() >= 0).all()
    assert margin.flatten()[order[0]] == pytest.approx(0.05)
    assert torch.equal(made(text.half()), made(text.half().float()))
    assert made(text.half()).dtype == torch.float32
    constant = margins(mapping="step", steps=[[0.0, 0.15]])
    assert constant.tolist() == [[0.15] * 3] * 3
    loss = HingeLoss(negatives="all")
    assert loss(S, paired(3).with_margin(constant)) == HingeLoss(margin=0.15, negatives="all")(S, paired(3))


def test_steps_survive_the_recipe():
    made = AdaptiveMargin("tau", mapping="step", steps=STEPS)
    assert eval(repr(made)) == made
    recipe = made.to_recipe()
    assert recipe["steps"] == STEPS
    assert AdaptiveMargin(**{key: value for key, value in recipe.items() if key != "name"}) == made
    assert made.pairwise


def test_statistics_of_a_large_batch_are_exact():
    n = 2048
    vectors = torch.randn(n, 16, generator=torch.Generator().manual_seed(0))
    single, double = (margins(evidence=Evidence(text={"tau": x}), n=n) for x in (vectors, vectors.double()))
    assert torch.allclose(single.double(), double, atol=2e-6)
