"""The plots of the audit's page, as SVG text."""

import io
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from matchcut.audit.detection import Detection
from matchcut.audit.distribution import Pairs

INK, BLUE, ORANGE = "#1f2933", "#2f6f9f", "#d9822b"
COLOURS = ("#2f6f9f", "#d9822b", "#5b8c5a", "#9a5ba6", "#b0413e", "#7a7a7a")


def similarity_histogram(pairs: Pairs, thresholds: Mapping[str, float]) -> str:
    """Histogram of the similarity of random pairs, on a logarithmic scale, with named thresholds as lines."""
    figure, axes = _figure(7.2, 3.0)
    values = pairs.similarity
    axes.hist(values, bins=np.linspace(float(values.min()), 1.0, 90), color=BLUE, alpha=0.85)
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
    return _svg(figure)


def precision_recall(detections: Sequence[Detection]) -> str:
    """Precision against recall of each detector on the half that nothing was chosen on."""
    figure, axes = _figure(7.2, 3.6)
    for colour, one in zip(COLOURS, detections, strict=False):
        recall, precision = zip(*one.curve, strict=True)
        axes.plot(recall, precision, color=colour, linewidth=1.6, label=f"{one.name} (AUC {one.auc.value:.3f})")
        axes.plot([one.recall], [one.precision], "o", color=colour, markersize=5)
    axes.set_xlim(0, 1)
    axes.set_ylim(0, 1)
    axes.set_xlabel("recall: share of the false negatives that are found")
    axes.set_ylabel("precision")
    axes.legend(fontsize=7.5, frameon=False, loc="upper right")
    return _svg(figure)


def _figure(width: float, height: float) -> tuple[Any, Any]:
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width, height), layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.subplots()
    for side in ("top", "right"):
        axes.spines[side].set_visible(False)
    axes.tick_params(labelsize=8, colors=INK)
    axes.xaxis.label.set_fontsize(9)
    axes.yaxis.label.set_fontsize(9)
    axes.grid(alpha=0.2)
    return figure, axes


def _svg(figure: Any) -> str:
    buffer = io.StringIO()
    figure.savefig(buffer, format="svg", metadata={"Date": None})
    text = buffer.getvalue()
    return text[text.index("<svg") :]
