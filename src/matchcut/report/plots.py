"""The plots of the report's page."""

from collections.abc import Sequence

from matchcut.fusion.sweep import SweepPoint
from matchcut.pages.plots import BLUE, ORANGE, line_style, new_figure, to_svg
from matchcut.report.content import Curve

LETTER = 0.068  # inches that a letter of a line's name takes


def curves(many: Sequence[Curve]) -> str:
    """One panel a curve, side by side, each line with its 95% band; the lines are named below."""
    from matplotlib.ticker import FuncFormatter, NullFormatter

    width = 4.6 * len(many) if len(many) > 1 else 6.4
    columns = max(1, min(4, int(width / (0.7 + LETTER * max(map(len, many[0].lines))))))
    names_height = 0.18 * -(-len(many[0].lines) // columns)
    figure, panels = new_figure(width, 3.2 + names_height, len(many))
    for axes, curve in zip(panels if len(many) > 1 else [panels], many, strict=True):
        for number, (name, line) in enumerate(curve.lines.items()):
            style = line_style(number)
            axes.fill_between(
                curve.x, [i.low for i in line], [i.high for i in line], color=style["color"], alpha=0.15, linewidth=0
            )
            axes.plot(curve.x, [i.value for i in line], linewidth=1.6, label=name, **style)
        if curve.logarithmic:
            axes.set_xscale("log")
            axes.xaxis.set_major_formatter(FuncFormatter(lambda x, _: f"{x:g}"))
            axes.xaxis.set_minor_formatter(NullFormatter())
        axes.set_ylim(bottom=0)
        axes.set_title(curve.title, fontsize=10)
        axes.set_xlabel(curve.x_label)
        axes.set_ylabel(curve.y_label)
    first = panels[0] if len(many) > 1 else panels
    handles, names = first.get_legend_handles_labels()
    figure.legend(handles, names, loc="outside lower center", ncols=min(columns, len(names)), fontsize=8, frameon=False)
    return to_svg(figure, f"{', '.join(c.title for c in many)}: {many[0].y_label} against {many[0].x_label}")


def q_curve(points: Sequence[SweepPoint], measure: str) -> str:
    """The measure against Q' with its band; at the right, the paired difference from AVG, whose band is narrower."""
    from matplotlib.ticker import MaxNLocator

    figure, (left, right) = new_figure(9.2, 3.2, 2)
    tops = [p.top for p in points]
    for axes, values, colour in (
        (left, [p.value for p in points], BLUE),
        (right, [p.versus_avg for p in points], ORANGE),
    ):
        axes.fill_between(
            tops, [v.low for v in values], [v.high for v in values], color=colour, alpha=0.18, linewidth=0
        )
        axes.plot(tops, [v.value for v in values], color=colour, marker="o", markersize=4, linewidth=1.6)
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
        axes.set_xlabel("Q': how many of an item's best ranks are averaged")
    left.set_ylabel(measure)
    left.annotate("MAX", (tops[0], points[0].value.value), xytext=(4, 7), textcoords="offset points", fontsize=8)
    left.annotate(
        "AVG", (tops[-1], points[-1].value.value), xytext=(-4, 7), textcoords="offset points", fontsize=8, ha="right"
    )
    right.axhline(0, color="#7a7a7a", linewidth=0.8)
    right.set_ylabel(f"{measure}, minus AVG")
    return to_svg(figure, f"{measure} of hybrid fusion against Q prime, from MAX (1) to AVG ({tops[-1]})")
