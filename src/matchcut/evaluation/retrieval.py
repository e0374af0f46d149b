"""R@K, median rank and mean rank of a score matrix, in both directions."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal, get_args

import numpy as np

from matchcut.evaluation.arrays import Array, Positives, to_numpy, to_scores
from matchcut.evaluation.ranks import Floats, Ties, check_ties, first_right

if TYPE_CHECKING:
    from matchcut.evaluation.adjusted import Adjusted

Unanswerable = Literal["error", "skip"]
ItemToText = Literal["captions", "groups"]


@dataclass(frozen=True)
class DirectionMetrics:
    """One direction of retrieval: queries looking for what belongs to them.

    recall: {K: percent of queries with a right answer among the first K}; median_rank, mean_rank: of the first right
    answer, from 1; queries: how many were asked; unanswerable: how many were left out because nothing in the gallery
    is right;
    tied: share of queries whose best right answer has exactly the score of a wrong one; adjusted: how the scores were
    changed afterwards ("" = plain); ranks: rank per query, hits: {K: 0 ... 1 per query}, kept: which rows were asked.
    """

    recall: dict[int, float]
    median_rank: float
    mean_rank: float
    queries: int
    unanswerable: int
    tied: float
    adjusted: str = ""
    ranks: Floats = field(repr=False, compare=False, default_factory=lambda: np.zeros(0))
    hits: dict[int, Floats] = field(repr=False, compare=False, default_factory=dict)
    kept: Array = field(repr=False, compare=False, default_factory=lambda: np.zeros(0, dtype=np.int64))

    def values(self) -> dict[str, float]:
        """The numbers by their usual names: R@1 ... in percent, MdR, MnR."""
        return {**{f"R@{k}": v for k, v in self.recall.items()}, "MdR": self.median_rank, "MnR": self.mean_rank}

    def per_query(self) -> dict[str, Floats]:
        """The same numbers query by query (MdR and MnR: the rank), for intervals and tests."""
        return {**{f"R@{k}": 100 * v for k, v in self.hits.items()}, "MdR": self.ranks, "MnR": self.ranks}

    def to_json(self) -> dict[str, Any]:
        """Plain values, ready for JSON."""
        return {
            **self.values(),
            "queries": self.queries,
            "unanswerable": self.unanswerable,
            "tied": self.tied,
            "adjusted": self.adjusted,
        }


@dataclass(frozen=True)
class RetrievalMetrics:
    """Both directions of one score matrix. rsum is the sum of R@1, R@5 and R@10 over both directions (of 600)."""

    text_to_item: DirectionMetrics
    item_to_text: DirectionMetrics
    ties: str

    @property
    def rsum(self) -> float:
        """Sum of all recalls of both directions."""
        return sum(self.text_to_item.recall.values()) + sum(self.item_to_text.recall.values())

    def values(self) -> dict[str, float]:
        """Flat names: `t2v R@1`, ..., `v2t MnR`, `rsum`."""
        both = (("t2v", self.text_to_item), ("v2t", self.item_to_text))
        return {f"{way} {k}": v for way, m in both for k, v in m.values().items()} | {"rsum": self.rsum}

    def to_json(self) -> dict[str, Any]:
        """Plain values, ready for JSON."""
        return {
            "text_to_item": self.text_to_item.to_json(),
            "item_to_text": self.item_to_text.to_json(),
            "rsum": self.rsum,
            "ties": self.ties,
        }


def retrieval_metrics(
    scores: "Array | Adjusted | Any",
    text_items: Any = None,
    items: Any = None,
    *,
    relevance: Any = None,
    ties: Ties = "expected",
    ks: Sequence[int] = (1, 5, 10),
    unanswerable: Unanswerable = "error",
    item_to_text: ItemToText = "captions",
) -> RetrievalMetrics:
    """R@K, MdR, MnR and rsum of a score matrix, text to item and item to text.

    A query's rank is that of its best-ranked right answer, so an item with several captions is found by any of them,
    and several items may be right for one text. Ids decide what is right, never the position. Equal scores have no
    order: by default every value is the exact expectation over all orders of the tied answers (median rank: the
    median of the expected ranks). The rank rule, 1 + number of strictly better answers, counts every query once,
    unlike the position lists of CLIP4Clip's code, which tied scores inflate.

    Args:
        scores: [texts, items], NumPy or torch, higher is better; or an `Adjusted` one (DSL, QB-Norm), which marks
            the result.
        text_items: the item id of every text, [texts], numbers or strings.
        items: the id of every item, [items].
        relevance: bool [texts, items] instead of ids.
        ties: "expected", "optimistic" (right answers first), "pessimistic" (last), "index" (by column).
        ks: the K of R@K.
        unanswerable: a text whose item is not in the gallery is an "error", or "skip" leaves it out and counts it.
            Items without a text are distractors: they are in the gallery, not among the queries, and counted.
        item_to_text: "captions" ranks an item's best caption among all captions; "groups" ranks items by
            the best caption of each item among the items (the multi-sentence protocol of MSVD in CLIP4Clip's code).
            They differ at R@5 and R@10. "groups" needs ids.

    Returns:
        `RetrievalMetrics`; recalls in percent.

    Raises:
        ValueError: for a NaN (names row and column), shapes that do not match, or texts without a right item.

    >>> m = retrieval_metrics(np.array([[0.9, 0.1], [0.8, 0.8]]), ["a", "b"], ["a", "b"])
    >>> m.text_to_item.recall[1], m.text_to_item.tied  # the second text ties with the wrong item
    (75.0, 0.5)
    """
    from matchcut.evaluation.adjusted import Adjusted

    check_ties(ties)
    for name, given, allowed in (
        ("unanswerable", unanswerable, Unanswerable),
        ("item_to_text", item_to_text, ItemToText),
    ):
        if given not in get_args(allowed):
            raise ValueError(f"{name} must be one of {', '.join(get_args(allowed))}; got {given!r}")
    notes = ("", "")
    if isinstance(scores, Adjusted):
        notes = (scores.label, scores.label if scores.item_to_text is not scores.plain else "")
        forward, backward = to_scores(scores.text_to_item), to_scores(scores.item_to_text)
    else:
        forward = backward = to_scores(scores)
    positives = _positives(forward, text_items, items, relevance)
    asked = np.flatnonzero(positives.counts)
    if unanswerable == "error" and len(asked) < len(forward):
        row = int(np.argmin(positives.counts))
        name = f" ({to_numpy(text_items)[row]!s})" if text_items is not None else ""
        raise ValueError(
            f"{len(forward) - len(asked)} of {len(forward)} texts have no right item in the gallery, "
            f"the first is row {row}{name}; complete the gallery or pass unanswerable='skip'"
        )
    if not len(asked):
        raise ValueError("no text has a right item in the gallery, so nothing can be measured")
    t2v = _direction(forward, positives, ties, ks, notes[0])
    if item_to_text == "groups":
        if text_items is None:
            raise ValueError(
                "item_to_text='groups' needs text_items and items; a relevance matrix does not group the texts"
            )
        grouped, names = group_captions(backward, text_items)
        backwards = Positives.of_ids(items, names)
        v2t = _direction(grouped.T, backwards, ties, ks, notes[1], transposed=True)
    else:
        v2t = _direction(backward.T, positives.transpose(forward.shape[1]), ties, ks, notes[1], transposed=True)
    return RetrievalMetrics(t2v, v2t, ties)


def group_captions(scores: Any, text_items: Any) -> tuple[Array, Array]:
    """The best score of each item's captions: ([groups, items], the item id of each group, sorted).

    >>> best, names = group_captions(np.array([[0.1], [0.7], [0.4]]), ["a", "a", "b"])
    >>> best.tolist(), names.tolist()
    ([[0.7], [0.4]], ['a', 'b'])
    """
    matrix = to_scores(scores)
    names, codes = np.unique(to_numpy(text_items), return_inverse=True)
    order = np.argsort(codes, kind="stable")
    return np.maximum.reduceat(matrix[order], np.searchsorted(codes[order], np.arange(len(names))), axis=0), names


def _positives(scores: Array, text_items: Any, items: Any, relevance: Any) -> Positives:
    if (relevance is None) == (text_items is None) or (text_items is None) != (items is None):
        raise ValueError("give either text_items and items, or relevance")
    if relevance is not None:
        shape = np.shape(to_numpy(relevance))
        if shape != scores.shape:
            raise ValueError(f"relevance has shape {shape}, scores {scores.shape}; they must be the same")
        return Positives.of_matrix(relevance)
    texts, columns = to_numpy(text_items), to_numpy(items)
    if (len(texts), len(columns)) != scores.shape:
        raise ValueError(f"scores {scores.shape} do not match {len(texts)} text_items and {len(columns)} items")
    return Positives.of_ids(texts, columns)


def _direction(
    scores: Array, positives: Positives, ties: Ties, ks: Sequence[int], note: str, *, transposed: bool = False
) -> DirectionMetrics:
    kept = np.flatnonzero(positives.counts)
    asked = scores if len(kept) == len(scores) else scores[kept]
    # Rows without a right column own none of the columns, so dropping their (empty) ranges is all there is to do.
    start = np.concatenate([[0], np.cumsum(positives.counts[kept])]).astype(np.int64)
    found = first_right(asked, Positives(start, positives.columns), transposed=transposed)
    ranks = found.rank(ties)
    hits = {k: found.hit(k, ties) for k in ks}
    return DirectionMetrics(
        recall={k: 100 * float(v.mean()) for k, v in hits.items()},
        median_rank=float(np.median(ranks)),
        mean_rank=float(ranks.mean()),
        queries=len(kept),
        unanswerable=len(scores) - len(kept),
        tied=float(found.tied.mean()),
        adjusted=note,
        ranks=ranks,
        hits=hits,
        kept=kept,
    )
