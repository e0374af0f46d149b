"""How a sweep looks in a terminal: the live table, and what mattered."""

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from math import isfinite

from rich.box import SIMPLE_HEAD
from rich.console import Console, Group
from rich.live import Live
from rich.markup import escape
from rich.table import Table
from rich.text import Text

from matchcut.cli.tables import clock
from matchcut.sweep.compare import Comparison
from matchcut.sweep.grid import Cell
from matchcut.sweep.results import Result
from matchcut.sweep.runner import Event

CAPTION = (
    "Differences are to the reference, between models that agree in all other settings. The intervals (bootstrap over "
    "those pairs) say how much a difference varies from setting to setting of this grid, not with another seed or "
    "other queries. Better and worse: by a sign-flip test over at least 6 pairs, Holm-corrected over all rows, at 5%."
)

STATES = {"running": "bold", "failed": "red", "done": "green", "waiting": "dim"}  # and the order of the rows


@dataclass
class Row:
    """What is known of a model while the sweep runs."""

    cell: Cell
    state: str = "waiting"
    epoch: int = 0
    loss: float = float("nan")
    score: float = float("nan")
    best: float = float("-inf")
    reason: str = ""
    begun: float = 0.0  # by `time.monotonic`
    heard: float = 0.0  # when its last epoch ended
    seen: int = 0  # epochs done in this run


class Board:
    """All models of a sweep: where each is, its validation score, and how long it all will take."""

    def __init__(self, console: Console, cells: Sequence[Cell]) -> None:
        self.console = console
        self.rows = {cell.name: Row(cell) for cell in cells}
        self.started = time.monotonic()
        self.epochs = 0  # done in this run

    def take(self, event: Event) -> str:
        """Note an event; returns it as a line, or "" if it is not worth one."""
        row = self.rows[event.cell.name]
        if event.kind == "begun":
            row.state, row.begun = "running", time.monotonic()
            return ""
        if event.record is not None:
            row.epoch, row.loss, row.score = event.record["epoch"], event.record["loss"], event.record["val"]["rsum"]
            row.best = max(row.best, row.score)
            row.seen, row.heard = row.seen + 1, time.monotonic()
            self.epochs += 1
            total = event.cell.recipe.training.epochs
            return f"{row.cell.name}: epoch {row.epoch}/{total}, loss {row.loss:.4g}, val {row.score:.1f}"
        if event.result is not None:
            return self._end(row, event.result)
        return ""

    def _end(self, row: Row, result: Result) -> str:
        row.state, row.reason = result.status, result.reason
        place = f"[{sum(r.state in ('done', 'failed') for r in self.rows.values())}/{len(self.rows)}]"
        if result.status == "failed":
            return f"{place} {row.cell.name}: failed: {row.reason}"
        row.epoch, row.best = result.epochs, result.score if result.score is not None else row.best
        return f"{place} {row.cell.name}: done, val {row.best:.1f} in epoch {result.best_epoch}"

    def __rich__(self) -> Group:
        """The table, cut to the height of the terminal: what runs first, what failed, then the best."""
        order = list(STATES)
        rows = sorted(self.rows.values(), key=lambda r: (order.index(r.state), -r.best if r.state == "done" else 0))
        room = max(4, self.console.height - 7)
        table = Table(expand=False)
        for name in ("model", "state", "epoch", "loss", "val", "best val", "time left"):
            table.add_column(name, justify="left" if name in ("model", "state") else "right", no_wrap=True)
        for row in rows[:room]:
            total = row.cell.recipe.training.epochs
            state = f"[{STATES[row.state]}]{row.state}[/]"
            numbers = f"{row.epoch}/{total}", _number(row.loss, 4), _number(row.score, 1), _number(row.best, 1)
            table.add_row(escape(row.cell.name), state, *numbers, self._left(row))
        hidden = f"{len(rows) - room} more not shown; " if len(rows) > room else ""
        return Group(table, Text(hidden + self._total()))

    def _left(self, row: Row) -> str:
        """Time left of a running model, once an epoch of it was seen."""
        if row.state != "running" or not row.seen:
            return ""
        each = (row.heard - row.begun) / row.seen
        end = row.heard + each * (row.cell.recipe.training.epochs - row.epoch)
        return clock(max(0.0, end - time.monotonic()))

    def _total(self) -> str:
        counts = {
            state: sum(row.state == state for row in self.rows.values()) for state in ("done", "failed", "waiting")
        }
        passed = time.monotonic() - self.started
        text = ", ".join(f"{count} {state}" for state, count in counts.items()) + f"; {clock(passed)} so far"
        left = sum(
            r.cell.recipe.training.epochs - r.epoch for r in self.rows.values() if r.state in ("running", "waiting")
        )
        if self.epochs and left:
            text += f", about {clock(passed / self.epochs * left)} left"
        return text


