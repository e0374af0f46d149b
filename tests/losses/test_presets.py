import pytest
import torch

from matchcut.losses import HingeLoss, presets
from matchcut.negatives import AdaptiveMargin, Evidence, PairTable

EVIDENCE = {"bert": torch.randn(6, 4), "svd": torch.randn(6, 4), "minilm": torch.randn(6, 4), "own": torch.randn(6, 4)}
PRESETS = {
    "vsepp": presets.vsepp(),
    "exclusion_2021": presets.exclusion_2021("bert"),
    "lseh": presets.lseh(),
    "cmgsd": presets.cmgsd(static_item="frames"),
    "cmgsd_reimplementation": presets.cmgsd_reimplementation(start=0.2, end=0.5),
    "negnce": presets.negnce(partial_order=0.6),
    "infonce": presets.infonce(),
    "ranp": presets.ranp("judged", threshold=0.6),
}


def evidence():
    item = {"own": torch.randn(6, 4), "frames": torch.randn(6, 4)}
    judged = {"judged": torch.rand(6, 6)}
    return Evidence(text=EVIDENCE, item=item, scores=judged, partners={"x": (torch.rand(6), torch.rand(6))})


@pytest.mark.parametrize("ids", [[0, 1, 2, 3, 4, 5], [0, 0, 1, 1, 2, 3], [7] * 6])
@pytest.mark.parametrize("name", PRESETS)
def test_every_preset_gives_a_finite_loss_and_gradient(name, ids):
    scores = torch.rand(6, 6, requires_grad=True)
    table = PairTable.from_ids(text_items=torch.tensor(ids), items=torch.tensor(ids))
    loss = PRESETS[name](scores, table, evidence(), progress=0.5)
    loss.backward()
    assert torch.isfinite(loss)
    assert torch.isfinite(scores.grad).all()


def test_vsepp_takes_captions_of_the_same_item_for_rivals():
    ids = torch.tensor([0, 0, 1])
    scores = torch.rand(3, 3, dtype=torch.float64)
    cost_s = (0.2 + scores - scores.diag()[:, None]).clamp(min=0).fill_diagonal_(0).amax(1).sum()
    cost_im = (0.2 + scores - scores.diag()[None, :]).clamp(min=0).fill_diagonal_(0).amax(0).sum()
    table = PairTable.from_ids(text_items=ids, items=ids)
    assert presets.vsepp()(scores, table).item() == pytest.approx((cost_s + cost_im).item())
    ours = presets.vsepp(same_item="positive")(scores, table).item()
    assert ours == pytest.approx(HingeLoss()(scores, table).item())
    assert ours != pytest.approx((cost_s + cost_im).item())


def test_ranp_equals_the_loops():
    torch.manual_seed(0)
    scores, relevance = torch.rand(5, 5, dtype=torch.float64), torch.rand(5, 5, dtype=torch.float64)
    total = 0.0
    for s, r in ((scores, relevance), (scores.T, relevance.T)):
        for i in range(5):
            negatives = [s[i, j].item() for j in range(5) if j != i and r[i, j] < 0.5]
            positives = [s[i, j].item() for j in range(5) if j != i and r[i, j] >= 0.5]
            if negatives:
                total += max(0.0, 0.2 + max(negatives) - s[i, i].item())
                total += max(0.0, 0.2 + max(negatives) - min(positives)) if positives else 0.0
    ids = torch.arange(5)
    table = PairTable.from_ids(text_items=ids, items=ids)
    got = presets.ranp("r", threshold=0.5)(scores, table, Evidence(scores={"r": relevance}))
    assert got.item() == pytest.approx(total)


@pytest.mark.parametrize("preset", [presets.vsepp, presets.infonce, presets.negnce])
def test_unpaired_batches_have_each_item_once_or_positives_by_id(preset):
    once = PairTable.from_ids(text_items=torch.tensor([0, 0, 1]), items=torch.tensor([0, 1]))
    scores = torch.rand(3, 2)
    assert torch.equal(preset()(scores, once), preset(same_item="positive")(scores, once))
    twice = PairTable.from_ids(text_items=torch.tensor([0, 0, 1]), items=torch.tensor([1, 0, 0, 2]))
    with pytest.raises(ValueError, match="not paired"):
        preset()(torch.rand(3, 4), twice)
    assert torch.isfinite(preset(same_item="positive")(torch.rand(3, 4), twice))


def test_cmgsd_has_margin_zero_for_captions_of_the_same_item_in_every_expert():
    ids = torch.tensor([0, 0, 1, 2, 3, 4])
    table, known = PairTable.from_ids(text_items=ids, items=ids), evidence()
    (term,) = presets.cmgsd(same_item="margin_zero", dynamic=None).terms
    for expert in term.experts:
        seen = table
        for treatment in (*term.treatments, *expert.treatments):
            seen = treatment(seen, known, torch.zeros(6, 6))
        assert seen.margin[0, 1] == seen.margin[1, 0] == 0
        assert seen.margin[0, 2] > 0
        assert seen.negative[0, 1]


def test_ranp_has_other_captions_of_the_item_as_relevant_positives():
    ids = torch.tensor([0, 0, 1, 2])
    table = PairTable.from_ids(text_items=ids, items=ids)
    relevance = (ids[:, None] == ids[None, :]).double()
    scores = torch.rand(4, 4, dtype=torch.float64)
    total = 0.0
    for s in (scores, scores.T):
        for i in range(4):
            hardest = max(float(s[i, j]) for j in range(4) if ids[j] != ids[i])
            total += max(0.0, 0.2 + hardest - float(s[i, i]))
            total += max(0.0, 0.2 + hardest - float(s[i, 1 - i])) if i < 2 else 0.0
    assert presets.ranp("r", threshold=0.5)(scores, table, Evidence(scores={"r": relevance})).item() == pytest.approx(
        total
    )


def test_cmgsd_with_one_hinge_goes_from_the_static_to_the_dynamic_margins():
    ids, known, scores = torch.arange(6), evidence(), torch.rand(6, 6)
    table = PairTable.from_ids(text_items=ids, items=ids)
    objective = presets.cmgsd(static_item="frames", start=0.0, hinges="one", fixed=False)
    for progress in (0.0, 0.25, 1.0):
        static, dynamic = (
            sum(AdaptiveMargin(name, of=of)(table, known, scores).margin for name, of in two) / 2
            for two in ((("minilm", "text"), ("frames", "item")), (("own", "text"), ("own", "item")))
        )
        margin = (1 - progress) * static + progress * dynamic
        wanted = HingeLoss(reduction="mean")(scores, table.with_margin(margin))
        torch.testing.assert_close(objective(scores, table, known, progress=progress), wanted)


def test_cmgsd_needs_evidence():
    with pytest.raises(ValueError, match="cmgsd needs evidence"):
        presets.cmgsd(static_text=None, dynamic=None)


@pytest.mark.parametrize("preset", [presets.infonce, presets.negnce])
def test_without_margins_all_compete_at_margin_zero(preset):
    ids, scores = torch.tensor([0, 0, 1]), torch.rand(3, 3)
    table = PairTable.from_ids(text_items=ids, items=ids)
    rivals = preset(same_item="negative")(scores, table)
    torch.testing.assert_close(preset(same_item="margin_zero")(scores, table), rivals)
