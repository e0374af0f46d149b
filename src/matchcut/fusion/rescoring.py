"""Fuse without missing items: every model scores every candidate that any model found."""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from matchcut.evaluation.arrays import to_numpy
from matchcut.evaluation.trec import Ranking, Run
from matchcut.fusion.combine import fuse
from matchcut.fusion.lists import DEPTH

Scorer = Callable[[str, Sequence[str]], Any]


def rescore_union(
    runs: Sequence[Any],
    scorers: Sequence[Scorer],
    method: str = "zscore",
    *,
    depth: int | None = DEPTH,
    **settings: Any,
) -> Run:
    """Fuse exact scores of the union of all candidates, instead of guessing what truncated lists do not hold.

    For each topic the candidates are all items of all runs; each model scores them all, and these full lists are
    fused. Ranks are ranks among the candidates. Use it when the models are at hand and the union is small beside the
    collection.

    Args:
        runs: where the candidates come from.
        scorers: one a model: `scorer(topic, ids)` returns one score an id, higher is better.
        method, settings: as in `fuse`.

    Raises:
        ValueError: if a scorer returns another number of scores, or one that is not finite.

    >>> length = lambda topic, ids: [len(i) for i in ids]
    >>> list(rescore_union([{"1": ["a"]}, {"1": ["bbb", "cc"]}], [length])["1"])
    ['bbb', 'cc', 'a']
    """
    if not scorers:
        raise ValueError("nothing to score with: give at least one scorer")
    given = [Run.of(r) for r in runs]
    topics = dict.fromkeys(topic for run in given for topic in run)
    pools = {t: sorted({shot for run in given if t in run for shot in run[t].ids}) for t in topics}
    rescored = [Run({t: _score(scorer, m, t, ids) for t, ids in pools.items()}) for m, scorer in enumerate(scorers)]
    fused: Run = fuse(rescored, method, depth=depth, missing="full", **settings)
    return fused


def _score(scorer: Scorer, model: int, topic: str, ids: list[str]) -> Ranking:
    scores = to_numpy(scorer(topic, ids)).astype(np.float64)
    if scores.shape != (len(ids),):
        raise ValueError(
            f"scorer {model}, topic {topic}: {scores.shape} scores for {len(ids)} candidates; return one each"
        )
    if not np.isfinite(scores).all():
        raise ValueError(
            f"scorer {model}, topic {topic}: the score of {ids[int(np.argmin(np.isfinite(scores)))]} is not finite"
        )
    return Ranking.of(dict(zip(ids, scores.tolist(), strict=True)))
