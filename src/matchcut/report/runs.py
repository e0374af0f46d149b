"""The report on TREC runs that were judged against the same topics."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from matchcut.errors import MatchcutError
from matchcut.evaluation.guard import Finding
from matchcut.evaluation.inferred import XinfAP, xinfap
from matchcut.evaluation.qrels import Qrels
from matchcut.evaluation.resampling import bootstrap_means, intervals
from matchcut.evaluation.statistics import compare_all
from matchcut.evaluation.trec import Run
from matchcut.fusion.measures import xinfap_per_topic
from matchcut.report.content import Curve, Example, Examples, Found, Report, ResultTable
from matchcut.report.ensemble import ensemble

SHOWN = 5  # shots shown of what a run found
EACH = 3  # topics of each kind
CUTOFFS = (10, 100)
COMPARED = ("xinfAP", "infNDCG")


def report_runs(
    runs: Mapping[str, Any],
    qrels: Any,
    *,
    topics: Mapping[str, str] | None = None,
    title: str = "Report on runs",
    warnings: Sequence[Finding] = (),
    samples: int = 10_000,
    seed: int = 0,
) -> Report:
    """Measure and compare runs: xinfAP, infNDCG and inferred precision over topics; a topic that a run lacks counts 0.

    Args:
        runs: {name: run, or its file}. qrels: judgments, or their file. topics: {topic: its text}.
        warnings: shown on top. samples: of bootstraps and tests.

    Raises:
        MatchcutError: for a file that cannot be read, or a run that shares no topic with the judgments.
    """
    if not runs:
        raise MatchcutError("nothing to report on: give at least one run")
    judged = Qrels.of(qrels)
    loaded, results = {name: Run.of(run) for name, run in runs.items()}, {}
    for name, run in loaded.items():
        try:
            results[name] = xinfap(run, judged)
        except ValueError as error:
            raise MatchcutError(f"{name}: {error}") from error
    values = {name: _per_topic(result) for name, result in results.items()}
    words, names = dict(topics or {}), list(loaded)
    if topics is not None and (without := [t for t in judged if t not in words]):
        told = f"{len(without)} of {len(judged)} judged topics have no text"
        warnings = [*warnings, Finding("topics", told, len(without), tuple(without[:3]))]
    example = _Examples(loaded, judged, results, words)
    best = sorted(names, key=lambda n: -results[n].mean)
    together = (
        ensemble(loaded, xinfap_per_topic(judged), "xinfAP", queries=len(judged), samples=samples)
        if len(names) > 1
        else None
    )
    return Report(
        title=title,
        about=f"{len(judged)} topics with {sum(map(len, judged.values())):,} judgments.",
        systems=tuple(names),
        tables=(
            ResultTable(
                title="runs",
                queries=len(judged),
                rows={n: intervals(v, samples=samples, seed=seed) for n, v in values.items()},
                comparisons=tuple(
                    compare_all({n: {k: v[k] for k in COMPARED} for n, v in values.items()}, samples=samples, seed=seed)
                ),
                notes=tuple(f"{n}: {r.note}" for n, r in results.items() if r.note),
                digits=4,
                unit="topics",
            ),
        ),
        curves=(_precision(results, samples, seed),),
        ensemble=together,
        differences=tuple(example.differences(best[0], other) for other in best[1:3]),
        hardest=example.hardest(),
        warnings=tuple(warnings),
    )


def _per_topic(result: XinfAP) -> dict[str, Any]:
    every = list(result.topics.values())
    found = {"xinfAP": [t.infap for t in every], "infNDCG": [t.infndcg for t in every]}
    return found | {f"iP@{k}": [t.ip_at[k] for t in every] for k in CUTOFFS}


def _precision(results: Mapping[str, XinfAP], samples: int, seed: int) -> Curve:
    lines = {
        name: tuple(bootstrap_means([t.iprec for t in result.topics.values()], samples=samples, seed=seed))
        for name, result in results.items()
    }
    return Curve("inferred precision at recall", "recall", "interpolated precision", tuple(np.arange(11) / 10), lines)


class _Examples:
    """Topics as people read them."""

    def __init__(
        self, runs: Mapping[str, Run], qrels: Qrels, results: Mapping[str, XinfAP], words: Mapping[str, str]
    ) -> None:
        self._runs, self._qrels, self._results, self._words = runs, qrels, results, words

    def differences(self, a: str, b: str) -> Examples:
        """Topics on which one run is far ahead of the other."""
        gap = {t: self._results[a].per_topic[t] - self._results[b].per_topic[t] for t in self._qrels}
        order = sorted(gap, key=lambda t: gap[t])
        chosen = [t for t in order[::-1] if gap[t] > 0][:EACH] + [t for t in order if gap[t] < 0][:EACH]
        wins, losses = sum(g > 0 for g in gap.values()), sum(g < 0 for g in gap.values())
        return Examples(
            f"{a} and {b}",
            f"{a} is ahead on {wins} topics, {b} on {losses}; the widest gaps of each kind.",
            tuple(self._example(t, (a, b)) for t in dict.fromkeys(chosen)),
        )

    def hardest(self) -> Examples:
        """Topics on which even the best run does worst."""
        best = {t: max(r.per_topic[t] for r in self._results.values()) for t in self._qrels}
        chosen = sorted(best, key=lambda t: best[t])[:EACH]
        about = "Topics on which even the best run finds least."
        return Examples("The hardest topics", about, tuple(self._example(t, tuple(self._runs)) for t in chosen))

    def _example(self, topic: str, names: Sequence[str]) -> Example:
        found = []
        for name in names:
            shots = self._runs[name][topic].ids[:SHOWN] if topic in self._runs[name] else ()
            keys = tuple((shot, self._judgment(topic, shot)) for shot in shots)
            found.append(Found(name, f"xinfAP {self._results[name].per_topic[topic]:.4f}", keys))
        return Example(topic, self._words.get(topic, f"topic {topic}"), (), tuple(found))

    def _judgment(self, topic: str, shot: str) -> bool | None:
        grade = self._qrels[topic].grades.get(shot, -1)
        return None if grade < 0 else grade > 0
