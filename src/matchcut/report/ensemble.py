"""What the systems are worth together."""

from collections.abc import Mapping
from typing import Any

from matchcut.fusion.selection import PerQuery, contributions, greedy_selection
from matchcut.fusion.sweep import sweep_top
from matchcut.report.content import Ensemble

GREEDY_UP_TO = 12  # a greedy choice among M systems fuses up to M (M + 1) / 2 times


def ensemble(
    rankings: Mapping[str, Any],
    per_query: PerQuery,
    measure: str,
    *,
    queries: int,
    clusters: Any = None,
    samples: int = 2000,
) -> Ensemble:
    """Fuse the systems by average rank: with each left out, greedily, and, of three or more, by hybrid for every Q'.

    Args:
        rankings: {system: run or score matrix}. per_query: see `sweep_top`. measure: its name.
        queries: how many it is measured on. clusters: see `sweep_top`.
    """
    names, given = list(rankings), list(rankings.values())
    greedy: tuple[tuple[str, float], ...] = ()
    if len(given) <= GREEDY_UP_TO:
        chosen = greedy_selection(given, per_query, "avg")
        greedy = tuple((names[i], v) for i, v in zip(chosen.members, chosen.values, strict=True))
    return Ensemble(
        measure=measure,
        method="avg",
        queries=queries,
        contributions=tuple(contributions(given, per_query, "avg", names=names, clusters=clusters, samples=samples)),
        greedy=greedy,
        sweep=tuple(sweep_top(given, per_query, clusters=clusters, samples=samples)) if len(given) > 2 else (),
    )
