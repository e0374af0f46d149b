"""Measures of the whole ranking: average precision, R-Precision and nDCG, exact under ties."""

from typing import Any, Literal

import numpy as np

from matchcut.evaluation.arrays import check_no_nan, row_blocks, to_numpy, to_scores
from matchcut.evaluation.ranks import Floats, Ints, Ties, check_ties

Cutoff = int | Literal["R"] | None


def average_precision(scores: Any, relevance: Any, *, cutoff: Cutoff = None, ties: Ties = "expected") -> Floats:
    """Average precision of every query: 1/|relevant| * sum over ranks r of precision@r * relevant(r).

    cutoff="R" is mAP@R (Musgrave et al. 2020; ECCV Caption): only the first R = |relevant| ranks. cutoff=K: the
    first K ranks, still divided by |relevant| (as trec_eval's map_cut). Ties: the expectation over all orders
    (McSherry & Najork 2008): in a tied group of n with r relevant, after i items with R relevant, the j-th place
    adds r/n * (R + 1 + (j-1)(r-1)/(n-1)) / (i + j).

    Args:
        scores: [queries, items]. relevance: [queries, items], above 0 = relevant.

    Returns:
        float64 [queries] in 0 ... 1; NaN where nothing is relevant.

    >>> average_precision([[3.0, 2.0, 1.0]], [[1, 0, 1]])  # (1/1 + 2/3) / 2
    array([0.83333333])
    """

    def one(order: "_Order") -> float:
        r, n = order.group_gain, order.size
        before = order.gain_before + 1 + order.place * (r - 1) / np.maximum(n - 1, 1)
        limit = order.limit(cutoff)
        position = np.arange(1, len(n) + 1)
        return float((r / n * before / position)[:limit].sum() / order.relevant)

    return _per_query(scores, (to_numpy(relevance) > 0).astype(np.float64), ties, one)


def r_precision(scores: Any, relevance: Any, *, ties: Ties = "expected") -> Floats:
    """Share of the first R items that are relevant, R = number of relevant ones; NaN where there is none.

    >>> r_precision([[3.0, 2.0, 1.0]], [[1, 0, 1]])
    array([0.5])
    """
    return precision(scores, relevance, cutoff="R", ties=ties)


def precision(scores: Any, relevance: Any, *, cutoff: Cutoff, ties: Ties = "expected") -> Floats:
    """Share of the first K (or R) items that are relevant, float64 [queries]; NaN where nothing is relevant.

    A gallery smaller than K is filled up with wrong items: the divisor stays K.

    >>> precision([[3.0, 2.0, 1.0]], [[1, 0, 1]], cutoff=1)
    array([1.])
    """

    def one(order: "_Order") -> float:
        limit = order.limit(cutoff)
        return float((order.group_gain / order.size)[:limit].sum() / (cutoff if isinstance(cutoff, int) else limit))

    return _per_query(scores, (to_numpy(relevance) > 0).astype(np.float64), ties, one)


def ndcg(scores: Any, gains: Any, *, cutoff: Cutoff = None, ties: Ties = "expected") -> Floats:
    """Normalised discounted cumulative gain: DCG = sum over ranks r of gain(r) / log2(r + 1), divided by that of the
    best order.

    The gain is linear, not 2^gain (as in Wray et al. 2021 and trec_eval). cutoff="R" looks at the first R = |gain >
    0| ranks, the semantic nDCG of Wray et al. Ties: the expectation, every tied item having the mean gain of its group.

    Args:
        scores: [queries, items]. gains: [queries, items], 0 or more.

    Returns:
        float64 [queries]; NaN where all gains are 0.

    >>> ndcg([[4.0, 3.0, 2.0, 1.0]], [[0.5, 0.0, 1.0, 0.5]], cutoff="R").round(6)
    array([0.638788])
    """
    values = to_numpy(gains).astype(np.float64)
    if (values < 0).any() or not np.isfinite(values).all():
        raise ValueError("gains must be finite and 0 or more")

    def one(order: "_Order") -> float:
        discount = 1 / np.log2(np.arange(2, len(order.size) + 2))
        limit = order.limit(cutoff)
        return float(
            ((order.group_gain / order.size) * discount)[:limit].sum() / (order.ideal * discount)[:limit].sum()
        )

    return _per_query(scores, values, ties, one)


class _Order:
    """One query's items, best first. For every rank: the tied group it lies in, and where in it."""

    def __init__(self, scores: Floats, gains: Floats, ties: Ties) -> None:
        second = {"optimistic": -gains, "pessimistic": gains}.get(ties, np.zeros(len(gains)))
        order = np.lexsort((second, -scores))  # stable, so "index" keeps the columns' order
        ordered, gain = scores[order], gains[order]
        split = np.ones(len(ordered), dtype=np.bool_)
        if ties == "expected":
            split[1:] = ordered[1:] != ordered[:-1]
        start = np.flatnonzero(split)
        sizes = np.diff(np.append(start, len(gain)))
        sums = np.add.reduceat(gain, start)
        self.size: Ints = np.repeat(sizes, sizes)
        self.group_gain: Floats = np.repeat(sums, sizes)
        self.gain_before: Floats = np.repeat(np.cumsum(sums) - sums, sizes)
        self.place: Ints = np.arange(len(gain)) - np.repeat(start, sizes)
        self.relevant = int(np.count_nonzero(gain > 0))
        self.ideal: Floats = -np.sort(-gain)

    def limit(self, cutoff: Cutoff) -> int:
        if cutoff == "R":
            return self.relevant
        return len(self.size) if cutoff is None else int(cutoff)


def _per_query(scores: Any, gains: Floats, ties: Ties, one: Any) -> Floats:
    check_ties(ties)
    matrix = to_scores(scores)
    if matrix.shape != gains.shape:
        raise ValueError(f"scores have shape {matrix.shape}, relevance {gains.shape}; they must be the same")
    result = np.full(len(matrix), np.nan)
    for part in row_blocks(*matrix.shape):
        check_no_nan(matrix[part], part.start)
        for row in range(part.start, part.stop):
            if gains[row].any():
                result[row] = one(_Order(matrix[row].astype(np.float64), gains[row], ties))
    return result
