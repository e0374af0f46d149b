"""Training the cells of a grid in worker processes."""

import json
import os
import signal
import threading
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess
from typing import Any, Literal

import torch
from torch import multiprocessing

from matchcut.collection import Collection
from matchcut.errors import MatchcutError
from matchcut.files import write_text
from matchcut.sweep.finished import is_finished
from matchcut.sweep.grid import Cell, Grid
from matchcut.sweep.results import Result, ResultLog, alone, read_results, sweep_folder
from matchcut.sweep.scores import has_scores
from matchcut.sweep.share import read_all, share
from matchcut.sweep.worker import WorkerSettings, work
from matchcut.training.shared import SharedData
from matchcut.training.stack import agreement

PRELOAD = ["matchcut.sweep.worker", "torch.utils.tensorboard"]
"""What all workers need is imported once, by a server that they are forked from; nothing is run in it."""


@dataclass(frozen=True)
class Event:
    """News of a cell: it was begun, finished an epoch (`record` is that of its log), or has ended (`result`)."""

    kind: Literal["begun", "epoch", "ended"]
    cell: Cell
    record: dict[str, Any] | None = None
    result: Result | None = None


Progress = Callable[[Event], None]


def sweep(
    grid: Grid,
    collection: Collection,
    *,
    only: Sequence[str] = (),
    jobs: int | None = None,
    stack: int = 1,
    device: str | None = None,
    again: bool = False,
    keep_scores: Sequence[str] = (),
    progress: Progress | None = None,
) -> list[Result]:
    """Train the cells of a grid, several at a time; each ends with the weights that `train` gives its recipe.

    Features, vocabularies and evidence are read once and lie in memory that all workers share. Models go to
    `COLLECTION/models/GRID-CELL`, results to `COLLECTION/sweeps/GRID`. A sweep that was stopped goes on where it was:
    a finished model is left alone, a begun one goes on from its last epoch, a failed one is tried again. A model that
    fails, or whose worker is killed, is recorded and the others go on.

    Args:
        only: patterns of cell names, such as "ATT-*"; none for all.
        jobs: worker processes; by default one a CPU core, or two on a GPU, which the workers share.
        stack: models that a worker trains at once where their networks and batches agree (`train_stack`); their
            weights are then those of `train` but for rounding, and with dropout for other random numbers.
        device: "cpu", "cuda", ...; by default a GPU if there is one.
        again: train anew what is finished or begun.
        keep_scores: parts, such as "test", whose score matrix is written beside each model, `scores-PART.npz`.
        progress: called with each event.

    Returns:
        One result a cell, in the order of the grid.

    Raises:
        MatchcutError: if a pattern fits no cell, there is no part to keep scores of, or the sweep is running in
            another process.
        ValueError: if jobs or stack is below 1.
    """
    for name, value in (("jobs", jobs), ("stack", stack)):
        if value is not None and value < 1:
            raise ValueError(f"{name} must be at least 1, got {value}")
    cells = grid.only(only)
    if stack > 1:
        stacks(cells, stack)  # says at once which network cannot be stacked
    for part in keep_scores:  # before it would make a failure of every trained model
        for scheme in {cell.recipe.data.scheme for cell in cells}:
            if not collection.items(split=part, scheme=scheme):
                there = ", ".join(collection.splits().get(scheme, ())) or "none"
                raise MatchcutError(
                    f"{collection.root}: no part {part!r} in split {scheme!r} to keep scores of; there is {there}"
                )
    folder = sweep_folder(collection, grid.name)
    device = device or ("cuda" if torch.cuda.is_available() else "cpu")
    settings = WorkerSettings(root=collection.root, device=device, again=again, keep_scores=tuple(keep_scores))
    with alone(folder):
        write_text(folder / "sweep.toml", grid.to_toml())
        log, tell = ResultLog(folder), progress or _ignore
        known = {} if again else read_results(folder)
        some = stacks([cell for cell in cells if cell.name not in known], stack)
        team = Team(settings, min(jobs or default_jobs(device), len(some)))
        try:
            shared = read_all(collection, [cell.recipe for cell in cells], parts=keep_scores)
            found = {
                c.name: r for c in cells if (r := known.get(c.name)) and _stands(c, r, settings, collection, shared)
            }
            for cell in cells:
                if cell.name in found:
                    tell(Event("ended", cell, result=found[cell.name]))
            todo = stacks([cell for cell in cells if cell.name not in found], stack)
            if todo:
                share(shared)
                team.give(shared, min(jobs or default_jobs(device), len(todo)))
                found |= {result.cell: result for result in team.run(todo, log, tell)}
        finally:
            team.close()
    return [found[cell.name] for cell in cells]


