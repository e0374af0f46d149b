"""How well a similarity tells judged false negatives from true negatives."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from matchcut.audit.content import Ints
from matchcut.evaluation.resampling import Interval

Bools = NDArray[np.bool_]
Floats = NDArray[np.floating]


@dataclass(frozen=True)
class Detection:
    """A similarity as a detector of non-negatives, on the half of the judged items that nothing was chosen on.

    auc: area under the ROC curve, with a bootstrap interval over items. average_precision: area under precision and
    recall. percent: the share of most similar judged pairs, in %, with the best F1 on the other half; precision, recall
    and f1 at that half's threshold.
    """

    name: str
    auc: Interval
    average_precision: float
    percent: float
    threshold: float
    precision: float
    recall: float
    f1: float
    curve: tuple[tuple[float, float], ...]  # (recall, precision), thinned for plotting


def area_under_roc(values: Floats, relevant: Bools, weights: Floats | None = None) -> float:
    """The chance that a relevant pair is more similar than an irrelevant one, ties count half (Mann-Whitney).

    sum over relevant r, irrelevant n of w_r w_n ([s_r > s_n] + [s_r = s_n] / 2) / (sum w_r * sum w_n)

    Args:
        values: [P], finite. relevant: bool [P]. weights: [P], how often each pair counts; None: once.

    Raises:
        ValueError: if there is no relevant or no irrelevant pair.

    >>> area_under_roc(np.array([0.9, 0.4, 0.4, 0.1]), np.array([True, True, False, False]))
    0.875
    """
    w = np.ones(len(values)) if weights is None else np.asarray(weights, dtype=np.float64)
    levels, at = np.unique(values, return_inverse=True)
    right = np.bincount(at, w * relevant, len(levels))
    wrong = np.bincount(at, w * ~relevant, len(levels))
    if right.sum() == 0 or wrong.sum() == 0:
        raise ValueError(f"{right.sum():g} relevant and {wrong.sum():g} irrelevant pairs; both are needed")
    below = np.cumsum(wrong) - wrong / 2
    return float((right * below).sum() / (right.sum() * wrong.sum()))


def detect(
    name: str, values: Floats, relevant: Bools, items: Ints, fit: Bools, *, samples: int = 500, seed: int = 0
) -> Detection:
    """Choose the best percentage on the pairs `fit`, report on the others.

    Args:
        values: [P], the more similar the higher. relevant, fit: bool [P]. items: int64 [P], resampled as a whole.
        samples: bootstrap replicates.
    """
    threshold, percent = _best(values[fit], relevant[fit])
    kept, right, owner = values[~fit], relevant[~fit], items[~fit]
    hit = kept >= threshold
    found = float((hit & right).sum())
    precision, recall = found / max(1, hit.sum()), found / right.sum()
    precisions, recalls = _curve(kept, right)
    steps = np.diff(recalls, prepend=0.0)
    thinned = np.unique(np.searchsorted(recalls, np.linspace(0, recalls[-1], 200)))  # even in recall, not in pairs
    return Detection(
        name=name,
        auc=auc_interval(kept, right, owner, samples=samples, seed=seed),
        average_precision=float((steps * precisions).sum()),
        percent=percent,
        threshold=threshold,
        precision=precision,
        recall=recall,
        f1=2 * precision * recall / max(precision + recall, 1e-12),
        curve=tuple((float(recalls[i]), float(precisions[i])) for i in thinned),
    )


def auc_interval(values: Floats, relevant: Bools, items: Ints, *, samples: int = 500, seed: int = 0) -> Interval:
    """95 % percentile bootstrap interval of the area under the ROC curve; items are drawn, each with all its pairs."""
    _, code = np.unique(items, return_inverse=True)
    units = int(code.max()) + 1
    rng = np.random.default_rng(seed)
    areas = []
    for _ in range(samples):
        times = np.bincount(rng.integers(units, size=units), minlength=units).astype(np.float64)[code]
        if (times * relevant).any() and (times * ~relevant).any():
            areas.append(area_under_roc(values, relevant, times))
    low, high = np.quantile(areas, [0.025, 0.975])
    return Interval(area_under_roc(values, relevant), float(low), float(high), 0.95, len(areas), units)


def _curve(values: Floats, relevant: Bools) -> tuple[Floats, Floats]:
    """Precision and recall when all pairs down to each distinct value are taken, most similar first."""
    order = np.argsort(-values, kind="stable")
    last = np.flatnonzero(np.diff(values[order], append=-np.inf))
    found = np.cumsum(relevant[order])[last]
    precisions: Floats = found / (last + 1)
    recalls: Floats = found / relevant.sum()
    return precisions, recalls


def _best(values: Floats, relevant: Bools) -> tuple[float, float]:
    """Threshold and percentage of the best F1."""
    precisions, recalls = _curve(values, relevant)
    at = int(np.argmax(2 * precisions * recalls / np.maximum(precisions + recalls, 1e-12)))
    threshold = float(np.unique(values)[::-1][at])
    return threshold, 100 * float((values >= threshold).mean())
