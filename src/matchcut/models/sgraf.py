"""SGR and SAF: a vector of similarities for every word of a pair, reasoned over or filtered into a score."""

from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, replace
from typing import ClassVar, Literal

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.utils.checkpoint import checkpoint

from matchcut.models.base import (
    Inputs,
    RetrievalModel,
    Rows,
    Shapes,
    slice_rows,
    stream_rows,
    stream_shape,
    stream_width,
)
from matchcut.models.batch_norm import masked_batch_norm
from matchcut.models.inputs import Padded
from matchcut.models.linear import xavier_linear
from matchcut.models.normalise import l2_normalise
from matchcut.models.options import require_positive, require_rate
from matchcut.models.pooling import flatten_grid, masked_mean
from matchcut.models.similarity_reasoning import SimilarityFilter, SimilarityGraph
from matchcut.models.words import WordBiGRU


@dataclass(frozen=True, kw_only=True)
class SGRAFConfig:
    """Options of `SGRAF`.

    item, words: the streams. vocabulary: number of words. reasoning: "sgr" or "saf".
    regions: how many rows an item has; rows that are grids say it themselves. region_norm: "region" has a BatchNorm
    with one channel a region, as the source, and needs exactly that many; "feature" has one channel a feature and
    takes any number.
    block: pairs are scored in blocks, whose largest table has so many numbers at most (4 bytes each); 0 chooses for the
    device, 2^22 on a CPU, whose caches hold that, else 2^27. keep: with gradients, blocks whose tables have more
    numbers than this all together are computed again on the way back instead of being kept.
    """

    item: str = "efficientnet-lite0-grid"
    words: str = "words"
    vocabulary: int = 0
    word_dim: int = 300
    dim: int = 1024
    similarity_dim: int = 256
    reasoning: Literal["sgr", "saf"] = "sgr"
    steps: int = 3
    regions: int = 36
    region_norm: Literal["region", "feature"] = "region"
    dropout: float = 0.4
    block: int = 0
    keep: int = 2**28

    @property
    def text_streams(self) -> tuple[str, ...]:
        """Names of the text streams that the network reads."""
        return (self.words,)

    @property
    def item_streams(self) -> tuple[str, ...]:
        """Names of the item streams that the network reads."""
        return (self.item,)

    def __post_init__(self) -> None:
        if self.reasoning not in ("sgr", "saf"):
            raise ValueError(f"reasoning must be sgr or saf, got {self.reasoning!r}")
        if self.region_norm not in ("region", "feature"):
            raise ValueError(f"region_norm must be region or feature, got {self.region_norm!r}")
        if self.block < 0 or self.keep < 0:
            raise ValueError(f"block and keep must be 0 or more, got {self.block} and {self.keep}")
        require_positive(self, "dim", "word_dim", "similarity_dim", "regions")
        require_rate(self, "dropout")

    def build(self, text_shapes: Shapes, item_shapes: Shapes) -> "SGRAF":
        """Make the network for streams of these row shapes."""
        stream_shape(text_shapes, self.words, "text")
        return SGRAF(self, item_shapes)


_SGR = SGRAFConfig()
PRESETS = {"default": _SGR, "sgr": _SGR, "saf": replace(_SGR, reasoning="saf")}
"""The two networks, trained apart; the published "SGRAF" is the mean of their two score matrices."""


@dataclass(frozen=True)
class Parts(Rows):
    """An embedding: parts (regions or words), values [N, L, dim] of unit length; whole [N, dim], unit length."""

    parts: Padded
    whole: Tensor


