"""Judgments: which shots are relevant to a topic, and from which stratum of the pool each was taken."""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from matchcut.errors import MatchcutError
from matchcut.evaluation.trec import read_lines

GRADE = re.compile(r"-1|\+?[0-9]{1,9}")


@dataclass(frozen=True, eq=False)
class TopicQrels(Mapping[str, int]):
    """One topic's {shot: grade} (1, 2, ... relevant, 0 not, -1 pooled but not judged), and {shot: stratum}."""

    grades: dict[str, int]
    strata: dict[str, str]

    def __getitem__(self, shot: str) -> int:
        return self.grades[shot]

    def __iter__(self) -> Iterator[str]:
        return iter(self.grades)

    def __len__(self) -> int:
        return len(self.grades)


@dataclass(frozen=True, eq=False)
class Qrels(Mapping[str, TopicQrels]):
    """The judgments of every topic.

    >>> Qrels.of({"1661": {"shot1_1": 1, "shot1_2": 0}})["1661"]["shot1_1"]
    1
    """

    topics: dict[str, TopicQrels]

    @classmethod
    def of(cls, source: Any) -> "Qrels":
        """Take judgments as `Qrels`, a file, or {topic: {shot: grade}} (one stratum).

        Raises:
            ValueError: for a grade that is no whole number of -1 or more.
        """
        if isinstance(source, Qrels):
            return source
        if isinstance(source, str | Path):
            return read_qrels(source)
        if not isinstance(source, Mapping):
            raise ValueError(f"judgments are Qrels, a path or a mapping of topics, not {type(source).__name__}")
        topics = {}
        for topic, judged in source.items():
            for shot, grade in judged.items():
                if not (grade >= -1 and grade == int(grade)):
                    raise ValueError(f"topic {topic}: the judgment {grade!r} of {shot} is not -1, 0, 1, 2, ...")
            grades = {str(shot): int(grade) for shot, grade in judged.items()}
            topics[str(topic)] = TopicQrels(grades, dict.fromkeys(grades, "1"))
        return cls(topics)

    def __getitem__(self, topic: str) -> TopicQrels:
        return self.topics[topic]

    def __iter__(self) -> Iterator[str]:
        return iter(self.topics)

    def __len__(self) -> int:
        return len(self.topics)


def read_qrels(path: Path | str) -> Qrels:
    """Read judgments: `topic 0 shot stratum judgment` (TRECVID), or `topic 0 shot judgment` (TREC; one stratum).

    Raises:
        MatchcutError: naming file and line, for another number of columns, a change of it, a judgment that is no
            whole number of -1 or more, or a shot judged twice for one topic.

    >>> import tempfile
    >>> path = Path(tempfile.mkdtemp()) / "qrels.txt"
    >>> _ = path.write_text("1661 0 shot1_1 1 1\\n1661 0 shot1_2 2 -1\\n")
    >>> topic = read_qrels(path)["1661"]
    >>> topic["shot1_2"], topic.strata["shot1_2"]
    (-1, '2')
    """
    topics: dict[str, TopicQrels] = {}
    width = 0
    for number, fields in read_lines(path):
        width = width or len(fields)
        if len(fields) != width or width not in (4, 5):
            expected = (
                f"the lines before have {width}"
                if width in (4, 5)
                else "qrels have five (topic 0 shot stratum judgment) or four"
            )
            raise MatchcutError(f"{path}, line {number}: {len(fields)} columns; {expected}")
        topic, shot, text = fields[0], fields[2], fields[-1]
        if not GRADE.fullmatch(text):
            raise MatchcutError(f"{path}, line {number}: the judgment {text!r} (last column) is not -1, 0, 1, 2, ...")
        grade = int(text)
        known = topics.get(topic)
        if known is None:
            known = topics[topic] = TopicQrels({}, {})
        if shot in known.grades:
            raise MatchcutError(
                f"{path}, line {number}: {shot} is judged a second time for topic {topic}; keep one line of it"
            )
        known.grades[shot] = grade
        known.strata[shot] = fields[3] if width == 5 else "1"
    if not topics:
        raise MatchcutError(f"{path}: no line at all; qrels have lines of five columns: topic 0 shot stratum judgment")
    return Qrels(topics)
