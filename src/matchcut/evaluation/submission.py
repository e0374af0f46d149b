"""TRECVID AVS submissions: the XML file that a team hands in, read, checked and written.

Structure (TRECVID guidelines 2019-2021): videoAdhocSearchResults > videoAdhocSearchRunResult (trType, class, task,
novelty, pid, priority, desc) > videoAdhocSearchTopicResult (tNum, elapsedTime) > item (seqNum from 1, shotId).
"""

import re
from codecs import BOM_UTF8
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from math import inf, isnan
from pathlib import Path
from typing import Any
from xml.etree import ElementTree
from xml.sax.saxutils import quoteattr

from matchcut.errors import MatchcutError
from matchcut.evaluation.topics import topic_id, topic_number
from matchcut.evaluation.trec import Ranking, Run, read_lines, read_number
from matchcut.files import write_text

MOST_SHOTS = 1000
DOCTYPE = "http://www-nlpir.nist.gov/projects/tv{year}/dtds/videoAdhocSearchResults.dtd"
XML_TEXT = re.compile(r"[\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]*")
# Attribute of the run: (allowed values, what it says)
CHOICES = {
    "trType": ("ABCDEF", "training type"),
    "class": ("FMR", "fully automatic, manual, relevance feedback"),
    "task": ("MP", "main or progress"),
    "novelty": ("NC", "novelty or common"),
}


@dataclass(frozen=True, kw_only=True)
class RunAttributes:
    """What the XML says about a run; `CHOICES` has the letters. task, novelty: only written from 2019 on."""

    team: str
    priority: int = 1
    description: str = ""
    training: str = "D"
    processing: str = "F"
    task: str = "M"
    novelty: str = "C"
    year: int = 2021

    @property
    def name(self) -> str:
        """The usual run name, class_task_novelty_training_team.year_priority.

        >>> RunAttributes(team="TEAM").name
        'F_M_C_D_TEAM.21_1'
        """
        year = self.year % 100
        return f"{self.processing}_{self.task}_{self.novelty}_{self.training}_{self.team}.{year:02d}_{self.priority}"

    def attributes(self) -> dict[str, str]:
        """The attributes of the run element."""
        later = {"task": self.task, "novelty": self.novelty} if self.year >= 2019 else {}
        return {
            "trType": self.training,
            "class": self.processing,
            **later,
            "pid": self.team,
            "priority": str(self.priority),
            "desc": self.description,
        }


@dataclass(frozen=True)
class Submission(RunAttributes):
    """One run and what the XML says about it. elapsed: {topic: seconds}."""

    run: Run
    elapsed: Mapping[str, float] = field(default_factory=dict, kw_only=True)


def drops_shots(year: int) -> bool:
    """Whether a year's runs are filtered by the list of dropped shots: 2020 on and the progress task, not 2019
    (reference code: TtimesV).

    >>> drops_shots(2019), drops_shots(2021)
    (False, True)
    """
    return year >= 2020


def read_shots(path: Path | str) -> frozenset[str]:
    """Read a list of shots, one id a line: those of a collection, or the dropped ones."""
    return frozenset(fields[0] for _, fields in read_lines(path))


def filter_dropped(run: Any, dropped: Collection[str], *, year: int) -> Run:
    """The run without dropped shots, where the year asks for it; the following shots move up.

    >>> list(filter_dropped({"1661": ["a", "b"]}, {"a"}, year=2021)["1661"])
    ['b']
    """
    full = Run.of(run)
    if not drops_shots(year):
        return full
    gone = set(dropped)
    rankings = {}
    for topic, ranking in full.items():
        keep = [i for i, shot in enumerate(ranking.ids) if shot not in gone]
        rankings[topic] = Ranking(tuple(ranking.ids[i] for i in keep), ranking.scores[keep])
    return Run(rankings, full.tag)


