"""What a report holds, whatever it is about: plain values that the page shows and the JSON file keeps."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

from matchcut.evaluation.guard import Finding
from matchcut.evaluation.resampling import Interval
from matchcut.evaluation.statistics import Comparison, PairComparison
from matchcut.fusion.selection import Contribution
from matchcut.fusion.sweep import SweepPoint

ALPHA = 0.05  # a difference stands if its corrected p is below


@dataclass(frozen=True)
class ResultTable:
    """One direction or kind of query: a row a system, its measures with intervals, and which differences stand.

    rows: {system: {measure: Interval}}; tied: {system: share of tied queries}; comparisons: Holm-corrected together;
    digits: decimals to show; unit: what was asked.
    """

    title: str
    queries: int
    rows: dict[str, dict[str, Interval]]
    comparisons: tuple[PairComparison, ...]
    tied: dict[str, float] = field(default_factory=dict)
    notes: tuple[str, ...] = ()
    digits: int = 1
    unit: str = "queries"

    def pairs(self) -> dict[tuple[str, str], list[Comparison]]:
        """The comparisons of every two systems, one a measure."""
        found: dict[tuple[str, str], list[Comparison]] = {}
        for c in self.comparisons:
            found.setdefault((c.a, c.b), []).append(c.comparison)
        return found

    def to_json(self) -> dict[str, Any]:
        """Plain values, ready for JSON."""
        return {
            "title": self.title,
            "queries": self.queries,
            "results": {n: {m: i.to_json() for m, i in row.items()} for n, row in self.rows.items()},
            "tied": self.tied,
            "notes": list(self.notes),
            "comparisons": [
                {"a": c.a, "b": c.b, "verdict": c.verdict(), **c.comparison.to_json()} for c in self.comparisons
            ],
        }


@dataclass(frozen=True)
class Curve:
    """A line a system with a band: {system: one Interval for each x}."""

    title: str
    x_label: str
    y_label: str
    x: tuple[float, ...]
    lines: dict[str, tuple[Interval, ...]]
    logarithmic: bool = False

    def to_json(self) -> dict[str, Any]:
        """Plain values, ready for JSON."""
        lines = {n: [[i.value, i.low, i.high] for i in line] for n, line in self.lines.items()}
        return {"title": self.title, "x": list(self.x), "value_low_high": lines}


@dataclass(frozen=True)
class Ensemble:
    """The systems fused: what each contributes, which a greedy choice takes, and hybrid fusion for every Q'."""

    measure: str
    method: str
    queries: int
    contributions: tuple[Contribution, ...]
    greedy: tuple[tuple[str, float], ...]  # system, and the measure once it is taken
    sweep: tuple[SweepPoint, ...] = ()

    def to_json(self) -> dict[str, Any]:
        """Plain values, ready for JSON."""
        return {
            "measure": self.measure,
            "method": self.method,
            "queries": self.queries,
            "contributions": [asdict(c) for c in self.contributions],
            "greedy": [{"system": n, self.measure: v} for n, v in self.greedy],
            "sweep_q": [p.to_json() for p in self.sweep],
        }


@dataclass(frozen=True)
class Found:
    """What a system found: its verdict in words, and the first keys, each right, wrong or unknown (None)."""

    system: str
    verdict: str
    keys: tuple[tuple[str, bool | None], ...]


@dataclass(frozen=True)
class Example:
    """A query with what was sought and what each system found."""

    query: str
    text: str
    right: tuple[str, ...]
    found: tuple[Found, ...]


@dataclass(frozen=True)
class Examples:
    """Examples of one kind, such as the queries that two systems differ on most."""

    title: str
    about: str
    examples: tuple[Example, ...]


@dataclass(frozen=True)
class Report:
    """Everything the page shows. warnings: of the protocol guard, shown on top."""

    title: str
    about: str
    systems: tuple[str, ...]
    tables: tuple[ResultTable, ...]
    curves: tuple[Curve, ...]
    ensemble: Ensemble | None
    differences: tuple[Examples, ...]
    hardest: Examples
    warnings: tuple[Finding, ...] = ()

    def verdicts(self) -> list[str]:
        """One sentence for every two systems and table, only where a difference stands: "A beats B on R@1, R@5"."""
        sentences: list[str] = []
        for table in self.tables:
            won: dict[str, list[str]] = {}
            for c in table.comparisons:
                if c.comparison.p_adjusted < ALPHA:
                    won.setdefault(c.verdict(), []).append(c.comparison.name)
            sentences += [f"{verdict} on {', '.join(names)} ({table.title})" for verdict, names in won.items()]
        return sentences

    def to_json(self) -> dict[str, Any]:
        """Plain values, ready for JSON."""
        return {
            "title": self.title,
            "about": self.about,
            "systems": list(self.systems),
            "warnings": [asdict(w) for w in self.warnings],
            "verdicts": self.verdicts(),
            "tables": [t.to_json() for t in self.tables],
            "curves": [c.to_json() for c in self.curves],
            "ensemble": self.ensemble.to_json() if self.ensemble else None,
            "differences": [asdict(d) for d in self.differences],
            "hardest": asdict(self.hardest),
        }


def distinct_first(order: Sequence[int], groups: Any, most: int) -> list[int]:
    """The first `most` of an order, only one of each group: several captions of one item say much the same.

    >>> distinct_first([2, 1, 0], ["a", "b", "b"], 2)
    [2, 0]
    """
    seen: set[Any] = set()
    chosen: list[int] = []
    for i in order:
        if groups[i] not in seen and len(chosen) < most:
            seen.add(groups[i])
            chosen.append(i)
    return chosen
