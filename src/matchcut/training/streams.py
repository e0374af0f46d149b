"""Streams in memory, ready to be cut into batches: ragged rows, and bags of words."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import torch
from torch import Tensor

from matchcut.errors import MatchcutError
from matchcut.models.inputs import Padded


class AnyStream(Protocol):
    """What a network reads of N captions or items."""

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape of one row."""
        ...

    def __len__(self) -> int: ...

    def batch(self, index: Tensor) -> Padded:
        """The entries of these positions [M] int64, padded; numbers of things as int64, all else as float32."""
        ...

    def mean(self) -> Tensor:
        """Mean row of each entry, float32 [N, *shape]: one vector a caption or an item.

        Raises:
            MatchcutError: if the rows are no vectors.
        """
        ...

    def tensors(self) -> list[Tensor]:
        """All that it holds in memory."""
        ...


@dataclass(frozen=True)
class Stream:
    """Ragged rows of N captions or items: values [sum of lengths, *shape], offsets [N + 1] int64."""

    values: Tensor
    offsets: Tensor

    @classmethod
    def of(cls, values: np.ndarray, lengths: Sequence[int] | np.ndarray) -> "Stream":
        """From rows that lie one after the other and how many each entry has."""
        return cls(torch.from_numpy(values), _offsets(lengths))

    def __len__(self) -> int:
        return len(self.offsets) - 1

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape of one row."""
        return tuple(self.values.shape[1:])

    def batch(self, index: Tensor) -> Padded:
        """The entries of these positions [M] int64, padded, as float32; whole numbers as int64."""
        start = self.offsets[index]
        lengths = self.offsets[index + 1] - start
        steps = torch.arange(int(lengths.max()) if len(lengths) else 0)
        inside = steps[None, :] < lengths[:, None]  # [M, L]
        rows = (start[:, None] + steps[None, :]).where(inside, torch.zeros(()).long())
        values = self.values[rows.flatten()].to(torch.float32 if self._floats else torch.int64)
        values = values.reshape(*rows.shape, *self.shape)
        if not bool(inside.all()):
            values[~inside] = 0
        return Padded(values, lengths)

    def mean(self) -> Tensor:
        """Mean row of each entry, float32 [N, *shape]: one vector a caption or an item."""
        if not self._floats:
            raise MatchcutError("evidence: a stream of word or token numbers gives no vectors to compare")
        lengths = self.offsets.diff()
        if bool((lengths == 1).all()):
            return self.values.float()
        owner = torch.repeat_interleave(torch.arange(len(self)), lengths)
        total = torch.zeros(len(self), *self.shape).index_add_(0, owner, self.values.float())
        return total / lengths.clamp(min=1).reshape(-1, *[1] * len(self.shape))

    def tensors(self) -> list[Tensor]:
        """All that it holds in memory."""
        return [self.values, self.offsets]

    @property
    def _floats(self) -> bool:
        return self.values.is_floating_point()


@dataclass(frozen=True)
class Bags:
    """Bags of words of N captions: which of `size` words each has and how often; dense in a batch only.

    words int32 and counts float32 [sum of lengths], a word once a caption; offsets [N + 1] int64.

    >>> bags = Bags.of([[4, 1, 4], [], [0]], size=5)
    >>> bags.batch(torch.tensor([0, 2])).values.tolist()
    [[[0.0, 1.0, 0.0, 0.0, 2.0]], [[1.0, 0.0, 0.0, 0.0, 0.0]]]
    """

    words: Tensor
    counts: Tensor
    offsets: Tensor
    size: int

    @classmethod
    def of(cls, numbers: Sequence[Sequence[int]], *, size: int) -> "Bags":
        """From the word numbers of each caption, each from 0 to size - 1."""
        lengths = np.array([len(n) for n in numbers], dtype=np.int64)
        owner = np.repeat(np.arange(len(numbers), dtype=np.int64), lengths)
        flat = np.array([n for caption in numbers for n in caption], dtype=np.int64)
        keys, counts = np.unique(owner * size + flat, return_counts=True)
        lengths = np.bincount(keys // size, minlength=len(numbers))
        words = torch.from_numpy((keys % size).astype(np.int32))
        return cls(words, torch.from_numpy(counts.astype(np.float32)), _offsets(lengths), size)

    def __len__(self) -> int:
        return len(self.offsets) - 1

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape of one row: the number of words."""
        return (self.size,)

    def batch(self, index: Tensor) -> Padded:
        """The bags of these captions [M] int64: values [M, 1, size]."""
        taken, lengths = ragged(self.offsets, index)
        row = torch.repeat_interleave(torch.arange(len(index)), lengths)
        dense = torch.zeros(len(index), self.size)
        dense[row, self.words[taken].long()] = self.counts[taken]
        return Padded(dense[:, None], torch.ones(len(index), dtype=torch.int64))

    def mean(self) -> Tensor:
        """Refused: dense bags of all captions do not fit into memory."""
        raise MatchcutError("evidence: bags of words are not made dense for all captions; use 'svd'")

    def tensors(self) -> list[Tensor]:
        """All that it holds in memory."""
        return [self.words, self.counts, self.offsets]


def ragged(offsets: Tensor, index: Tensor) -> tuple[Tensor, Tensor]:
    """Rows of some of N ragged entries: their positions, one entry after the other, and how many each has, int64 [M].

    offsets: int64 [N + 1], where each entry begins; index: int64 [M].

    >>> ragged(torch.tensor([0, 2, 2, 5]), torch.tensor([2, 1, 0]))
    (tensor([2, 3, 4, 0, 1]), tensor([3, 0, 2]))
    """
    start = offsets[index]
    lengths = offsets[index + 1] - start
    first = lengths.cumsum(0) - lengths
    return torch.arange(int(lengths.sum())) + (start - first).repeat_interleave(lengths), lengths


def _offsets(lengths: Sequence[int] | np.ndarray) -> Tensor:
    offsets = torch.zeros(len(lengths) + 1, dtype=torch.int64)
    offsets[1:] = torch.from_numpy(np.cumsum(np.asarray(lengths, dtype=np.int64)))
    return offsets
