"""TRECVID AVS topic files, and the rule that joins their numbers to runs and qrels."""

from pathlib import Path

from matchcut.errors import MatchcutError
from matchcut.evaluation.trec import read_lines

PREFIX = "Find shots of "


def topic_id(number: str) -> str:
    """The id that runs and qrels use: "1" before the three-digit number of topic files and submissions (reference
    code).

    >>> topic_id("611"), topic_id("1611")
    ('1611', '1611')
    """
    return "1" + number if len(number) == 3 else number


def topic_number(topic: str) -> str:
    """The three-digit number that topic files and submissions use.

    >>> topic_number("1611"), topic_number("611")
    ('611', '611')
    """
    return topic[1:] if len(topic) == 4 and topic.startswith("1") else topic


def read_topics(path: Path | str) -> dict[str, str]:
    """Read `number text` lines: {topic id as in runs and qrels: text, without the official "Find shots of "}.

    Raises:
        MatchcutError: naming file and line, for a number that is none, a missing text, or a topic given twice.

    >>> import tempfile
    >>> path = Path(tempfile.mkdtemp()) / "topics.txt"
    >>> _ = path.write_text("611 Find shots of a drone flying\\n612  a truck\\n")
    >>> read_topics(path)
    {'1611': 'a drone flying', '1612': 'a truck'}
    """
    topics: dict[str, str] = {}
    for number, (name, *words) in read_lines(path):
        if not (name.isascii() and name.isdigit()):
            raise MatchcutError(
                f"{path}, line {number}: {name!r} is no topic number; a line is like '611 a drone flying'"
            )
        if not words:
            raise MatchcutError(f"{path}, line {number}: topic {name} has no text")
        topic = topic_id(name)
        if topic in topics:
            raise MatchcutError(f"{path}, line {number}: topic {name} is given a second time")
        topics[topic] = " ".join(words).removeprefix(PREFIX)
    if not topics:
        raise MatchcutError(f"{path}: no line at all; a topic file has lines like '611 a drone flying'")
    return topics
