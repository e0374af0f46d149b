"""Runs: ranked lists of shots per topic, in memory and as TREC files."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from math import isfinite, isnan
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from matchcut.errors import MatchcutError
from matchcut.files import write_text


@dataclass(frozen=True, eq=False)
class Ranking(Mapping[str, float]):
    """One topic's list, best first: a mapping from shot to score that iterates in rank order.

    Scores descend; equal scores stand in descending order of the shot id, as the official TRECVID evaluator breaks
    ties.

    >>> list(Ranking.of({"b": 2.0, "c": 5.0, "d": 2.0}))
    ['c', 'd', 'b']
    """

    ids: tuple[str, ...]
    scores: npt.NDArray[np.float64]

    @classmethod
    def of(cls, scores: Mapping[str, float]) -> "Ranking":
        """Sort a {shot: score} mapping."""
        pairs = sorted(((float(s), i) for i, s in scores.items()), reverse=True)
        return cls(tuple(i for _, i in pairs), np.array([s for s, _ in pairs], dtype=np.float64))

    @classmethod
    def of_order(cls, ids: Sequence[str]) -> "Ranking":
        """A list that is already in order; the scores are n, n - 1, ..., 1."""
        return cls(tuple(ids), np.arange(len(ids), 0, -1, dtype=np.float64))

    @cached_property
    def _by_id(self) -> dict[str, float]:
        return dict(zip(self.ids, self.scores.tolist(), strict=True))

    def __getitem__(self, shot: str) -> float:
        return self._by_id[shot]

    def __iter__(self) -> Iterator[str]:
        return iter(self.ids)

    def __len__(self) -> int:
        return len(self.ids)

    def top(self, depth: int) -> "Ranking":
        """The first `depth` shots."""
        return Ranking(self.ids[:depth], self.scores[:depth])


@dataclass(frozen=True, eq=False)
class Run(Mapping[str, Ranking]):
    """A ranked list for every topic, and the tag that names the run.

    >>> run = Run.of({"1661": {"shot1_1": 0.9, "shot1_2": 0.8}}, tag="mine")
    >>> run["1661"]["shot1_2"], len(run)
    (0.8, 1)
    """

    rankings: dict[str, Ranking]
    tag: str = "matchcut"

    @classmethod
    def of(cls, source: Any, tag: str | None = None) -> "Run":
        """Take a run as a `Run`, a file, {topic: {shot: score}} or {topic: [shots, best first]}.

        Raises:
            MatchcutError: if a file cannot be read. ValueError: if a score is not finite or a list holds a shot twice.
        """
        if isinstance(source, Run):
            return source if tag is None else Run(source.rankings, tag)
        if isinstance(source, str | Path):
            return cls.of(read_run(source), tag)
        if not isinstance(source, Mapping):
            raise ValueError(f"a run is a Run, a path or a mapping of topics, not {type(source).__name__}")
        return cls({str(t): _ranking(str(t), r) for t, r in source.items()}, tag or "matchcut")

    def __getitem__(self, topic: str) -> Ranking:
        return self.rankings[topic]

    def __iter__(self) -> Iterator[str]:
        return iter(self.rankings)

    def __len__(self) -> int:
        return len(self.rankings)

    @property
    def topics(self) -> tuple[str, ...]:
        """The topics, in the order of the file."""
        return tuple(self.rankings)


def _ranking(topic: str, source: Any) -> Ranking:
    if isinstance(source, Ranking):
        return source
    if isinstance(source, Mapping):
        if not all(isfinite(s) for s in source.values()):
            raise ValueError(f"topic {topic}: a score is not a finite number")
        return Ranking.of({str(shot): score for shot, score in source.items()})
    if isinstance(source, str):
        raise ValueError(f"topic {topic}: {source!r} is no list of shots")
    shots = [str(shot) for shot in source]
    if len(set(shots)) != len(shots):
        raise ValueError(f"topic {topic}: a list holds a shot twice")
    return Ranking.of_order(shots)


def read_lines(path: Path | str) -> Iterator[tuple[int, list[str]]]:
    """Yield (line number, fields) of every line that is not blank; LF or CRLF, last line ended or not."""
    try:
        with open(path, encoding="utf-8-sig") as file:
            for number, line in enumerate(file, 1):
                fields = line.split()
                if fields:
                    yield number, fields
    except OSError as error:
        raise MatchcutError(f"{path}: cannot be read: {error.strerror or error}") from error
    except UnicodeDecodeError as error:
        raise MatchcutError(f"{path}, line {_undecodable(path)}: not text in UTF-8") from error


def _undecodable(path: Path | str) -> int:
    """The first line that is not UTF-8."""
    number = 0
    with open(path, "rb") as file:
        for line in file:
            number += 1
            try:
                line.decode("utf-8")
            except UnicodeDecodeError:
                break
    return number


def read_number(text: str) -> float:
    """A finite number as it stands in a file, or NaN; Python's own `1_0` and digits of other scripts are none.

    >>> read_number("1e-3"), read_number("1_0")
    (0.001, nan)
    """
    try:
        value = float(text) if text.isascii() and "_" not in text else float("nan")
    except ValueError:
        value = float("nan")
    return value if isfinite(value) else float("nan")


def read_run(path: Path | str) -> Run:
    """Read a TREC run: `topic Q0 shot rank score tag` on every line. Only topic, shot, score and tag count.

    The order is by score, ties by shot id descending; of a shot listed twice the last score counts (the rules of the
    official TRECVID evaluator, reference code).

    Raises:
        MatchcutError: naming file and line, for a line that has not six columns or whose score is not a finite number.

    >>> import tempfile
    >>> path = Path(tempfile.mkdtemp()) / "run.txt"
    >>> _ = path.write_text("1661 0 shot2_1 1 0.7 me\\r\\n1661 0 shot1_1 2 0.9 me")
    >>> list(read_run(path)["1661"])
    ['shot1_1', 'shot2_1']
    """
    scores: dict[str, dict[str, float]] = {}
    tag = "matchcut"
    for number, fields in read_lines(path):
        if len(fields) != 6:
            raise MatchcutError(
                f"{path}, line {number}: {len(fields)} columns; a run has six: topic 0 shot rank score tag"
            )
        topic, _, shot, _, text, tag = fields
        score = read_number(text)
        if isnan(score):
            raise MatchcutError(f"{path}, line {number}: the score {text!r} (column 5) is not a finite number")
        scores.setdefault(topic, {})[shot] = score
    if not scores:
        raise MatchcutError(f"{path}: no line at all; a run has lines of six columns: topic 0 shot rank score tag")
    return Run({topic: Ranking.of(s) for topic, s in scores.items()}, tag)


def check_words(path: Path | str, ids: Iterable[str]) -> None:
    """Refuse ids that a file of columns cannot hold."""
    for name in ids:
        if len(name.split(None, 1)) != 1 or name != name.strip():
            raise MatchcutError(f"{path}: the id {name!r} has spaces or is empty; the columns of a run cannot hold it")


def write_run(path: Path | str, run: Any, *, depth: int = 1000) -> None:
    """Write a TREC run, at most `depth` shots a topic, atomically. The scores read back exactly.

    Raises:
        MatchcutError: for an id with spaces, or a file that cannot be written.
    """
    run = Run.of(run)
    check_words(path, (run.tag, *run, *(shot for ranking in run.values() for shot in ranking.ids[:depth])))
    lines = [
        f"{topic} 0 {shot} {rank} {score!r} {run.tag}\n"
        for topic, ranking in run.items()
        for rank, (shot, score) in enumerate(zip(ranking.ids[:depth], ranking.scores.tolist(), strict=False), 1)
    ]
    write_text(Path(path), "".join(lines))
