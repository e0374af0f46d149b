"""What fusion can fuse, read from files of any of its kinds, and written again."""

from collections.abc import Mapping
from math import isnan
from pathlib import Path
from typing import Literal

import numpy as np

from matchcut.errors import MatchcutError
from matchcut.evaluation.matrices import ScoreMatrix, align, read_scores, write_scores
from matchcut.evaluation.score_files import read_score_file, write_score_file
from matchcut.evaluation.submission import is_xml, read_single
from matchcut.evaluation.trec import Ranking, Run, read_lines, read_number, read_run, write_run
from matchcut.files import atomic

Kind = Literal["run", "scores", "npz", "npy"]


def read_ranking(path: Path | str) -> Run | ScoreMatrix:
    """Read a score matrix (`.npz`, `.npy`), a submission (XML) of one run, a score file, or a TREC run.

    The first line tells the last three apart.

    Raises:
        MatchcutError: naming file and line, if it is none of them or damaged.

    >>> import tempfile
    >>> path = Path(tempfile.mkdtemp()) / "scores.txt"
    >>> _ = path.write_text("1661 shot1_1 0.9 shot1_2 0.5\\n")
    >>> list(read_ranking(path)["1661"])
    ['shot1_1', 'shot1_2']
    """
    if Path(path).suffix in (".npz", ".npy"):
        return read_scores(path)
    if not Path(path).is_file():  # a pipe has no first line to look at before
        return read_run(path)
    if is_xml(path):
        return read_single(path)
    _, first = next(read_lines(path), (0, []))
    # A line of a run has six columns; one of a score file has a topic and pairs, so never six.
    return (
        read_score_file(path)
        if len(first) != 6 and len(first) > 2 and not isnan(read_number(first[2]))
        else read_run(path)
    )


def read_as_run(path: Path | str) -> Run:
    """Read a file of any of the kinds of `read_ranking` as a run."""
    found = read_ranking(path)
    return found if isinstance(found, Run) else as_run(found, str(path))


def of_one_kind(rankings: Mapping[str, Run | ScoreMatrix]) -> dict[str, Run] | dict[str, ScoreMatrix]:
    """Rankings as `fuse` takes them: all matrices, brought into one order, or all runs, matrices turned into runs.

    Raises:
        MatchcutError: if matrices are of different texts or items, or one lacks the ids that a run needs.
    """
    matrices = {name: r for name, r in rankings.items() if isinstance(r, ScoreMatrix)}
    if len(matrices) == len(rankings):
        return align(matrices)
    return {name: r if isinstance(r, Run) else as_run(r, name) for name, r in rankings.items()}


def as_run(matrix: ScoreMatrix, name: str = "matrix", *, depth: int = 1000, tag: str | None = None) -> Run:
    """A run whose topics are the texts: of each the `depth` items with the highest scores. name: for messages.

    >>> m = ScoreMatrix.of([[0.1, 0.7]], texts=["t"], items=["x", "y"])
    >>> list(as_run(m, depth=1)["t"])
    ['y']
    """
    if matrix.texts is None or matrix.items is None:
        raise MatchcutError(f"{name}: has no ids of texts and items, so it cannot become a run; write it as .npz")
    depth = min(depth, len(matrix.items))
    rankings = {}
    for topic, row in zip(matrix.texts.tolist(), matrix.scores, strict=True):
        values = np.asarray(row, dtype=np.float64)
        if not np.isfinite(values).all():
            raise MatchcutError(f"{name}: text {topic} has a score that is not a finite number")
        least = np.partition(values, len(values) - depth)[len(values) - depth]
        best = np.flatnonzero(values >= least)  # ties at the edge are cut by `Ranking`'s own rule
        rankings[topic] = Ranking.of(dict(zip(matrix.items[best].tolist(), values[best].tolist(), strict=True)))
    return Run({topic: ranking.top(depth) for topic, ranking in rankings.items()}, tag or "matchcut")


def kind_of(path: Path, given: Kind | None, fused: Run | ScoreMatrix) -> Kind:
    """What to write into a file: as given, or by its name; a run for any other name.

    Raises:
        MatchcutError: if a run is to become a matrix, or a ranking a submission.
    """
    if given is None and path.suffix == ".xml":
        raise MatchcutError(f"{path}: a submission also says who made the run and how; give --submission about.toml")
    kind: Kind = given or (path.suffix[1:] if path.suffix in (".npz", ".npy") else "run")  # type: ignore[assignment]
    if isinstance(fused, Run) and kind in ("npz", "npy"):
        raise MatchcutError(f"{path}: runs fuse into a run, which is no matrix; name a file that ends otherwise")
    return kind


def write_ranking(
    path: Path, fused: Run | ScoreMatrix, *, kind: Kind | None = None, depth: int = 1000, tag: str | None = None
) -> str:
    """Write a fused ranking as a run, a score file or a matrix, atomically; returns in words what was written.

    Args:
        kind: "run", "scores", "npz", "npy"; None: by the name of the file. depth: at most so many items a topic of a
            run. tag: of a run made from a matrix.
    """
    kind = kind_of(path, kind, fused)
    if kind == "npy" and isinstance(fused, ScoreMatrix):
        with atomic(path) as temporary, open(temporary, "wb") as file:
            np.save(file, fused.scores)
    elif kind == "npz" and isinstance(fused, ScoreMatrix):
        if fused.texts is None or fused.items is None:
            raise MatchcutError(f"{path}: the fused matrices have no ids; write a .npy")
        write_scores(path, fused.scores, texts=fused.texts, items=fused.items, text_items=fused.text_items)
    else:
        run = fused if isinstance(fused, Run) else as_run(fused, "the fused matrix", depth=depth, tag=tag)
        (write_run(path, run, depth=depth) if kind == "run" else write_score_file(path, run))
        return f"{sum(map(len, run.values())):,} shots of {len(run):,} topics"
    assert isinstance(fused, ScoreMatrix)
    return f"scores of {fused.scores.shape[0]:,} texts and {fused.scores.shape[1]:,} items"
