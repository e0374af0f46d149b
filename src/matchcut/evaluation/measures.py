"""Measures as small values: `R@1`, `nDCG@10`, `mAP@R` print as they are written, parse back, and compute."""

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from matchcut.evaluation.arrays import Positives, to_numpy, to_scores
from matchcut.evaluation.graded import Cutoff, average_precision, ndcg, precision, r_precision
from matchcut.evaluation.inferred import CUTOFFS, TopicResult, xinfap
from matchcut.evaluation.ranks import Floats, Ties, first_right

# Name: (needs a run and qrels, cutoffs that make sense, what it says)
MEASURES = {
    "R": (False, "K", "percent of queries with a relevant item among the first K"),
    "P": (False, "K", "share of the first K items that are relevant"),
    "mAP": (False, "none, K or R", "mean average precision; @R looks at the first R items only"),
    "R-Precision": (False, "none", "share of the first R items that are relevant, R = number of relevant items"),
    "nDCG": (False, "none, K or R", "normalised discounted cumulative gain, linear gain"),
    "MRR": (False, "none", "mean of 1 / rank of the first relevant item"),
    "MdR": (False, "none", "median rank of the first relevant item"),
    "MnR": (False, "none", "mean rank of the first relevant item"),
    "xinfAP": (True, "none", "extended inferred average precision"),
    "infNDCG": (True, "none", "inferred nDCG"),
    "iP": (True, "K of " + ", ".join(map(str, CUTOFFS)), "inferred precision of the first K shots"),
}
LOWER_IS_BETTER = ("MdR", "MnR")


@dataclass(frozen=True)
class Measure:
    """A measure and its cutoff: K, "R" or none. Equal if printed equally.

    >>> str(Measure.parse("nDCG@10")), Measure.parse("mAP@R").cutoff
    ('nDCG@10', 'R')
    """

    name: str
    cutoff: Cutoff = None

    def __post_init__(self) -> None:
        if self.name not in MEASURES:
            raise ValueError(f"no measure {self.name!r}; there are {', '.join(MEASURES)}")
        allowed = MEASURES[self.name][1]
        kind = "none" if self.cutoff is None else "R" if self.cutoff == "R" else "K"
        if kind not in re.findall(r"none|K|R", allowed.split(" of ")[0]):
            raise ValueError(f"measure {self}: its cutoff can be {allowed}")
        if isinstance(self.cutoff, int) and self.cutoff < 1:
            raise ValueError(f"measure {self}: K must be at least 1")
        if self.name == "iP" and self.cutoff not in CUTOFFS:
            raise ValueError(f"measure {self}: its cutoff can be {allowed}")

    def __str__(self) -> str:
        return self.name if self.cutoff is None else f"{self.name}@{self.cutoff}"

    @property
    def higher_is_better(self) -> bool:
        """False for ranks."""
        return self.name not in LOWER_IS_BETTER

    @classmethod
    def parse(cls, text: "str | Measure") -> "Measure":
        """Read a measure as it prints.

        Raises:
            ValueError: for another name, or a cutoff that does not go with it.
        """
        if isinstance(text, Measure):
            return text
        name, at, cutoff = text.strip().partition("@")
        if not at:
            return cls(name)
        if cutoff != "R" and not (cutoff.isascii() and cutoff.isdigit()):
            raise ValueError(f"measure {text!r}: the cutoff must be a whole number or R, as in R@1 or mAP@R")
        return cls(name, "R" if cutoff == "R" else int(cutoff))


@dataclass(frozen=True)
class MeasureResult:
    """value: over all queries that have something relevant; undefined: how many have not; per_query: NaN for those."""

    measure: Measure
    value: float
    queries: int
    undefined: int
    per_query: Floats = field(repr=False, compare=False)

    def to_json(self) -> dict[str, Any]:
        """Plain values, ready for JSON."""
        return {"measure": str(self.measure), "value": self.value, "queries": self.queries, "undefined": self.undefined}


