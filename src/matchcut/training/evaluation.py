"""Measuring a trained model on a part of its collection."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from matchcut.collection import Collection
from matchcut.errors import MatchcutError
from matchcut.evaluation import retrieval_metrics
from matchcut.evaluation.ranks import Ties
from matchcut.evaluation.resampling import Interval, intervals
from matchcut.evaluation.retrieval import DirectionMetrics, ItemToText, RetrievalMetrics
from matchcut.training.data import PairData
from matchcut.training.encode import score_split
from matchcut.training.trained_model import TrainedModel


@dataclass(frozen=True)
class Evaluation:
    """A model's results on one part of a split.

    `metrics` maps a relevance to the measures: "paired" (each caption has one right item, its own) and the name of
    every source of complete judgments. `intervals`: relevance -> direction -> measure.
    """

    model: str
    part: str
    ties: str
    metrics: dict[str, RetrievalMetrics]
    intervals: dict[str, dict[str, dict[str, Interval]]]

    def to_json(self) -> dict[str, Any]:
        """Plain values, ready for JSON."""
        found: dict[str, Any] = {"model": self.model, "part": self.part}
        for relevance, metrics in self.metrics.items():
            found[relevance] = metrics.to_json()
            for direction, values in self.intervals[relevance].items():
                spans = {name: [interval.low, interval.high] for name, interval in values.items()}
                found[relevance][direction]["intervals"] = spans
        return found


def evaluate(
    collection: Collection,
    model: str,
    *,
    split: str | None = None,
    ties: Ties = "expected",
    relevance: str | None = None,
    item_to_text: ItemToText = "captions",
    samples: int = 2000,
) -> Evaluation:
    """Measure a model of a collection: both directions, R@1/5/10, median and mean rank, with 95% bootstrap intervals.

    The bootstrap resamples items, each with all its captions.

    Args:
        split: part of the recipe's split scheme, by default its test part.
        ties: see `matchcut.evaluation.retrieval_metrics`.
        relevance: a source of complete judgments; None: every one there is, beside the pairing.
        item_to_text: of the pairing, see `matchcut.evaluation.retrieval_metrics`.

    Raises:
        MatchcutError: if model, part, features or judgments are missing.
    """
    trained = TrainedModel.open(collection, model)
    part = split or trained.recipe.data.test
    data = trained.data(collection, part)
    scores = score_split(trained.network, data).numpy()
    items = np.arange(len(data.items))
    metrics = {"paired": retrieval_metrics(scores, data.owner.numpy(), items, ties=ties, item_to_text=item_to_text)}
    for source in _complete(collection, relevance):
        relevant = relevance_matrix(collection, source, data.captions, data.items)
        metrics[source] = retrieval_metrics(scores, relevance=relevant, ties=ties, unanswerable="skip")
    spans = {name: _intervals(found, data, samples) for name, found in metrics.items()}
    return Evaluation(trained.name, part, ties, metrics, spans)


def relevance_matrix(collection: Collection, source: str, captions: Sequence[str], items: Sequence[str]) -> Any:
    """The pairs of T captions and N items, by key, that a source calls relevant (one half or more), bool [T, N]."""
    text = {key: i for i, key in enumerate(captions)}
    item = {key: i for i, key in enumerate(items)}
    relevant = np.zeros((len(text), len(item)), dtype=bool)
    for judgment in collection.judgments(source):
        if judgment.relevance >= 0.5 and judgment.caption in text and judgment.item in item:
            relevant[text[judgment.caption], item[judgment.item]] = True
    return relevant


def _complete(collection: Collection, relevance: str | None) -> list[str]:
    judged = collection.judged()
    if relevance is None:
        return [source for source, extent in judged.items() if extent == "complete"]
    if judged.get(relevance) != "complete":
        raise MatchcutError(
            f"{collection.root}: no complete judgments {relevance!r}; there is {judged or 'none'}; "
            "ranks against partial judgments would take unknown pairs for wrong"
        )
    return [relevance]


def _intervals(metrics: RetrievalMetrics, data: PairData, samples: int) -> dict[str, dict[str, Interval]]:
    def of(direction: DirectionMetrics, clusters: Any) -> dict[str, Interval]:
        return intervals(direction.per_query(), clusters=clusters[direction.kept], samples=samples)

    return {
        "text_to_item": of(metrics.text_to_item, data.owner.numpy()),
        "item_to_text": of(metrics.item_to_text, torch.arange(len(data.items)).numpy()),
    }