class SGRAF(RetrievalModel[Parts, Parts]):
    """Score of a pair: `sigmoid(Linear(reasoning([global; local_1 .. local_L])))`, in (0, 1).

    `local_l = unit(Linear((c_l - w_l)^2))`, c_l the item's regions as word l attends to them; `global` the same for
    the whole item and text. Attention (SCAN): `A = regions . words`, LeakyReLU 0.1, unit length along the words,
    softmax over regions with factor 9. Source: Diao et al., AAAI 2021, reference code `Paranioar/SGRAF`.

    Not a product of two vectors. All pairs are scored in blocks of texts of about the same length, so memory stays
    bounded.
    """

    factorises: ClassVar[bool] = False

    def __init__(self, config: SGRAFConfig, item_shapes: Shapes) -> None:
        super().__init__()
        self.config = config
        self.item = xavier_linear(stream_width(item_shapes, config.item, "item"), config.dim)
        self.text = WordBiGRU(config.vocabulary, word_dim=config.word_dim, dim=config.dim, dropout=config.dropout)
        rows = stream_rows(item_shapes, config.item, config.regions)
        regions = rows if config.region_norm == "region" else None
        self.item_whole = SelfAttention(config.dim, dropout=config.dropout, norm=True, regions=regions)
        self.text_whole = SelfAttention(config.dim, dropout=config.dropout)
        self.local = xavier_linear(config.dim, config.similarity_dim)
        self.whole = xavier_linear(config.dim, config.similarity_dim)
        self.reasoning: SimilarityGraph | SimilarityFilter
        if config.reasoning == "sgr":
            self.reasoning = SimilarityGraph(config.similarity_dim, steps=config.steps)
        else:
            self.reasoning = SimilarityFilter(config.similarity_dim)
        self.out = xavier_linear(config.similarity_dim, 1)

    def encode_text(self, inputs: Inputs) -> Parts:
        words: Padded = self.text(inputs[self.config.words])
        words = Padded(l2_normalise(words.values), words.lengths)
        return Parts(words, self.text_whole(words))

    def encode_item(self, inputs: Inputs) -> Parts:
        rows = flatten_grid(inputs[self.config.item])
        regions = Padded(l2_normalise(self.item(rows.values)) * rows.mask[..., None], rows.lengths)
        return Parts(regions, self.item_whole(regions))

    def scores(self, text: Parts, item: Parts) -> dict[str, Tensor]:
        """`score`: [T, V] in (0, 1)."""
        if not len(text) or not len(item):
            return {"score": text.whole.new_zeros(len(text), len(item))}
        order = text.parts.lengths.argsort()
        lengths = text.parts.lengths[order].tolist()
        limit = self.config.block or (2**22 if text.whole.device.type == "cpu" else 2**27)
        # In training SAF's BatchNorm looks at all items, so only texts are divided then.
        step = len(item) if self.training else max(1, min(len(item), limit // (lengths[-1] * self.config.dim)))
        pieces = [order[a:b] for a, b in text_blocks(lengths, limit // (step * self.config.dim))]
        again = torch.is_grad_enabled() and sum(lengths) * len(item) * self.config.dim > self.config.keep
        columns = []
        for start in range(0, len(item), step):
            items = slice_rows(item, start, start + step)
            columns.append(torch.cat([self._score(text[piece], items, again=again) for piece in pieces]))
        return {"score": torch.cat(columns, 1)[order.argsort()]}

    def _score(self, text: Parts, item: Parts, *, again: bool) -> Tensor:
        values = (text.parts, text.whole, item.parts, item.whole)
        if not again:
            return self._block(*values)
        out: Tensor = checkpoint(
            self._block, *values, use_reentrant=False, context_fn=lambda: (nullcontext(), self._once_more())
        )
        return out

    @contextmanager
    def _once_more(self) -> Iterator[None]:
        """Around a block that is computed again: the running statistics of SAF have followed it already."""
        saf = self.reasoning if isinstance(self.reasoning, SimilarityFilter) else None
        if saf is not None:
            saf.follows = False
        try:
            yield
        finally:
            if saf is not None:
                saf.follows = True

    def _block(self, words: Padded, text_whole: Tensor, regions: Padded, item_whole: Tensor) -> Tensor:
        """Scores of T texts with V items, [T, V]."""
        here = words.mask
        weights = attend(words, regions).flatten(2)[:, :, here.flatten()]  # [V, R, S], S words of all texts
        difference = torch.baddbmm(-words.values[here][None], unit_sums(weights, regions.values), regions.values)
        local = l2_normalise(self.local(difference.square()))  # [V, S, similarity_dim]
        whole = l2_normalise(self.whole((item_whole[:, None] - text_whole).square()))  # [V, T, similarity_dim]
        place = torch.zeros(here.shape, dtype=torch.int64, device=here.device)
        place[here] = torch.arange(len(here), len(here) + local.shape[1], device=here.device)
        first = torch.arange(len(here), device=here.device)[:, None]
        nodes = torch.cat([whole, local], 1)[:, torch.cat([first, place], 1)]  # [V, T, 1 + L, similarity_dim]
        vector = self.reasoning(nodes, torch.cat([torch.ones_like(first, dtype=torch.bool), here], 1))
        with torch.autocast(vector.device.type, enabled=False):  # scores are compared: 16 bits would make many alike
            return torch.sigmoid(self.out(vector.to(self.out.weight.dtype))).squeeze(-1).T


def text_blocks(lengths: list[int], words: int) -> list[tuple[int, int]]:
    """Ranges of texts, sorted by length, of at most so many words each, padding counted; at least one text in each.

    >>> text_blocks([2, 2, 3, 9], 6)
    [(0, 2), (2, 3), (3, 4)]
    """
    blocks, start = [], 0
    for stop in range(1, len(lengths) + 1):
        if stop == len(lengths) or (stop + 1 - start) * lengths[stop] > words:
            blocks.append((start, stop))
            start = stop
    return blocks


def attend(words: Padded, regions: Padded, *, factor: float = 9.0) -> Tensor:
    """How much each word looks at each region (SCAN, text to image), [V, R, T, L]; the sum over regions is 1.

    `A = regions . words`, LeakyReLU 0.1, unit length along a text's words, softmax over an item's regions of
    `factor A`. Source: Lee et al., ECCV 2018, as in the reference code `Paranioar/SGRAF`.
    """
    likeness = regions.values.flatten(0, 1) @ words.values.flatten(0, 1).T
    likeness = likeness.unflatten(1, words.mask.shape).unflatten(0, regions.mask.shape)  # type: ignore[no-untyped-call]
    likeness = l2_normalise(F.leaky_relu(likeness, 0.1) * words.mask, dim=3)
    return (factor * likeness).masked_fill(~regions.mask[:, :, None, None], -torch.inf).softmax(1)


def unit_sums(weights: Tensor, regions: Tensor) -> Tensor:
    """Weights scaled so that the weighted sums of regions get unit length: `a / |sum_r a_r v_r|`.

    The length comes from the regions' own products, `|c|^2 = a^T (v v^T) a`, so the sums need not be made for it. Those
    products are never made in 16 bits, which would leave lengths a percent off.

    weights: [V, R, S]; regions: [V, R, dim]. Returns [V, S, R].
    """
    with torch.autocast(weights.device.type, enabled=False):
        exact = torch.promote_types(weights.dtype, torch.float32)
        weights, regions = weights.to(exact), regions.to(exact)
        squared = (weights * (regions @ regions.transpose(1, 2) @ weights)).sum(1)
    scaled: Tensor = (weights / squared.clamp(min=1e-24).sqrt()[:, None]).transpose(1, 2)
    return scaled


class SelfAttention(nn.Module):
    """One unit vector from parts, weighted by how they go with their mean.

    `l = tanh(Linear(part))`, `g = tanh(Linear(mean of parts))`, weights = softmax over parts of `Linear(l * g)`.
    For images both Linear are followed by a BatchNorm (`norm`), the first with one channel for each of `regions`, or
    for each feature if that is None.

    parts: values [N, L, dim]. Returns [N, dim].
    """

    def __init__(self, dim: int, *, dropout: float, norm: bool = False, regions: int | None = None) -> None:
        super().__init__()
        self.regions = regions
        self.local, self.mean, self.weigh = xavier_linear(dim, dim), xavier_linear(dim, dim), xavier_linear(dim, 1)
        self.local_norm = nn.BatchNorm1d(regions or dim) if norm else None
        self.mean_norm = nn.BatchNorm1d(dim) if norm else None
        self.dropout = nn.Dropout(dropout)

    def forward(self, parts: Padded) -> Tensor:
        local, mean = self.local(parts.values), self.mean(masked_mean(parts))
        if self.local_norm is not None and self.mean_norm is not None:
            local, mean = self._normalise_local(self.local_norm, Padded(local, parts.lengths)), self.mean_norm(mean)
        local, mean = self.dropout(local.tanh()), self.dropout(mean.tanh())
        scores = self.weigh(local * mean[:, None]).squeeze(2)
        weights = scores.masked_fill(~parts.mask, -torch.inf).softmax(1)
        return l2_normalise(torch.einsum("nl,nld->nd", weights, parts.values))

    def _normalise_local(self, norm: nn.BatchNorm1d, local: Padded) -> Tensor:
        if self.regions is None:
            return masked_batch_norm(norm, local)
        fewest = int(local.lengths.min())
        if fewest != self.regions or local.values.shape[1] != self.regions:
            raise ValueError(
                f'every item must have {self.regions} regions, got {fewest}; region_norm="feature" takes any number'
            )
        out: Tensor = norm(local.values)
        return out