def measure_scores(
    measures: Sequence[str | Measure], scores: Any, relevance: Any, *, ties: Ties = "expected"
) -> dict[Measure, MeasureResult]:
    """Compute measures of a score matrix whose rows are the queries (transpose both for the other direction).

    Args:
        scores: [queries, items]. relevance: [queries, items], bool or grades; above 0 is relevant, nDCG uses the grade.
        ties: as in `retrieval_metrics`.

    Raises:
        ValueError: for an unknown measure, one that needs a run, or shapes that do not match.

    >>> found = measure_scores(["R@1", "nDCG"], [[2.0, 1.0], [2.0, 1.0]], [[1, 0], [0, 1]])
    >>> {str(m): round(r.value, 4) for m, r in found.items()}
    {'R@1': 50.0, 'nDCG': 0.8155}
    """
    matrix, gains = to_scores(scores), to_numpy(relevance)
    if matrix.shape != gains.shape:
        raise ValueError(f"scores have shape {matrix.shape}, relevance {gains.shape}; they must be the same")
    wanted = [Measure.parse(m) for m in measures]
    for measure in wanted:
        if MEASURES[measure.name][0]:
            raise ValueError(f"{measure} needs a run and qrels; use measure_run")
    answerable = (gains > 0).any(axis=1)
    found = first_right(matrix[answerable], Positives.of_matrix(gains[answerable] > 0))
    results = {}
    for measure in wanted:
        if measure.name == "R" and isinstance(measure.cutoff, int):
            values = _spread(100 * found.hit(measure.cutoff, ties), answerable)
        elif measure.name == "MRR":
            values = _spread(found.reciprocal(ties), answerable)
        elif measure.name in LOWER_IS_BETTER:
            values = _spread(found.rank(ties), answerable)
        elif measure.name == "P":
            values = precision(matrix, gains, cutoff=measure.cutoff, ties=ties)
        elif measure.name == "mAP":
            values = average_precision(matrix, gains, cutoff=measure.cutoff, ties=ties)
        elif measure.name == "R-Precision":
            values = r_precision(matrix, gains, ties=ties)
        else:
            values = ndcg(matrix, gains, cutoff=measure.cutoff, ties=ties)
        results[measure] = _result(measure, values)
    return results


def measure_run(
    measures: Sequence[str | Measure], run: Any, qrels: Any, *, nist_compat: bool = False
) -> dict[Measure, MeasureResult]:
    """Compute xinfAP, infNDCG and iP@K of a run.

    >>> found = measure_run(["xinfAP"], {"1": ["a", "b"]}, {"1": {"a": 0, "b": 1}})
    >>> round(found[Measure("xinfAP")].value, 4)
    0.5
    """
    result = xinfap(run, qrels, nist_compat=nist_compat)
    values: dict[Measure, MeasureResult] = {}
    for measure in map(Measure.parse, measures):
        if not MEASURES[measure.name][0]:
            raise ValueError(f"{measure} needs a score matrix; use measure_scores")
        values[measure] = _result(measure, np.array([_of_topic(t, measure) for t in result.topics.values()]))
    return values


def _of_topic(topic: TopicResult, measure: Measure) -> float:
    if measure.name == "iP":
        return topic.ip_at[int(measure.cutoff or 0)]
    return topic.infap if measure.name == "xinfAP" else topic.infndcg


def _spread(values: Floats, answerable: Any) -> Floats:
    result = np.full(len(answerable), np.nan)
    result[answerable] = values
    return result


def _result(measure: Measure, values: Floats) -> MeasureResult:
    defined = values[~np.isnan(values)]
    if not len(defined):
        raise ValueError(f"{measure}: no query has anything relevant")
    value = np.median(defined) if measure.name == "MdR" else defined.mean()
    return MeasureResult(measure, float(value), len(defined), len(values) - len(defined), values)
