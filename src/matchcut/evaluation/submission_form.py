"""The form of a TRECVID AVS submission: a TOML file, what the XML says of a run and what to check it against."""

from collections.abc import Collection
from dataclasses import dataclass, fields
from pathlib import Path

from matchcut.config import decode, read_toml
from matchcut.evaluation.submission import (
    MOST_SHOTS,
    RunAttributes,
    Submission,
    drops_shots,
    filter_dropped,
    read_shots,
    write_submission,
)
from matchcut.evaluation.topics import read_topics, topic_id
from matchcut.evaluation.trec import Run


@dataclass(frozen=True, kw_only=True)
class FormTable(RunAttributes):
    """The keys of the file.

    elapsed: seconds, one number or {topic: seconds}; topics, known, dropped: the year's topics, every shot of the
    collection, the dropped shots: files, their paths relative to the TOML file; empty: not checked.
    """

    elapsed: float | dict[str, float] = 0.0
    topics: str = ""
    known: str = ""
    dropped: str = ""


@dataclass(frozen=True)
class SubmissionForm:
    """A form and what its files hold; None: not checked.

    >>> form = SubmissionForm(FormTable(team="TEAM", elapsed=2.5), dropped={"a"})
    >>> entry = form.fill(Run.of({"1661": ["a", "b", "c"]}), depth=1)
    >>> list(entry.run["1661"]), entry.elapsed
    (['b'], {'1661': 2.5})
    """

    table: FormTable
    topics: Collection[str] | None = None
    known: Collection[str] | None = None
    dropped: Collection[str] = frozenset()

    @classmethod
    def read(cls, path: Path) -> "SubmissionForm":
        """Read a form and the files that it names.

        Raises:
            MatchcutError: for a key that is wrong, or a file that cannot be read.
        """
        table = decode(FormTable, read_toml(path), where=str(path))
        folder = path.parent
        return cls(
            table,
            topics=read_topics(folder / table.topics) if table.topics else None,
            known=read_shots(folder / table.known) if table.known else None,
            dropped=read_shots(folder / table.dropped) if table.dropped else frozenset(),
        )

    def reach(self, depth: int = MOST_SHOTS) -> int:
        """How deep a ranking must go for `depth` shots to be left of it."""
        return min(depth, MOST_SHOTS) + len(self.dropped)

    def fill(self, run: Run, depth: int = MOST_SHOTS) -> Submission:
        """The submission of a run: without dropped shots where the year asks for it, then cut at 1,000 or `depth`."""
        attributes = {field.name: getattr(self.table, field.name) for field in fields(RunAttributes)}
        kept = filter_dropped(run, self.dropped, year=self.table.year)
        cut = Run({topic: ranking.top(min(depth, MOST_SHOTS)) for topic, ranking in kept.items()}, kept.tag)
        seconds = self.table.elapsed
        if isinstance(seconds, dict):
            named = {topic_id(topic): topic for topic in run}
            elapsed = {named.get(topic_id(topic), topic): value for topic, value in seconds.items()}
        else:
            elapsed = dict.fromkeys(run, seconds)
        return Submission(cut, elapsed=elapsed, **attributes)

    def write(self, path: Path, run: Run, depth: int = MOST_SHOTS) -> tuple[Run, str]:
        """Write the submission of a run; returns the run that is in it, and in words what was written.

        Raises:
            MatchcutError: as `write_submission`, which then writes nothing.
        """
        entry = self.fill(run, depth)
        write_submission(path, entry, topics=self.topics, known=self.known, dropped=self.dropped)
        left = [shot for ranking in run.values() for shot in ranking.ids[:depth] if shot in self.dropped]
        told = f"{entry.name}, {sum(map(len, entry.run.values())):,} shots of {len(entry.run):,} topics"
        if left:
            told += (
                f", without {len(left):,} dropped shots"
                if drops_shots(entry.year)
                else f", with {len(left):,} dropped shots, which were left in before 2020"
            )
        return entry.run, told
