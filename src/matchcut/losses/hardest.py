"""Where the largest value of each row and of each column stands, for a matrix that is made in blocks of rows."""

from collections.abc import Callable

import torch
from torch import Tensor

BLOCK = 2**18  # numbers looked at together on a CPU: 1 MiB
GROUP = 16  # rows of which only the maximum is kept at first
Index = slice | tuple[Tensor, Tensor]
Found = tuple[Tensor, Tensor]
"""int64 [A], the place of each anchor's hardest negative, and bool [A], whether it has one."""


@torch.no_grad()
def hardest(
    key: Callable[[Index], Tensor], shape: tuple[int, int], device: torch.device, *, texts: bool, items: bool
) -> list[Found]:
    """The hardest negative of each text, or of each item, or of both in one pass; the first one of several.

    Args:
        key: how hard each item is for each text, -inf: no negative. Called with a range of texts, for float [n, V],
            and with rows and columns, for the values of single pairs.
        shape: (T, V), both at least 1.
        texts, items: whose negatives are wanted, in this order.

    >>> key = torch.tensor([[0.1, 0.9], [0.7, 0.3]])
    >>> hardest(key.__getitem__, (2, 2), key.device, texts=True, items=False)
    [(tensor([1, 0]), tensor([True, True]))]
    """
    step = shape[0] if device.type != "cpu" else GROUP * max(1, BLOCK // (GROUP * shape[1]))
    places: list[Tensor] = []
    maxima: list[Tensor] = []
    for start in range(0, shape[0], step):
        block = key(slice(start, start + step))
        if texts:
            places.append(argmax(block))
        if items:
            whole = len(block) // GROUP * GROUP
            maxima.append(block[:whole].view(-1, GROUP, shape[1]).amax(1))
            if whole < len(block):
                maxima.append(block[whole:].amax(0, keepdim=True))
    found: list[Found] = []
    if texts:
        place = torch.cat(places)
        found.append((place, ~key((torch.arange(shape[0], device=device), place)).isneginf()))
    if items:
        columns = torch.arange(shape[1], device=device)
        rows = argmax(torch.cat(maxima).T)[:, None] * GROUP + torch.arange(GROUP, device=device)
        rows = rows.clamp(max=shape[0] - 1)
        values, within = key((rows, columns[:, None].expand_as(rows))).max(1)
        found.append((rows[columns, within], ~values.isneginf()))
    return found


def argmax(values: Tensor) -> Tensor:
    """`values.argmax(1)`; on a CPU in two steps, maxima of groups of columns first: much faster."""
    rows, columns = values.shape
    groups = min(2 ** (columns.bit_length() // 2), columns & -columns)
    if values.device.type != "cpu" or groups < 8:
        return values.argmax(1)
    anchors = torch.arange(rows, device=values.device)
    if values.stride(1) == 1:
        split = values.view(rows, groups, columns // groups)
        group = split.amax(2).argmax(1)
        within = split[anchors, group].argmax(1)
    else:
        split = values.T.view(groups, columns // groups, rows)
        group = split.amax(1).argmax(0)
        within = split[group, :, anchors].argmax(1)
    place: Tensor = group * (columns // groups) + within
    return place
