"""The plots of the audit's page, as SVG text."""

from collections.abc import Mapping, Sequence

import numpy as np

from matchcut.audit.detection import Detection
from matchcut.audit.distribution import Pairs
from matchcut.pages.plots import BLUE, COLOURS, ORANGE, new_figure, to_svg


def similarity_histogram(pairs: Pairs, thresholds: Mapping[str, float]) -> str:
    """Histogram of the similarity of random pairs, on a logarithmic scale, with named thresholds as lines."""
    figure, axes = new_figure(7.2, 3.0)
    values = np.minimum(pairs.similarity, 1.0)  # of equal vectors it may be rounded to a little more
    axes.hist(values, bins=np.linspace(min(float(values.min()), 0.9), 1.0, 90), color=BLUE, alpha=0.85)
    axes.set_yscale("log")
    for k, (name, threshold) in enumerate(thresholds.items()):
        axes.axvline(threshold, color=ORANGE, linewidth=1.2)
        axes.annotate(
            name, (threshold, 0.97 - 0.1 * (k % 3)), xycoords=("data", "axes fraction"), xytext=(3, 0),
            textcoords="offset points", color=ORANGE, fontsize=8, va="top",
            bbox={"facecolor": "white", "edgecolor": "none", "alpha": 0.8, "pad": 1},
        )  # fmt: skip
    axes.set_xlabel("cosine similarity of two captions of different items")
    axes.set_ylabel("pairs")
    return to_svg(
        figure, "Histogram of the cosine similarity of random pairs of captions, with the thresholds as lines"
    )


def precision_recall(detections: Sequence[Detection]) -> str:
    """Precision against recall of each detector on the half that nothing was chosen on."""
    figure, axes = new_figure(7.2, 3.6)
    for colour, one in zip(COLOURS, detections, strict=False):
        recall, precision = zip(*one.curve, strict=True)
        axes.plot(recall, precision, color=colour, linewidth=1.6, label=f"{one.name} (AUC {one.auc.value:.3f})")
        axes.plot([one.recall], [one.precision], "o", color=colour, markersize=5)
    axes.set_xlim(0, 1)
    axes.set_ylim(0, 1)
    axes.set_xlabel("recall: share of the false negatives that are found")
    axes.set_ylabel("precision")
    axes.legend(fontsize=7.5, frameon=False, loc="upper right")
    return to_svg(figure, "Precision against recall of each kind of evidence")
