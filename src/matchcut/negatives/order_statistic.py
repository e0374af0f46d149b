"""The largest entries of a matrix without sorting it."""

from typing import Literal

import torch
from torch import Tensor

Region = Literal["all", "off_diagonal", "upper", "upper_diagonal"]


def largest_entries(matrix: Tensor, count: int, *, region: Region | Tensor = "all") -> tuple[Tensor, Tensor, Tensor]:
    """At least the `count` largest entries of a region: (values [n] in descending order, rows [n], columns [n]).

    Small entries are dropped first by a bound guessed from a sample, then checked: the answer is exact.

    Args:
        matrix: float [N, M], finite.
        count: how many are needed, at most as many as the region holds.
        region: which entries count: all, those off the diagonal, above it, above and on it, or a bool mask [N, M].
    """
    sample = matrix.flatten()[:: max(1, matrix.numel() // 16_384)]
    share = 1.5 * count / max(1, _size(matrix, region)) + 0.002
    rank = min(len(sample), int(len(sample) * share) + 1)
    for candidates in (matrix >= sample.topk(rank).values[-1], torch.ones_like(matrix, dtype=torch.bool)):
        rows, columns = _restrict(candidates, region).nonzero(as_tuple=True)
        if len(rows) >= count:
            break
    values, order = matrix[rows, columns].sort(descending=True, stable=True)
    return values, rows[order], columns[order]


def _size(matrix: Tensor, region: Region | Tensor) -> int:
    n, m = matrix.shape
    if isinstance(region, Tensor):
        return n * m
    return {"all": n * m, "off_diagonal": n * m - n, "upper": n * (n - 1) // 2, "upper_diagonal": n * (n + 1) // 2}[
        region
    ]


def _restrict(mask: Tensor, region: Region | Tensor) -> Tensor:
    if isinstance(region, Tensor):
        return mask & region
    if region == "off_diagonal":
        return mask.fill_diagonal_(False)
    if region == "all":
        return mask
    return mask.triu_(1 if region == "upper" else 0)
