"""Plots as SVG text, to stand inside a page."""

import io
import re
from html import escape
from typing import Any

INK, BLUE, ORANGE = "#1f2933", "#2f6f9f", "#d9822b"
COLOURS = ("#2f6f9f", "#d9822b", "#5b8c5a", "#9a5ba6", "#b0413e", "#7a7a7a")
STYLES = ("-", "--", ":", "-.")  # so that colour is not all that tells lines apart


def line_style(number: int) -> dict[str, str]:
    """Colour and dashes of the line with this number, from 0."""
    return {"color": COLOURS[number % len(COLOURS)], "linestyle": STYLES[number // len(COLOURS) % len(STYLES)]}


def new_figure(width: float, height: float, panels: int = 1) -> tuple[Any, Any]:
    """A figure, in inches, and its axes: one, or a list of panels side by side."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width, height), layout="constrained")
    FigureCanvasAgg(figure)
    every = figure.subplots(1, panels, squeeze=False)[0]
    for axes in every:
        for side in ("top", "right"):
            axes.spines[side].set_visible(False)
        axes.tick_params(labelsize=8, colors=INK)
        axes.xaxis.label.set_fontsize(9)
        axes.yaxis.label.set_fontsize(9)
        axes.grid(alpha=0.2)
    return figure, every[0] if panels == 1 else list(every)


def to_svg(figure: Any, about: str) -> str:
    """The figure as an `<svg>` element with transparent ground; about: what a screen reader says in its place."""
    import matplotlib

    buffer = io.StringIO()
    with matplotlib.rc_context({"svg.hashsalt": "page", "svg.fonttype": "none"}):  # the same ids each time; real text
        figure.savefig(buffer, format="svg", transparent=True, metadata={"Date": None})
    text = buffer.getvalue()
    text = re.sub(r'<g id="[^"]*">', "<g>", text[text.index("<svg") :])  # several plots in a page would share these ids
    return text.replace("<svg", f'<svg role="img" aria-label="{escape(about)}"', 1)
