import math

import pytest
import torch
from clip_streams import ragged
from torch.nn import functional as F

from matchcut.models.inputs import Padded
from matchcut.models.partners import (
    CrossModalWeights,
    PartnersConfig,
    most_important,
    partial_order,
    sentence_scores,
)


@pytest.mark.parametrize(("threshold", "removed"), [(0.6, [1]), (0.3, []), (0.65, [1, 2])])
def test_the_most_important_tokens_are_chosen(threshold: float, removed: list[int]) -> None:
    weights = torch.tensor([[0.10, 0.35, 0.25, 0.20, 0.10]])
    assert most_important(weights, threshold)[0].nonzero().flatten().tolist() == removed


def test_the_choice_follows_the_tokens() -> None:
    weights = torch.rand(6, 7).softmax(1)
    order = torch.randperm(7)
    assert torch.equal(most_important(weights, 0.6)[:, order], most_important(weights[:, order], 0.6))


def test_weights_equal_the_formula() -> None:
    torch.manual_seed(0)
    layer = CrossModalWeights(condition=3, tokens=4, dim=6)
    torch.nn.init.normal_(layer.norm.weight)
    q, k = ragged([2], 6, seed=1), ragged([4], 6, seed=2)
    weights = layer(q, k)[0]
    rows = [[0.0] * 12 for _ in range(4)]
    for n in range(4):
        for d in range(6):
            rows[n][d] = sum(layer.mix.weight[n, m].item() * q.values[0, m, d].item() for m in range(2))
            rows[n][6 + d] = k.values[0, n, d].item()
    flat = [x for row in rows for x in row]
    mean = sum(flat) / 48
    std = math.sqrt(sum((x - mean) ** 2 for x in flat) / 48 + 1e-5)
    a = []
    for n in range(4):
        h = torch.tensor([(x - mean) / std for x in rows[n]]) * layer.norm.weight[n] + layer.norm.bias[n]
        a.append(torch.sigmoid(layer.out.weight[0] @ F.gelu(layer.hidden.weight @ h)).item())
    torch.testing.assert_close(weights, torch.tensor([x / sum(a) for x in a]))


def test_padding_gets_no_weight_unless_the_release_is_asked_for() -> None:
    torch.manual_seed(0)
    layer = CrossModalWeights(condition=3, tokens=5, dim=6)
    q, k = ragged([2, 3], 6, seed=1), ragged([4, 2], 6, seed=2)
    weights = layer(q, k)
    torch.testing.assert_close(weights.sum(1), torch.ones(2))
    assert torch.equal(weights > 0, torch.arange(5) < k.lengths[:, None])
    alone = layer(q.select(torch.tensor([1])), k.select(torch.tensor([1])))
    torch.testing.assert_close(alone, weights[1:])
    layer.sees_padding = True
    assert (layer(q, k) > 0).all()


def test_too_long_sequences_are_named() -> None:
    layer = CrossModalWeights(condition=3, tokens=4, dim=6)
    with pytest.raises(ValueError, match="has 5 tokens, but the partners' predictors are made for 4"):
        layer(ragged([3], 6), ragged([5], 6))


def test_sentence_scores_by_hand() -> None:
    frames = Padded(torch.tensor([[[0.6, 0.8], [-0.8, 0.6], [0.0, 0.0]]]), torch.tensor([2]))
    weights = torch.tensor([[0.5, 0.5, 0.0]])
    score = sentence_scores(torch.tensor([[-1.0, 0.0]]), frames, weights)  # -0.6 and 0.8: max 0.8, mean 0.1
    assert score.item() == pytest.approx(0.45)
    score = sentence_scores(torch.tensor([[0.0, -1.0]]), frames, weights)  # -0.8 and -0.6: max -0.6, mean -0.7
    assert score.item() == pytest.approx(-0.65)
    score = sentence_scores(torch.tensor([[0.0, -1.0]]), frames, weights, padded=True)
    assert score.item() == pytest.approx(-0.35)


def test_partial_order_of_equal_partners_is_the_margin_for_each_term() -> None:
    same = torch.tensor([0.2, -0.4, 0.9])
    pairs = dict.fromkeys(("sentence_video", "words_video", "words_text"), (same, same))
    assert partial_order(pairs, 0.6).item() == pytest.approx(1.8)
    assert partial_order({"a": (torch.zeros(0), torch.zeros(0))}, 0.6).item() == 0


@pytest.mark.parametrize("options", [{"threshold": 1.5}, {"margin": -0.1}, {"terms": "some"}, {"max_words": 0}])
def test_wrong_options_are_named(options: dict) -> None:
    with pytest.raises(ValueError, match=str(next(iter(options)))):
        PartnersConfig(**options)
