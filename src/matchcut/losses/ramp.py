"""Weights that follow the training progress."""

from dataclasses import dataclass
from typing import ClassVar

from matchcut.negatives.describe import Described


@dataclass(frozen=True, repr=False, kw_only=True)
class Ramp(Described):
    """A weight that goes in a straight line from one value to another between two points of the training.

        w(progress) = first + (last - first) * clamp((progress - start) / (end - start), 0, 1)

    Args:
        first: before `start`.
        last: after `end`.
        start: progress from 0 to 1 at which it begins to move.
        end: progress at which it has arrived, at or after `start`.

    >>> Ramp(start=0.5)(0.75)
    0.5
    """

    name: ClassVar[str] = "ramp"
    first: float = 0.0
    last: float = 1.0
    start: float = 0.0
    end: float = 1.0

    def __post_init__(self) -> None:
        if not 0 <= self.start <= self.end <= 1:
            raise ValueError(f"a ramp needs 0 <= start <= end <= 1, got {self.start} and {self.end}")

    def __call__(self, progress: float) -> float:
        if self.start == self.end:
            return self.last if progress >= self.end else self.first
        part = min(1.0, max(0.0, (progress - self.start) / (self.end - self.start)))
        return self.first + (self.last - self.first) * part


def weight_at(weight: float | Ramp, progress: float) -> float:
    """A weight, fixed or on a ramp, at this point of the training."""
    return weight(progress) if isinstance(weight, Ramp) else weight
