"""Leaving out rows and words at random, in training."""

import torch
from torch import Tensor

from matchcut.models.inputs import Padded


def drop_rows(x: Padded, rate: float) -> Padded:
    """Leave out each row with probability `rate`, in order; at least one row of each sequence stays.

    Source: Chen et al., CVPR 2021 (VSE-infinity), reference code: regions and words are dropped at rate 0.2 so that
    pooling meets sequences of many lengths.

    x: values [N, L, *shape]. Returns the same with fewer rows.
    """
    if not 0 <= rate < 1:
        raise ValueError(f"rate must be from 0 to below 1, got {rate}")
    chance = torch.rand(x.mask.shape, device=x.values.device).masked_fill(~x.mask, -1)
    return keep_rows(x, ((chance >= rate) | (chance == chance.amax(1, keepdim=True))) & x.mask)


def keep_rows(x: Padded, keep: Tensor) -> Padded:
    """Only the rows where keep, bool [N, L], is true, moved to the front in order; zero behind them.

    >>> keep_rows(Padded(torch.tensor([[5, 6, 7]]), torch.tensor([3])), torch.tensor([[True, False, True]])).values
    tensor([[5, 7]])
    """
    lengths = keep.sum(1)
    order = (~keep).to(torch.uint8).argsort(dim=1, stable=True)[:, : int(lengths.max())]
    values = x.values[torch.arange(len(order), device=order.device)[:, None], order]
    out = Padded(values, lengths)
    empty = (~out.mask).view(*out.mask.shape, *[1] * (values.ndim - 2))
    return Padded(values.masked_fill(empty, 0), lengths)


def change_words(ids: Padded, rate: float, *, unknown: int, vocabulary: int) -> Padded:
    """Touch words with probability `rate`: 50 % become unknown, 10 % random, 40 % are left out.

    The first and the last word, start and end, stay.
    Source: Chen et al., CVPR 2021 (VSE-infinity), reference code, where "unknown" is BERT's [MASK]. Other word
    pieces of the same word are touched on their own here.

    ids: [N, L] word numbers. Returns the same with some words changed, some left out.
    """
    if not 0 <= rate < 1:
        raise ValueError(f"rate must be from 0 to below 1, got {rate}")
    values, position = ids.values.long(), torch.arange(ids.values.shape[1], device=ids.values.device)
    inner = (position > 0) & (position < ids.lengths[:, None] - 1)
    chance = torch.rand(values.shape, device=values.device).masked_fill(~inner, 1)
    randoms = torch.randint(vocabulary, values.shape, device=values.device)
    values = torch.where(chance < 0.5 * rate, torch.full_like(values, unknown), values)
    values = torch.where((chance >= 0.5 * rate) & (chance < 0.6 * rate), randoms, values)
    return keep_rows(Padded(values, ids.lengths), ((chance < 0.6 * rate) | (chance >= rate)) & ids.mask)
