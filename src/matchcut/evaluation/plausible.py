"""Plausible-match R-Precision (PCME, Chun et al. 2021): right is what has nearly the query's category labels."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from matchcut.evaluation.arrays import row_blocks, to_numpy, to_scores
from matchcut.evaluation.graded import r_precision
from matchcut.evaluation.ranks import Floats, Ties


@dataclass(frozen=True)
class PlausibleMatch:
    """value: R-Precision averaged over the thresholds; per_threshold: {zeta: R-Precision}."""

    value: float
    per_threshold: dict[int, float]


def hamming(labels: Any, others: Any) -> Floats:
    """Number of labels on which two rows of 0s and 1s differ, [rows, others].

    >>> hamming([[1, 0, 1]], [[1, 1, 0]])
    array([[2.]])
    """
    a, b = to_numpy(labels).astype(np.float64), to_numpy(others).astype(np.float64)
    if not (np.isin(a, (0, 1)).all() and np.isin(b, (0, 1)).all()):
        raise ValueError("labels must be 0 or 1")
    return np.asarray(a.sum(axis=1)[:, None] + b.sum(axis=1)[None, :] - 2 * a @ b.T)


def pmrp(
    scores: Any, query_labels: Any, item_labels: Any, *, thresholds: Sequence[int] = (0, 1, 2), ties: Ties = "expected"
) -> PlausibleMatch:
    """R-Precision where relevant means a Hamming distance of the labels of at most zeta, averaged over the zetas.

    Source: reference code of PCME (90 COCO categories, zeta in 0, 1, 2). ECCV Caption's PM uses zeta = 2 alone. A
    query without any match at a zeta is left out at that zeta.

    Args:
        scores: [queries, items]. query_labels: [queries, labels], item_labels: [items, labels], 0 or 1.

    Raises:
        ValueError: if no query has a match at some zeta, or the shapes do not fit.

    >>> pmrp([[0.9, 0.1]], [[1, 0]], [[1, 0], [0, 1]], thresholds=(0,)).value
    1.0
    """
    matrix = to_scores(scores)
    queries, items = to_numpy(query_labels), to_numpy(item_labels)
    if (len(queries), len(items)) != matrix.shape:
        raise ValueError(f"scores {matrix.shape} do not match {len(queries)} query_labels and {len(items)} item_labels")
    found: dict[int, float] = {}
    for zeta in thresholds:
        parts = [
            r_precision(matrix[p], hamming(queries[p], items) <= zeta, ties=ties) for p in row_blocks(*matrix.shape)
        ]
        values = np.concatenate(parts)
        if np.isnan(values).all():
            raise ValueError(f"no query has an item within Hamming distance {zeta}")
        found[zeta] = float(np.nanmean(values))
    return PlausibleMatch(sum(found.values()) / len(found), found)
