"""The few hardest negatives of each anchor."""

from dataclasses import KW_ONLY, dataclass
from typing import ClassVar

import torch
from torch import Tensor

from matchcut.negatives.evidence import Evidence
from matchcut.negatives.pairs import PairTable
from matchcut.negatives.treatment import Treatment


@dataclass(frozen=True, repr=False)
class TopK(Treatment):
    """Keeps the k hardest of the remaining negatives of each anchor; ties at the k-th stay. Texts and items in turn.

    Args:
        k: at least 1. At 1 the sum over all negatives is the hinge on the hardest.
        skip: leave out this many of the very hardest first, as likely false negatives.

    Hardness is the table's `rank_by` if an earlier treatment has set it, else the learned score plus the margin.

    >>> table = PairTable.from_ids(text_items=torch.arange(3), items=torch.arange(3))
    >>> scores = torch.tensor([[0.5, 0.6, 0.4], [0.0, 0.9, 0.1], [0.0, 0.2, 0.9]])
    >>> TopK(1)(table, Evidence(), scores).negative.int().tolist()
    [[0, 1, 0], [0, 0, 1], [0, 1, 0]]
    """

    name: ClassVar[str] = "top_k"
    k: int
    _: KW_ONLY
    skip: int = 0

    def __post_init__(self) -> None:
        if self.k < 1:
            raise ValueError(f"k must be at least 1, got {self.k}")
        if self.skip < 0:
            raise ValueError(f"skip must be at least 0, got {self.skip}")

    @torch.no_grad()
    def __call__(self, table: PairTable, evidence: Evidence, scores: Tensor) -> PairTable:
        seen = table.items_see
        text_sees = _hardness(table, scores)
        item_sees = text_sees if seen is table else _hardness(seen, scores)
        return table.with_sides(text=self._outside(text_sees), item=self._outside(item_sees.T).T)

    def _outside(self, hardness: Tensor) -> Tensor:
        count = min(self.k + self.skip, hardness.shape[1])
        if count <= self.skip:
            return torch.ones_like(hardness, dtype=torch.bool)
        top = largest(hardness, count)
        outside = hardness < top[:, -1:]
        return outside | (hardness > top[:, self.skip : self.skip + 1]) if self.skip else outside


def _hardness(table: PairTable, scores: Tensor) -> Tensor:
    hardness = scores if table.margin is None else scores + table.margin.detach()
    hardness = hardness if table.rank_by is None else table.rank_by
    return torch.where(table.negative, hardness, -torch.inf)


def largest(values: Tensor, count: int) -> Tensor:
    """`values.topk(count, dim=1).values`, of a wide or a transposed matrix on a CPU in less time.

    The columns fall into groups; those `count` groups whose maxima are largest hold all that is wanted. NumPy sorts so
    few numbers many times faster than torch.
    """
    rows, columns = values.shape
    size = min(16, columns & -columns, 1 << max(1, columns // (4 * count)).bit_length() - 1)  # of a group
    if values.device.type != "cpu" or values.dtype not in (torch.float32, torch.float64) or size < 4:
        return values.topk(count, dim=1).values
    try:
        import numpy as np
    except ImportError:  # PyTorch does without
        return values.topk(count, dim=1).values
    groups = columns // size
    if values.stride(1) == 1:
        maxima = values.reshape(rows, size, groups).amax(1)
    else:
        maxima = values.T.reshape(size, groups, rows).amax(0).T.contiguous()
    best = torch.from_numpy(np.argpartition(maxima.numpy(), groups - count, axis=1)[:, groups - count :])
    members = (best[:, None, :] + groups * torch.arange(size)[:, None]).flatten(1)
    found = np.sort(values.gather(1, members).numpy(), axis=1)
    return torch.from_numpy(found[:, : -count - 1 : -1].copy())
