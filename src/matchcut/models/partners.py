"""Masked partners of a matched pair (TPM-CL): the same caption or video without its most important tokens."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor, nn

from matchcut.models.inputs import Padded
from matchcut.models.options import require_positive


@dataclass(frozen=True, kw_only=True)
class PartnersConfig:
    """Options of triplet partial margin contrastive learning; defaults are those of the released code.

    max_words, max_visual: fixed sizes of the weight predictors: words of a caption, of which a longer one is cut, and
    tokens of a video over all its frames, of which more are an error.
    threshold: share of the importance that is masked, 0 to 1. margin: of the partial order.
    terms: "visual" (margins 1 and 2: masked video), "textual" (margin 3: masked caption) or "all"; 2, 3, 4 in the code.
    normalise_text: give the masked text its unit length back; the released code does not.
    predictor_sees_padding, encode_masked_only: defects of the released code, off by default: padding gets weight, and
    only the masked video goes through the temporal transformer.
    """

    max_words: int = 32
    max_visual: int = 48
    threshold: float = 0.6
    margin: float = 0.6
    terms: Literal["visual", "textual", "all"] = "all"
    normalise_text: bool = False
    predictor_sees_padding: bool = False
    encode_masked_only: bool = False

    def __post_init__(self) -> None:
        if not 0 <= self.threshold <= 1:
            raise ValueError(f"threshold must be from 0 to 1, got {self.threshold}")
        if self.margin < 0:
            raise ValueError(f"margin must be 0 or more, got {self.margin}")
        if self.terms not in ("visual", "textual", "all"):
            raise ValueError(f"terms must be visual, textual or all, got {self.terms!r}")
        require_positive(self, "max_words", "max_visual")


class CrossModalWeights(nn.Module):
    """How important each token of one side is, seen from the other side of its pair; weights sum to 1.

    Formula, for N tokens k [N, D] and M conditioning tokens q [M, D] (both sizes fixed, shorter ones are padded):

        q' = (W q^T)^T [N, D];  h = [q' ; k] [N, 2D]
        a  = sigmoid(Linear_{D/2 -> 1}(GELU(Linear_{2D -> D/2}(LayerNorm_{N x 2D}(h)))));  w = a / sum a

    no biases but the layer norm's. Source: Jiang et al. 2023, released code; that padding gets no weight is
    reconstructed, `sees_padding` is as released.

    condition: values [B, <= M, D]; tokens: values [B, <= N, D]. Returns [B, N].
    """

    def __init__(self, *, condition: int, tokens: int, dim: int, sees_padding: bool = False) -> None:
        super().__init__()
        self.sizes = (condition, tokens)
        self.sees_padding = sees_padding
        self.mix = nn.Linear(condition, tokens, bias=False)
        self.norm = nn.LayerNorm([tokens, 2 * dim])
        self.hidden = nn.Linear(2 * dim, dim // 2, bias=False)
        self.out = nn.Linear(dim // 2, 1, bias=False)

    def forward(self, condition: Padded, tokens: Padded) -> Tensor:
        mixed = self.mix(_fit(condition.values, self.sizes[0]).mT).mT
        h = torch.cat([mixed, _fit(tokens.values, self.sizes[1])], -1)
        a = self.out(nn.functional.gelu(self.hidden(self.norm(h)))).squeeze(-1).sigmoid()
        if not self.sees_padding:
            a = a * Padded(a, tokens.lengths).mask
        weights: Tensor = a / a.sum(1, keepdim=True)
        return weights


def _fit(x: Tensor, size: int) -> Tensor:
    missing = size - x.shape[1]
    if missing < 0:
        raise ValueError(f"a sequence has {x.shape[1]} tokens, but the partners' predictors are made for {size}")
    return torch.cat([x, x.new_zeros(len(x), missing, x.shape[2])], 1)


def most_important(weights: Tensor, threshold: float) -> Tensor:
    """The tokens to mask: those whose cumulative weight, heaviest first, stays below the threshold.

    If the heaviest token alone reaches the threshold, none. Source: Jiang et al. 2023, released code.
    weights: [B, N], sum 1. Returns bool [B, N].

    >>> most_important(torch.tensor([[0.10, 0.35, 0.25, 0.20, 0.10]]), 0.6)
    tensor([[False,  True, False, False, False]])
    """
    ordered, order = weights.sort(dim=1, descending=True)
    below = ordered.cumsum(1) < threshold
    return torch.zeros_like(below).scatter(1, order, below)


def sentence_scores(sentence: Tensor, frames: Padded, weights: Tensor, *, padded: bool = False) -> Tensor:
    """Token interaction of a matched pair whose text is one vector: `(max_k x.f_k + sum_k w_k x.f_k) / 2`.

    sentence [B, D]; frames: values [B, K, D]; weights [B, K], 0 for padding; padded: score as if each video had padding
    with score 0 (released code). Returns [B].
    """
    s = torch.einsum("bd,bkd->bk", sentence, frames.values)
    best = s.masked_fill(~frames.mask, -torch.inf).amax(1)
    best = best.clamp(min=0) if padded else best
    return (best + (s * weights).sum(1)) / 2


def partial_order(pairs: Mapping[str, tuple[Tensor, Tensor]], margin: float) -> Tensor:
    """`sum over terms of mean_b max(0, margin - (whole_b - masked_b))`, a scalar; 0 for an empty batch.

    pairs: name of a term -> scores of the whole pairs and of the masked partners, each [B].

    >>> partial_order({"text": (torch.tensor([0.5, 0.9]), torch.tensor([0.3, 0.1]))}, 0.6)
    tensor(0.2000)
    """
    hinges = [(margin - (whole - masked)).clamp(min=0).sum() / max(1, len(whole)) for whole, masked in pairs.values()]
    return torch.stack(hinges).sum()
