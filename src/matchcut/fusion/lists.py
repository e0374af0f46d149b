"""Fuse ranked lists given as arrays of item numbers: many lists, many topics, fast."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from matchcut.evaluation.arrays import Array, to_numpy
from matchcut.evaluation.ranks import Floats, Ints
from matchcut.fusion.entries import Entries, stable_order
from matchcut.fusion.methods import Missing, Options, TieBreak, check_depth, options

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
    tie_break: TieBreak = "rank",
    k: float = 60.0,
    weights: Any = None,
    depth: int | None = DEPTH,
) -> FusedLists:
    """Fuse Q lists for each of T topics. An item's id is its number.

    Args:
        items: int [Q, T, n], item numbers best first, at the end padded with -1 where a list is shorter.
        scores: [Q, T, n], for the methods that read scores.
        method, top, missing, tie_break, k, weights: as in `fuse`.
        depth: length of the fused lists; None for all.

    Raises:
        ValueError: for wrong shapes, an item twice in a list, or a padding that is not at the end.

    >>> two = np.array([[[7, 5, 3]], [[5, 7, 4]]])  # 2 lists, 1 topic, 3 items
    >>> fuse_lists(two).items  # 7 and 5 tie with mean rank 1.5; 3 and 4 with (3 + 4) / 2
    array([[5, 7, 3, 4]])
    """
    array = to_numpy(items)
    if array.ndim != 3 or array.dtype.kind not in "iu":
        raise ValueError(f"items must be whole numbers of shape [lists, topics, n], got {array.dtype} {array.shape}")
    check_depth(depth)
    how = options(len(array), method, top=top, missing=missing, tie_break=tie_break, k=k, weights=weights)
    values = None
    if how.by_score:
        if scores is None:
            raise ValueError(f"method {method!r} reads scores; give scores of shape {array.shape}")
        values = to_numpy(scores).astype(np.float64)
        if values.shape != array.shape:
            raise ValueError(f"scores have shape {values.shape}, items {array.shape}; they must be the same")
    fused = [
        fuse_topic(
            Entries.of(array[:, t], str(t)), None if values is None else values[:, t], how, depth=depth, name=str(t)
        )
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
    entries: "Entries",
    scores: Floats | None,
    how: Options,
    *,
    depth: int | None = DEPTH,
    name: str = "",
    ids: Array | None = None,
) -> tuple[Ints, Floats]:
    """Fuse the lists of one topic: (item numbers best first, their fused ranks or scores).

    Args:
        entries: of the lists. scores: [Q, n]. depth: None keeps all. name: of the topic, for messages.
        ids: the item of each number, which then break ties in place of the numbers.
    """
    if not len(entries.item):
        return np.zeros(0, dtype=np.int64), np.zeros(0)
    if how.missing == "full" and (entries.sizes < len(entries.lengths)).any():
        lacking = int((entries.sizes < len(entries.lengths)).sum())
        raise ValueError(
            f"topic {name}: {lacking} of {len(entries.sizes)} items are not in every list, "
            "but missing='full' needs full rankings"
        )
    if how.by_score:
        assert scores is not None
        values = _fused_scores(entries, scores, how)
    elif how.method == "rrf":
        values = entries.total(how.weights / (how.k + np.arange(1, entries.longest + 1)[:, None]))
    elif how.method == "borda":
        values = _borda(entries)
    elif how.method == "worst":
        values = _worst_rank(entries, how.missing)
    else:
        values = _best_ranks(entries, how.best_of, how.missing)
    descending = how.by_score or how.method in ("rrf", "borda")
    key = -values if descending else values
    if descending and how.method != "mean":  # rounding errors must not decide; scores as they are have any scale
        key = np.rint(key * 10.0**DIGITS)
    best = np.argsort(key) if depth is None else _smallest(key, depth)
    ordered = key[best]
    tied = _in_group(ordered[1:] == ordered[:-1])
    if len(tied):
        second = entries.mean_rank if how.tie_break == "rank" else np.zeros(len(key))
        best[tied] = _in_order(best[tied], key, second, entries.item, ids)
    best = best[:depth]
    return entries.item[best], values[best]


def _smallest(key: Floats, depth: int) -> Ints:
    """Where the `depth` smallest stand, sorted, with all that tie with the last of them and maybe more."""
    if depth >= len(key):
        return np.argsort(key)
    sample = key[::4]
    place = depth // 4 + depth // 16  # a guess of the bound that seldom is too low, then checked
    if place < len(sample):
        pick = np.flatnonzero(key <= np.partition(sample, place)[place])
        if len(pick) >= depth:
            return pick[np.argsort(key[pick])]
    pick = np.flatnonzero(key <= np.partition(key, depth - 1)[depth - 1])
    return pick[np.argsort(key[pick])]


def _in_group(same: npt.NDArray[np.bool_]) -> Ints:
    """Where a row of values stands beside an equal one; same: [n - 1], whether it equals the next."""
    member = np.zeros(len(same) + 1, dtype=np.bool_)
    member[:-1] = same
    member[1:] |= same
    return np.flatnonzero(member)


def _in_order(tied: Ints, key: Floats, mean_rank: Floats, item: Ints, ids: Array | None) -> Ints:
    """Order entries by key, then mean rank, then id (or item number)."""
    if ids is None:
        return tied[np.lexsort((item[tied], mean_rank[tied], key[tied]))]
    ordered = tied[np.lexsort((mean_rank[tied], key[tied]))]
    by_key, by_rank = key[ordered], mean_rank[ordered]
    same = (by_key[1:] == by_key[:-1]) & (by_rank[1:] == by_rank[:-1])
    members = _in_group(same)  # only these need their names compared
    group = np.cumsum(np.append(True, ~same))[members]
    names = list(zip(group.tolist(), ids[item[ordered[members]]].tolist(), strict=True))
    ordered[members] = ordered[members[sorted(range(len(names)), key=names.__getitem__)]]
    return ordered


def _best_ranks(entries: Entries, best_of: int, missing: str) -> Floats:
    """Mean of the `best_of` best ranks of every item. missing: "ignore", or a list's length + 1 for what it lacks."""
    lengths, sizes = entries.lengths, entries.sizes
    rank = np.arange(1.0, entries.longest + 1)[:, None]
    if best_of == len(lengths):
        return entries.total(rank) / sizes if missing == "ignore" else entries.mean_rank
    if missing == "ignore" or (lengths == lengths[0]).all():  # then no held rank is worse than a missing one
        order = stable_order(entries.owner)  # item by item, best rank first
        place = np.arange(len(order)) - np.repeat(np.cumsum(sizes) - sizes, sizes)
        best = order[place < best_of]
        total = np.bincount(entries.owner[best], entries.spread(rank)[best])  # whole numbers, so in any order
        kept = np.minimum(sizes, best_of)
        if missing == "ignore":
            return np.asarray(total / kept)
        return np.asarray((total + (best_of - kept) * (lengths[0] + 1)) / best_of)
    table = _rank_table(entries, lengths + 1)
    return np.asarray(np.partition(table, best_of - 1, axis=1)[:, :best_of].sum(axis=1) / best_of)


