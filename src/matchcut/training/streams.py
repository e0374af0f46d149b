"""Feature sets as tensors in memory, ready to be cut into batches."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from matchcut.models.inputs import Padded


@dataclass(frozen=True)
class Stream:
    """Ragged rows of N captions or items: values [sum of lengths, *shape], offsets [N + 1] int64."""

    values: Tensor
    offsets: Tensor

    @classmethod
    def of(cls, values: np.ndarray, lengths: Sequence[int] | np.ndarray) -> "Stream":
        """From rows that lie one after the other and how many each entry has."""
        offsets = torch.zeros(len(lengths) + 1, dtype=torch.int64)
        offsets[1:] = torch.from_numpy(np.cumsum(np.asarray(lengths, dtype=np.int64)))
        return cls(torch.from_numpy(values), offsets)

    def __len__(self) -> int:
        return len(self.offsets) - 1

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape of one row."""
        return tuple(self.values.shape[1:])

    def batch(self, index: Tensor) -> Padded:
        """The entries of these positions [M] int64, padded, as float32."""
        start = self.offsets[index]
        lengths = self.offsets[index + 1] - start
        steps = torch.arange(int(lengths.max()) if len(lengths) else 0)
        inside = steps[None, :] < lengths[:, None]  # [M, L]
        rows = (start[:, None] + steps[None, :]).where(inside, torch.zeros(()).long())
        values = self.values[rows.flatten()].float().reshape(*rows.shape, *self.shape)
        if not bool(inside.all()):
            values[~inside] = 0.0
        return Padded(values, lengths)

    def mean(self) -> Tensor:
        """Mean row of each entry, float32 [N, *shape]: one vector a caption or an item."""
        lengths = self.offsets.diff()
        if bool((lengths == 1).all()):
            return self.values.float()
        owner = torch.repeat_interleave(torch.arange(len(self)), lengths)
        total = torch.zeros(len(self), *self.shape).index_add_(0, owner, self.values.float())
        return total / lengths.clamp(min=1).reshape(-1, *[1] * len(self.shape))
