"""What became of each cell: `results.jsonl` in the folder of a sweep, one line a finished or failed model."""

import json
import os
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any, Literal

import msgspec

from matchcut.collection import Collection
from matchcut.errors import MatchcutError
from matchcut.files import locked, write_text


class Result(msgspec.Struct, frozen=True, kw_only=True):
    """One line of `results.jsonl`."""

    cell: str
    choices: dict[str, str]  # axis -> label
    model: str  # folder below COLLECTION/models
    status: Literal["done", "failed"]
    reason: str = ""  # why it failed
    score: float | None = None  # validation score of the best epoch: the sum of recalls, 0 to 600
    best_epoch: int = 0
    epochs: int = 0  # done
    seconds: float = 0.0  # spent training, over all interruptions

    def to_json(self) -> dict[str, Any]:
        """Plain values, ready for JSON."""
        found: dict[str, Any] = msgspec.to_builtins(self)
        return found


def sweep_folder(collection: Collection, name: str) -> Path:
    """Where a sweep keeps its grid and results."""
    return collection.root / "sweeps" / name


def read_results(folder: Path) -> dict[str, Result]:
    """The last result of each cell, by its name; empty if there is none yet.

    A last line that a crash cut off is passed over.

    Raises:
        MatchcutError: for any other line that is not a result.
    """
    path = folder / "results.jsonl"
    if not path.exists():
        return {}
    lines = path.read_text(encoding="utf-8").split("\n")
    found: dict[str, Result] = {}
    for number, line in enumerate(lines[:-1], start=1):  # what follows the last line break is cut off, or empty
        try:
            result = msgspec.json.decode(line, type=Result)
        except msgspec.DecodeError as error:
            raise MatchcutError(f"{path}, line {number}: not a result: {error}; remove the line") from error
        found[result.cell] = result
    return found


class ResultLog:
    """Appends results; each is on the disk before the next model is begun."""

    def __init__(self, folder: Path) -> None:
        self._path = folder / "results.jsonl"
        kept = read_results(folder)
        write_text(self._path, "".join(json.dumps(r.to_json()) + "\n" for r in kept.values()))

    def write(self, result: Result) -> None:
        """Add one line."""
        try:
            with open(self._path, "a", encoding="utf-8") as file:
                file.write(json.dumps(result.to_json()) + "\n")
                file.flush()
                os.fsync(file.fileno())
        except OSError as error:
            raise MatchcutError(f"{self._path}: cannot be written: {error.strerror}") from error


def alone(folder: Path) -> AbstractContextManager[None]:
    """Hold the folder of a sweep, so that a second run of it is refused.

    Raises:
        MatchcutError: if another process holds it.
    """
    return locked(folder / ".lock", busy=f"{folder}: this sweep is running in another process")