def _stands(cell: Cell, result: Result, settings: WorkerSettings, collection: Collection, shared: SharedData) -> bool:
    scored = all(has_scores(collection, cell.recipe.name, part) for part in settings.keep_scores)
    return scored and is_finished(cell, result, collection, shared)


def stacks(cells: Sequence[Cell], size: int) -> list[tuple[Cell, ...]]:
    """The cells in groups that are trained at once: of at most `size`, and in a group all agree.

    Raises:
        MatchcutError: if size is above 1 and a network cannot be stacked.
    """
    if size == 1:
        return [(cell,) for cell in cells]
    groups: dict[str, list[Cell]] = {}
    for cell in cells:
        groups.setdefault(json.dumps(agreement(cell.recipe), sort_keys=True), []).append(cell)
    return [tuple(group[k : k + size]) for group in groups.values() for k in range(0, len(group), size)]


def default_jobs(device: str) -> int:
    """How many workers: one a core that this process may use; two share a GPU."""
    return len(os.sched_getaffinity(0)) if device == "cpu" else 2


class Worker:
    """A worker process, the parent's end of its pipe, and the cells that it trains, by name."""

    def __init__(self, settings: WorkerSettings) -> None:
        context = multiprocessing.get_context("forkserver")
        context.set_forkserver_preload(PRELOAD)
        self.pipe, theirs = context.Pipe()
        self.process: BaseProcess = context.Process(target=work, args=(theirs, settings), daemon=True)
        with _no_interrupt():
            self.process.start()
        theirs.close()
        self.cells: dict[str, Cell] = {}


class Team:
    """Workers that start at once, while the data are being read; one that dies is replaced."""

    def __init__(self, settings: WorkerSettings, size: int) -> None:
        self.settings = settings
        self.shared: SharedData | None = None
        self.workers = [Worker(settings) for _ in range(size)]

    def give(self, shared: SharedData, size: int) -> None:
        """Hand the data to all workers, and start some more if there are fewer than `size`."""
        self.shared = shared
        self.workers += [Worker(self.settings) for _ in range(size - len(self.workers))]
        for worker in self.workers:
            _send(worker, shared)

    def run(self, stacks: Sequence[Sequence[Cell]], log: ResultLog, progress: Progress) -> Iterator[Result]:
        """Train the cells, those of a stack at once; yields each one's result."""
        waiting = deque(stacks)
        while waiting or any(worker.cells for worker in self.workers):
            for worker in self.workers:
                if waiting and not worker.cells:
                    stack = waiting.popleft()
                    worker.cells = {cell.name: cell for cell in stack}
                    for cell in stack:
                        progress(Event("begun", cell))
                    _send(worker, stack)
            for worker, message in self._messages():
                if isinstance(message, tuple):
                    name, record = message
                    progress(Event("epoch", worker.cells[name], record=record))
                    continue
                for result in [message] if message else _killed(worker):
                    log.write(result)
                    progress(Event("ended", worker.cells.pop(result.cell), result=result))
                    yield result
                if message is None and waiting:
                    self._replace(worker)

    def close(self) -> None:
        """End all workers, at once: what they had begun goes on from its last epoch another time."""
        for worker in self.workers:
            worker.process.terminate()
        for worker in self.workers:
            worker.process.join()
            worker.pipe.close()

    def _messages(self) -> Iterator[tuple[Worker, Any]]:
        """What the workers say; None from one that died."""
        by_pipe: dict[Connection, Worker] = {w.pipe: w for w in self.workers if w.cells}
        for pipe in wait(list(by_pipe)):
            worker = by_pipe[pipe]  # type: ignore[index]
            try:
                yield worker, worker.pipe.recv()
            except (EOFError, ConnectionError):
                yield worker, None

    def _replace(self, worker: Worker) -> None:
        worker.process.join()
        worker.pipe.close()
        place = self.workers.index(worker)
        self.workers[place] = Worker(self.settings)
        _send(self.workers[place], self.shared)


def _send(worker: Worker, message: Any) -> None:
    with suppress(ConnectionError):  # it died: reading from its pipe says so
        worker.pipe.send(message)


def _killed(worker: Worker) -> list[Result]:
    worker.process.join()
    code = worker.process.exitcode or 0
    how = f"was killed by {signal.Signals(-code).name}" if code < 0 else f"ended with exit code {code}"
    hint = "; out of memory? try fewer --jobs" if code == -signal.SIGKILL else ""
    return [
        Result(
            cell=name, choices=cell.choices, model=cell.recipe.name, status="failed", reason=f"its worker {how}{hint}"
        )
        for name, cell in worker.cells.items()
    ]


@contextmanager
def _no_interrupt() -> Iterator[None]:
    """A process that is started here is deaf to the interrupt key, also before its first line runs."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)


def _ignore(event: Event) -> None:
    pass
