"""Scores from tokens: each word looks for its best frame and each frame for its best word."""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from matchcut.models.base import Rows
from matchcut.models.inputs import Padded
from matchcut.models.normalise import dot_products, l2_normalise

BLOCK = 1 << 24
"""How many token pairs are scored at once: 64 MiB for each float32 table of them."""


@dataclass(frozen=True)
class TokenRows(Rows):
    """Tokens of N texts or items, and how much each counts.

    tokens: values [N, L, D], unit vectors. weights: values [N, L], zero where there is no token.
    """

    tokens: Padded
    weights: Padded


@dataclass(frozen=True)
class FrameNeighbours(Rows):
    """For each frame of V items the most similar other frame of the same item (visual attention of DMAE).

    Formula: `G[k,k'] = f_k . f_k'` for two different frames, 0 for k = k' and for padding; `index = argmax_k' G`,
    `strength = max_k' G`. Source: Jiang et al. 2023, released code. Both values [V, K], index int64.
    """

    index: Padded
    strength: Padded

    @classmethod
    def of(cls, frames: Padded) -> "FrameNeighbours":
        """frames: values [V, K, D], unit vectors.

        >>> f = l2_normalise(torch.tensor([[[1.0, 0.0], [0.0, 1.0], [1.0, 1.0]]]))
        >>> FrameNeighbours.of(Padded(f, torch.tensor([3]))).index.values
        tensor([[2, 2, 0]])
        """
        pairs = frames.mask[:, :, None] & frames.mask[:, None, :]  # [V, K, K]
        pairs = pairs & ~torch.eye(pairs.shape[1], dtype=torch.bool, device=pairs.device)
        strength, index = ((frames.values @ frames.values.mT) * pairs).max(-1)
        return cls(Padded(index, frames.lengths), Padded(strength, frames.lengths))


class TokenWeights(nn.Module):
    """How much each token counts, learned: `softmax(MLP(x))` over the tokens of a sequence.

    Source: weighted token interaction of DRL (Wang et al. 2022), released code. depth 1 is one linear layer,
    depth 2 or 3 has 1 or 2 hidden layers with ReLU. x: values [N, L, D]. Returns [N, L].

    >>> TokenWeights(4, depth=2)(Padded(torch.randn(2, 3, 4), torch.tensor([3, 1])))[1]
    tensor([1., 0., 0.], grad_fn=<SelectBackward0>)
    """

    def __init__(self, dim: int, *, depth: int = 1) -> None:
        super().__init__()
        if depth not in (1, 2, 3):
            raise ValueError(f"depth must be 1, 2 or 3, got {depth}")
        hidden = [layer for _ in range(depth - 1) for layer in (nn.Linear(dim, dim), nn.ReLU())]
        self.score = nn.Sequential(*hidden, nn.Linear(dim, 1))
        self.score.apply(start_small)

    def forward(self, x: Padded) -> Tensor:
        scores: Tensor = self.score(x.values)
        return scores.squeeze(-1).masked_fill(~x.mask, -torch.inf).softmax(-1)


def start_small(module: nn.Module) -> None:
    """Weights from N(0, 0.02), biases zero: the start of new layers in CLIP4Clip, TS2-Net and DRL (released code)."""
    if isinstance(module, nn.Linear | nn.Embedding):
        nn.init.normal_(module.weight, std=0.02)
    if isinstance(module, nn.Linear) and module.bias is not None:
        nn.init.zeros_(module.bias)


def equal_weights(x: Padded) -> Tensor:
    """1 / length for each token, 0 for padding: [N, L]."""
    return x.mask / x.lengths[:, None]


def token_scores(
    text: TokenRows,
    item: TokenRows,
    *,
    neighbours: FrameNeighbours | None = None,
    coefficient: float = 0.5,
    padded_words: bool = False,
    padded_frames: bool = False,
) -> Tensor:
    """Token interaction of all T texts with all V items, [T, V].

    Formula, with x the words, f the frames, w their weights:

        S[l,k] = x_l . f_k
        r[l]   = max_k S[l,k]  (+ coefficient * strength[k*] * S[l, index[k*]] with neighbours, k* the best frame)
        c[k]   = max_l S[l,k]
        score  = (sum_l w_l r[l] + sum_k w_k c[k]) / 2

    Sources: TI and WTI of DRL (Wang et al. 2022, released code); the term with neighbours is the visual attention of
    DMAE (Jiang et al. 2023, released code). Padding is no candidate of a max. In both released codes it is one, with
    score 0, which differs where all real scores are negative: `padded_words` and `padded_frames` score as if each
    sequence of words, or of frames, had such padding (the released codes pad to a fixed length).

    Memory is bounded: pairs are scored in blocks of at most `BLOCK` token pairs; with gradients and more than one
    block, each block is computed again in the backward pass.
    """
    words, frames = text.tokens.values, item.tokens.values
    if not len(words) or not len(frames):
        return words.new_zeros(len(words), len(frames))
    per_pair = max(1, words.shape[1] * frames.shape[1])
    items = max(1, min(len(frames), BLOCK // per_pair))
    texts = max(1, min(len(words), BLOCK // (per_pair * items)))
    if texts >= len(words) and items >= len(frames):
        return _block(text, item, neighbours, coefficient, padded_words, padded_frames)
    out = []
    for t in range(0, len(words), texts):
        rows = torch.arange(t, min(t + texts, len(words)), device=words.device)
        columns = []
        for v in range(0, len(frames), items):
            index = torch.arange(v, min(v + items, len(frames)), device=frames.device)
            near = None if neighbours is None else neighbours[index]
            parts = (text[rows], item[index], near, coefficient, padded_words, padded_frames)
            columns.append(_recomputed(_block, *parts) if torch.is_grad_enabled() else _block(*parts))
        out.append(torch.cat(columns, 1))
    return torch.cat(out)


def _recomputed(block: Callable[..., Tensor], *parts: object) -> Tensor:
    scores: Tensor = checkpoint(block, *parts, use_reentrant=False)
    return scores


def _block(
    text: TokenRows,
    item: TokenRows,
    near: FrameNeighbours | None,
    coefficient: float,
    padded_words: bool,
    padded_frames: bool,
) -> Tensor:
    x, f = text.tokens, item.tokens
    (t, words), (v, frames) = x.mask.shape, f.mask.shape
    s = dot_products(x.values.flatten(0, 1), f.values.flatten(0, 1)).view(t, words, v, frames)
    best, where = s.masked_fill(~f.mask, -torch.inf).max(-1)  # [T, L, V]
    column = s.masked_fill(~x.mask[:, :, None, None], -torch.inf).amax(1)  # [T, V, K]
    bonus = torch.zeros_like(best)
    if near is not None:
        item_of = torch.arange(v, device=where.device)  # broadcasts over texts and words
        second = s.gather(-1, near.index.values[item_of, where].unsqueeze(-1)).squeeze(-1)
        bonus = coefficient * near.strength.values[item_of, where] * second
    if padded_frames:  # where padding wins, it scores 0 and resembles no frame
        bonus, best = bonus.masked_fill(best < 0, 0.0), best.clamp(min=0)
    if padded_words:
        column = column.clamp(min=0)
    with torch.autocast(s.device.type, enabled=False):
        by_word = torch.einsum("tlv,tl->tv", best + bonus, text.weights.values.to(s.dtype))
        return (by_word + torch.einsum("tvk,vk->tv", column, item.weights.values.to(s.dtype))) / 2


def unit(x: Padded) -> Padded:
    """Each token scaled to length 1; what is zero stays zero."""
    return Padded(l2_normalise(x.values), x.lengths)
