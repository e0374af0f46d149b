"""The log of a run: one JSON object a line, and the same numbers for TensorBoard."""

import json
import os
from pathlib import Path
from typing import Any

from matchcut.errors import MatchcutError


class RunLog:
    """Appends records to `log.jsonl` and scalars to TensorBoard files below `tensorboard/`.

    A run that goes on from step S drops what an interrupted run had logged beyond S.
    """

    def __init__(self, folder: Path, *, after_step: int) -> None:
        from torch.utils.tensorboard import SummaryWriter

        self._path = folder / "log.jsonl"
        kept = [line for line in self._lines() if json.loads(line)["step"] <= after_step] if after_step else []
        try:
            folder.mkdir(parents=True, exist_ok=True)
            self._file = open(self._path, "w", encoding="utf-8")  # noqa: SIM115
            self._file.writelines(line + "\n" for line in kept)
            self._file.flush()
            purge = after_step + 1 if after_step else 0
            self._board = SummaryWriter(str(folder / "tensorboard"), purge_step=purge)
        except OSError as error:
            raise MatchcutError(f"{folder}: the log cannot be written: {error.strerror}") from error

    def _lines(self) -> list[str]:
        if not self._path.exists():
            return []
        lines = self._path.read_text(encoding="utf-8").splitlines()
        return [line for line in lines if line.endswith("}")]  # a last line may be cut off

    def write(self, record: dict[str, Any]) -> None:
        """Log one record; it must hold "step". Numbers, also nested ones, go to TensorBoard as `outer/inner`."""
        try:
            self._file.write(json.dumps(record) + "\n")
            self._file.flush()
            os.fsync(self._file.fileno())
        except OSError as error:
            raise MatchcutError(f"{self._path}: cannot be written: {error.strerror}") from error
        for name, value in _flat(record):
            if name != "step":
                self._board.add_scalar(name, value, record["step"])

    def close(self) -> None:
        """Flush and close both logs."""
        self._file.close()
        self._board.close()


def _flat(record: dict[str, Any], prefix: str = "") -> list[tuple[str, float]]:
    found: list[tuple[str, float]] = []
    for name, value in record.items():
        if isinstance(value, dict):
            found += _flat(value, f"{prefix}{name}/")
        elif isinstance(value, int | float):
            found.append((prefix + name, float(value)))
    return found
