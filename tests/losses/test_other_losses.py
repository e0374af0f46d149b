"""Sigmoid, ladder, soft targets and partial order against their formulas in loops."""

import math

import pytest
import torch

from matchcut.losses import HingeLoss, LadderLoss, PartialOrder, SigmoidLoss, SoftTargets
from matchcut.negatives import Evidence, PairTable

IDS = [([0, 1, 2, 3], [0, 1, 2, 3]), ([0, 0, 1, 2, 9], [0, 1, 2, 2]), ([5], [5])]


def case(ids, seed=0):
    torch.manual_seed(seed)
    table = PairTable.from_ids(text_items=torch.tensor(ids[0]), items=torch.tensor(ids[1]))
    return table, torch.rand(table.shape, dtype=torch.float64), torch.rand(table.shape, dtype=torch.float64)


@pytest.mark.parametrize("ids", IDS)
def test_sigmoid_equals_the_formula(ids):
    table, scores, margin = case(ids)
    weight = torch.rand(table.shape, dtype=torch.float64)
    table = table.with_margin(margin).with_weight(weight)
    total = 0.0
    for t in range(len(scores)):
        for v in range(scores.shape[1]):
            if table.positive[t, v]:
                total += math.log1p(math.exp(-(4 * scores[t, v].item() - 2)))
            else:
                pushed = (scores[t, v] + margin[t, v]).item()
                total += weight[t, v].item() * math.log1p(math.exp(4 * pushed - 2))
    got = SigmoidLoss(scale=4.0, bias=-2.0, learned=False)(scores, table).item()
    assert got == pytest.approx(total / len(scores), abs=1e-9)


def test_sigmoid_learns_scale_and_bias():
    table, scores, _ = case(IDS[0])
    loss = SigmoidLoss()
    loss(scores, table).backward()
    assert loss.log_scale.grad != 0
    assert loss.learned_bias.grad != 0
    fixed = SigmoidLoss(learned=False)(scores, table)
    torch.testing.assert_close(loss(scores, table), fixed)


@pytest.mark.parametrize("ids", IDS)
@pytest.mark.parametrize("cumulative", [False, True])
def test_ladder_equals_the_formula(ids, cumulative):
    table, scores, relevance = case(ids, 1)
    thresholds, margins, weights = (0.7, 0.3), (0.1, 0.2), (0.25, 0.5)
    total = HingeLoss(margin=0.2)(scores, table).item()
    for s, r, pos in ((scores, relevance, table.positive), (scores.T, relevance.T, table.positive.T)):
        for a in range(len(s)):
            own = [s[a, j].item() for j in range(s.shape[1]) if pos[a, j]]
            reached = 0.0
            for threshold, margin, weight in zip(thresholds, margins, weights, strict=True):
                reached += margin
                above = [s[a, j].item() for j in range(s.shape[1]) if pos[a, j] or r[a, j] >= threshold]
                below = [s[a, j].item() for j in range(s.shape[1]) if not (pos[a, j] or r[a, j] >= threshold)]
                low = own if cumulative else above
                if low and below:
                    total += weight * max(0.0, (reached if cumulative else margin) - min(low) + max(below))
    loss = LadderLoss("r", thresholds=thresholds, margins=margins, weights=weights, cumulative=cumulative)
    scores = scores.requires_grad_()
    got = loss(scores, table, Evidence(scores={"r": relevance}))
    got.backward()
    assert got.item() == pytest.approx(total, abs=1e-9)
    assert torch.isfinite(scores.grad).all()


@pytest.mark.parametrize("ids", IDS)
def test_soft_targets_equal_the_formula(ids):
    table, scores, teacher = case(ids, 2)
    other = torch.rand_like(teacher)
    out = torch.rand(table.shape) > 0.6
    table = table.leave_out(out)
    seen = (table.positive | table.negative).tolist()
    mean = ((teacher + other) / 2).tolist()

    def one_way(s, g, take):
        losses = []
        for a in range(len(s)):
            c = [j for j in range(len(s[a])) if take[a][j]]
            if not c:
                continue
            q, p = ([math.exp(k * x[a][j]) for j in c] for k, x in ((3.0, g), (2.0, s)))
            q, p = [x / sum(q) for x in q], [x / sum(p) for x in p]
            losses.append(sum(x * math.log(x / y) for x, y in zip(q, p, strict=True)))
        return sum(losses) / max(1, len(losses))

    turn = lambda m: [list(row) for row in zip(*m, strict=True)]  # noqa: E731
    wanted = (one_way(scores.tolist(), mean, seen) + one_way(turn(scores.tolist()), turn(mean), turn(seen))) / 2
    evidence = Evidence(scores={"a": teacher, "b": other})
    scores = scores.requires_grad_()
    got = SoftTargets(["a", "b"], scale=2.0, teacher_scale=3.0)(scores, table, evidence)
    got.backward()
    assert got.item() == pytest.approx(wanted, abs=1e-9)
    assert torch.isfinite(scores.grad).all()
    assert SoftTargets("a", scale=3.0, teacher_scale=3.0)(teacher, table, evidence).item() == pytest.approx(
        0, abs=1e-12
    )


def test_partial_order_sums_the_named_partners():
    table, scores, _ = case(IDS[0])
    same = torch.rand(5)
    evidence = Evidence(partners=dict.fromkeys(("a", "b", "c"), (same, same)))
    assert PartialOrder(margin=0.6)(scores, table, evidence).item() == pytest.approx(1.8)  # identical features: 3 m
    assert PartialOrder(margin=0.6, partners=["a"])(scores, table, evidence).item() == pytest.approx(0.6)
    better = torch.tensor([0.9, 0.5], requires_grad=True)
    PartialOrder()(scores, table, Evidence(partners={"a": (better, torch.tensor([0.2, 0.4]))})).backward()
    assert better.grad.tolist() == [0.0, -0.5]


def test_wrong_options_and_missing_evidence():
    table, scores, _ = case(IDS[0])
    for wrong in (
        lambda: SigmoidLoss(scale=0),
        lambda: LadderLoss("r", thresholds=(0.3, 0.6), margins=(1, 1), weights=(1, 1)),
        lambda: LadderLoss("r", thresholds=(0.3, 0.2)),
        lambda: SoftTargets([]),
        lambda: SoftTargets("a", scale=0),
        lambda: PartialOrder(margin=-1),
        lambda: PartialOrder()(scores, table),
        lambda: PartialOrder(partners=["x"])(scores, table, Evidence(partners={"y": (scores[0], scores[0])})),
        lambda: PartialOrder()(scores, table, Evidence(partners={"y": (scores[0], scores[0, :2])})),
        lambda: SoftTargets("a")(scores, table),
    ):
        with pytest.raises(ValueError):
            wrong()


def test_relevance_and_teachers_may_be_the_mean_over_an_items_captions():
    ids = torch.arange(3)
    table = PairTable.from_ids(text_items=ids, items=ids)
    text, captions, scores = torch.randn(3, 4), torch.randn(3, 2, 4), torch.rand(3, 3)
    evidence = Evidence(text={"e": text}, item_text={"e": captions})
    mean = Evidence(scores={"e": evidence.similarity("e", captions="mean")})
    for loss, stored in (
        (LadderLoss("e", captions="mean", thresholds=[0.1]), LadderLoss("e", thresholds=[0.1])),
        (SoftTargets("e", captions="mean"), SoftTargets("e")),
    ):
        torch.testing.assert_close(loss(scores, table, evidence), stored(scores, table, mean))