def problems(
    submission: Submission,
    *,
    topics: Collection[str] | None = None,
    known: Collection[str] | None = None,
    dropped: Collection[str] = (),
) -> list[str]:
    """Everything that would make the organisers refuse the run, one line each; empty if it is fit to hand in.

    Args:
        topics: the topic ids of the year; known: every shot id of the collection; dropped: shots that may not be named.

    >>> problems(Submission(Run.of({"1661": ["a", "b"]}), team="TEAM"), known={"a"})
    ['topic 1661: 1 shots are not in the collection, for example b']
    """
    found = []
    for name, value in submission.attributes().items():
        allowed, meaning = CHOICES.get(name, ("", ""))
        if allowed and (len(value) != 1 or value not in allowed):
            found.append(f"{name}={value!r} ({meaning}) must be one of {', '.join(allowed)}")
    if not submission.team.strip():
        found.append("pid is empty; give the team's name")
    words = (*submission.attributes().values(), *(s for r in submission.run.values() for s in r.ids))
    if unfit := next((w for w in words if not XML_TEXT.fullmatch(w)), None):
        found.append(f"{unfit!r} has a character that XML cannot hold")
    if not submission.run:
        found.append("no topic at all")
    found += [f"topic {t}: not a number" for t in submission.run if not (t.isascii() and t.isdigit())]
    short = {t: topic_number(t) for t in submission.run}
    found += [f"topics {n} and {t} are one topic" for t, n in short.items() if n != t and n in short]
    found += [
        f"topic {t}: elapsedTime must be seconds, got {seconds}"
        for t, seconds in submission.elapsed.items()
        if not 0 <= seconds < inf
    ]
    found += [f"topic {t}: elapsedTime, but no result" for t in submission.elapsed if t not in submission.run]
    if submission.year < 2016:
        found.append(f"year must have four digits and be 2016 or later, got {submission.year}")
    if submission.priority < 1:
        found.append(f"priority must be 1 or more, got {submission.priority}")
    if topics is not None:
        wanted, there = {topic_id(t) for t in topics}, {topic_id(t) for t in submission.run}
        missing, extra = sorted(wanted - there), sorted(there - wanted)
        found += [f"topic {t}: no result" for t in missing] + [f"topic {t}: not a topic of this year" for t in extra]
    for topic, ranking in submission.run.items():
        if not 1 <= len(ranking) <= MOST_SHOTS:
            found.append(f"topic {topic}: {len(ranking)} shots; between 1 and {MOST_SHOTS} are allowed")
        if len(set(ranking.ids)) < len(ranking):
            found.append(f"topic {topic}: {len(ranking) - len(set(ranking.ids))} shots are listed twice")
        for bad, what in (
            ([s for s in ranking.ids if known is not None and s not in known], "not in the collection"),
            ([s for s in ranking.ids if drops_shots(submission.year) and s in dropped], "on the list of dropped shots"),
        ):
            if bad:
                found.append(f"topic {topic}: {len(bad)} shots are {what}, for example {bad[0]}")
    return found


def write_submission(path: Path | str, submission: Submission, **checks: Any) -> None:
    """Write the XML, after checking it; `checks` are the keywords of `problems`.

    Raises:
        MatchcutError: if something is wrong, naming all of it; nothing is written then.
    """
    wrong = problems(submission, **checks)
    if wrong:
        raise MatchcutError(f"{path}: not written: " + "; ".join(wrong))
    attributes = " ".join(f"{k}={quoteattr(v)}" for k, v in submission.attributes().items())
    lines = [
        '<?xml version="1.0" encoding="UTF-8"?>',
        f'<!DOCTYPE videoAdhocSearchResults SYSTEM "{DOCTYPE.format(year=submission.year)}">',
        "<videoAdhocSearchResults>",
        f"  <videoAdhocSearchRunResult {attributes}>",
    ]
    for topic, ranking in submission.run.items():
        seconds = submission.elapsed.get(topic, 0.0)
        lines.append(
            f'    <videoAdhocSearchTopicResult tNum={quoteattr(topic_number(topic))} elapsedTime="{seconds:g}">'
        )
        lines += [f'      <item seqNum="{k}" shotId={quoteattr(s)}/>' for k, s in enumerate(ranking.ids, 1)]
        lines.append("    </videoAdhocSearchTopicResult>")
    lines += ["  </videoAdhocSearchRunResult>", "</videoAdhocSearchResults>", ""]
    write_text(Path(path), "\n".join(lines))