@contextmanager
def follow(console: Console, cells: Sequence[Cell]) -> Iterator[Callable[[Event], None]]:
    """Show a sweep: a live table in a terminal, elsewhere a line for each epoch and each model that ended."""
    board = Board(console, cells)
    if not console.is_terminal:
        yield lambda event: _say(console, board.take(event))
        return
    with Live(board, console=console, refresh_per_second=2):
        yield lambda event: _say(console, board.take(event), only=_failed(event))


def cells_table(cells: Sequence[Cell]) -> Table:
    """The cells of a grid, with their choices."""
    table = Table(title=f"{len(cells)} models", title_justify="left")
    table.add_column("model", overflow="fold")
    for axis in cells[0].choices:
        table.add_column(escape(axis))
    for cell in cells:
        table.add_row(escape(cell.name), *(escape(label) for label in cell.choices.values()))
    return table


def comparison_tables(found: Comparison) -> list[Table]:
    """The models, best first; and each choice's mean and difference to the first choice of its setting."""
    columns = list(next(iter(found.measures.values()), {}))
    models = Table(title=f"models on {found.part}", title_justify="left", box=SIMPLE_HEAD)
    models.add_column("model", overflow="fold")
    training = () if columns else ("best epoch", "seconds")  # beside the measures they would not fit 80 columns
    for name in (*columns, "sum of recalls", *training):
        models.add_column(name.replace(" ", "\n"), justify="right", no_wrap=True)
    for scored in found.summary.cells:
        result = found.results[scored.cell]
        values = [f"{found.measures[scored.cell][name]:.1f}" for name in columns]
        spent = () if columns else (str(result.best_epoch), f"{result.seconds:.0f}")
        models.add_row(escape(scored.cell), *values, f"{scored.score:.1f}", *spent)
    choices = Table(title=f"which choices mattered, by the sum of recalls on {found.part}", title_justify="left")
    for name in ("setting", "choice", "mean", "difference", "95% interval", "verdict"):
        words = name in ("setting", "choice", "verdict")
        choices.add_column(name, justify="left" if words else "right", no_wrap=not words)
    last = ""
    for m in found.summary.marginals:
        d = m.difference
        shown = f"{d.difference:+.2f}" if d else ""
        interval = f"{d.low:+.2f} to {d.high:+.2f}" if d and m.enough else ""
        if last and m.axis != last:
            choices.add_section()
        axis = "" if m.axis == last else escape(m.axis.rpartition(".")[2])
        choices.add_row(axis, escape(m.label), f"{m.mean:.2f}", shown, interval, m.verdict)
        last = m.axis
    choices.caption = CAPTION
    choices.caption_justify = "left"
    return [models, choices]


def _say(console: Console, line: str, *, only: bool = True) -> None:
    if line and only:
        console.print(line, markup=False, highlight=False, soft_wrap=True)


def _failed(event: Event) -> bool:
    return event.result is not None and event.result.status == "failed"


def _number(value: float, digits: int) -> str:
    return f"{value:.{digits}f}" if isfinite(value) else ""
