"""Where the first right answer stands, and what equal scores are worth."""

from dataclasses import dataclass
from typing import Any, Literal, get_args

import numpy as np
import numpy.typing as npt

from matchcut.evaluation.arrays import Array, Positives, check_no_nan, row_blocks

Ties = Literal["expected", "optimistic", "pessimistic", "index"]
Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]


def check_ties(ties: str) -> None:
    """Refuse an unknown tie rule with a ValueError."""
    if ties not in get_args(Ties):
        raise ValueError(f"ties must be one of {', '.join(get_args(Ties))}; got {ties!r}")


@dataclass(frozen=True)
class FirstRight:
    """For every query, the surroundings of its best-scored right answer; each field int64 [queries].

    above: columns with a higher score (all of them wrong); right, wrong: right and wrong columns of exactly that
    score, the best right one included; before: wrong columns of that score that stand before the first right one.
    """

    above: Ints
    right: Ints
    wrong: Ints
    before: Ints

    @property
    def tied(self) -> npt.NDArray[np.bool_]:
        """Whether the tie rule matters to the query: a wrong column has the very score of the best right one."""
        return self.wrong > 0

    def rank(self, ties: Ties = "expected") -> Floats:
        """Rank of the first right answer, from 1, float64 [queries].

        With r right and w wrong columns of one score after `a` others, over all orders of the r + w the first right one
        stands on average at a + (r + w + 1) / (r + 1).

        >>> one = np.array([1])
        >>> FirstRight(above=one, right=one, wrong=one, before=one).rank()  # ranks 2 and 3 are equally likely
        array([2.5])
        """
        check_ties(ties)
        if ties == "optimistic":
            return (self.above + 1).astype(np.float64)
        if ties == "pessimistic":
            return (self.above + self.wrong + 1).astype(np.float64)
        if ties == "index":
            return (self.above + self.before + 1).astype(np.float64)
        return np.asarray(self.above + (self.right + self.wrong + 1) / (self.right + 1), dtype=np.float64)

    def reciprocal(self, ties: Ties = "expected") -> Floats:
        """1 / rank of the first right answer; expected: the mean of 1 / rank over all orders, float64 [queries]."""
        result = np.asarray(1 / self.rank(ties), dtype=np.float64)
        if ties == "expected":
            for i in np.flatnonzero(self.tied):
                ahead = np.arange(self.wrong[i])  # P(more than m wrong ones come first) = prod of (w - a) / (r + w - a)
                more = np.cumprod((self.wrong[i] - ahead) / (self.right[i] + self.wrong[i] - ahead))
                exactly = np.append(1.0, more) - np.append(more, 0.0)
                result[i] = (exactly / (self.above[i] + 1 + np.arange(self.wrong[i] + 1))).sum()
        return result

    def hit(self, k: int, ties: Ties = "expected") -> Floats:
        """Probability that a right answer is among the first k, float64 [queries].

        Expected: 1 - C(w, s) / C(r + w, s), with s the places of the first k that the tied group fills.
        """
        if k < 1:
            raise ValueError(f"K of R@K must be at least 1, got {k}")
        if ties != "expected":
            return (self.rank(ties) <= k).astype(np.float64)
        room = np.clip(k - self.above, 0, self.right + self.wrong)
        result = (room > 0).astype(np.float64)
        # Only ties need the hypergeometric term; s <= k factors, each below or equal to 1, cannot overflow.
        for i in np.flatnonzero(self.tied & (room > 0)):
            places = np.arange(room[i])
            result[i] = 1.0 - float(
                np.prod(np.clip(self.wrong[i] - places, 0, None) / (self.right[i] + self.wrong[i] - places))
            )
        return result


def first_right(scores: Array, positives: Positives, *, transposed: bool = False) -> FirstRight:
    """Find the best-scored right column of every row, in blocks of rows, so that memory stays bounded.

    scores: [rows, columns]; positives: at least one column for every row. transposed: scores is a transposed view; only
    the error message cares.

    Raises:
        ValueError: if a score is NaN (names row and column), or a row has no right column.
    """
    rows, columns = scores.shape
    if (positives.counts == 0).any():
        raise ValueError(f"row {int(np.argmin(positives.counts))} has no right column, so its rank is undefined")
    fields = np.zeros((4, rows), dtype=np.int64)
    for part in row_blocks(rows, columns):
        block = np.ascontiguousarray(scores[part])
        if block.dtype == np.float16:  # compares far faster as float32, and exactly the same
            block = block.astype(np.float32)
        check_no_nan(block, part.start, transposed=transposed)
        fields[:, part] = _block(block, positives, part)
    return FirstRight(*fields)


def _block(block: Array, positives: Positives, part: slice) -> Any:
    start = positives.start[part.start : part.stop + 1]
    inside = positives.columns[start[0] : start[-1]]
    rows = np.repeat(np.arange(len(block)), np.diff(start))
    values = block[rows, inside]
    best = np.maximum.reduceat(values, start[:-1] - start[0])
    top = values == best[rows]
    above = np.count_nonzero(block > best[:, None], axis=1)
    equal = np.count_nonzero(block == best[:, None], axis=1)
    right = np.bincount(rows[top], minlength=len(block))
    wrong = equal - right
    before = np.zeros(len(block), dtype=np.int64)
    first = np.minimum.reduceat(np.where(top, inside, block.shape[1]), start[:-1] - start[0])
    for i in np.flatnonzero(wrong):
        before[i] = np.count_nonzero(block[i, : first[i]] == best[i])
    return above, right, wrong, before
