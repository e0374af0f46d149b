import pytest
import torch

from matchcut.losses import HingeLoss
from matchcut.losses.hardest import argmax
from matchcut.negatives import PairTable

SHAPES = [
    ([7], [7]),
    ([0, 1, 2, 3], [0, 1, 2, 3]),
    ([0, 0, 1, 1, 2], [0, 1, 2]),
    ([0, 1, 9], [0, 1, 1]),
    ([4, 4], [4, 4]),
]


def naive(scores, table, *, margin=0.2, negatives="hardest", positives="mean", direction="both", reduction="sum"):
    """The formula of the docstring, one anchor at a time."""
    total, terms_all, terms_n = 0.0, 0.0, 0
    for way in ("t2i", "i2t") if direction == "both" else (direction,):
        seen = table if way == "t2i" else table.items_see
        parts = [seen.positive, seen.negative, seen.margin, seen.weight, seen.rank_by]
        s, pos, neg, m, w, rank = [
            None if x is None else (x if way == "t2i" else x.T).tolist() for x in (scores, *parts)
        ]
        anchors = []
        for a in range(len(s)):
            p = [j for j in range(len(s[a])) if pos[a][j]]
            n = [j for j in range(len(s[a])) if neg[a][j]]
            if not p:
                continue
            lowest = min(s[a][j] for j in p)
            if positives == "hardest":
                p = [j for j in p if s[a][j] == lowest]
            if negatives == "semi_hard":
                n = [j for j in n if s[a][j] < lowest]

            def hinge(i, j, a=a, m=m, s=s, w=w):
                cost = max(0.0, (margin if m is None else m[a][j]) + s[a][j] - s[a][i])
                return cost * (1.0 if w is None else w[a][j])

            if negatives != "all" and n:
                n = [j for j in n if w is None or w[a][j] > 0]
                key = [rank[a][j] if rank else s[a][j] + (m[a][j] if m else 0) for j in range(len(s[a]))]
                n = [max(n, key=key.__getitem__)] if n else []
            anchors.append(sum(hinge(i, j) for i in p for j in n) / len(p))
            terms_all += sum(hinge(i, j) for i in p for j in n)
            terms_n += len(p) * len(n)
        total += sum(anchors) / (max(1, len(anchors)) if reduction == "mean" else 1)
    return terms_all / max(1, terms_n) if reduction == "mean_terms" else total


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("negatives", ["hardest", "semi_hard", "all"])
@pytest.mark.parametrize("positives", ["mean", "hardest"])
@pytest.mark.parametrize("extras", ["none", "margin", "weight", "rank_by", "sides"])
def test_equals_the_formula(shape, negatives, positives, extras):
    torch.manual_seed(len(shape[0]))
    text_items, items = map(torch.tensor, shape)
    table = PairTable.from_ids(text_items=text_items, items=items)
    matrix = lambda: torch.rand(table.shape, dtype=torch.float64)  # noqa: E731
    if extras == "margin":
        table = table.with_margin(matrix() - 0.2)
    if extras == "weight":
        table = table.with_weight((matrix() - 0.3).clamp(min=0))
    if extras == "rank_by":
        table = table.with_rank_by(matrix())
    if extras == "sides":
        table = table.with_sides(text=matrix() > 0.5, item=matrix() > 0.5)
    scores = matrix()
    for direction in ("both", "t2i", "i2t"):
        for reduction in ("sum", "mean", "mean_terms"):
            options = {"negatives": negatives, "positives": positives, "direction": direction, "reduction": reduction}
            got = HingeLoss(margin=0.3, **options)(scores, table).item()
            assert got == pytest.approx(naive(scores, table, margin=0.3, **options), abs=1e-9), options


def test_golden_values_of_the_specification():
    scores = torch.tensor([[0.5, 0.4], [0.6, 0.7]], dtype=torch.float64)
    table = PairTable.from_ids(text_items=torch.arange(2), items=torch.arange(2))
    assert HingeLoss(negatives="all")(scores, table).item() == pytest.approx(0.5)
    assert HingeLoss(negatives="all", reduction="mean_terms")(scores, table).item() == pytest.approx(0.125)
    assert HingeLoss(reduction="mean")(scores, table).item() == pytest.approx(0.25)


