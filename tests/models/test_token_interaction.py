import pytest
import torch
from clip_streams import ragged

from matchcut.models import token_interaction
from matchcut.models.inputs import Padded
from matchcut.models.token_interaction import (
    FrameNeighbours,
    TokenRows,
    TokenWeights,
    equal_weights,
    token_scores,
    unit,
)


def rows(lengths: list[int], seed: int, dtype: torch.dtype = torch.float64) -> TokenRows:
    tokens = unit(ragged(lengths, 5, seed=seed)).to("cpu", dtype)
    raw = ragged(lengths, seed=seed + 100).values.abs().to(dtype) + 0.1
    weights = raw * tokens.mask
    return TokenRows(tokens, Padded(weights / weights.sum(1, keepdim=True), tokens.lengths))


def naive(text: TokenRows, item: TokenRows, attention: float) -> torch.Tensor:
    """The formulas of the docstrings, pair by pair, over real tokens only."""
    out = []
    for t in range(len(text)):
        out.append([])
        for v in range(len(item)):
            x = text.tokens.values[t, : text.tokens.lengths[t]].tolist()
            f = item.tokens.values[v, : item.tokens.lengths[v]].tolist()

            def dot(a: list[float], b: list[float]) -> float:
                return sum(p * q for p, q in zip(a, b, strict=True))

            near, strength = [], []
            for k in range(len(f)):
                g = [dot(f[k], f[j]) if j != k else 0.0 for j in range(len(f))]
                if len(f) < item.tokens.mask.shape[1]:
                    g.append(0.0)  # a padded frame, similar to nothing
                near.append(max(range(len(g)), key=g.__getitem__))
                strength.append(max(g))
            total = 0.0
            for i, word in enumerate(x):
                s = [dot(word, frame) for frame in f]
                best = max(range(len(s)), key=s.__getitem__)
                bonus = strength[best] * s[near[best]] if strength[best] > 0 else 0.0
                total += text.weights.values[t, i].item() * (s[best] + attention * bonus)
            for k, frame in enumerate(f):
                total += item.weights.values[v, k].item() * max(dot(word, frame) for word in x)
            out[-1].append(total / 2)
    return torch.tensor(out, dtype=torch.float64)


@pytest.mark.parametrize("attention", [0.0, 0.5])
@pytest.mark.parametrize(("texts", "items"), [([3, 1, 4], [2, 5]), ([1], [1]), ([2, 2], [1, 3, 2])])
def test_equals_the_formula(texts: list[int], items: list[int], attention: float) -> None:
    text, item = rows(texts, 1), rows(items, 2)
    near = FrameNeighbours.of(item.tokens) if attention else None
    scores = token_scores(text, item, neighbours=near, coefficient=attention)
    torch.testing.assert_close(scores, naive(text, item, attention))


def test_blocks_give_the_same_scores_and_gradients(monkeypatch: pytest.MonkeyPatch) -> None:
    text, item = rows([3, 1, 4, 2], 1), rows([2, 5, 1], 2)
    results = []
    for block in (1 << 20, 45, 1):
        monkeypatch.setattr(token_interaction, "BLOCK", block)
        x = text.tokens.values.clone().requires_grad_()
        leaf = TokenRows(Padded(x, text.tokens.lengths), text.weights)
        scores = token_scores(leaf, item, neighbours=FrameNeighbours.of(item.tokens))
        (gradient,) = torch.autograd.grad(scores.square().sum(), x)
        results.append((scores.detach(), gradient))
    for scores, gradient in results[1:]:
        torch.testing.assert_close(scores, results[0][0])
        torch.testing.assert_close(gradient, results[0][1])


def test_no_texts_or_no_items() -> None:
    text, item = rows([3, 1], 1), rows([2], 2)
    none = torch.zeros(0, dtype=torch.int64)
    assert token_scores(text[none], item).shape == (0, 1)
    assert token_scores(text, item[none]).shape == (2, 0)


def test_padding_that_scores_zero_only_matters_where_all_scores_are_negative() -> None:
    x, one = torch.tensor([[[1.0, 0.0]]]), torch.tensor([1])
    text = TokenRows(Padded(x, one), Padded(torch.tensor([[1.0]]), one))
    for cosine, words, frames, both in ((0.6, 0.6, 0.6, 0.6), (-0.6, -0.3, -0.3, 0.0)):
        item = TokenRows(Padded(torch.tensor([[[cosine, 0.8]]]), one), Padded(torch.tensor([[1.0]]), one))
        near = FrameNeighbours(Padded(torch.tensor([[0]]), one), Padded(torch.tensor([[0.0]]), one))
        for neighbours in (None, near):
            assert token_scores(text, item, neighbours=neighbours).item() == pytest.approx(cosine)
            padded = [(True, False, words), (False, True, frames), (True, True, both)]
            for padded_words, padded_frames, expected in padded:
                score = token_scores(
                    text, item, neighbours=neighbours, padded_words=padded_words, padded_frames=padded_frames
                )
                assert score.item() == pytest.approx(expected)


def test_padding_that_scores_zero_equals_padding_with_zeros() -> None:
    """The released way: similarities of padding are 0 in a table padded to a fixed size."""
    text, item = rows([3, 2], 1), rows([2, 3, 1], 7)
    near = FrameNeighbours.of(item.tokens)
    s = torch.einsum("tld,vkd->tvlk", torch.nn.functional.pad(text.tokens.values, (0, 0, 0, 1)), item.tokens.values)
    s = torch.nn.functional.pad(s, (0, 1))
    weights = torch.nn.functional.pad(text.weights.values, (0, 1))
    strength = torch.nn.functional.pad(near.strength.values, (0, 1))
    index = torch.nn.functional.pad(near.index.values, (0, 1))
    best, where = s.max(-1)
    expected = torch.zeros(2, 3, dtype=torch.float64)
    for t in range(2):
        for v in range(3):
            for n in range(4):
                k = where[t, v, n]
                r = best[t, v, n] + 0.5 * strength[v, k] * s[t, v, n, index[v, k]]
                expected[t, v] += weights[t, n] * r / 2
            expected[t, v] += sum(item.weights.values[v, k] * s[t, v, :, k].max() for k in range(3)) / 2
    scores = token_scores(text, item, neighbours=near, padded_words=True, padded_frames=True)
    torch.testing.assert_close(scores, expected)
    assert not torch.allclose(scores, token_scores(text, item, neighbours=near))


@pytest.mark.parametrize("depth", [1, 2, 3])
def test_weights_sum_to_one_over_real_tokens(depth: int) -> None:
    x = ragged([3, 1, 2], 5)
    weights = TokenWeights(5, depth=depth)(x)
    torch.testing.assert_close(weights.sum(1), torch.ones(3))
    assert (weights[~x.mask] == 0).all()
    torch.testing.assert_close(equal_weights(x)[2], torch.tensor([0.5, 0.5, 0.0]))


def test_depth_is_checked() -> None:
    with pytest.raises(ValueError, match="got 4"):
        TokenWeights(5, depth=4)


def test_scores_have_32_bits_under_autocast() -> None:
    text, item = rows([3, 2], 1, torch.float32), rows([4, 1], 2, torch.float32)
    exact = token_scores(text, item, neighbours=FrameNeighbours.of(item.tokens))
    with torch.autocast("cpu", dtype=torch.bfloat16):
        found = token_scores(text, item, neighbours=FrameNeighbours.of(item.tokens))
    assert found.dtype == torch.float32
    torch.testing.assert_close(found, exact, atol=4e-3, rtol=0)  # the frames' likeness alone is in 16 bits
