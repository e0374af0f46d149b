"""The polynomial loss against its formula in loops."""

import pytest
import torch

from matchcut.losses import Objective, PolynomialLoss, Term
from matchcut.negatives import Evidence, PairTable, Reweight

IDS = [([0, 1, 2, 3], [0, 1, 2, 3]), ([0, 0, 1, 2, 9], [0, 1, 2, 2]), ([5], [5]), ([3, 3], [3, 3])]
G, H = (0.2, -0.7, 0.5), (0.9, -0.4, 0.03)


def case(ids, seed=0):
    torch.manual_seed(seed)
    table = PairTable.from_ids(text_items=torch.tensor(ids[0]), items=torch.tensor(ids[1]))
    return table, torch.rand(table.shape, dtype=torch.float64)


def one_way(s, positive, negative, margin, weight, rank_by):
    """The formula for the rows of nested lists."""
    total, anchors = 0.0, 0
    for a in range(len(s)):
        own = [j for j in range(len(s[a])) if positive[a][j]]
        rivals = [j for j in range(len(s[a])) if negative[a][j] and weight[a][j] > 0]
        anchors += bool(own)
        if not own or not rivals:
            continue
        n = max(rivals, key=lambda j: rank_by[a][j] if rank_by else s[a][j] + margin[a][j])
        for p in own:
            if s[a][n] + margin[a][n] > s[a][p] and s[a][p] < 1 - 1e-5:
                pull = max(0.0, G[0] * s[a][p] ** 2 + G[1] * s[a][p] + G[2])
                push = max(0.0, H[0] * s[a][n] ** 2 + H[1] * s[a][n] + H[2])
                total += (pull + weight[a][n] * push) / len(own)
    return total / max(1, anchors)


@pytest.mark.parametrize("ids", IDS)
@pytest.mark.parametrize("seed", [0, 1])
@pytest.mark.parametrize("treated", ["plain", "treated", "ranked"])
def test_equals_the_formula(ids, seed, treated):
    table, scores = case(ids, seed)
    margin, weight, rank_by = torch.full_like(scores, 0.2), torch.ones_like(scores), None
    if treated != "plain":
        margin, weight = torch.rand_like(scores) * 0.4, (torch.rand_like(scores) - 0.2).relu()
        table = table.with_margin(margin).with_weight(weight).leave_out(torch.rand_like(scores) > 0.8)
    if treated == "ranked":
        rank_by = torch.rand_like(scores)
        table = table.with_rank_by(rank_by)
    turn = lambda m: None if m is None else m.T.tolist()  # noqa: E731
    plain = lambda m: None if m is None else m.tolist()  # noqa: E731
    parts = (scores, table.positive, table.negative, margin, weight, rank_by)
    wanted = one_way(*map(plain, parts)) + one_way(*map(turn, parts))
    assert PolynomialLoss()(scores, table).item() == pytest.approx(wanted, abs=1e-9)
    assert PolynomialLoss(direction="i2t")(scores, table).item() == pytest.approx(one_way(*map(turn, parts)), abs=1e-9)


def test_values_of_the_polynomials():
    table, _ = case(([0, 1], [0, 1]))
    scores = torch.tensor([[0.5, 0.4], [0.6, 0.7]], dtype=torch.float64)
    t2i = PolynomialLoss(direction="t2i")(scores, table).item()
    assert t2i == pytest.approx((0.2 + 0.014 + 0.108 + 0.114) / 2)
    report = {}
    i2t = PolynomialLoss(direction="i2t", reduction="sum")(scores, table, report=report).item()
    assert i2t == pytest.approx(0.2 + 0.114)  # item 1: 0.4 + 0.2 does not reach 0.7
    assert report["active"] == 0.5


def test_a_satisfied_anchor_and_a_perfect_positive_cost_nothing():
    table, _ = case(([0, 1], [0, 1]))
    scores = torch.tensor([[0.5, 0.2], [0.29, 0.5]], requires_grad=True)
    loss = PolynomialLoss()(scores, table)
    loss.backward()
    assert loss == 0
    assert not scores.grad.any()
    perfect = torch.tensor([[1.0, 0.95], [0.95, 1.0]], requires_grad=True)
    assert PolynomialLoss()(perfect, table) == 0
    assert PolynomialLoss(ceiling=2.0)(perfect, table) > 0


def test_margins_decide_who_counts_and_change_no_cost():
    table, _ = case(([0, 1], [0, 1]))
    scores = torch.tensor([[0.5, 0.4], [0.6, 0.7]])
    wide, wider = (PolynomialLoss(margin=m)(scores, table) for m in (0.5, 0.9))
    assert wide == wider > PolynomialLoss()(scores, table)
    assert PolynomialLoss()(scores, table.with_margin(torch.full((2, 2), 0.5))) == wide


def test_a_weight_multiplies_the_negatives_share():
    table, scores = case(([0, 1, 2], [0, 1, 2]))
    pull = PolynomialLoss(margin=2.0, negative=[0.0])(scores, table)
    push = PolynomialLoss(margin=2.0, positive=[0.0])(scores, table)
    halved = table.with_weight(torch.full((3, 3), 0.5, dtype=torch.float64))
    assert PolynomialLoss(margin=2.0)(scores, halved).item() == pytest.approx((pull + push / 2).item())
    known = Evidence(scores={"r": torch.ones(3, 3)})
    assert Objective([Term(PolynomialLoss(margin=2.0), [Reweight("r")])])(scores, table, known) == 0  # weight 0: none


def test_other_polynomials_make_other_losses():
    table, scores = case(([0, 1, 2, 3], [0, 1, 2, 3]))
    linear = PolynomialLoss(margin=0.2, positive=[-1.0, 1.0], negative=[1.0, 0.0], ceiling=2.0, reduction="sum")
    pairs = 0.0
    for s in (scores, scores.T):
        for a in range(4):
            n = max((j for j in range(4) if j != a), key=lambda j: s[a, j].item())
            if s[a, n] + 0.2 > s[a, a]:
                pairs += (1 - s[a, a] + s[a, n]).item()
    assert linear(scores, table).item() == pytest.approx(pairs)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_half_precision_is_computed_in_single(dtype):
    table, scores = case(IDS[1])
    scores = scores.to(dtype)
    got = PolynomialLoss()(scores, table)
    assert got.dtype == torch.float32
    assert got == PolynomialLoss()(scores.float(), table)


@pytest.mark.parametrize(
    "options", [{"margin": -0.1}, {"positive": []}, {"negative": ()}, {"direction": "all"}, {"reduction": "max"}]
)
def test_wrong_options(options):
    with pytest.raises(ValueError):
        PolynomialLoss(**options)