@pytest.mark.parametrize(("negatives", "factor"), [("hardest", 1), ("all", 127)])
def test_collapse_costs_two_b_m(negatives, factor):
    table = PairTable.from_ids(text_items=torch.arange(128), items=torch.arange(128))
    assert HingeLoss(negatives=negatives)(torch.full((128, 128), 0.7), table).item() == pytest.approx(
        51.2 * factor, rel=1e-4
    )
    assert HingeLoss(margin=0.0)(torch.ones(128, 128), table) == 0
    assert HingeLoss()(torch.eye(128), table) == 0


def test_only_the_own_pair():
    ids = torch.tensor([0, 0, 1])
    scores = torch.rand(3, 3, dtype=torch.float64)
    table = PairTable.from_ids(text_items=ids, items=ids)
    alone = table.with_positive(table.own())
    assert HingeLoss(positives="pair")(scores, table) == HingeLoss()(scores, alone)
    with pytest.raises(ValueError, match="not paired"):
        HingeLoss(positives="pair")(scores[:, :2], PairTable.from_ids(text_items=ids, items=ids[:2]))


def test_gradient_touches_the_hardest_and_the_positive():
    scores = torch.tensor([[0.5, 0.4, 0.1], [0.0, 0.9, 0.0], [0.0, 0.0, 0.9]], requires_grad=True)
    table = PairTable.from_ids(text_items=torch.arange(3), items=torch.arange(3))
    HingeLoss(direction="t2i")(scores, table).backward()
    assert scores.grad.tolist() == [[-1, 1, 0], [0, 0, 0], [0, 0, 0]]


@pytest.mark.parametrize("negatives", ["hardest", "all"])
def test_gradients_are_those_of_the_formula(negatives):
    torch.manual_seed(1)
    table = PairTable.from_ids(text_items=torch.tensor([0, 0, 1, 2]), items=torch.tensor([0, 1, 2]))
    scores = torch.rand(4, 3, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(lambda s: HingeLoss(negatives=negatives)(s, table), scores)


def test_experts_add_before_the_hardest_is_taken():
    scores = torch.tensor([[0.5, 0.4, 0.3], [0.0, 9.0, 0.0], [0.0, 0.0, 9.0]])
    table = PairTable.from_ids(text_items=torch.arange(3), items=torch.arange(3))
    first, second = torch.zeros(3, 3), torch.zeros(3, 3)
    first[0, 1], second[0, 2] = 0.3, 0.5  # costs 0.2 of column 1, 0.3 of column 2
    loss = HingeLoss(direction="t2i")
    assert loss.summed(scores, [(1.0, table.with_margin(first))]).item() == pytest.approx(0.2)
    both = [(1.0, table.with_margin(first)), (2.0, table.with_margin(second))]
    assert loss.summed(scores, both).item() == pytest.approx(0.6)
    assert loss.summed(scores, both[:1]) == loss(scores, table.with_margin(first))
    doubled = loss.summed(scores, [both[0], both[0]])
    assert doubled.item() == pytest.approx(0.4)


@pytest.mark.parametrize("shape", [(5, 2048), (2048, 5), (1, 1), (40, 1024), (40, 256), (7, 33)])
def test_argmax_is_argmax(shape):
    for values in (torch.randint(0, 50, shape).float(), torch.randint(0, 50, shape[::-1]).float().T):
        values[0] = -torch.inf
        picked = values.gather(1, argmax(values)[:, None]).squeeze(1)
        assert torch.equal(picked, values.amax(1))


@pytest.mark.parametrize(
    "options", [{"margin": -1}, {"negatives": "some"}, {"positives": "x"}, {"direction": "x"}, {"reduction": "x"}]
)
def test_wrong_options(options):
    with pytest.raises(ValueError):
        HingeLoss(**options)
