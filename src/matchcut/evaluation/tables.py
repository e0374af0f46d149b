"""Results as tables for the terminal."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from matchcut.evaluation.resampling import Interval
from matchcut.evaluation.retrieval import RetrievalMetrics
from matchcut.evaluation.runs import RunEvaluation
from matchcut.evaluation.statistics import Comparison

if TYPE_CHECKING:
    from rich.table import Table


def retrieval_table(
    results: Mapping[str, RetrievalMetrics], intervals: Mapping[str, Mapping[str, Interval]] | None = None
) -> "Table":
    """Two rows a model, one a direction. intervals: {model: {"t2v R@1": Interval, ...}}, printed under the value.

    A footnote names the tie rule, the share of tied queries, and any adjustment of the scores.
    """
    from rich.box import SIMPLE_HEAD
    from rich.markup import escape
    from rich.table import Table

    table = Table(title="Retrieval", title_justify="left", box=SIMPLE_HEAD)  # no lines between: it fits 80 columns
    table.add_column("model", overflow="fold")
    table.add_column("", no_wrap=True)
    notes = []
    first = next(iter(results.values()), None)
    names = list(first.text_to_item.values()) if first else []
    for name in names:
        table.add_column(name, justify="right", no_wrap=True)
    for model, result in results.items():
        for way, metrics in (("t2v", result.text_to_item), ("v2t", result.item_to_text)):
            cells = []
            for name, value in metrics.values().items():
                interval = (intervals or {}).get(model, {}).get(f"{way} {name}")
                cells.append(f"{value:.1f}" + (f"\n[dim]{interval.low:.1f}-{interval.high:.1f}[/]" if interval else ""))
            table.add_row(escape(model) if way == "t2v" else f"[dim]rsum {result.rsum:.1f}[/]", way, *cells)
            if metrics.adjusted:
                notes.append(f"{model} {way}: {metrics.adjusted}; not comparable with plain scores")
            if metrics.tied:
                notes.append(f"{model} {way}: {metrics.tied:.1%} of the queries are tied, ties {result.ties}")
            if metrics.unanswerable:
                notes.append(f"{model} {way}: {metrics.unanswerable} queries without a right answer left out")
    table.caption = "\n".join(notes) or None
    table.caption_justify = "left"
    return table


def runs_table(results: Sequence[RunEvaluation]) -> "Table":
    """One row a run: xinfAP and infNDCG with intervals, and inferred precision."""
    from rich.markup import escape
    from rich.table import Table

    table = Table(title="Runs", title_justify="left", caption_justify="left")
    table.add_column("run", overflow="fold")
    shown = ("xinfAP", "infNDCG", "iP@10", "iP@100")
    for name in shown:
        table.add_column(name, justify="right", no_wrap=True)
    for entry in results:
        cells = [f"{i.value:.4f}\n[{i.low:.3f}, {i.high:.3f}]" for i in (entry.intervals[n] for n in shown)]
        table.add_row(escape(entry.name), *cells)
    table.caption = "\n".join(f"{e.name}: {e.result.note}" for e in results if e.result.note) or None
    return table


def comparison_table(comparisons: Sequence[Comparison], a: str = "A", b: str = "B") -> "Table":
    """One row a measure: the difference with its interval, p before and after Holm's correction, and the verdict."""
    from rich.markup import escape
    from rich.table import Table

    table = Table(title=f"{escape(a)} minus {escape(b)}", title_justify="left")
    for name in ("measure", "difference", "p", "p (Holm)", "verdict"):
        table.add_column(name)
    for c in comparisons:
        higher = c.name.split()[-1] not in ("MdR", "MnR")
        verdict = escape(c.verdict(a, b, higher_is_better=higher))
        table.add_row(
            c.name, f"{c.difference:+.4g} [{c.low:.4g}, {c.high:.4g}]", f"{c.p:.4f}", f"{c.p_adjusted:.4f}", verdict
        )
    return table
