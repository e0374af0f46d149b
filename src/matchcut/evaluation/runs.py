"""Evaluate a run file against judgments: the numbers, their intervals, and two runs against each other."""

from dataclasses import dataclass
from typing import Any

import numpy as np

from matchcut.evaluation.inferred import XinfAP, xinfap
from matchcut.evaluation.qrels import Qrels
from matchcut.evaluation.resampling import Interval, intervals
from matchcut.evaluation.statistics import Comparison, compare
from matchcut.evaluation.trec import Run


@dataclass(frozen=True)
class RunEvaluation:
    """A run's result and the bootstrap intervals of its means, over topics."""

    name: str
    result: XinfAP
    intervals: dict[str, Interval]

    def to_json(self) -> dict[str, Any]:
        """Plain values, ready for JSON."""
        return {
            "name": self.name,
            **self.result.to_json(),
            "intervals": {k: v.to_json() for k, v in self.intervals.items()},
        }


def evaluate_run(
    run: Any, qrels: Any, *, nist_compat: bool = False, name: str = "", samples: int = 10_000, seed: int = 0
) -> RunEvaluation:
    """xinfAP, infNDCG and iP@K of a run, with 95% bootstrap intervals over topics.

    Args:
        run, qrels: files, or what `xinfap` takes. nist_compat: leave topics without a list out of the mean.
        name: of the run; its tag by default. samples, seed: of the bootstrap.

    >>> e = evaluate_run({"1": ["a", "b"], "2": ["c"]}, {"1": {"a": 1, "b": 0}, "2": {"c": 0, "d": 1}})
    >>> e.result.mean, e.intervals["xinfAP"].units
    (0.5, 2)
    """
    run = Run.of(run)
    result = xinfap(run, qrels, nist_compat=nist_compat)
    return RunEvaluation(name or run.tag, result, intervals(_per_topic(result), samples=samples, seed=seed))


def compare_runs(a: Any, b: Any, qrels: Any, *, samples: int = 10_000, seed: int = 0) -> list[Comparison]:
    """Compare two runs topic by topic on xinfAP and infNDCG; paired permutation tests, Holm-corrected together.

    A topic that a run lacks counts as 0 for it.

    >>> [c.name for c in compare_runs({"1": ["a"]}, {"1": ["b"]}, {"1": {"a": 1, "b": 0}})]
    ['xinfAP', 'infNDCG']
    """
    judged = Qrels.of(qrels)
    first, second = (_per_topic(xinfap(r, judged)) for r in (a, b))
    wanted = ("xinfAP", "infNDCG")
    return compare({k: first[k] for k in wanted}, {k: second[k] for k in wanted}, samples=samples, seed=seed)


def _per_topic(result: XinfAP) -> dict[str, Any]:
    topics = list(result.topics.values())
    values = {"xinfAP": np.array([t.infap for t in topics]), "infNDCG": np.array([t.infndcg for t in topics])}
    return values | {f"iP@{k}": np.array([t.ip_at[k] for t in topics]) for k in result.ip_at}
