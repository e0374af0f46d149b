import math

import pytest
import torch

from matchcut.losses import InfoNCE
from matchcut.negatives import PairTable

SHAPES = [
    ([7], [7]),
    ([0, 1, 2, 3], [0, 1, 2, 3]),
    ([0, 0, 1, 1, 2], [0, 1, 2]),
    ([0, 1, 9], [0, 1, 1]),
    ([4, 4], [4, 4]),
]


def naive(scores, table, scale, positives, hardness, reduction):
    """The formula of the docstring, one anchor at a time."""
    ways = []
    for way in ("t2i", "i2t"):
        seen = table if way == "t2i" else table.items_see
        parts = (scores, seen.positive, seen.negative, seen.margin, seen.weight)
        s, pos, neg, m, w = [None if x is None else (x if way == "t2i" else x.T).tolist() for x in parts]
        anchors = []
        for a in range(len(s)):
            p = [j for j in range(len(s[a])) if pos[a][j]]
            n = [j for j in range(len(s[a])) if neg[a][j]]
            if not p:
                continue
            mean = sum(math.exp(hardness * s[a][j]) for j in n) / max(1, len(n))
            wrong = sum(
                (w[a][j] if w else 1)
                * (math.exp(hardness * s[a][j]) / mean)
                * math.exp(scale * (s[a][j] + (m[a][j] if m else 0)))
                for j in n
            )
            right = [math.exp(scale * s[a][j]) for j in p]
            if positives == "mean":
                anchors.append(-sum(math.log(r / (sum(right) + wrong)) for r in right) / len(p))
            elif positives == "sum":
                anchors.append(-math.log(sum(right) / (sum(right) + wrong)))
            else:
                anchors.append(-sum(math.log(r / (r + wrong)) for r in right) / len(p))
        ways.append(sum(anchors) / (max(1, len(anchors)) if reduction == "mean" else 1))
    return sum(ways) / 2


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("positives", ["mean", "sum", "separate"])
@pytest.mark.parametrize("extras", ["none", "margin", "weight", "left_out", "hardness"])
def test_equals_the_formula(shape, positives, extras):
    torch.manual_seed(len(shape[0]))
    text_items, items = map(torch.tensor, shape)
    table = PairTable.from_ids(text_items=text_items, items=items)
    matrix = lambda: torch.rand(table.shape, dtype=torch.float64)  # noqa: E731
    if extras == "margin":
        table = table.with_margin(matrix())
    if extras == "weight":
        table = table.with_weight((matrix() - 0.3).clamp(min=0))
    if extras == "left_out":
        table = table.with_sides(text=matrix() > 0.5, item=matrix() > 0.5)
    hardness, scores = 2.0 if extras == "hardness" else 0.0, matrix()
    for reduction in ("mean", "sum"):
        got = InfoNCE(scale=3.0, positives=positives, hardness=hardness, reduction=reduction)(scores, table).item()
        assert got == pytest.approx(naive(scores, table, 3.0, positives, hardness, reduction), abs=1e-9)


def test_is_clips_cross_entropy():
    torch.manual_seed(0)
    scores, label = torch.rand(6, 6), torch.arange(6)
    cross_entropy = torch.nn.functional.cross_entropy
    wanted = (cross_entropy(100 * scores, label) + cross_entropy(100 * scores.T, label)) / 2
    got = InfoNCE(scale=100.0)(scores, PairTable.from_ids(text_items=label, items=label))
    torch.testing.assert_close(got, wanted)


# the values of the specification, row by row
@pytest.mark.parametrize(
    ("scale", "direction", "value"),
    [(100, "t2i", 0.875813), (100, "i2t", 0.189052), (10, "t2i", 0.757124), (10, "i2t", 0.737395)],
)
def test_golden_values(scale, direction, value):
    scores = torch.tensor([[0.30, 0.31, 0.10], [0.20, 0.32, 0.25], [0.28, 0.15, 0.27]])
    table = PairTable.from_ids(text_items=torch.arange(3), items=torch.arange(3))
    assert InfoNCE(scale=scale, direction=direction)(scores, table).item() == pytest.approx(value, abs=1e-5)


@pytest.mark.parametrize("positives", ["mean", "sum", "separate"])
def test_without_negatives_the_gradient_is_finite(positives):
    scores = torch.rand(3, 3, requires_grad=True)
    table = PairTable.from_ids(text_items=torch.arange(3), items=torch.arange(3))
    table = table.leave_out(torch.ones(3, 3, dtype=torch.bool)).with_margin(torch.ones(3, 3))
    loss = InfoNCE(positives=positives)(scores, table)
    loss.backward()
    assert loss.item() == pytest.approx(0)
    assert torch.isfinite(scores.grad).all()


def test_learned_scale():
    table = PairTable.from_ids(text_items=torch.arange(4), items=torch.arange(4))
    loss = InfoNCE(scale=14.0, learned=True, max_scale=20.0)
    scores = torch.rand(4, 4)
    torch.testing.assert_close(loss(scores, table), InfoNCE(scale=14.0)(scores, table))
    loss(scores, table).backward()
    assert loss.log_scale.grad.abs() > 0
    loss.log_scale.data.fill_(10.0)
    assert loss.current_scale().item() == 20.0


@pytest.mark.parametrize(
    "options",
    [{"scale": 0}, {"learned": True, "scale": 200.0}, {"hardness": -1}, {"positives": "x"}, {"direction": "x"}],
)
def test_wrong_options(options):
    with pytest.raises(ValueError):
        InfoNCE(**options)


def test_a_learned_scale_comes_back_from_its_limit():
    loss = InfoNCE(scale=50.0, learned=True, max_scale=50.0)
    optimiser = torch.optim.SGD(loss.parameters(), lr=0.1)
    ids = torch.arange(2)
    table = PairTable.from_ids(text_items=ids, items=ids)
    scales = []
    for scores in (torch.tensor([[0.1, 0.09], [0.09, 0.1]]), torch.tensor([[0.09, 0.2], [0.2, 0.09]])):
        optimiser.zero_grad()
        loss(scores, table).backward()
        optimiser.step()
        scales.append(loss.current_scale().item())
    assert scales[0] == pytest.approx(50.0)
    assert scales[1] < 50.0
