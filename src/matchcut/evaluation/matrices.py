"""Score matrices with their ids on disk: `.npz` (scores, texts, items, text_items), or a plain `.npy` without ids."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any
from zipfile import ZIP_STORED, BadZipFile, ZipFile

import numpy as np

from matchcut.errors import MatchcutError
from matchcut.evaluation.arrays import Array, to_scores
from matchcut.files import atomic

IDS = ("texts", "items", "text_items")


@dataclass(frozen=True)
class ScoreMatrix:
    """Scores [T, V], higher is better; ids of the texts [T] and the items [V], and the right item of each text [T].

    All ids are text. Any of them is None if the file lacks it.
    """

    scores: Array = field(repr=False)
    texts: Array | None = field(default=None, repr=False)
    items: Array | None = field(default=None, repr=False)
    text_items: Array | None = field(default=None, repr=False)

    @classmethod
    def of(
        cls, scores: Any, *, texts: Iterable[str], items: Iterable[str], text_items: Iterable[str] | None = None
    ) -> "ScoreMatrix":
        """Take an array or tensor [T, V] and its ids as lists."""
        right = None if text_items is None else _ids(text_items)
        return cls(to_scores(scores), _ids(texts), _ids(items), right)


def write_scores(
    path: Path | str,
    scores: Any,
    *,
    texts: Iterable[str],
    items: Iterable[str],
    text_items: Iterable[str] | None = None,
) -> None:
    """Write a score matrix and its ids as `.npz`, atomically, in the precision it has.

    Args:
        scores: [T, V], an array or a tensor. texts: ids of the texts, [T]. items: ids of the items, [V].
        text_items: the right item of each text, [T]; measures need it.

    Raises:
        MatchcutError: if ids and scores do not fit together, an id stands twice, or the file cannot be written.

    >>> import tempfile
    >>> path = Path(tempfile.mkdtemp()) / "scores-test.npz"
    >>> write_scores(path, [[0.9, 0.1]], texts=["a#0"], items=["a", "b"], text_items=["a"])
    >>> read_scores(path).items.tolist()
    ['a', 'b']
    """
    matrix = ScoreMatrix.of(scores, texts=texts, items=items, text_items=text_items)
    _check(path, matrix)
    arrays = {name: getattr(matrix, name) for name in ("scores", *IDS) if getattr(matrix, name) is not None}
    with atomic(Path(path)) as temporary, open(temporary, "wb") as file:
        np.savez(file, **arrays)


def read_scores(path: Path | str) -> ScoreMatrix:
    """Read a score matrix: `.npz` with `scores` and any of `texts`, `items`, `text_items`, or `.npy` (no ids).

    The scores are memory-mapped, so that many large matrices can be fused block by block (only a compressed `.npz` is
    read whole).

    Raises:
        MatchcutError: if the file is neither, its shapes do not fit together, or an id stands twice.
    """
    try:
        loaded: Any = np.load(path, allow_pickle=False, mmap_mode="r" if str(path).endswith(".npy") else None)
        if isinstance(loaded, np.ndarray):
            matrix = ScoreMatrix(loaded)
        else:
            with loaded:
                if "scores" not in loaded:
                    raise MatchcutError(f"{path}: no array 'scores'; it holds {', '.join(loaded.files) or 'nothing'}")
                scores = _mapped(Path(path), "scores.npy")
                ids = {name: _ids(loaded[name]) for name in IDS if name in loaded}
                matrix = ScoreMatrix(loaded["scores"] if scores is None else scores, **ids)
    except (OSError, ValueError, EOFError, BadZipFile) as error:
        raise MatchcutError(f"{path}: not a NumPy file with scores: {error}") from error
    _check(path, matrix)
    return matrix


def align(matrices: Mapping[str, ScoreMatrix]) -> dict[str, ScoreMatrix]:
    """Matrices of the same texts and items, in the order of the first one; one that is in that order is not copied.

    Args:
        matrices: {name for messages: matrix}. Either all have ids or none has; without ids the shapes must agree.

    Raises:
        MatchcutError: naming the matrix and what it lacks, or two that disagree on the right item of a text.

    >>> a = ScoreMatrix(np.array([[1, 2]]), np.array(["t"]), np.array(["x", "y"]))
    >>> b = ScoreMatrix(np.array([[3, 4]]), np.array(["t"]), np.array(["y", "x"]))
    >>> align({"a": a, "b": b})["b"].scores.tolist()
    [[4, 3]]
    """
    (first_name, first), *others = matrices.items()
    right = first.text_items
    aligned = {first_name: first}
    for name, matrix in others:
        if matrix.scores.shape != first.scores.shape:
            raise MatchcutError(
                f"{name}: scores {matrix.scores.shape}, {first_name} has {first.scores.shape}; "
                "they must be of the same texts and items"
            )
        rows = _order(matrix.texts, first.texts, "texts", name, first_name)
        columns = _order(matrix.items, first.items, "items", name, first_name)
        scores = matrix.scores if rows is None else matrix.scores[rows]
        scores = scores if columns is None else scores[:, columns]
        given = matrix.text_items
        if given is not None:
            given = given if rows is None else given[rows]
            right = given if right is None else right
            if (given != right).any():
                row = int(np.argmax(given != right))
                raise MatchcutError(f"{name}: the right item of text {row} is {given[row]!s}, elsewhere {right[row]!s}")
        aligned[name] = ScoreMatrix(scores, first.texts, first.items)
    return {name: replace(matrix, text_items=right) for name, matrix in aligned.items()}


def _order(ids: Array | None, wanted: Array | None, what: str, name: str, first: str) -> Array | None:
    """Where the wanted ids stand among the ids; None if they stand as wanted."""
    if ids is None and wanted is None:
        return None
    if ids is None or wanted is None:
        lacking, having = (name, first) if ids is None else (first, name)
        raise MatchcutError(f"{lacking}: has no ids of {what}, {having} has; write it as .npz with texts and items")
    if (ids == wanted).all():
        return None
    place = np.argsort(ids)
    found = np.searchsorted(ids[place], wanted).clip(max=len(ids) - 1)
    missing = ids[place[found]] != wanted
    if missing.any():
        example = wanted[int(np.argmax(missing))]
        raise MatchcutError(f"{name}: lacks {missing.sum()} of the {what} of {first}, for example {example!s}")
    return np.asarray(place[found])


def _ids(values: Iterable[Any]) -> Array:
    return np.array([str(v) for v in values], dtype=np.str_)


def _check(path: Path | str, matrix: ScoreMatrix) -> None:
    scores = matrix.scores
    if scores.ndim != 2 or scores.dtype.kind not in "fiub":
        raise MatchcutError(f"{path}: scores are {scores.dtype} {scores.shape}; they must be numbers [texts, items]")
    for name, size in zip(IDS, (scores.shape[0], scores.shape[1], scores.shape[0]), strict=True):
        ids = getattr(matrix, name)
        if ids is None:
            continue
        if ids.shape != (size,):
            raise MatchcutError(f"{path}: {name} have shape {ids.shape}, scores {scores.shape}; they must fit")
        if name != "text_items" and len(np.unique(ids)) < size:
            kinds, counts = np.unique(ids, return_counts=True)
            raise MatchcutError(f"{path}: {kinds[counts.argmax()]!s} stands {counts.max()} times among the {name}")


def _mapped(path: Path, member: str) -> Array | None:
    """A stored (not compressed) array of an `.npz` as a memory map, which NumPy itself only does for `.npy`."""
    with ZipFile(path) as archive, open(path, "rb") as file:
        entry = archive.getinfo(member)
        if entry.compress_type != ZIP_STORED:
            return None
        file.seek(entry.header_offset + 26)  # lengths of name and extra field, in the entry's own header
        name, extra = np.frombuffer(file.read(4), dtype="<u2").tolist()
        file.seek(entry.header_offset + 30 + name + extra)
        version = np.lib.format.read_magic(file)
        read = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
        shape, fortran, dtype = read(file)
        if dtype.hasobject or not np.prod(shape):
            return None
        return np.memmap(path, dtype=dtype, mode="r", offset=file.tell(), shape=shape, order="F" if fortran else "C")
