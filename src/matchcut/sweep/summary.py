"""Which choices of a grid mattered: marginal means, and differences between matched cells."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from matchcut.evaluation.statistics import Comparison, paired_permutation, with_holm

SMALLEST = 6  # matched pairs below which no sign-flip test can reach 5%, and a bootstrap interval is too narrow


@dataclass(frozen=True)
class Scored:
    """A cell with what is compared: axis -> label, and a score (higher is better)."""

    cell: str
    choices: Mapping[str, str]
    score: float


@dataclass(frozen=True)
class Marginal:
    """One choice of an axis beside the axis's first.

    mean: of the cells that have all choices of the axis; difference: to the first choice, over the matched cells, and
    None for the first itself; it has no interval where there are fewer than `SMALLEST` matched cells.
    """

    axis: str
    label: str
    mean: float
    cells: int
    difference: Comparison | None
    enough: bool

    @property
    def verdict(self) -> str:
        """In words, and only as strong as the corrected test allows."""
        if self.difference is None:
            return "reference"
        if not self.enough:
            return f"only {self.cells} pairs"
        if self.difference.p_adjusted < 0.05:
            return "better" if self.difference.difference > 0 else "worse"
        return "not shown"

    def to_json(self) -> dict[str, Any]:
        """Plain values, ready for JSON."""
        found = {**asdict(self), "verdict": self.verdict}
        if self.difference is not None and not self.enough:
            found["difference"] = {"difference": self.difference.difference, "units": self.difference.units}
        return found


@dataclass(frozen=True)
class Summary:
    """Scores of all cells, best first, and what each choice changed."""

    cells: tuple[Scored, ...]
    marginals: tuple[Marginal, ...]

    def to_json(self) -> dict[str, Any]:
        """Plain values, ready for JSON."""
        cells = [{"cell": c.cell, "choices": dict(c.choices), "score": c.score} for c in self.cells]
        return {"cells": cells, "marginals": [m.to_json() for m in self.marginals]}


def summarise(
    cells: Sequence[Scored], axes: Mapping[str, Sequence[str]], *, samples: int = 10_000, seed: int = 0
) -> Summary:
    """Compare the choices of each axis.

    Cells that agree on all other axes are matched. For choice b of an axis with first choice a,

        difference(b) = mean over matched cells g of (score(g, b) - score(g, a))

    with a 95% percentile bootstrap interval that resamples the matched cells g, and a sign-flip test, corrected over
    all choices (Holm 1979). What is random are the settings of the other axes (the seed too, if it is an axis): the
    interval says how much the difference varies from setting to setting, not how another draw of queries or, without
    an axis of seeds, another seed would change it. Cells without all their partners, because one failed, are left out.

    Args:
        cells: what is there; each has a label for each axis.
        axes: axis -> its labels, the first is what the others are compared with.

    >>> grid = [Scored(f"{a}-{s}", {"a": a, "s": s}, 10.0 * (a == "y") + float(s)) for a in "xy" for s in "123456"]
    >>> second = summarise(grid, {"a": "xy"}).marginals[1]
    >>> second.mean, second.difference.difference, second.verdict
    (13.5, 10.0, 'better')
    """
    rows: list[tuple[str, str, float, int, Comparison | None]] = []
    for axis, labels in axes.items():
        matched = _matched(cells, axis, labels)
        if len(labels) < 2 or not len(matched):
            continue
        for column, label in enumerate(labels):
            values = matched[:, column]
            difference = (
                paired_permutation(values, matched[:, 0], samples=samples, seed=seed, name=f"{axis} {label}")
                if column
                else None
            )
            rows.append((axis, label, float(values.mean()), len(values), difference))
    tested = [r[4] for r in rows if r[4] is not None and r[3] >= SMALLEST]
    corrected = {c.name: c for c in with_holm(tested)}
    marginals = tuple(
        Marginal(axis, label, mean, count, c and corrected.get(c.name, c), count >= SMALLEST)
        for axis, label, mean, count, c in rows
    )
    return Summary(tuple(sorted(cells, key=lambda c: (-c.score, c.cell))), marginals)


def _matched(cells: Sequence[Scored], axis: str, labels: Sequence[str]) -> Any:
    """Scores [groups, labels] of the cells that agree on all other axes; groups that lack a label are left out."""
    groups: dict[tuple[tuple[str, str], ...], dict[str, float]] = defaultdict(dict)
    for cell in cells:
        others = tuple(sorted((name, label) for name, label in cell.choices.items() if name != axis))
        groups[others][cell.choices[axis]] = cell.score
    rows = [[group[label] for label in labels] for _, group in sorted(groups.items()) if set(labels) <= set(group)]
    return np.array(rows, dtype=np.float64).reshape(len(rows), len(labels))
