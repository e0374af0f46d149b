"""Turn what people hand in (NumPy, torch, lists) into plain arrays, and refuse what cannot be ranked."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[Any]

BLOCK_CELLS = 1 << 23  # cells worked on at a time: 64 MiB in float64


def to_numpy(values: Any) -> Array:
    """Return values as a NumPy array; a torch tensor comes off its device and out of its graph.

    >>> to_numpy([[1.0, 2.0]]).shape
    (1, 2)
    """
    if hasattr(values, "detach"):
        values = values.detach().cpu()
        if str(values.dtype) == "torch.bfloat16":  # NumPy has no such type
            values = values.float()
        values = values.numpy()
    return np.asarray(values)


def to_scores(scores: Any, name: str = "scores") -> Array:
    """Return a score matrix [rows, columns] as an array of real numbers, without copying a float matrix.

    Raises:
        ValueError: if it is not two-dimensional, or not of numbers.
    """
    array = to_numpy(scores)
    if array.ndim != 2:
        raise ValueError(f"{name} must have two dimensions [texts, items], got shape {array.shape}")
    if array.dtype.kind not in "fiub":
        raise ValueError(f"{name} must be real numbers, got {array.dtype}")
    return array.astype(np.float64) if array.dtype.kind in "iub" else array


def row_blocks(rows: int, columns: int) -> Iterator[slice]:
    """Cut `rows` into slices of about `BLOCK_CELLS` cells each.

    >>> list(row_blocks(3, 1 << 22))
    [slice(0, 2, None), slice(2, 3, None)]
    """
    step = max(1, BLOCK_CELLS // max(1, columns))
    for start in range(0, rows, step):
        yield slice(start, min(start + step, rows))


def check_no_nan(block: Array, first_row: int, *, transposed: bool = False) -> None:
    """Refuse a block of scores that holds a NaN, and say where it is in the whole matrix.

    Raises:
        ValueError: naming row and column of the first NaN.
    """
    bad = np.isnan(block)
    if bad.any():
        row, column = np.argwhere(bad)[0]
        row += first_row
        if transposed:
            row, column = column, row
        raise ValueError(f"scores[{row}, {column}] is NaN (row {row}, column {column}); a ranking needs numbers")


@dataclass(frozen=True)
class Positives:
    """Which columns are right for each row, row after row: columns[start[i]:start[i + 1]], ascending."""

    start: npt.NDArray[np.int64]
    columns: npt.NDArray[np.int64]

    @property
    def counts(self) -> npt.NDArray[np.int64]:
        """Number of right columns of every row, int64 [rows]."""
        return np.diff(self.start)

    @classmethod
    def of_ids(cls, row_ids: Any, column_ids: Any) -> "Positives":
        """Right is what carries the same id, whatever the position.

        >>> Positives.of_ids(["a", "b"], ["b", "a", "b"]).columns.tolist()
        [1, 0, 2]
        """
        rows, columns = to_numpy(row_ids), to_numpy(column_ids)
        if rows.ndim != 1 or columns.ndim != 1:
            raise ValueError(f"ids must be one-dimensional, got shapes {rows.shape} and {columns.shape}")
        if len(rows) and len(columns) and (rows.dtype.kind in "iu") != (columns.dtype.kind in "iu"):
            raise ValueError(
                f"ids of rows are {rows.dtype} and of columns {columns.dtype}; give both as numbers or text"
            )
        order = np.argsort(columns, kind="stable")
        ordered = columns[order]
        first = np.searchsorted(ordered, rows, side="left")
        counts = np.searchsorted(ordered, rows, side="right") - first
        start = np.concatenate([[0], np.cumsum(counts)]).astype(np.int64)
        places = np.arange(start[-1]) - np.repeat(start[:-1] - first, counts)
        return cls(start, order[places].astype(np.int64))

    @classmethod
    def of_matrix(cls, relevance: Any) -> "Positives":
        """Right is what a bool matrix [rows, columns] says."""
        matrix = to_numpy(relevance)
        if matrix.ndim != 2 or matrix.dtype != np.bool_:
            raise ValueError(f"relevance must be bool [texts, items], got {matrix.dtype} of shape {matrix.shape}")
        rows, columns = np.nonzero(matrix)
        start = np.searchsorted(rows, np.arange(len(matrix) + 1)).astype(np.int64)
        return cls(start, columns.astype(np.int64))

    def transpose(self, columns: int) -> "Positives":
        """The same pairs seen from the columns; `columns` is their number."""
        rows = np.repeat(np.arange(len(self.start) - 1), self.counts)
        order = np.argsort(self.columns, kind="stable")
        start = np.searchsorted(self.columns[order], np.arange(columns + 1)).astype(np.int64)
        return Positives(start, rows[order].astype(np.int64))

    def block(self, rows: slice, columns: int) -> npt.NDArray[np.bool_]:
        """The bool matrix of some rows, [len(rows), columns]."""
        start = self.start[rows.start : rows.stop + 1]
        mask = np.zeros((len(start) - 1, columns), dtype=np.bool_)
        mask[np.repeat(np.arange(len(start) - 1), np.diff(start)), self.columns[start[0] : start[-1]]] = True
        return mask
