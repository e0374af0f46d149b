"""The measure against Q': how many of an item's best ranks should hybrid fusion average?"""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from matchcut.evaluation.resampling import Interval, bootstrap
from matchcut.fusion.combine import fuse, stack_runs
from matchcut.fusion.selection import PerQuery, decimals

if TYPE_CHECKING:
    from rich.table import Table


@dataclass(frozen=True)
class SweepPoint:
    """One Q': the mean measure, and its difference from AVG on the same queries, each with a 95% bootstrap interval."""

    top: int
    value: Interval
    versus_avg: Interval

    def to_json(self) -> dict[str, Any]:
        """Plain values, ready for JSON."""
        return asdict(self)


def default_tops(lists: int) -> tuple[int, ...]:
    """Every Q' up to 10, then a few on the way to the number of lists: 1 is MAX, the last is AVG.

    >>> default_tops(24)
    (1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 15, 20, 24)
    """
    chosen = [q for q in (*range(1, 11), 15, 20, 25, 30, 40, 50, 60, 80, 100, 150, 200) if q < lists]
    return (*chosen, lists)


def sweep_top(
    rankings: Sequence[Any],
    per_query: PerQuery,
    *,
    tops: Sequence[int] | None = None,
    clusters: Any = None,
    samples: int = 10_000,
    **settings: Any,
) -> list[SweepPoint]:
    """Hybrid fusion for every Q'; its ends are MAX (1) and AVG (the number of lists).

    Choosing Q' by this curve is a choice made on these queries: report it on others.

    Args:
        rankings: as in `fuse`. per_query: fused ranking -> one number a query; `xinfap_per_topic(qrels)` for runs.
        tops: the Q' to try; a sensible selection by default. clusters: ids of what is resampled together, one a query,
            such as the item of each caption. samples: of the bootstrap. settings: as in `fuse`.

    >>> from matchcut.fusion import xinfap_per_topic
    >>> runs = [{"1": ["a", "b"]}, {"1": ["b", "a"]}]
    >>> [p.top for p in sweep_top(runs, xinfap_per_topic({"1": {"a": 1, "b": 0}}), samples=100)]
    [1, 2]
    """
    rankings = stack_runs(rankings)
    average = np.asarray(per_query(fuse(rankings, "avg", **settings)), dtype=np.float64)
    points = []
    for top in default_tops(len(rankings)) if tops is None else tops:
        values = np.asarray(per_query(fuse(rankings, "hybrid", top=top, **settings)), dtype=np.float64)
        spans = (bootstrap(v, clusters=clusters, samples=samples) for v in (values, values - average))
        points.append(SweepPoint(top, *spans))
    return points


def sweep_table(points: Sequence[SweepPoint], measure: str = "xinfAP") -> "Table":
    """The curve as a table."""
    from rich.table import Table

    table = Table(title=f"{measure} against Q'", title_justify="left")
    for name in ("Q'", measure, "95%", "minus AVG", "95%"):
        table.add_column(name, justify="right")
    digits = decimals(measure)
    ends = {1: " (MAX)", points[-1].top: " (AVG)"} if len(points) > 1 else {}
    for p in points:
        v, d = p.value, p.versus_avg
        table.add_row(
            f"{p.top}{ends.get(p.top, '')}",
            f"{v.value:.{digits}f}",
            f"{v.low:.{digits}f} ... {v.high:.{digits}f}",
            f"{d.value:+.{digits}f}",
            f"{d.low:+.{digits}f} ... {d.high:+.{digits}f}",
        )
    return table
