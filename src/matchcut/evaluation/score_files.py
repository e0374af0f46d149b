"""Score files: one line a topic, `topic shot score shot score ...`."""

from math import isnan
from pathlib import Path
from typing import Any

from matchcut.errors import MatchcutError
from matchcut.evaluation.trec import Ranking, Run, check_words, read_lines, read_number
from matchcut.files import write_text


def read_score_file(path: Path | str) -> Run:
    """Read the score file of the AVS family of code: one line a topic, `topic shot score shot score ...`.

    Raises:
        MatchcutError: naming file and line, for a shot without a score, a score that is not a finite number, or a
            topic given twice. Of a shot listed twice the last score counts, as in runs.

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
        scores = [read_number(s) for s in rest[1::2]]
        for text, score in zip(rest[1::2], scores, strict=True):
            if isnan(score):
                raise MatchcutError(f"{path}, line {number}: the score {text!r} is not a finite number")
        rankings[topic] = Ranking.of(dict(zip(rest[::2], scores, strict=True)))
    if not rankings:
        raise MatchcutError(f"{path}: no line at all; a score file has lines like 'topic shot score shot score ...'")
    return Run(rankings)


def write_score_file(path: Path | str, run: Any) -> None:
    """Write a run as a score file, best first, atomically."""
    lines = []
    for topic, ranking in Run.of(run).items():
        check_words(path, (topic, *ranking.ids))
        pairs = (f"{shot} {score!r}" for shot, score in zip(ranking.ids, ranking.scores.tolist(), strict=True))
        lines.append(f"{topic} {' '.join(pairs)}\n")
    write_text(Path(path), "".join(lines))
