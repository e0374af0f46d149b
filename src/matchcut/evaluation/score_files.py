"""Score files: one line a topic (`topic shot score shot score ...`), and score matrices with their ids."""

from dataclasses import dataclass, field
from math import isfinite
from pathlib import Path
from typing import Any

import numpy as np

from matchcut.errors import MatchcutError
from matchcut.evaluation.arrays import Array
from matchcut.evaluation.trec import Ranking, Run, read_lines
from matchcut.files import atomic, write_text


def read_score_file(path: Path | str) -> Run:
    """Read the score file of the AVS family of code: one line a topic, `topic shot score shot score ...`.

    Raises:
        MatchcutError: naming file and line, for a shot without a score, a score that is not a finite number, or a
        topic given twice.

    >>> import tempfile
    >>> path = Path(tempfile.mkdtemp()) / "id.sent.score.txt"
    >>> _ = path.write_text("1661 shot1_1 0.9 shot1_2 0.5\\n")
    >>> read_score_file(path)["1661"]["shot1_2"]
    0.5
    """
    rankings: dict[str, Ranking] = {}
    for number, (topic, *rest) in read_lines(path):
        if not rest or len(rest) % 2:
            raise MatchcutError(
                f"{path}, line {number}: {len(rest)} fields after the topic; they must be pairs of shot and score"
            )
        if topic in rankings:
            raise MatchcutError(f"{path}, line {number}: topic {topic} is given a second time")
        try:
            scores = [float(s) for s in rest[1::2]]
        except ValueError as error:
            raise MatchcutError(f"{path}, line {number}: {str(error).split(': ')[-1]} is not a score") from None
        if not all(isfinite(s) for s in scores):
            raise MatchcutError(f"{path}, line {number}: a score is not a finite number")
        rankings[topic] = Ranking.of(dict(zip(rest[::2], scores, strict=True)))
    if not rankings:
        raise MatchcutError(f"{path}: no line at all; a score file has lines like 'topic shot score shot score ...'")
    return Run(rankings)


def write_score_file(path: Path | str, run: Any) -> None:
    """Write a run as a score file, best first, atomically."""
    lines = []
    for topic, ranking in Run.of(run).items():
        pairs = (f"{shot} {score!r}" for shot, score in zip(ranking.ids, ranking.scores.tolist(), strict=True))
        lines.append(f"{topic} {' '.join(pairs)}\n")
    write_text(Path(path), "".join(lines))


@dataclass(frozen=True)
class ScoreMatrix:
    """Scores [texts, items] and the ids of rows and columns; ids may be missing (a plain .npy)."""

    scores: Array = field(repr=False)
    texts: Array | None = field(default=None, repr=False)
    items: Array | None = field(default=None, repr=False)


def read_matrix(path: Path | str) -> ScoreMatrix:
    """Read a score matrix: `.npy` (no ids; memory-mapped) or `.npz` with `scores`, `texts`, `items`.

    Raises:
        MatchcutError: if the file is neither, or its shapes do not fit together.
    """
    try:
        loaded: Any = np.load(path, allow_pickle=False, mmap_mode="r" if str(path).endswith(".npy") else None)
        if isinstance(loaded, np.ndarray):
            matrix = ScoreMatrix(loaded)
        else:
            with loaded:
                if "scores" not in loaded:
                    raise MatchcutError(f"{path}: no array 'scores'; it holds {', '.join(loaded.files) or 'nothing'}")
                matrix = ScoreMatrix(loaded["scores"], *(loaded.get(k) for k in ("texts", "items")))
    except (OSError, ValueError, EOFError) as error:
        raise MatchcutError(f"{path}: not a NumPy file with scores: {error}") from error
    if matrix.scores.ndim != 2:
        raise MatchcutError(f"{path}: scores have shape {matrix.scores.shape}; they must be [texts, items]")
    for name, ids, size in (
        ("texts", matrix.texts, matrix.scores.shape[0]),
        ("items", matrix.items, matrix.scores.shape[1]),
    ):
        if ids is not None and ids.shape != (size,):
            raise MatchcutError(f"{path}: {name} have shape {ids.shape}, scores {matrix.scores.shape}; they must fit")
    return matrix


def write_matrix(path: Path | str, matrix: ScoreMatrix) -> None:
    """Write scores and ids as `.npz`, atomically."""
    arrays = {
        k: v for k, v in (("scores", matrix.scores), ("texts", matrix.texts), ("items", matrix.items)) if v is not None
    }
    with atomic(Path(path)) as temporary, open(temporary, "wb") as file:
        np.savez(file, **arrays)  # type: ignore[arg-type]  # the stubs take every keyword for allow_pickle
