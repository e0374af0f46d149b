"""Frames as the pixels that CLIP's image tower reads, decoded when a batch needs them."""

import os
import threading
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import cache
from hashlib import sha256

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from matchcut.collection import Item, Shot
from matchcut.encoders.clip_inputs import picture_shape, prepare_with
from matchcut.errors import MatchcutError
from matchcut.media.frames import FrameReader
from matchcut.models.inputs import Padded

PIXELS = "clip-pixels"
AT_ONCE = 16
"""Entries that are encoded together: 12 frames of 224 pixels are 7 MB an entry."""

Job = tuple[Item, tuple[Shot, ...]]


class Unreadable(MatchcutError):
    """Frames of some entries could not be read; `positions` says which entries, `reasons` why."""

    def __init__(self, reasons: dict[int, str]) -> None:
        first = next(iter(reasons.values()))
        super().__init__(first if len(reasons) == 1 else f"{first}; and {len(reasons) - 1} more items")
        self.positions, self.reasons = list(reasons), reasons


@dataclass(frozen=True)
class PixelStream:
    """The frames of N entries, each all frames of some shots of an item. Only the pixels of a batch are in memory.

    jobs: N entries; source: the checkpoint whose image processor prepares the frames; unreadable: entries whose frames
    could not be read so far, with the reason. Threads, one a core and at most 16, decode a batch.
    """

    jobs: Sequence[Job]
    source: str
    unreadable: dict[int, str] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.jobs)

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape of a frame: colours, height, width."""
        return picture_shape(self.source)

    def batch(self, index: Tensor) -> Padded:
        """The frames of these entries [M] int64, each decoded once: values [M, frames, 3, height, width].

        Raises:
            Unreadable: if the frames of an entry cannot be read; it is then also in `unreadable`.
        """
        wanted, back = index.unique(return_inverse=True)  # type: ignore[no-untyped-call]
        positions: list[int] = wanted.tolist()
        prepare_with(self.source)  # loaded here, not in several threads
        found = list(_pool().map(self._read, positions))
        bad = {k: rows for k, rows in zip(positions, found, strict=True) if isinstance(rows, str)}
        if bad:
            self.unreadable.update(bad)
            raise Unreadable(bad)
        frames = [torch.from_numpy(rows) for rows in found if not isinstance(rows, str)]
        if not frames:
            return Padded(torch.zeros(0, 0, *self.shape), torch.zeros(0, dtype=torch.int64))
        unique = Padded.of(frames)
        return unique if torch.equal(wanted, index) else unique.select(back)

    def mean(self) -> Tensor:
        """Refused: pixels are no evidence."""
        raise MatchcutError(f"evidence: {PIXELS!r} gives no vectors to compare")

    def tensors(self) -> list[Tensor]:
        """Nothing: frames are not kept."""
        return []

    def identity(self) -> str:
        """A hash of what the frames depend on: the files, the frames' times, the image processor's checkpoint."""
        facts = [
            (
                item.key,
                item.size,
                item.mtime_ns,
                [(frame.time, frame.member) for shot in shots for frame in shot.frames],
            )
            for item, shots in self.jobs
        ]
        return sha256(repr((self.source, facts)).encode()).hexdigest()

    def _read(self, position: int) -> NDArray[np.float32] | str:
        item, shots = self.jobs[position]
        if not hasattr(_own, "reader"):
            _own.reader = FrameReader()
        prepare = prepare_with(self.source)
        try:
            return np.stack([prepare(one) for _, shown in _own.reader.shots(item, shots) for one in shown])
        except MatchcutError as error:
            return str(error)


def there(item: Item, shots: Sequence[Shot]) -> bool:
    """Whether an item has frames and its file is where it was."""
    return any(shot.frames for shot in shots) and bool(item.source) and os.path.isfile(item.source)


_own = threading.local()


@cache
def _pool() -> ThreadPoolExecutor:
    return ThreadPoolExecutor(min(len(os.sched_getaffinity(0)), 16), thread_name_prefix="pixels")
