"""`fuse`: many rankings into one, whatever they are given as."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from matchcut.evaluation.trec import Ranking, Run
from matchcut.fusion.lists import DEPTH, fuse_topic
from matchcut.fusion.matrices import fuse_matrices
from matchcut.fusion.methods import Missing, TieBreak, check_depth, options
from matchcut.fusion.stacked import Stacked


def fuse(
    rankings: "Sequence[Any] | Stacked",
    method: str = "avg",
    *,
    top: int = 10,
    missing: Missing | None = None,
    tie_break: TieBreak = "rank",
    k: float = 60.0,
    weights: Any = None,
    depth: int | None = DEPTH,
    tag: str | None = None,
) -> Any:
    """Combine the rankings of many models into one: runs into a run, score matrices into a score matrix.

    For an item v with rank r_q(v), 1 = best, in list q of Q:

        avg     mean over q of r_q(v)
        max     min over q of r_q(v), the best rank
        worst   max over q of r_q(v)
        hybrid  mean of the Q' (`top`) smallest r_q(v); Q' = 1 is max, Q' = Q is avg
        rrf     sum over q of w_q / (k + r_q(v))
        borda   sum over q of (c - r_q(v) + 1), c candidates; a list shares its remaining points among the others
        mean, minmax, zscore, weighted, dbsf    of the scores, each list brought to one scale first

    Sources: avg, max, hybrid: Galanopoulos & Mezaris 2021 (paper; that MAX is the smallest rank is reconstructed,
    worst is what it says to the letter); the others in `METHODS`. Fused runs have strictly decreasing scores, so that
    no evaluator re-breaks ties.

    Args:
        rankings: runs (`Run`, file, {topic: {shot: score}} or {topic: [shots]}), runs that are fused more than once
            as a `Stacked`, or arrays [texts, items].
        method: a key of `METHODS`.
        top: Q' of hybrid. k: constant of rrf. weights: one a list, for the score methods and rrf.
        missing: what an item counts for in a list that does not hold it. "last": rank n + 1 after the n of the list,
            or the list's lowest score; "ignore": that list is left out for the item; "full": refuse; "zero" (rrf, dbsf)
            and "share" (borda): those methods' own rules. None: the method's default. A topic that a
            run lacks is an empty list.
        tie_break: "rank": items with equal values are ordered by mean rank, then by id; "id": by id alone. In matrices
            items that still tie have equal scores.
        depth: at most this many shots a topic; None for all. Matrices keep all items.
        tag: of the fused run; the method by default.

    Returns:
        A `Run`, or a float64 matrix [texts, items], higher is better.

    Raises:
        ValueError: for options that do not fit. MatchcutError: for a file that cannot be read.

    >>> list(fuse([{"1661": ["a", "b", "c"]}, {"1661": ["b", "d", "a"]}], "avg")["1661"])
    ['b', 'a', 'd', 'c']
    """
    settings: dict[str, Any] = {"top": top, "missing": missing, "tie_break": tie_break, "k": k, "weights": weights}
    if not len(rankings):
        raise ValueError("nothing to fuse: give at least one list")
    check_depth(depth)
    if not isinstance(rankings, Stacked) and not _are_runs(rankings):
        return fuse_matrices(rankings, method=method, **settings)
    stacked = rankings if isinstance(rankings, Stacked) else Stacked.of(rankings)
    how = options(len(stacked), method, **settings)
    fused: dict[str, Ranking] = {}
    for topic, lists in stacked.topics.items():
        best, _ = fuse_topic(
            lists.entries, lists.scores if how.by_score else None, how, depth=depth, name=topic, ids=lists.ids
        )
        fused[topic] = Ranking.of_order(lists.ids[best].tolist())
    return Run(fused, tag or method)


def stack_runs(rankings: Any) -> Any:
    """Runs as a `Stacked`, ready to be fused many times; matrices as they are."""
    return Stacked.of(rankings) if not isinstance(rankings, Stacked) and _are_runs(rankings) else rankings


def _are_runs(rankings: Sequence[Any]) -> bool:
    return len(rankings) > 0 and isinstance(rankings[0], Mapping | str | Path)
