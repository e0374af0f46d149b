"""xinfAP, infNDCG and inferred precision: TREC measures for pools of which only a sample was judged."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from matchcut.evaluation.qrels import Qrels, TopicQrels
from matchcut.evaluation.ranks import Floats
from matchcut.evaluation.trec import Ranking, Run

CUTOFFS = (5, 10, 15, 20, 30, 100, 200, 500, 1000)
DEPTH = 1000
# The smoothing of the official evaluator: a stratum of which nothing was judged yet counts one third relevant.
SMOOTH_RELEVANT, SMOOTH_JUDGED = 1e-5, 3e-5


@dataclass(frozen=True)
class TopicResult:
    """One topic: infAP, infNDCG, {K: iP@K}, estimated relevant retrieved and relevant, retrieved, 11-point iprec."""

    infap: float
    infndcg: float
    ip_at: dict[int, float]
    inum_rel_ret: float
    inum_rel: float
    num_ret: int
    iprec: tuple[float, ...]

    def to_json(self) -> dict[str, Any]:
        """Plain values, ready for JSON."""
        return {
            "xinfAP": self.infap,
            "infNDCG": self.infndcg,
            **{f"iP@{k}": v for k, v in self.ip_at.items()},
            "inum_rel_ret": self.inum_rel_ret,
            "inum_rel": self.inum_rel,
            "num_ret": self.num_ret,
            "iprec": list(self.iprec),
        }


@dataclass(frozen=True)
class XinfAP:
    """A run's result: means over topics, and every topic.

    mean: MxinfAP; infndcg, ip_at, iprec: means; inum_rel_ret, num_ret, inum_rel: sums (inum_rel over all topics of
    the qrels);
    missing: topics of the qrels that the run lacks (counted as 0, or left out if nist_compat); unjudged: topics of
    the run that the qrels lack (ignored).
    """

    mean: float
    infndcg: float
    ip_at: dict[int, float]
    inum_rel_ret: float
    inum_rel: float
    num_ret: int
    iprec: tuple[float, ...]
    topics: dict[str, TopicResult]
    missing: tuple[str, ...]
    unjudged: tuple[str, ...]
    nist_compat: bool

    @property
    def per_topic(self) -> dict[str, float]:
        """xinfAP of every topic that counts in the mean."""
        return {t: r.infap for t, r in self.topics.items()}

    @property
    def infndcg_per_topic(self) -> dict[str, float]:
        """infNDCG of every topic that counts in the mean."""
        return {t: r.infndcg for t, r in self.topics.items()}

    @property
    def note(self) -> str:
        """One line about topics that are not in both files, or ""."""
        parts = []
        if self.missing:
            how = "left out of the mean (NIST's rule)" if self.nist_compat else "counted as 0"
            parts.append(f"{len(self.missing)} topics without a list {how}: {', '.join(self.missing)}")
        if self.unjudged:
            parts.append(f"{len(self.unjudged)} topics without judgments ignored: {', '.join(self.unjudged)}")
        return "; ".join(parts)

    def to_json(self) -> dict[str, Any]:
        """Plain values, ready for JSON."""
        return {
            "xinfAP": self.mean,
            "infNDCG": self.infndcg,
            **{f"iP@{k}": v for k, v in self.ip_at.items()},
            "inum_rel_ret": self.inum_rel_ret,
            "inum_rel": self.inum_rel,
            "num_ret": self.num_ret,
            "iprec": list(self.iprec),
            "nist_compat": self.nist_compat,
            "note": self.note,
            "topics": {t: r.to_json() for t, r in self.topics.items()},
        }


def xinfap(run: Any, qrels: Any, *, nist_compat: bool = False, large_topic_factor: bool = True) -> XinfAP:
    """Extended inferred average precision and its companions, as the official TRECVID evaluator computes them.

    Per topic and stratum s of the pool, with N_s shots, n_s judged, r_s relevant: R_s = r_s N_s / n_s, R = sum_s
    R_s. At the rank k of a relevant shot, with D pooled shots above it (d_s in stratum s, j_s judged, q_s relevant):

        prec_k = 1/k + D/k * sum_s (d_s/D) (q_s + 1e-5) / (j_s + 3e-5)
        xinfAP = sum_s (R_s/R) * (sum of prec_k over the relevant shots of s) / r_s, times R/1000 where R > 1000

    Sources: Yilmaz, Kanoulas, Aslam (SIGIR 2008); the smoothing, the factor for R > 1000, the tie rule (shot id
    descending) and the cut at 1,000 shots from NIST's sample_eval.pl (reference code), whose printed values this
    reproduces to 4 decimals.

    Args:
        run: a `Run`, a file, {topic: {shot: score}} or {topic: [shots]}. qrels: `Qrels`, a file, or {topic: {shot:
            grade}}.
        nist_compat: leave topics without a list out of the mean, as the official evaluator silently does; by default
            they count as 0, and `note` says so.
        large_topic_factor: the factor R/1000; other evaluators (the clinical variant) lack it.

    Raises:
        MatchcutError: for a file that cannot be read. ValueError: if run and qrels share no topic.

    >>> judged = {"1": {"a": 1, "b": 0, "c": 1}}
    >>> round(xinfap({"1": ["a", "b", "c"]}, judged).mean, 4)  # everything judged: (1/1 + 2/3) / 2
    0.8333
    """
    run, qrels = Run.of(run), Qrels.of(qrels)
    shared = [t for t in qrels if t in run]
    if not shared:
        raise ValueError(f"run and qrels share no topic: the run has {_some(run)}, the qrels {_some(qrels)}")
    topics: dict[str, TopicResult] = {}
    for topic, judged in qrels.items():
        if topic in run or not nist_compat:
            topics[topic] = _topic(run[topic] if topic in run else Ranking.of({}), judged, large_topic_factor)
    every = list(topics.values())
    inum_rel = sum(_Pool(q).relevant for q in qrels.values())
    return XinfAP(
        mean=float(np.mean([r.infap for r in every])),
        infndcg=float(np.mean([r.infndcg for r in every])),
        ip_at={k: float(np.mean([r.ip_at[k] for r in every])) for k in CUTOFFS},
        inum_rel_ret=float(sum(r.inum_rel_ret for r in every)),
        inum_rel=inum_rel,
        num_ret=sum(r.num_ret for r in every),
        iprec=tuple(float(v) for v in np.mean([r.iprec for r in every], axis=0)),
        topics=topics,
        missing=tuple(t for t in qrels if t not in run),
        unjudged=tuple(t for t in run if t not in qrels),
        nist_compat=nist_compat,
    )


def _some(topics: Mapping[str, Any]) -> str:
    names = list(topics)
    return ", ".join(names[:3]) + (", ..." if len(names) > 3 else "") or "none"


class _Pool:
    """What the judgments of one topic say about its strata."""

    def __init__(self, judged: TopicQrels) -> None:
        names = sorted(set(judged.strata.values()))
        self.code = {name: i for i, name in enumerate(names)}
        strata = np.array([self.code[judged.strata[s]] for s in judged.grades], dtype=np.int64)
        grades = np.array(list(judged.grades.values()), dtype=np.int64)
        size = max(1, len(names))  # a topic without any judgment has one empty stratum
        self.pooled = np.bincount(strata, minlength=size)
        self.judged = np.bincount(strata[grades >= 0], minlength=size)
        self.found = np.bincount(strata[grades > 0], minlength=size)
        with np.errstate(invalid="ignore", divide="ignore"):
            factor = np.where(self.judged > 0, self.pooled / self.judged, 0.0)
        self.estimated = self.found * factor  # R_s
        self.relevant = float(self.estimated.sum())  # R
        self.per_grade = {
            int(g): float((np.bincount(strata[grades == g], minlength=size) * factor).sum())
            for g in np.unique(grades[grades > 0])
        }

    def ideal_gain(self) -> float:
        """DCG of the best list: grades in descending order, each over its estimated (fractional) number of ranks."""
        total, start = 0.0, 0.0
        for grade in sorted(self.per_grade, reverse=True):
            ranks = start + np.arange(1, int(self.per_grade[grade] + 1e-9) + 1)
            # The evaluator stops after the first rank of each grade that reaches the depth.
            ranks = ranks[: int(np.searchsorted(ranks, DEPTH)) + 1]
            total += grade * float((1 / np.log2(ranks + 1)).sum())
            start += self.per_grade[grade]
        return total


def _topic(ranking: Ranking, judged: TopicQrels, large_topic_factor: bool) -> TopicResult:
    pool = _Pool(judged)
    shots = ranking.ids[:DEPTH]
    n, size = len(shots), len(pool.pooled)
    missing = -2
    grades = np.array([judged.grades.get(s, missing) for s in shots], dtype=np.int64)
    strata = np.array([pool.code[judged.strata[s]] if s in judged.grades else 0 for s in shots], dtype=np.int64)
    place = (np.arange(n), strata)

    def counts(where: Any) -> Floats:  # [n + 1, strata]: how many of the first k shots
        table = np.zeros((n + 1, size))
        table[1:][place] = where
        return np.cumsum(table, axis=0)

    d, j, q = counts(grades > missing), counts(grades >= 0), counts(grades > 0)
    estimate = (d * (q + SMOOTH_RELEVANT) / (j + SMOOTH_JUDGED)).sum(axis=1)  # relevant among the first k, [n + 1]
    k = np.arange(1, n + 1)
    hits = np.flatnonzero(grades > 0)
    precision = (1 + estimate[hits]) / k[hits]
    sums = np.bincount(strata[hits], weights=precision, minlength=size)
    gains = np.bincount(strata[hits], weights=grades[hits] / np.log2(k[hits] + 1), minlength=size)
    useful = pool.found > 0
    ap = (
        float((pool.estimated[useful] * sums[useful] / pool.found[useful]).sum()) / pool.relevant
        if pool.relevant
        else 0.0
    )
    if large_topic_factor and pool.relevant > DEPTH:
        ap *= pool.relevant / DEPTH
    ideal = pool.ideal_gain()
    seen = j[-1] > 0
    gain = float((d[-1][seen] / j[-1][seen] * gains[seen]).sum())
    return TopicResult(
        infap=ap,
        infndcg=gain / ideal if ideal else 0.0,
        ip_at={c: float(estimate[min(c, n)]) / c for c in CUTOFFS},
        inum_rel_ret=float(estimate[-1]),
        inum_rel=pool.relevant,
        num_ret=n,
        iprec=_interpolated(estimate[1:], pool.relevant),
    )


def _interpolated(estimate: Floats, relevant: float) -> tuple[float, ...]:
    """Precision at recall 0, 0.1, ..., 1; estimate: relevant among the first k, [n]."""
    if not len(estimate):
        return (0.0,) * 11
    levels = np.arange(11) / 10 * relevant
    result = [0.0] * 11
    current = 10
    while current >= 0 and levels[current] > estimate[-1]:
        current -= 1
    best = 0.0
    for rank in range(len(estimate), 0, -1):  # at most one level a rank, as in the evaluator
        best = max(best, float(estimate[rank - 1]) / rank)
        if current >= 0 and levels[current] > estimate[rank - 1]:
            result[current] = best
            current -= 1
    for level in range(current, -1, -1):
        result[level] = best
    return tuple(result)
