"""Which models belong in the ensemble, and what does each contribute?"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from matchcut.evaluation.ranks import Floats
from matchcut.evaluation.resampling import Interval, bootstrap
from matchcut.evaluation.statistics import Comparison, paired_permutation, with_holm
from matchcut.fusion.combine import fuse, stack_runs
from matchcut.fusion.stacked import Stacked

if TYPE_CHECKING:
    from rich.table import Table

PerQuery = Callable[[Any], Any]


@dataclass(frozen=True)
class Selection:
    """members: model numbers in the order they were taken; values: the mean measure after each was taken."""

    members: tuple[int, ...]
    values: tuple[float, ...]


@dataclass(frozen=True)
class Contribution:
    """One model: alone, and what the ensemble loses without it: all minus all the others, on the same queries."""

    name: str
    alone: Interval
    without: float
    gain: Comparison


def greedy_selection(
    rankings: Sequence[Any], per_query: PerQuery, method: str = "avg", *, most: int | None = None, **settings: Any
) -> Selection:
    """Forward selection (Caruana et al. 2004): take the model that helps most, until none helps any more.

    Choose on validation data: the value of the chosen ensemble is optimistic, since it was chosen by that value.

    Args:
        rankings: runs or matrices, as in `fuse`. per_query: fused ranking -> one number a query, higher is better.
        most: at most so many models. method, settings: as in `fuse`; a model of weight 0 is never taken.

    >>> def first(run): return [float(next(iter(run["1"])) == "a")]
    >>> greedy_selection([{"1": ["b", "a"]}, {"1": ["a", "b"]}], first).members
    (1,)
    """
    rankings = stack_runs(rankings)
    left, taken, values = _counting(rankings, settings), list[int](), list[float]()
    while left and (most is None or len(taken) < most):
        tried = [_mean(rankings, [*taken, i], per_query, method, settings) for i in left]
        best = int(np.argmax(tried))
        if values and not tried[best] > values[-1]:
            break
        values.append(tried[best])
        taken.append(left.pop(best))
    return Selection(tuple(taken), tuple(values))


def leave_one_out(
    rankings: Sequence[Any], per_query: PerQuery, method: str = "avg", *, least: int = 1, **settings: Any
) -> Selection:
    """Backward elimination: start with all models but those of weight 0, drop the one whose absence helps most, until
    each is missed.

    Returns:
        The remaining members, and the values: of all models first, then after each drop.
    """
    rankings = stack_runs(rankings)
    members = _counting(rankings, settings)
    values = [_mean(rankings, members, per_query, method, settings)]
    while len(members) > least:
        tried = [_mean(rankings, [m for m in members if m != i], per_query, method, settings) for i in members]
        worst = int(np.argmax(tried))
        if not tried[worst] > values[-1]:
            break
        values.append(tried[worst])
        members.pop(worst)
    return Selection(tuple(members), tuple(values))


def contributions(
    rankings: Sequence[Any],
    per_query: PerQuery,
    method: str = "avg",
    *,
    names: Sequence[str] | None = None,
    clusters: Any = None,
    samples: int = 10_000,
    **settings: Any,
) -> list[Contribution]:
    """What each model is worth: alone, and to the ensemble of all; paired tests over queries, Holm-corrected over
    the models.

    Args:
        rankings, per_query, method, settings: as in `greedy_selection`. names: of the models.
        clusters: ids of what is resampled and flipped together, one a query, such as the item of each caption.
        samples: of bootstrap and test.

    Raises:
        ValueError: with fewer than two models, or another number of names.
    """
    if len(rankings) < 2:
        raise ValueError(f"contributions need at least two models, got {len(rankings)}")
    labels = [str(i) for i in range(len(rankings))] if names is None else list(names)
    if len(labels) != len(rankings):
        raise ValueError(f"{len(labels)} names for {len(rankings)} models")
    rankings = stack_runs(rankings)
    everyone = list(range(len(rankings)))
    full = _values(rankings, everyone, per_query, method, settings)
    without = [_values(rankings, [m for m in everyone if m != i], per_query, method, settings) for i in everyone]
    gains = with_holm(
        [
            paired_permutation(full, w, clusters=clusters, samples=samples, name=n)
            for n, w in zip(labels, without, strict=True)
        ]
    )
    return [
        Contribution(
            name,
            bootstrap(_values(rankings, [i], per_query, method, settings), clusters=clusters, samples=samples),
            float(w.mean()),
            gain,
        )
        for i, (name, w, gain) in enumerate(zip(labels, without, gains, strict=True))
    ]


def decimals(measure: str) -> int:
    """How many decimals to show of a measure: 2 of a percentage, 4 of a fraction.

    >>> decimals("t2v R@1"), decimals("xinfAP")
    (2, 4)
    """
    return 2 if "R@" in measure else 4


def contribution_table(rows: Sequence[Contribution], measure: str = "value") -> "Table":
    """The contributions as a table, the most useful model first."""
    from rich.markup import escape
    from rich.table import Table

    table = Table(title="What each model contributes", title_justify="left")
    table.add_column("model", overflow="fold")
    for name in (f"{measure} alone", "all without it", "gain from it", "p (Holm)"):
        table.add_column(name, no_wrap=True)
    d = decimals(measure)
    for row in sorted(rows, key=lambda r: -r.gain.difference):
        a, g = row.alone, row.gain
        alone = f"{a.value:.{d}f}\n[dim]{a.low:.{d}f} ... {a.high:.{d}f}[/]"
        gain = f"{g.difference:+.{d}f}\n[dim]{g.low:+.{d}f} ... {g.high:+.{d}f}[/]"
        table.add_row(escape(row.name), alone, f"{row.without:.{d}f}", gain, f"{g.p_adjusted:.4f}")
    return table


def _counting(rankings: "Sequence[Any] | Stacked", settings: dict[str, Any]) -> list[int]:
    """The models that are not of weight 0."""
    weights = settings.get("weights")
    return [i for i in range(len(rankings)) if weights is None or weights[i] != 0]


def _values(
    rankings: "Sequence[Any] | Stacked", members: list[int], per_query: PerQuery, method: str, settings: dict[str, Any]
) -> Floats:
    chosen = dict(settings)
    if chosen.get("weights") is not None:
        weights = [chosen["weights"][i] for i in members]
        chosen["weights"] = weights if any(weights) else [1.0] * len(members)  # those of weight 0 by themselves
    some = rankings.pick(members) if isinstance(rankings, Stacked) else [rankings[i] for i in members]
    return np.asarray(per_query(fuse(some, method, **chosen)), dtype=np.float64)


def _mean(
    rankings: "Sequence[Any] | Stacked", members: list[int], per_query: PerQuery, method: str, settings: dict[str, Any]
) -> float:
    return float(_values(rankings, members, per_query, method, settings).mean())
