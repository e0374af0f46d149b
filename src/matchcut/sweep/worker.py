"""A worker process of a sweep: trains the cells that it is given, one after the other, on shared data."""

import os
import signal
import sys
import threading
import traceback
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
from matchcut.training.shared import SharedData


@dataclass(frozen=True, kw_only=True)
class WorkerSettings:
    """What is the same for all cells."""

    root: Path  # of the collection
    device: str
    again: bool
    keep_scores: tuple[str, ...]  # parts


def work(pipe: Connection, settings: WorkerSettings) -> None:
    """Receive the shared data, then cells, one at a time; send an epoch's record (dict) or a cell's `Result`.

    An interrupt from the keyboard is left to the parent, and without the parent the worker ends at once: else it would
    go on beside a new run of the same sweep.
    """
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))  # files that are being written are cleared away
    threading.Thread(target=_end_with_parent, daemon=True).start()
    collection = Collection.open(settings.root)
    shared = pipe.recv()
    while True:
        cell = pipe.recv()
        pipe.send(run(cell, settings, collection, shared, pipe))


def run(cell: Cell, settings: WorkerSettings, collection: Collection, shared: SharedData, pipe: Connection) -> Result:
    """Train one cell; whatever goes wrong with it becomes a failed result, its traceback kept beside the model."""
    model = cell.recipe.name
    known: dict[str, Any] = {"cell": cell.name, "choices": cell.choices, "model": model}
    try:
        trained = train(
            cell.recipe,
            collection,
            again=settings.again,
            device=settings.device,
            progress=pipe.send,
            shared=shared,
        )
        for part in settings.keep_scores:
            keep_scores(collection, model, part, shared=shared, device=settings.device)
    except MatchcutError as error:
        return Result(**known, status="failed", reason=_line(error))
    except Exception as error:
        reason = f"{type(error).__name__}: {_line(error)}"
        path = collection.root / "models" / model / "error.txt"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(traceback.format_exc(), encoding="utf-8")
        return Result(**known, status="failed", reason=f"{reason} (see {path})")
    return Result(
        **known,
        status="done",
        score=trained.best,
        best_epoch=trained.best_epoch,
        epochs=trained.epochs,
        seconds=round(trained.seconds, 3),
    )


def _line(error: BaseException) -> str:
    return (str(error).strip() or "no message").splitlines()[0]


def _end_with_parent() -> None:
    parent = parent_process()
    if parent is not None:
        wait([parent.sentinel])
        os._exit(1)
