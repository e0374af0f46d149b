"""How results look in a terminal."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table

from matchcut.cli.visible import visible
from matchcut.evaluation.resampling import Interval
from matchcut.search.searcher import Moment
from matchcut.training.evaluation import Evaluation


@contextmanager
def progress_bar(console: Console) -> Iterator[Progress]:
    """A progress bar: what, how many of how many, how long."""
    columns = TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn()
    with Progress(*columns, console=console) as progress:
        yield progress


@contextmanager
def training_progress(console: Console, name: str, epochs: int) -> Iterator[Callable[[dict[str, Any]], None]]:
    """Shows a run epoch by epoch; gives the function that takes each epoch's log record."""
    with progress_bar(console) as progress:
        task = progress.add_task(f"train {name}", total=epochs)
        best = 0.0

        def update(record: dict[str, Any]) -> None:
            nonlocal best
            best = max(best, record["val"]["rsum"])
            text = f"train {name}: loss {record['loss']:.4g}, val {record['val']['rsum']:.1f} (best {best:.1f})"
            progress.update(task, description=text, completed=record["epoch"])

        yield update


def metrics_table(results: Sequence[Evaluation]) -> list[Table]:
    """One table a relevance and direction: a row a model, values with their 95% intervals."""
    tables = []
    for relevance in dict.fromkeys(name for result in results for name in result.metrics):
        shown = [result for result in results if relevance in result.metrics]
        for direction, title in (("text_to_item", "text to item"), ("item_to_text", "item to text")):
            first = getattr(shown[0].metrics[relevance], direction)
            table = Table(
                title=f"{shown[0].part}: {title}, by {relevance} relevance ({first.queries:,} queries)",
                title_justify="left",
            )
            table.add_column("model")
            for measure in first.values():
                table.add_column(measure, justify="right")
            for result in shown:
                values = getattr(result.metrics[relevance], direction).values()
                intervals = result.intervals[relevance][direction]
                table.add_row(result.model, *(_cell(value, intervals[name]) for name, value in values.items()))
            tied = max(getattr(result.metrics[relevance], direction).tied for result in shown)
            table.caption = f"95% bootstrap intervals; {100 * tied:.1f}% of queries have ties, ties {shown[0].ties}"
            table.caption_justify = "left"
            tables.append(table)
    return tables


def moments_table(text: str, moments: Sequence[Moment], captions: Mapping[str, str] | None = None) -> Table:
    """The moments that a query found, best first; with a caption of each item in place of its file, if given."""
    table = Table(title=escape(f'"{visible(text)}"'), title_justify="left")
    table.add_column("#", justify="right")
    table.add_column("item")
    table.add_column("from - to", justify="right")
    table.add_column("score", justify="right")
    table.add_column("file" if captions is None else "its first caption", overflow="fold")
    for number, moment in enumerate(moments, start=1):
        span = f"{clock(moment.start)} - {clock(moment.end)}" if moment.end > moment.start else ""
        shown = _nearby(moment.source) if captions is None else captions.get(moment.item, "")
        table.add_row(str(number), escape(visible(moment.item)), span, f"{moment.score:.3f}", escape(visible(shown)))
    return table


def _nearby(path: str) -> str:
    """A path as one would type it here: relative if it is below the working directory."""
    here = Path.cwd()
    return str(Path(path).relative_to(here)) if Path(path).is_relative_to(here) else path


def _cell(value: float, interval: Interval) -> str:
    """A value over its interval."""
    return f"{value:.1f}\n[dim]{interval.low:.1f}-{interval.high:.1f}[/]"


def clock(seconds: float) -> str:
    """Seconds as m:ss.s or h:mm:ss.s.

    >>> clock(75.25), clock(3661)
    ('1:15.2', '1:01:01.0')
    """
    tenths = int(10 * seconds)
    minutes, rest = divmod(tenths, 600)
    hours, minutes = divmod(minutes, 60)
    text = f"{minutes}:{rest // 10:02d}.{rest % 10}"
    return f"{hours}:{minutes:02d}:{rest // 10:02d}.{rest % 10}" if hours else text


def demo_table(evaluations: Mapping[str, Evaluation]) -> Table:
    """The models of the demo: recalls on paired and on exact relevance, with 95% intervals."""
    first = next(iter(evaluations.values()))
    queries = first.metrics["paired"].text_to_item.queries
    table = Table(
        title=f"Text to video on {queries:,} test captions: only its own video is right (paired), or every video that "
        "the caption is true of (exact)",
        title_justify="left",
    )
    table.add_column("negatives")
    for relevance in first.metrics:
        for measure in ("R@1", "R@10"):
            table.add_column(f"{relevance} {measure}", justify="right")
    for name, evaluation in evaluations.items():
        cells = []
        for relevance, metrics in evaluation.metrics.items():
            values, intervals = metrics.text_to_item.values(), evaluation.intervals[relevance]["text_to_item"]
            cells += [_cell(values[measure], intervals[measure]) for measure in ("R@1", "R@10")]
        table.add_row(name, *cells)
    table.caption = "95% bootstrap intervals over the test videos; one training seed"
    table.caption_justify = "left"
    return table
