"""Fuse ranked lists given as arrays of item numbers: many lists, many topics, fast."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from matchcut.evaluation.arrays import Array, to_numpy
from matchcut.evaluation.ranks import Floats, Ints
from matchcut.fusion.methods import Missing, Options, options

DEPTH = 1000
DIGITS = 12  # normalised fused scores that agree to so many decimals are equal


@dataclass(frozen=True)
class FusedLists:
    """One list a topic, best first, padded at the end with -1 (items) and -inf (scores).

    items: int64 [topics, depth]; scores: strictly decreasing, so that nobody re-breaks ties (n, n - 1, ..., 1);
    values: the fused rank (smaller is better) or fused score that decided.
    """

    items: Ints
    scores: Floats
    values: Floats


def fuse_lists(
    items: Any,
    scores: Any = None,
    *,
    method: str = "avg",
    top: int = 10,
    missing: Missing | None = None,
    k: float = 60.0,
    weights: Any = None,
    depth: int = DEPTH,
) -> FusedLists:
    """Fuse Q lists for each of T topics. Ties: by mean rank over the lists, then by the smaller item number.

    Args:
        items: int [Q, T, n], item numbers best first, at the end padded with -1 where a list is shorter.
        scores: [Q, T, n], for the methods that read scores.
        method, top, missing, k, weights: as in `fuse`.
        depth: length of the fused lists.

    Raises:
        ValueError: for wrong shapes, an item twice in a list, or a padding that is not at the end.

    >>> two = np.array([[[7, 5, 3]], [[5, 7, 4]]])  # 2 lists, 1 topic, 3 items
    >>> fuse_lists(two).items  # 7 and 5 tie with mean rank 1.5; 3 and 4 with (3 + 4) / 2
    array([[5, 7, 3, 4]])
    """
    array = to_numpy(items)
    if array.ndim != 3 or array.dtype.kind not in "iu":
        raise ValueError(f"items must be whole numbers of shape [lists, topics, n], got {array.dtype} {array.shape}")
    how = options(len(array), method, top=top, missing=missing, k=k, weights=weights)
    values = None
    if how.by_score:
        if scores is None:
            raise ValueError(f"method {method!r} reads scores; give scores of shape {array.shape}")
        values = to_numpy(scores).astype(np.float64)
        if values.shape != array.shape:
            raise ValueError(f"scores have shape {values.shape}, items {array.shape}; they must be the same")
    fused = [
        fuse_topic(array[:, t], None if values is None else values[:, t], how, depth=depth, name=str(t))
        for t in range(array.shape[1])
    ]
    longest = max((len(f[0]) for f in fused), default=0)
    out = FusedLists(
        np.full((len(fused), longest), -1, dtype=np.int64),
        np.full((len(fused), longest), -np.inf),
        np.full((len(fused), longest), np.nan),
    )
    for t, (ids, numbers) in enumerate(fused):
        out.items[t, : len(ids)] = ids
        out.scores[t, : len(ids)] = np.arange(len(ids), 0, -1)
        out.values[t, : len(ids)] = numbers
    return out


def fuse_topic(
    items: Array,
    scores: Floats | None,
    how: Options,
    *,
    depth: int | None = DEPTH,
    name: str = "",
    ids: Sequence[str] | None = None,
) -> tuple[Ints, Floats]:
    """Fuse the lists of one topic: (item numbers best first, their fused ranks or scores).

    Args:
        items: int [Q, n], -1 = padding at the end. scores: [Q, n]. depth: None keeps all. ids: the item of each number,
            which then break ties in place of the numbers. name: of the topic, for
        messages.
    """
    items = np.ascontiguousarray(items)  # a topic is cut out of [Q, T, n]
    held = items >= 0
    lengths = held.sum(axis=1)
    if not held.all() and (held[:, 1:] & ~held[:, :-1]).any():
        raise ValueError(f"topic {name}: padding (-1) stands before an item; it must be at the end of a list")
    entries = _sorted_entries(items, held)
    if not len(entries.rank):
        return np.zeros(0, dtype=np.int64), np.zeros(0)
    seen = np.zeros(len(entries.start) * len(items), dtype=np.bool_)
    seen[entries.owner * len(items) + entries.list] = True
    if np.count_nonzero(seen) < len(entries.rank):
        raise ValueError(f"topic {name}: a list holds an item twice")
    if how.missing == "full" and (entries.sizes < len(items)).any():
        lacking = int((entries.sizes < len(items)).sum())
        raise ValueError(
            f"topic {name}: {lacking} of {len(entries.sizes)} items are not in every list, "
            "but missing='full' needs full rankings"
        )
    if how.by_score:
        assert scores is not None
        values = _fused_scores(entries, scores, held, how)
    elif how.method == "rrf":
        values = np.add.reduceat(how.weights[entries.list] / (how.k + entries.rank), entries.start)
    elif how.method == "borda":
        values = _borda(entries, lengths)
    else:
        values = _best_ranks(entries, lengths, how.best_of, how.missing)
    descending = how.by_score or how.method in ("rrf", "borda")
    key = -values if descending else values
    if descending and how.method != "mean":  # rounding errors must not decide; scores as they are have any scale
        key = np.round(key, DIGITS)
    pick = np.arange(len(key))
    if depth is not None and depth < len(key):  # nothing beyond the depth-th best value can come in
        pick = np.flatnonzero(key <= np.partition(key, depth - 1)[depth - 1])
    best = pick[np.argsort(key[pick])]
    tied = np.flatnonzero(key[best[1:]] == key[best[:-1]])
    if len(tied):
        members = np.unique(np.concatenate([tied, tied + 1]))
        mean_rank = _best_ranks(entries, lengths, len(items), "last")  # breaks ties, whatever `missing` is
        best[members] = _in_order(best[members], key, mean_rank, entries.item, ids)
    best = best[:depth]
    return entries.item[best], values[best]


def _in_order(tied: Ints, key: Floats, mean_rank: Floats, item: Ints, ids: Sequence[str] | None) -> Ints:
    """Order entries by key, then mean rank, then id (or item number)."""
    if ids is None:
        return tied[np.lexsort((item[tied], mean_rank[tied], key[tied]))]
    ordered = tied[np.lexsort((mean_rank[tied], key[tied]))]
    same = (key[ordered[1:]] == key[ordered[:-1]]) & (mean_rank[ordered[1:]] == mean_rank[ordered[:-1]])
    if same.any():  # only these need their names compared
        start = np.flatnonzero(np.concatenate([[True], ~same]))
        sizes = np.diff(np.append(start, len(ordered)))
        for first, size in zip(start[sizes > 1].tolist(), sizes[sizes > 1].tolist(), strict=True):
            group = ordered[first : first + size].tolist()
            ordered[first : first + size] = sorted(group, key=lambda e: ids[int(item[e])])
    return ordered


@dataclass(frozen=True)
class _Entries:
    """All (list, item, rank) of a topic, sorted by item, then rank. start, sizes, item: one an item."""

    owner: Ints  # number of the item in `item`
    rank: Ints
    list: Ints
    place: Ints  # where the entry stands in the flat [Q * n] scores
    start: Ints
    sizes: Ints
    item: Ints


def _sorted_entries(items: Array, held: npt.NDArray[np.bool_]) -> _Entries:
    q, n = items.shape
    flat = items.T.ravel()  # rank by rank, so that a stable sort by item leaves each item's ranks in order
    order = _stable_order(flat)
    order = order[np.count_nonzero(~held) :]  # the padding, -1, comes first
    item = flat[order]
    new = np.ones(len(item), dtype=np.bool_)
    np.not_equal(item[1:], item[:-1], out=new[1:])
    start = np.flatnonzero(new)
    sizes = np.diff(start, append=len(item))
    rank = np.repeat(np.arange(1, n + 1), q)[order]
    which = order - (rank - 1) * q
    return _Entries(np.cumsum(new) - 1, rank, which, which * n + rank - 1, start, sizes, item[start].astype(np.int64))


def _stable_order(values: Array) -> Ints:
    """Stable argsort of whole numbers from -1; 16 bits at a time, which NumPy sorts by radix, many times faster."""
    shifted = values.astype(np.int64) + 1
    order = np.argsort((shifted & 0xFFFF).astype(np.uint16), kind="stable")
    bits = 16
    while int(shifted.max(initial=0)) >> bits:
        digits = ((shifted >> bits) & 0xFFFF).astype(np.uint16)
        order = order[np.argsort(digits[order], kind="stable")]
        bits += 16
    return order


def _best_ranks(entries: _Entries, lengths: Ints, best_of: int, missing: str) -> Floats:
    """Mean of the `best_of` best ranks of every item. missing: "ignore", or a list's length + 1 for what it lacks."""
    kept = np.minimum(entries.sizes, best_of)
    if missing == "ignore" or (lengths == lengths[0]).all():  # then no held rank is worse than a missing one
        rank = entries.rank
        if best_of < len(lengths):
            place = np.arange(len(rank)) - entries.start[entries.owner]
            rank = np.where(place < best_of, rank, 0)
        total = np.add.reduceat(rank, entries.start)
        if missing == "ignore":
            return np.asarray(total / kept)
        return np.asarray((total + (best_of - kept) * (lengths[0] + 1)) / best_of)
    table = np.repeat((lengths + 1)[None, :], len(entries.start), axis=0)
    table[entries.owner, entries.list] = entries.rank
    return np.asarray(np.partition(table, best_of - 1, axis=1)[:, :best_of].sum(axis=1) / best_of)


