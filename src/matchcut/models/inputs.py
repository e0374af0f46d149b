"""What a network is fed: named streams of padded rows."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True)
class Padded:
    """Sequences of different lengths in one tensor: the frames of videos, the tokens of captions.

    Shapes: values [N, L, *shape], zero beyond each sequence's end; lengths [N] int64, each 1 to L.

    >>> frames = Padded.of([torch.ones(2, 4), torch.ones(3, 4)])
    >>> frames.values.shape, frames.mask.sum(1).tolist()
    (torch.Size([2, 3, 4]), [2, 3])
    """

    values: Tensor
    lengths: Tensor

    @classmethod
    def of(cls, sequences: Sequence[Tensor]) -> "Padded":
        """Pad a list of tensors [n_i, *shape] with zeros at the end."""
        lengths = torch.tensor([len(s) for s in sequences], device=sequences[0].device if sequences else None)
        return cls(torch.nn.utils.rnn.pad_sequence(list(sequences), batch_first=True), lengths)

    @property
    def mask(self) -> Tensor:
        """Where there is something: bool [N, L]."""
        return torch.arange(self.values.shape[1], device=self.values.device)[None, :] < self.lengths[:, None]

    def __len__(self) -> int:
        return len(self.lengths)

    def to(self, device: torch.device | str, dtype: torch.dtype | None = None) -> "Padded":
        """Move to a device, and to a floating type if one is given."""
        return Padded(self.values.to(device, dtype), self.lengths.to(device))

    def select(self, index: Tensor) -> "Padded":
        """The sequences of these positions, index [M] int64, without padding that none of them needs."""
        lengths = self.lengths[index]
        longest = int(lengths.max()) if len(lengths) else min(1, self.values.shape[1])
        return Padded(self.values[index][:, :longest], lengths)
