"""A worker process of a sweep: trains the cells that it is given, on shared data."""

import os
import signal
import sys
import threading
import traceback
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from multiprocessing import parent_process
from multiprocessing.connection import Connection, wait
from pathlib import Path
from typing import Any

from matchcut.collection import Collection
from matchcut.errors import MatchcutError
from matchcut.sweep.grid import Cell
from matchcut.sweep.results import Result
from matchcut.sweep.scores import keep_scores
from matchcut.training.loop import train
from matchcut.training.run import Trained
from matchcut.training.shared import SharedData
from matchcut.training.stack import Outcome, train_stack


@dataclass(frozen=True, kw_only=True)
class WorkerSettings:
    """What is the same for all cells."""

    root: Path  # of the collection
    device: str
    again: bool
    keep_scores: tuple[str, ...]  # parts


def work(pipe: Connection, settings: WorkerSettings) -> None:
    """Receive the shared data, then cells that are trained together; send epochs' records and each cell's `Result`.

    A record comes with the name of its cell. An interrupt from the keyboard is left to the parent, and without the
    parent the worker ends at once: else it would go on beside a new run of the same sweep.
    """
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))  # files that are being written are cleared away
    threading.Thread(target=_end_with_parent, daemon=True).start()
    collection = Collection.open(settings.root)
    shared = pipe.recv()
    while True:
        cells = pipe.recv()
        for result in run(cells, settings, collection, shared, pipe):
            pipe.send(result)


def run(
    cells: Sequence[Cell], settings: WorkerSettings, collection: Collection, shared: SharedData, pipe: Connection
) -> Iterator[Result]:
    """Train cells, stacked if they are several; whatever goes wrong with one becomes a failed result."""
    for cell, outcome in zip(cells, _train(cells, settings, collection, shared, pipe), strict=True):
        if isinstance(outcome, Trained):
            outcome = _scored(cell, outcome, settings, collection, shared)
        yield _result(cell, outcome, collection)


def _train(
    cells: Sequence[Cell], settings: WorkerSettings, collection: Collection, shared: SharedData, pipe: Connection
) -> Sequence[Outcome]:
    again, device = settings.again, settings.device
    names = {cell.recipe.name: cell.name for cell in cells}
    try:
        if len(cells) > 1:
            return train_stack(
                [cell.recipe for cell in cells],
                collection,
                again=again,
                device=device,
                progress=lambda model, record: pipe.send((names[model], record)),
                shared=shared,
            )
        (cell,) = cells
        return [
            train(
                cell.recipe,
                collection,
                again=again,
                device=device,
                progress=lambda record: pipe.send((cell.name, record)),
                shared=shared,
            )
        ]
    except Exception as error:
        return [error] * len(cells)


def _scored(
    cell: Cell, trained: Trained, settings: WorkerSettings, collection: Collection, shared: SharedData
) -> Outcome:
    try:
        for part in settings.keep_scores:
            keep_scores(collection, cell.recipe.name, part, shared=shared, device=settings.device)
    except Exception as error:
        return error
    return trained


def _result(cell: Cell, outcome: Outcome, collection: Collection) -> Result:
    """What is recorded of a cell; the traceback of an error that is not foreseen is kept beside the model."""
    known: dict[str, Any] = {"cell": cell.name, "choices": cell.choices, "model": cell.recipe.name}
    if isinstance(outcome, MatchcutError):
        return Result(**known, status="failed", reason=_line(outcome))
    if isinstance(outcome, Exception):
        reason = f"{type(outcome).__name__}: {_line(outcome)}"
        path = collection.root / "models" / cell.recipe.name / "error.txt"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("".join(traceback.format_exception(outcome)), encoding="utf-8")
        return Result(**known, status="failed", reason=f"{reason} (see {path})")
    return Result(
        **known,
        status="done",
        score=outcome.best,
        best_epoch=outcome.best_epoch,
        epochs=outcome.epochs,
        seconds=round(outcome.seconds, 3),
    )


def _line(error: BaseException) -> str:
    return (str(error).strip() or "no message").splitlines()[0]


def _end_with_parent() -> None:
    parent = parent_process()
    if parent is not None:
        wait([parent.sentinel])
        os._exit(1)