def _borda(entries: _Entries, lengths: Ints) -> Floats:
    candidates = len(entries.start)
    points = candidates - entries.rank + 1.0
    share = (candidates - lengths + 1) / 2  # what each unheld item of a list gets
    held = np.add.reduceat(points - share[entries.list], entries.start)
    return np.asarray(held + share.sum())


def _fused_scores(entries: _Entries, scores: Floats, held: npt.NDArray[np.bool_], how: Options) -> Floats:
    normal = normalise_lists(scores, held, how.method)
    weights = how.weights
    flat = (normal * weights[:, None]).ravel()[entries.place]
    total = np.add.reduceat(flat, entries.start)
    if how.missing == "ignore":
        return np.asarray(total / np.add.reduceat(weights[entries.list], entries.start))
    if how.method == "dbsf":
        return np.asarray(total)
    floor = np.where(held, normal, np.inf).min(axis=1)
    floor = np.where(np.isfinite(floor), floor, 0.0) * weights  # an empty list says nothing
    lacking = floor.sum() - np.add.reduceat(floor[entries.list], entries.start)
    return np.asarray((total + lacking) / weights.sum())


def normalise_lists(scores: Floats, held: npt.NDArray[np.bool_], method: str) -> Floats:
    """Bring every list to one scale, [Q, n]; a list of equal scores becomes all 0 (minmax, zscore) or 0.5 (dbsf)."""
    if method == "mean":
        return scores
    count = np.maximum(held.sum(axis=1, keepdims=True), 1)
    inside = np.where(held, scores, 0.0)
    low = np.where(held, scores, np.inf).min(axis=1, keepdims=True)
    high = np.where(held, scores, -np.inf).max(axis=1, keepdims=True)
    if method == "minmax":
        width = high - low
        return np.where(held & (width > 0), (inside - np.where(held, low, 0)) / np.where(width > 0, width, 1), 0.0)
    mean = inside.sum(axis=1, keepdims=True) / count
    centred = np.where(held & (high > low), scores - mean, 0.0)  # the mean of equal scores may be off by rounding
    if method == "dbsf":  # sample deviation and no clipping, as in Qdrant's code
        deviation = np.sqrt((centred**2).sum(axis=1, keepdims=True) / np.maximum(count - 1, 1))
        return np.where(held, 0.5 + centred / np.where(deviation > 0, 6 * deviation, 1), 0.0)
    deviation = np.sqrt((centred**2).sum(axis=1, keepdims=True) / count)
    return np.asarray(centred / np.where(deviation > 0, deviation, 1))
