"""Places in the descending order of a matrix's entries, without sorting it."""

from collections.abc import Sequence
from typing import Literal

import torch
from torch import Tensor

Region = Literal["all", "off_diagonal", "upper", "upper_diagonal"]
STRIP = 128  # rows looked at together on a CPU


def nth_largest(matrix: Tensor, places: Sequence[int], *, region: Region | Tensor = "all") -> list[Tensor]:
    """The values at these places, 0 the largest, of a region's entries in descending order, each of shape ().

    Small entries are dropped first by a bound guessed from a sample, then checked: the answer is exact.

    Args:
        matrix: float [N, M], finite; symmetric if the region is named.
        places: each below the size of the region.
        region: which entries count: all, those off the diagonal, above it, above and on it, or a bool mask [N, M].

    >>> [float(x) for x in nth_largest(torch.tensor([[9.0, 2.0, 1.0], [2.0, 8.0, 3.0], [1.0, 3.0, 7.0]]), [0, 2])]
    [9.0, 7.0]
    """
    if region == "off_diagonal":  # every entry above the diagonal twice
        return nth_largest(matrix, [place // 2 for place in places], region="upper")
    size = matrix.numel() if region == "all" or isinstance(region, Tensor) else matrix.numel() // 2
    sample = matrix.flatten()[:: max(1, matrix.numel() // 16_384)]
    need = max(places) + 1
    rank = int(len(sample) * (1.3 * need / max(1, size) + 0.002)) + 1
    bound = sample.kthvalue(max(1, len(sample) - rank + 1)).values
    for least in (bound, torch.full_like(bound, -torch.inf)):
        values = _at_least(matrix, least, region)
        if len(values) >= need:
            break
    return [values.kthvalue(len(values) - place).values for place in places]


def _at_least(matrix: Tensor, least: Tensor, region: Region | Tensor) -> Tensor:
    """The entries of the region that are not below a bound, in any order."""
    if isinstance(region, Tensor):
        return matrix[(matrix >= least) & region]
    if region == "all":
        return matrix[matrix >= least]
    parts = []
    step = STRIP if matrix.device.type == "cpu" else max(1, len(matrix))
    for start in range(0, len(matrix), step):
        strip = matrix[start : start + step, start:]
        mask = strip >= least
        mask[:, :step].triu_(1 if region == "upper" else 0)
        parts.append(strip[mask])
    return torch.cat([*parts, matrix.new_empty(0)])
