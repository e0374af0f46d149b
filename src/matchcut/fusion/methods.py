"""The ways to fuse, and what each does with an item that a list does not hold."""

from collections.abc import Sequence
from dataclasses import dataclass
from math import inf
from numbers import Integral
from typing import Any, Literal, get_args

import numpy as np

from matchcut.evaluation.ranks import Floats

Missing = Literal["last", "ignore", "full", "zero", "share"]
TieBreak = Literal["rank", "id"]


@dataclass(frozen=True)
class Method:
    """One way to fuse. kind: whether it reads ranks or scores; missing: allowed rules, the first is the default."""

    kind: Literal["rank", "score"]
    missing: tuple[Missing, ...]
    about: str


RANKED: tuple[Missing, ...] = ("last", "ignore", "full")
METHODS: dict[str, Method] = {
    "avg": Method("rank", RANKED, "mean rank over all lists (Galanopoulos & Mezaris 2021)"),
    "max": Method("rank", RANKED, "best rank over all lists (their MAX: the numerically smallest rank)"),
    "worst": Method("rank", RANKED, "worst rank over all lists (their MAX read to the letter, for comparison)"),
    "hybrid": Method("rank", RANKED, "mean of the `top` (Q') best ranks (their Hybrid; 1 is max, all lists is avg)"),
    "rrf": Method("rank", ("zero", "full"), "sum of 1 / (k + rank) (Cormack, Clarke, Buettcher 2009)"),
    "borda": Method(
        "rank", ("share", "full"), "sum of Borda points, unheld items share the rest (Aslam & Montague 2001)"
    ),
    "mean": Method("score", RANKED, "mean of the scores as they are (late average fusion)"),
    "minmax": Method("score", RANKED, "mean of the scores, each list scaled to 0 ... 1 (Fox & Shaw 1994: CombSUM)"),
    "zscore": Method("score", RANKED, "mean of the scores, each list to mean 0 and deviation 1"),
    "weighted": Method("score", RANKED, "weighted mean of z-scores; needs weights, see learn_weights"),
    "dbsf": Method(
        "score", ("zero", "full"), "sum of the scores, each list scaled by its mean -+ 3 deviations (Qdrant's DBSF)"
    ),
}


@dataclass(frozen=True)
class Options:
    """Everything that decides a fusion, checked. top: Q' of hybrid; k: constant of rrf; weights: one a list; tie_break:
    see `fuse`."""

    method: str
    top: int
    missing: Missing
    k: float
    weights: Floats
    tie_break: TieBreak = "rank"

    @property
    def by_score(self) -> bool:
        """Whether the method reads scores."""
        return METHODS[self.method].kind == "score"

    @property
    def best_of(self) -> int:
        """How many of the best ranks the rank-averaging methods average; 1 where one rank decides."""
        return {"avg": len(self.weights), "max": 1, "worst": 1}.get(self.method, min(self.top, len(self.weights)))


def options(
    lists: int,
    method: str,
    *,
    top: int = 10,
    missing: Missing | None = None,
    tie_break: TieBreak = "rank",
    k: float = 60.0,
    weights: Any = None,
) -> Options:
    """Check the options of a fusion of `lists` lists.

    Raises:
        ValueError: naming what is wrong and what would be right.

    >>> options(3, "hybrid", top=10).best_of  # Q' beyond the number of lists is all of them
    3
    """
    if lists < 1:
        raise ValueError("nothing to fuse: give at least one list")
    if method not in METHODS:
        raise ValueError(f"no fusion method {method!r}; there are {', '.join(METHODS)}")
    chosen = METHODS[method]
    rule = chosen.missing[0] if missing is None else missing
    if rule not in chosen.missing:
        raise ValueError(f"missing={rule!r} does not go with {method!r}; it takes {', '.join(chosen.missing)}")
    if tie_break not in get_args(TieBreak):
        raise ValueError(f"tie_break must be one of {', '.join(get_args(TieBreak))}; got {tie_break!r}")
    if not isinstance(top, Integral) or top < 1:
        raise ValueError(f"top (Q') must be a whole number of at least 1, got {top}")
    if not 0 <= k < inf:
        raise ValueError(f"k of rrf must be a finite number of 0 or more, got {k}")
    if weights is None:
        if method == "weighted":
            raise ValueError("method 'weighted' needs weights, one a list; learn_weights finds them on validation data")
        return Options(method, int(top), rule, k, np.full(lists, 1.0), tie_break)
    if chosen.kind == "rank" and method != "rrf":
        raise ValueError(f"method {method!r} takes no weights; use weighted, mean, minmax, zscore, dbsf or rrf")
    array = np.asarray(weights, dtype=np.float64)
    if array.shape != (lists,):
        raise ValueError(f"{array.size} weights for {lists} lists; give one a list")
    if not np.isfinite(array).all() or (array < 0).any() or not array.sum() > 0:
        raise ValueError(f"weights must be 0 or more and not all 0, got {_show(array)}")
    return Options(method, int(top), rule, k, array, tie_break)


def check_depth(depth: Any) -> None:
    """Refuse a length of the fused lists that is none; None keeps all.

    Raises:
        ValueError: unless it is None or a whole number of at least 1.
    """
    if depth is not None and (not isinstance(depth, Integral) or depth < 1):
        raise ValueError(f"depth must be a whole number of at least 1, got {depth}")


def _show(values: Sequence[float] | Floats) -> str:
    return ", ".join(f"{v:g}" for v in values)
