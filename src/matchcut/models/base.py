"""What every network offers: two encoders and a score; and scoring all pairs in bounded memory."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields
from typing import Any, ClassVar, Generic, Protocol, Self, TypeVar, cast

import torch
from torch import Tensor, nn

from matchcut.models.inputs import Padded
from matchcut.models.normalise import dot_products

Inputs = Mapping[str, Padded]
"""Named streams of one side of a batch, all of the same number of sequences."""

Shapes = Mapping[str, tuple[int, ...]]
"""The shape of one row of each stream: (384,) for a sentence vector, (49, 1280) for a grid, () for word ids."""


@dataclass(frozen=True)
class Rows:
    """Base of an embedding of more than one vector: a dataclass of tensors [N, ...] and `Padded`, indexable by rows."""

    def __getitem__(self, index: Tensor) -> Self:
        """The rows at these positions, index [M] int64."""
        return type(self)(**{f.name: _rows(getattr(self, f.name), index) for f in fields(self)})

    def __len__(self) -> int:
        return len(getattr(self, fields(self)[0].name))

    def to(self, device: torch.device | str) -> Self:
        return type(self)(**{f.name: getattr(self, f.name).to(device) for f in fields(self)})


TextT = TypeVar("TextT", bound=Tensor | Rows)
ItemT = TypeVar("ItemT", bound=Tensor | Rows)
E = TypeVar("E", Tensor, Padded, Rows)


@dataclass(frozen=True)
class Step:
    """What a training step hands to `RetrievalModel.auxiliary`.

    text_inputs, item_inputs: the streams; text, item: their embeddings, of T texts and V items.
    pairs: int64 [T], for each text the row of its item. targets: further tensors by name, such as concept labels.
    item_extra: what `RetrievalModel.train_item` gave beside the embeddings; without it a network computes it again.
    """

    text_inputs: Inputs
    item_inputs: Inputs
    text: Any
    item: Any
    pairs: Tensor
    targets: Mapping[str, Tensor] = field(default_factory=dict)
    item_extra: Any = None


class RetrievalModel(nn.Module, Generic[TextT, ItemT]):
    """Base of all networks: `encode_text`, `encode_item`, `score(text, item) -> [T, V]`.

    A subclass writes the two encoders and `scores`. `factorises` says that an embedding is one vector and the score
    a dot product, so that an index can hold the items; otherwise search re-ranks a list of candidates.
    """

    factorises: ClassVar[bool] = True
    score_names: tuple[str, ...] = ("score",)
    """Names of the matrices that `scores` returns."""
    auxiliary_names: tuple[str, ...] = ()
    """Names of the losses that `auxiliary` returns."""
    target_names: tuple[str, ...] = ()
    """Names of the `Step.targets` that `auxiliary` needs."""

    def encode_text(self, inputs: Inputs) -> TextT:
        raise NotImplementedError

    def encode_item(self, inputs: Inputs) -> ItemT:
        raise NotImplementedError

    def train_item(self, inputs: Inputs) -> tuple[ItemT, Any]:
        """`encode_item`, and beside it what `auxiliary` would otherwise have to compute again."""
        return self.encode_item(inputs), None

    def scores(self, text: TextT, item: ItemT) -> dict[str, Tensor]:
        """Every score matrix the network is trained on, each [T, V]; by default the dot product alone."""
        if not isinstance(text, Tensor) or not isinstance(item, Tensor):
            raise NotImplementedError
        return {"score": dot_products(text, item)}

    def combine(self, scores: Mapping[str, Tensor]) -> Tensor:
        """One matrix [T, V] from those of `scores`, for ranking. Called on whole matrices, not on blocks."""
        (only,) = scores.values()
        return only

    def score(self, text: TextT, item: ItemT) -> Tensor:
        """How well each text and item go together, [T, V], higher is better."""
        return self.combine(self.scores(text, item))

    def auxiliary(self, step: Step) -> dict[str, Tensor]:
        """Named losses of the network's own, scalars, beside those on the scores; only in training."""
        return {}


class Config(Protocol):
    """A network's options: a frozen dataclass that names the streams it reads, with a `build`."""

    @property
    def text_streams(self) -> tuple[str, ...]: ...

    @property
    def item_streams(self) -> tuple[str, ...]: ...

    def build(self, text_shapes: Shapes, item_shapes: Shapes) -> RetrievalModel[Any, Any]: ...


