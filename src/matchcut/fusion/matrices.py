"""Fuse full score matrices [texts, items] of many models, in blocks of rows, so that memory stays bounded."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from matchcut.evaluation.arrays import BLOCK_CELLS, Array, check_no_nan, to_scores
from matchcut.evaluation.ranks import Floats, Ints
from matchcut.fusion.lists import normalise_lists
from matchcut.fusion.methods import Missing, Options, TieBreak, options


def fuse_matrices(
    matrices: Sequence[Any],
    *,
    method: str = "avg",
    top: int = 10,
    missing: Missing | None = None,
    tie_break: TieBreak = "rank",
    k: float = 60.0,
    weights: Any = None,
) -> Floats:
    """Fuse M score matrices of the same shape: one [texts, items] matrix of float64, higher is better.

    Every row of every matrix is a full ranking, so nothing is missing. Equal scores of a row share the mean of their
    ranks. For avg, max, worst and hybrid the result is minus the fused rank, with the mean rank as a far smaller second
    digit: two items tie only if both agree (or, with tie_break="id", if the fused ranks do).

    Args:
        matrices: M arrays or memory maps [texts, items]; only a block of rows of each is in memory at a time.
        method, top, missing, tie_break, k, weights: as in `fuse`.

    Raises:
        ValueError: for different shapes, a NaN (names row and column), or an infinity where scores are averaged.

    >>> fuse_matrices([[[3.0, 1.0, 2.0]], [[1.0, 2.0, 3.0]]], method="max").argmax(axis=1)
    array([2])
    """
    arrays = [to_scores(m, f"matrix {i}") for i, m in enumerate(matrices)]
    how = options(len(arrays), method, top=top, missing=missing, tie_break=tie_break, k=k, weights=weights)
    for i, array in enumerate(arrays):
        if array.shape != arrays[0].shape:
            raise ValueError(f"matrix {i} has shape {array.shape}, matrix 0 {arrays[0].shape}; they must be the same")
    rows, columns = arrays[0].shape
    result = np.empty((rows, columns))
    if not columns:
        return result
    step = max(1, BLOCK_CELLS // max(1, columns * (len(arrays) if _needs_stack(how) else 1)))
    for start in range(0, rows, step):
        part = slice(start, min(start + step, rows))
        result[part] = _fuse_block([a[part] for a in arrays], how, start)
    return result


def _needs_stack(how: Options) -> bool:
    return how.method in ("avg", "max", "hybrid") and 1 < how.best_of < len(how.weights)


def _fuse_block(blocks: list[Array], how: Options, first_row: int) -> Floats:
    for i, block in enumerate(blocks):
        try:
            check_no_nan(block, first_row)
        except ValueError as error:
            raise ValueError(f"matrix {i}: {error}") from None
        if how.by_score and np.isinf(block).any():
            raise ValueError(f"matrix {i} holds an infinity; {how.method!r} needs finite numbers, ranks do not")
    if how.by_score:
        total = np.zeros(blocks[0].shape)
        held = np.ones(blocks[0].shape, dtype=np.bool_)
        for weight, block in zip(how.weights, blocks, strict=True):
            total += weight * normalise_lists(block.astype(np.float64), held, how.method)
        return np.asarray(total if how.method == "dbsf" else total / how.weights.sum())
    if how.method == "rrf":
        return np.asarray(sum(w / (how.k + rank_rows(b)) for w, b in zip(how.weights, blocks, strict=True)))
    if how.method == "borda":
        return np.asarray(sum(b.shape[1] - rank_rows(b) + 1 for b in blocks))
    # Sums of ranks are multiples of 1/2, so exact: equal items stay equal, in whatever order the models come.
    if _needs_stack(how):
        ranks = np.stack([rank_rows(b) for b in blocks])
        total = ranks.sum(axis=0)
        best = np.partition(ranks, how.best_of - 1, axis=0)[: how.best_of].sum(axis=0)
    else:
        further, start = (np.maximum, 0.0) if how.method == "worst" else (np.minimum, np.inf)
        total, best = np.zeros(blocks[0].shape), np.full(blocks[0].shape, start)
        for block in blocks:
            ranks = rank_rows(block)
            total += ranks
            further(best, ranks, out=best)
        best = best if how.best_of == 1 else total
    if how.tie_break == "id":
        return np.asarray(-best / how.best_of)
    # Fused ranks differ by 1 / (2 * best_of) or more and mean ranks are below columns + 1: the digits cannot overlap.
    second = total / (len(blocks) * 4 * how.best_of * (blocks[0].shape[1] + 1))
    return np.asarray(-best / how.best_of - second)


def rank_rows(block: Array) -> Floats:
    """Rank of every entry in its row, 1 = highest, equal scores share the mean, float64 [rows, columns].

    >>> rank_rows(np.array([[0.1, 0.7, 0.7]]))
    array([[3. , 1.5, 1.5]])
    """
    rows, columns = block.shape
    order = _descending(block)
    ordered = np.take_along_axis(block, order, axis=1)
    places = np.broadcast_to(np.arange(1.0, columns + 1), (rows, columns))
    tied = np.zeros((rows, columns + 1), dtype=np.bool_)  # [:, j]: place j has the score of place j - 1
    np.equal(ordered[:, 1:], ordered[:, :-1], out=tied[:, 1:-1])
    if tied.any():
        places = places.copy()
        member = np.flatnonzero(tied[:, :-1] | tied[:, 1:])  # flat, row by row
        first = np.flatnonzero(~tied[:, :-1].ravel()[member])
        sizes = np.diff(np.append(first, len(member)))
        places.reshape(-1)[member] = np.repeat(member[first] % columns + (sizes + 1) / 2, sizes)
    ranks = np.empty((rows, columns))
    np.put_along_axis(ranks, order, places, axis=1)
    return ranks


def _descending(block: Array) -> Ints:
    """Argsort of every row, highest first. Floats of up to 32 bits are sorted by radix, 16 bits at a time: faster."""
    if block.dtype not in (np.float32, np.float16):
        return np.argsort(-block, axis=1)
    bits = (np.float32(0) - block.astype(np.float32)).view(np.uint32)  # 0 - x has no negative zero
    negative = (bits >> 31).astype(np.bool_)
    bits = np.where(negative, ~bits, bits | np.uint32(1 << 31))  # unsigned integers in the order of the floats
    order = np.argsort((bits & 0xFFFF).astype(np.uint16), axis=1, kind="stable")
    high = np.take_along_axis((bits >> 16).astype(np.uint16), order, axis=1)
    return np.take_along_axis(order, np.argsort(high, axis=1, kind="stable"), axis=1)
