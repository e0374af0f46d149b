"""Random draws that are the same on every machine and with every Python."""

from collections.abc import MutableSequence, Sequence
from random import Random
from typing import Any, TypeVar

T = TypeVar("T")


class StableRandom(Random):
    """`random.Random` with every draw made from `random()`.

    Python promises that seeding and `random()` stay as they are; `choice` and `shuffle` it may change.

    >>> rng = StableRandom("world/0")
    >>> [rng.choice("abcdef") for _ in range(5)]
    ['e', 'e', 'e', 'c', 'b']
    """

    def choice(self, seq: Sequence[T]) -> T:  # type: ignore[override]
        """One element; every one is as likely."""
        return seq[int(self.random() * len(seq))]

    def shuffle(self, x: MutableSequence[Any]) -> None:
        """Put the elements into another order, in place (Fisher and Yates)."""
        for last in range(len(x) - 1, 0, -1):
            other = int(self.random() * (last + 1))
            x[last], x[other] = x[other], x[last]

    def between(self, low: float, high: float) -> float:
        """A number in [low, high)."""
        return low + (high - low) * self.random()
