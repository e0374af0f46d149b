"""The report on score matrices of the same texts and items, such as the models of one collection."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from matchcut.errors import MatchcutError
from matchcut.evaluation.arrays import Array, row_blocks
from matchcut.evaluation.guard import Finding
from matchcut.evaluation.matrices import ScoreMatrix, align
from matchcut.evaluation.ranks import Ints, Ties
from matchcut.evaluation.resampling import bootstrap_means, intervals
from matchcut.evaluation.retrieval import DirectionMetrics, RetrievalMetrics, retrieval_metrics
from matchcut.evaluation.statistics import compare_all
from matchcut.fusion.measures import matrix_measure
from matchcut.report.content import Curve, Example, Examples, Found, Report, ResultTable, distinct_first
from matchcut.report.ensemble import ensemble

KS = (1, 5, 10)  # of the tables
CURVE_KS = (1, 2, 3, 5, 7, 10, 15, 20, 30, 50, 70, 100)
SHOWN = 5  # items shown of what a model found
EACH = 4  # queries of each kind
ENSEMBLE_QUERIES = 2000  # fusing ranks takes time: of more texts, so many are drawn
WAYS = {"text_to_item": "text to item", "item_to_text": "item to text"}


@dataclass(frozen=True)
class _Measured:
    """One system: its scores, its measures at every K of the curves, and what it finds first, [T, SHOWN]."""

    scores: Array
    metrics: RetrievalMetrics
    first: Ints


def report_matrices(
    matrices: Mapping[str, ScoreMatrix],
    *,
    texts: Mapping[str, str] | None = None,
    relevance: Mapping[str, Array] | None = None,
    title: str = "Retrieval report",
    warnings: Sequence[Finding] = (),
    ties: Ties = "expected",
    samples: int = 2000,
    seed: int = 0,
) -> Report:
    """Measure and compare systems given as score matrices, in both directions.

    Captions of one item are resampled and flipped together, in intervals and tests. The systems are fused on the
    ranks of at most 2,000 texts, drawn at random.

    Args:
        matrices: {system: its scores, with ids and `text_items`}.
        texts: {id of a text: the text itself}; what is missing is shown by its id.
        relevance: complete judgments beside the pairing, {source: bool [T, V]} in the order of the first matrix: more
            tables, and more items that count as right where a system's finds are shown.
        warnings: of the protocol guard. ties: see `retrieval_metrics`. samples: of the bootstraps.

    Raises:
        MatchcutError: if the matrices are of different texts or items, or lack ids or right items.
    """
    if not matrices:
        raise MatchcutError("nothing to report on: give at least one model or score matrix")
    aligned = align(matrices)
    one = next(iter(aligned.values()))
    if one.texts is None or one.items is None or one.text_items is None:
        raise MatchcutError(f"{next(iter(aligned))}: a report needs texts, items and text_items beside the scores")
    ks = [k for k in CURVE_KS if k <= max(10, len(one.items))]
    systems: dict[str, _Measured] = {}
    for name, m in aligned.items():
        try:
            metrics = retrieval_metrics(m.scores, one.text_items, one.items, ties=ties, ks=ks)
        except ValueError as error:
            raise MatchcutError(f"{name}: {error}") from error
        systems[name] = _Measured(m.scores, metrics, _first(m.scores))
    clusters = {"text_to_item": one.text_items, "item_to_text": one.items}
    own = one.text_items[:, None] == one.items[None, :]
    right = np.logical_or.reduce([own, *(relevance or {}).values()])
    shown = _Shown(one.texts, one.items, one.text_items, right, dict(texts or {}))
    tables = [_table(systems, way, clusters[way], samples, seed) for way in WAYS]
    for source, relevant in (relevance or {}).items():
        judged = {
            n: replace(
                s, metrics=retrieval_metrics(s.scores, relevance=relevant, ties=ties, ks=KS, unanswerable="skip")
            )
            for n, s in systems.items()
        }
        tables += [_table(judged, w, clusters[w], samples, seed, note=f", by {source} relevance") for w in WAYS]
    fused, measure, asked = _fused(aligned, one, seed)
    return Report(
        title=title,
        about=f"{len(one.texts):,} texts and {len(one.items):,} items. Items with equal scores have no order: {ties} "
        "value over all orders.",
        systems=tuple(systems),
        tables=tuple(tables),
        curves=tuple(_curve(systems, way, clusters[way], ks, samples, seed) for way in WAYS),
        ensemble=ensemble(fused, measure, "t2v R@1", queries=len(asked), clusters=asked, samples=samples)
        if len(systems) > 1
        else None,
        differences=tuple(shown.differences(systems, a, b) for a, b in _pairs(systems)),
        hardest=shown.hardest(systems),
        warnings=tuple(warnings),
    )


def _first(scores: Array) -> Ints:
    """The columns with the highest scores of every row, best first, [T, SHOWN]."""
    n = min(SHOWN, scores.shape[1])
    first = np.empty((len(scores), n), dtype=np.int64)
    for part in row_blocks(*scores.shape):
        block = np.asarray(scores[part])
        best = np.argpartition(-block, n - 1, axis=1)[:, :n]
        order = np.argsort(-np.take_along_axis(block, best, axis=1), axis=1, kind="stable")
        first[part] = np.take_along_axis(best, order, axis=1)
    return first


def _table(
    systems: Mapping[str, _Measured], way: str, clusters: Array, samples: int, seed: int, *, note: str = ""
) -> ResultTable:
    of = {name: getattr(s.metrics, way) for name, s in systems.items()}
    first: DirectionMetrics = next(iter(of.values()))
    wanted = [f"R@{k}" for k in KS]
    inside = clusters[first.kept]
    rows = {
        name: intervals(
            {k: v for k, v in m.per_query().items() if k in (*wanted, "MdR", "MnR")},
            clusters=inside, samples=samples, seed=seed,
        )
        for name, m in of.items()
    }  # fmt: skip
    per_query = {name: {k: m.per_query()[k] for k in wanted} for name, m in of.items()}
    notes = [f"{first.unanswerable} queries without a right answer are left out"] if first.unanswerable else []
    return ResultTable(
        title=WAYS[way] + note,
        queries=first.queries,
        rows=rows,
        comparisons=tuple(compare_all(per_query, clusters=inside, seed=seed)),
        tied={name: m.tied for name, m in of.items()},
        notes=tuple(notes),
    )


def _curve(
    systems: Mapping[str, _Measured], way: str, clusters: Array, ks: Sequence[int], samples: int, seed: int
) -> Curve:
    lines = {}
    for name, system in systems.items():
        metrics: DirectionMetrics = getattr(system.metrics, way)
        hits = np.stack([100 * metrics.hits[k] for k in ks], axis=1)
        lines[name] = tuple(bootstrap_means(hits, clusters=clusters[metrics.kept], samples=samples, seed=seed))
    return Curve(WAYS[way], "K", "R@K, %", tuple(float(k) for k in ks), lines, logarithmic=True)


def _fused(aligned: Mapping[str, ScoreMatrix], one: ScoreMatrix, seed: int) -> tuple[dict[str, Any], Any, Array]:
    """The score rows that the fusions are made of, their measure, and the right item of each row."""
    assert one.text_items is not None
    rows = np.arange(len(one.scores))
    if len(rows) > ENSEMBLE_QUERIES:
        rows = np.sort(np.random.default_rng(seed).choice(rows, ENSEMBLE_QUERIES, replace=False))
    return (
        {name: np.asarray(m.scores[rows]) for name, m in aligned.items()},
        matrix_measure("t2v R@1", one.text_items[rows], one.items),
        one.text_items[rows],
    )


def _pairs(systems: Mapping[str, _Measured]) -> list[tuple[str, str]]:
    """The best system by R@1 beside the two that come next."""
    order = sorted(systems, key=lambda n: -systems[n].metrics.text_to_item.recall[1])
    return [(order[0], other) for other in order[1:3]]


@dataclass(frozen=True)
class _Shown:
    """Queries as people read them."""

    texts: Array
    items: Array
    text_items: Array
    right: Array  # bool [T, V]
    words: dict[str, str]

    def differences(self, systems: Mapping[str, _Measured], a: str, b: str) -> Examples:
        """Queries whose right item one system ranks far better than the other, by the ratio of the two ranks."""
        ranks = {n: systems[n].metrics.text_to_item.ranks for n in (a, b)}
        ratio = np.log(ranks[a]) - np.log(ranks[b])
        order = np.argsort(ratio, kind="stable")
        best = distinct_first([int(i) for i in order if ratio[i] < 0], self.text_items, EACH)
        worst = distinct_first([int(i) for i in order[::-1] if ratio[i] > 0], self.text_items, EACH)
        only = {n: systems[n] for n in (a, b)}
        wins, losses = int((ratio < 0).sum()), int((ratio > 0).sum())
        return Examples(
            f"{a} and {b}",
            f"{a} ranks the right item higher for {wins:,} texts, {b} for {losses:,}; the widest gaps of each kind.",
            tuple(self._example(i, only) for i in (*best, *worst)),
        )

    def hardest(self, systems: Mapping[str, _Measured]) -> Examples:
        """Queries that every system fails: the largest rank by the system that does best on each."""
        best = np.min([s.metrics.text_to_item.ranks for s in systems.values()], axis=0)
        order = distinct_first([int(i) for i in np.argsort(-best, kind="stable")], self.text_items, EACH)
        return Examples(
            "The hardest queries",
            "The right item is far down the list of every system. Often the text is vague, wrong, or true of many.",
            tuple(self._example(i, systems) for i in order),
        )

    def _example(self, row: int, systems: Mapping[str, _Measured]) -> Example:
        key, own = str(self.texts[row]), str(self.text_items[row])
        found = []
        for name, system in systems.items():
            keys = tuple((str(self.items[c]), bool(self.right[row, c])) for c in system.first[row])
            rank = system.metrics.text_to_item.ranks[row]
            found.append(Found(name, f"right item at rank {rank:,.0f}", keys))
        return Example(key, self.words.get(key, key), (own,), tuple(found))
