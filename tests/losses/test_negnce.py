import math

import pytest
import torch

from matchcut.losses import InfoNCE, NegNCE
from matchcut.negatives import PairTable

X = torch.tensor([[0.30, 0.31, 0.10], [0.20, 0.32, 0.25], [0.28, 0.15, 0.27]])


def paired(n):
    return PairTable.from_ids(text_items=torch.arange(n), items=torch.arange(n))


@pytest.mark.parametrize(("scale", "rows", "columns"), [(100, 1.532442, 0.299098), (10, 1.080776, 0.996715)])
def test_golden_values(scale, rows, columns):
    assert NegNCE(scale=scale)(X, paired(3)).item() == pytest.approx((rows + columns) / 2, abs=1e-5)


def naive(scores, positive, negative, scale, c_pos, c_neg, slack):
    def one_way(s, pos, neg):
        rows, columns = len(s), len(s[0])
        shares = []
        for i in range(rows):
            seen = [j for j in range(columns) if pos[i][j] or neg[i][j]]
            total = sum(math.exp(scale * s[i][j]) for j in seen)
            shares.append({j: min(max(math.exp(scale * s[i][j]) / total, 1e-6), 1 - 1e-6) for j in seen})
        first = [[-math.log(shares[i][j]) for j in range(columns) if pos[i][j]] for i in range(rows)]
        first = [sum(row) / len(row) for row in first if row]
        second = []
        for i in range(rows):
            for j in range(columns):
                row = min([s[i][k] for k in range(columns) if pos[i][k]], default=math.inf)
                column = min([s[k][j] for k in range(rows) if pos[k][j]], default=math.inf)
                if neg[i][j] and (s[i][j] > row - slack or s[i][j] > column - slack):
                    second.append(-math.log(1 - shares[i][j]))
        return c_pos * sum(first) / max(1, len(first)) + c_neg * sum(second) / max(1, len(second))

    forth = one_way(scores.tolist(), positive.tolist(), negative.tolist())
    return (forth + one_way(scores.T.tolist(), positive.T.tolist(), negative.T.tolist())) / 2


@pytest.mark.parametrize("ids", [([0, 1, 2], [0, 1, 2]), ([0, 0, 1, 2], [0, 1, 2]), ([0, 1, 9], [0, 1, 1]), ([5], [5])])
@pytest.mark.parametrize("slack", [0.0, 0.2])
def test_equals_the_formula(ids, slack):
    torch.manual_seed(0)
    table = PairTable.from_ids(text_items=torch.tensor(ids[0]), items=torch.tensor(ids[1]))
    scores = torch.rand(table.shape, dtype=torch.float64)
    got = NegNCE(scale=3.0, positive_weight=0.7, negative_weight=0.4, slack=slack)(scores, table).item()
    assert got == pytest.approx(naive(scores, table.positive, table.negative, 3.0, 0.7, 0.4, slack), abs=1e-9)


def test_without_hard_pairs_it_is_infonce():
    scores = torch.eye(4) * 0.1
    assert NegNCE(scale=10.0)(scores, paired(4)).item() == pytest.approx(InfoNCE(scale=10.0)(scores, paired(4)).item())


def test_report_and_gradient():
    scores, report = X.clone().requires_grad_(), {}
    NegNCE()(scores, paired(3), report=report).backward()
    assert report["hard"].item() == pytest.approx(2 / 6)
    assert scores.grad[0, 1] > 0 > scores.grad[0, 0]


@pytest.mark.parametrize("options", [{"scale": 0}, {"slack": -1}])
def test_wrong_options(options):
    with pytest.raises(ValueError):
        NegNCE(**options)


def test_an_anchor_whose_candidates_all_weigh_nothing_has_no_gradient():
    table = PairTable.from_ids(text_items=torch.tensor([0, 1]), items=torch.tensor([0, 2]))
    weighted = table.with_weight(torch.tensor([[1.0, 1.0], [0.0, 0.0]]))
    scores = torch.rand(2, 2, requires_grad=True)
    loss = NegNCE()(scores, weighted)
    loss.backward()
    assert torch.isfinite(loss)
    assert torch.isfinite(scores.grad).all()
    assert (scores.grad[1] == 0).all()


def test_a_score_that_is_not_a_number_is_not_hidden():
    scores = torch.full((2, 2), torch.nan)
    ids = torch.arange(2)
    assert NegNCE()(scores, PairTable.from_ids(text_items=ids, items=ids)).isnan()


def test_a_learned_scale():
    ids = torch.arange(3)
    table = PairTable.from_ids(text_items=ids, items=ids)
    scores = torch.rand(3, 3, generator=torch.Generator().manual_seed(0))
    loss, report = NegNCE(scale=10.0, learned=True), {}
    value = loss(scores, table, report=report)
    torch.testing.assert_close(value, NegNCE(scale=10.0)(scores, table))
    value.backward()
    assert loss.log_scale.grad != 0
    assert report["scale"].item() == pytest.approx(10.0)
