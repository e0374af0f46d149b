"""Crisscrossed Captions: human ratings of caption-image, caption-caption and image-image pairs as relevance."""

import csv
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from matchcut.errors import MatchcutError
from matchcut.evaluation.arrays import Array, to_scores

# A pair of this mean rating (0 ... 5) or more is a match (reference code: Crisscrossed-Captions).
CXC_THRESHOLDS = {"sits": 3.0, "sts": 3.0, "sis": 2.5}


@dataclass(frozen=True)
class Rating:
    """One CxC rating: two caption or image ids, the mean of the raters (0 ... 5), and how the pair was sampled."""

    first: str
    second: str
    score: float
    sampling: str


def read_cxc(path: Path | str) -> list[Rating]:
    """Read a Crisscrossed Captions file (sits, sts or sis): id, id, agg_score, sampling_method.

    Raises:
        MatchcutError: naming file and line, for another header or a score outside 0 ... 5.
    """
    ratings = []
    try:
        with open(path, encoding="utf-8", newline="") as file:
            rows = csv.reader(file)
            header = next(rows, [])
            if header[2:] != ["agg_score", "sampling_method"]:
                raise MatchcutError(
                    f"{path}, line 1: the header must be two ids, agg_score, sampling_method; it is {header}"
                )
            for row in rows:
                try:
                    first, second, score, sampling = row
                    value = float(score)
                except ValueError:
                    raise MatchcutError(
                        f"{path}, line {rows.line_num}: not two ids, a score and a method: {row}"
                    ) from None
                if not 0 <= value <= 5:
                    raise MatchcutError(f"{path}, line {rows.line_num}: the score {score} is not between 0 and 5")
                ratings.append(Rating(first, second, value, sampling))
    except OSError as error:
        raise MatchcutError(f"{path}: cannot be read: {error.strerror or error}") from error
    return ratings


def cxc_relevance(
    ratings: Sequence[Rating], first_ids: Sequence[str], second_ids: Sequence[str], *, threshold: float
) -> Array:
    """Bool [first, second]: pairs rated at least `threshold` (see `CXC_THRESHOLDS`).

    For captions against captions or images against images, both orders of a pair count and the diagonal is False; give
    such scores to `exclude_self` first, since a thing always finds itself.

    >>> cxc_relevance([Rating("a", "b", 3.2, "")], ["a", "b"], ["a", "b"], threshold=3.0).tolist()
    [[False, True], [True, False]]
    """
    rows, columns = {k: i for i, k in enumerate(first_ids)}, {k: i for i, k in enumerate(second_ids)}
    relevance = np.zeros((len(rows), len(columns)), dtype=np.bool_)
    for rating in ratings:
        if rating.score >= threshold:
            for a, b in ((rating.first, rating.second), (rating.second, rating.first)):
                if a in rows and b in columns:
                    relevance[rows[a], columns[b]] = True
    if list(first_ids) == list(second_ids):
        np.fill_diagonal(relevance, False)
    return relevance


def exclude_self(scores: Any) -> Array:
    """A square score matrix of things against themselves, with the diagonal at -inf, so that nothing finds itself.

    >>> exclude_self([[1.0, 0.5], [0.5, 1.0]]).tolist()
    [[-inf, 0.5], [0.5, -inf]]
    """
    matrix = to_scores(scores).copy()
    if matrix.shape[0] != matrix.shape[1]:
        raise ValueError(f"scores of things against themselves are square, got {matrix.shape}")
    np.fill_diagonal(matrix, -np.inf)
    return matrix