def read_submission(path: Path | str, *, year: int = 2021) -> list[Submission]:
    """Read every run of an XML file. A shot's score is 9999 - its rank counted from 0, as in the organisers'
    conversion to TREC runs.

    Raises:
        MatchcutError: for XML that cannot be read, another structure, sequence numbers that do not count 1, 2, 3,
            ..., a shot listed twice, or a topic given twice.
    """
    try:
        root = ElementTree.parse(path).getroot()
    except OSError as error:
        raise MatchcutError(f"{path}: cannot be read: {error.strerror or error}") from error
    except ElementTree.ParseError as error:
        raise MatchcutError(f"{path}: not XML: {error}") from error
    if root.tag != "videoAdhocSearchResults":
        raise MatchcutError(f"{path}: the root is <{root.tag}>; a submission has <videoAdhocSearchResults>")
    found = [_read_run(path, element, year) for element in root.iter("videoAdhocSearchRunResult")]
    if not found:
        raise MatchcutError(f"{path}: no <videoAdhocSearchRunResult>")
    return found


def is_xml(path: Path | str) -> bool:
    """Whether a file can be read and starts as XML does."""
    try:
        with open(path, "rb") as file:
            return file.read(100).removeprefix(BOM_UTF8).lstrip().startswith(b"<")
    except OSError:
        return False


def read_single(path: Path | str) -> Run:
    """Read the run of an XML file that holds one.

    Raises:
        MatchcutError: as `read_submission`, and naming the runs if there are several.
    """
    found = read_submission(path)
    if len(found) > 1:
        names = ", ".join(f"{s.team} priority {s.priority}" for s in found)
        raise MatchcutError(
            f"{path}: {len(found)} runs ({names}); leave the <videoAdhocSearchRunResult> of one of them in the file"
        )
    return found[0].run


def _read_run(path: Path | str, element: ElementTree.Element, year: int) -> Submission:
    rankings: dict[str, Ranking] = {}
    elapsed: dict[str, float] = {}
    for result in element.iter("videoAdhocSearchTopicResult"):
        topic = topic_id(_attribute(path, result, "tNum"))
        if topic in rankings:
            raise MatchcutError(f"{path}: topic {topic} is given twice")
        shots = [_attribute(path, item, "shotId") for item in result.iter("item")]
        numbers = [_attribute(path, item, "seqNum") for item in result.iter("item")]
        for k, number in enumerate(numbers, 1):
            if number != str(k):
                raise MatchcutError(
                    f"{path}: topic {topic}: item {k} has seqNum {number!r}; they must count 1, 2, 3, ..."
                )
        if len(set(shots)) < len(shots):
            raise MatchcutError(f"{path}: topic {topic}: {len(shots) - len(set(shots))} shots are listed twice")
        rankings[topic] = Ranking.of({shot: 9999.0 - k for k, shot in enumerate(shots)})
        elapsed[topic] = _number(path, result, "elapsedTime")
    if not rankings:
        raise MatchcutError(f"{path}: a <{element.tag}> without a <videoAdhocSearchTopicResult>")
    team, priority = _attribute(path, element, "pid"), _attribute(path, element, "priority")
    if not (priority.isascii() and priority.isdigit()):
        raise MatchcutError(f"{path}: <{element.tag}> has priority={priority!r}, which is not a whole number")
    return Submission(
        Run(rankings, team),
        team=team,
        priority=int(priority),
        description=element.get("desc", ""),
        training=_attribute(path, element, "trType"),
        processing=_attribute(path, element, "class"),
        task=element.get("task", "M"),
        novelty=element.get("novelty", "C"),
        year=year,
        elapsed=elapsed,
    )


def _attribute(path: Path | str, element: ElementTree.Element, name: str) -> str:
    value = element.get(name)
    if not value:
        raise MatchcutError(f"{path}: a <{element.tag}> has no {name}")
    return value


def _number(path: Path | str, element: ElementTree.Element, name: str) -> float:
    text = _attribute(path, element, name)
    value = read_number(text)
    if isnan(value):
        raise MatchcutError(f"{path}: <{element.tag}> has {name}={text!r}, which is not a number")
    return value
