"""The curve of the measure against Q', as a picture."""

from collections.abc import Sequence
from pathlib import Path

from matchcut.files import atomic
from matchcut.fusion.sweep import SweepPoint


def plot_sweep(points: Sequence[SweepPoint], path: Path | str, *, measure: str = "xinfAP") -> None:
    """Draw the curve with its interval band, and below it the paired difference from AVG with its own.

    The upper band says how much the value would change with other queries; the lower, narrower one whether a Q'
    beats AVG on the same ones.

    Args:
        points: of `sweep_top`. path: .png, .svg or .pdf, written atomically.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure
    from matplotlib.ticker import MaxNLocator

    path = Path(path)
    figure = Figure(figsize=(7, 6), layout="constrained")
    FigureCanvasAgg(figure)
    upper, lower = figure.subplots(2, 1, sharex=True, height_ratios=(3, 2))
    tops = [p.top for p in points]
    for axes, values, colour in (
        (upper, [p.value for p in points], "tab:blue"),
        (lower, [p.versus_avg for p in points], "tab:green"),
    ):
        axes.fill_between(tops, [v.low for v in values], [v.high for v in values], color=colour, alpha=0.2, linewidth=0)
        axes.plot(tops, [v.value for v in values], color=colour, marker="o", markersize=3)
        axes.grid(alpha=0.3)
    upper.set_ylabel(measure)
    upper.set_title(f"Hybrid fusion of {tops[-1]} rankings (95% bootstrap bands over queries)")
    upper.annotate("MAX", (tops[0], points[0].value.value), xytext=(4, -14), textcoords="offset points")
    upper.annotate("AVG", (tops[-1], points[-1].value.value), xytext=(-30, -12), textcoords="offset points")
    lower.xaxis.set_major_locator(MaxNLocator(integer=True))
    lower.axhline(0, color="black", linewidth=0.8)
    lower.set_ylabel("difference from AVG")
    lower.set_xlabel("Q': how many of an item's best ranks are averaged")
    with atomic(path) as temporary:
        figure.savefig(temporary, format=path.suffix.lstrip(".") or "png", dpi=120)