@torch.no_grad()
def score_all(
    model: RetrievalModel[Any, Any],
    text: Tensor | Rows,
    item: Tensor | Rows,
    *,
    text_block: int = 1024,
    item_block: int = 4096,
    device: torch.device | str | None = None,
) -> Tensor:
    """Score every text with every item block by block; the result is float32 on the CPU.

    text, item: embeddings of T texts and V items, on any device. device: where blocks are scored, by default where
    the embeddings are. Returns [T, V].

    >>> from matchcut.models.projection import ProjectionConfig
    >>> model = ProjectionConfig(text=("t",), item=("v",), dim=8, heads=2).build({"t": (4,)}, {"v": (6,)})
    >>> text, item = torch.eye(8)[:3], torch.eye(8)[:5]
    >>> torch.equal(score_all(model, text, item, text_block=2, item_block=2), model.score(text, item))
    True
    """
    if text_block < 1 or item_block < 1:
        raise ValueError(f"text_block and item_block must be at least 1, got {text_block} and {item_block}")
    out = {name: torch.empty(len(text), len(item)) for name in model.score_names}
    for v in range(0, len(item), item_block):
        items = slice_rows(item, v, v + item_block)
        items = items if device is None else items.to(device)
        for t in range(0, len(text), text_block):
            texts = slice_rows(text, t, t + text_block)
            texts = texts if device is None else texts.to(device)
            for name, block in model.scores(texts, items).items():
                out[name][t : t + len(texts), v : v + len(items)] = block
    return model.combine(out)


def slice_rows(rows: TextT, start: int, stop: int) -> TextT:
    """Rows start to stop of an embedding; stop may lie beyond the end."""
    if isinstance(rows, Tensor):
        return cast(TextT, rows[start:stop])
    first = getattr(rows, fields(rows)[0].name)
    device = first.values.device if isinstance(first, Padded) else first.device
    return rows[torch.arange(start, min(stop, len(rows)), device=device)]


def concat(parts: Sequence[E]) -> E:
    """Put embeddings of several batches together, one below the other; padding grows to the longest.

    >>> concat([torch.zeros(2, 3), torch.ones(1, 3)]).shape
    torch.Size([3, 3])
    """
    if not parts:
        raise ValueError("nothing to put together: got 0 parts")
    first = parts[0]
    if isinstance(first, Tensor):
        return torch.cat([p for p in parts if isinstance(p, Tensor)])
    if isinstance(first, Padded):
        padded = [p for p in parts if isinstance(p, Padded)]
        longest = max(p.values.shape[1] for p in padded)
        values = [_lengthen(p.values, longest) for p in padded]
        return Padded(torch.cat(values), torch.cat([p.lengths for p in padded]))
    return type(first)(**{f.name: concat([getattr(p, f.name) for p in parts]) for f in fields(first)})


def _rows(value: Tensor | Padded, index: Tensor) -> Tensor | Padded:
    return value.select(index) if isinstance(value, Padded) else value[index]


def _lengthen(values: Tensor, length: int) -> Tensor:
    missing = length - values.shape[1]
    return torch.cat([values, values.new_zeros(len(values), missing, *values.shape[2:])], 1) if missing else values


def stream_shape(shapes: Shapes, name: str, side: str) -> tuple[int, ...]:
    """The row shape of one stream, or a ValueError that names the streams there are."""
    if name not in shapes:
        raise ValueError(f"the network reads the {side} stream {name!r}; there are {sorted(shapes)}")
    return shapes[name]


def stream_width(shapes: Shapes, name: str, side: str) -> int:
    """The last dimension of a stream of vectors, or a ValueError."""
    shape = stream_shape(shapes, name, side)
    if not shape:
        raise ValueError(f"the {side} stream {name!r} holds single numbers; vectors are needed")
    return shape[-1]


def stream_rows(shapes: Shapes, name: str, otherwise: int) -> int:
    """How many vectors one row of a stream holds, 49 for a grid of shape (49, 1280); `otherwise` if it is one vector.

    >>> stream_rows({"grid": (7, 7, 1280), "regions": (2048,)}, "grid", 36)
    49
    """
    shape = shapes[name]
    return math.prod(shape[:-1]) if len(shape) > 1 else otherwise