def _worst_rank(entries: Entries, missing: str) -> Floats:
    """The largest rank of every item; `missing` as in `_best_ranks`."""
    return np.asarray(
        _rank_table(entries, 0 * entries.lengths if missing == "ignore" else entries.lengths + 1).max(axis=1)
    )


def _rank_table(entries: Entries, lacking: Ints) -> Floats:
    """The rank of every item in every list, [items, Q]; lacking: [Q], in its place where a list has not the item."""
    table = np.repeat(lacking[None, :].astype(np.float64), len(entries.sizes), axis=0)
    rank = np.arange(1.0, entries.longest + 1)[:, None]
    table[entries.owner, entries.spread(np.arange(len(lacking)))] = entries.spread(rank)
    return table


def _borda(entries: Entries) -> Floats:
    candidates = len(entries.item)
    share = (candidates - entries.lengths + 1) / 2  # what each unheld item of a list gets
    points = candidates - np.arange(1, entries.longest + 1)[:, None] + 1.0
    return np.asarray(entries.total(points - share) + share.sum())


def _fused_scores(entries: Entries, scores: Floats, how: Options) -> Floats:
    held = np.arange(entries.longest) < entries.lengths[:, None]
    weighted = normalise_lists(scores, held, how.method) * how.weights[:, None]
    total = entries.total(weighted.T)
    if how.missing == "ignore":
        weight = entries.total(how.weights)
        last = np.full(len(total), -np.inf)  # what only lists of weight 0 hold
        return np.asarray(np.divide(total, weight, out=last, where=weight > 0))
    if how.method == "dbsf":
        return total
    floor = (weighted if held.all() else np.where(held, weighted, np.inf)).min(axis=1)
    floor[np.isinf(floor)] = 0.0  # an empty list says nothing
    if floor.any():
        total += floor.sum() - entries.total(floor)
    return np.asarray(total / how.weights.sum())


def normalise_lists(scores: Floats, held: npt.NDArray[np.bool_], method: str) -> Floats:
    """Bring every list to one scale, [Q, n]; a list of equal scores becomes all 0 (minmax, zscore) or 0.5 (dbsf)."""
    if method == "mean":
        return scores
    full = bool(held.all())

    def fill(values: Floats, instead: float) -> Floats:
        return values if full else np.where(held, values, instead)

    low = fill(scores, np.inf).min(axis=1, keepdims=True)
    high = fill(scores, -np.inf).max(axis=1, keepdims=True)
    if method == "minmax":
        width = high - low  # negative in an empty list
        return fill((scores - low) / np.where(width > 0, width, 1), 0.0)
    count = np.maximum(held.sum(axis=1, keepdims=True), 1)
    mean = fill(scores, 0.0).sum(axis=1, keepdims=True) / count
    centred = np.where(held & (high > low), scores - mean, 0.0)  # the mean of equal scores may be off by rounding
    if method == "dbsf":  # sample deviation and no clipping, as in Qdrant's code
        deviation = np.sqrt((centred**2).sum(axis=1, keepdims=True) / np.maximum(count - 1, 1))
        return fill(0.5 + centred / np.where(deviation > 0, 6 * deviation, 1), 0.0)
    deviation = np.sqrt((centred**2).sum(axis=1, keepdims=True) / count)
    return np.asarray(centred / np.where(deviation > 0, deviation, 1))
