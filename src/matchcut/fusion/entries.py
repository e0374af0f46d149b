"""The lists of one topic as entries of numbered items, ready to be summed item by item."""

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from matchcut.evaluation.arrays import Array
from matchcut.evaluation.ranks import Floats, Ints

TABLE = 1 << 22  # smaller item numbers are looked up in a table, others sorted
PAIRWISE = 8  # more numbers than these NumPy does not sum one by one


@dataclass(frozen=True)
class Entries:
    """The lists of a topic with its items numbered 0, 1, ...; the same for all methods.

    lengths: one a list; longest: n of [Q, n]; held: where the entries stand in the flat [n, Q] lists;
    owner: the number of each entry's item, smaller ranks first; first, item, sizes: of each number
    its first entry, the given item, and how many lists hold it.
    """

    lengths: Ints
    longest: int
    held: Ints | slice
    owner: Ints
    first: Ints
    item: Ints
    sizes: Ints

    @classmethod
    def of(cls, items: Array, name: str = "") -> "Entries":
        """Number the items [Q, n], -1 = padding at the end, of the topic `name`."""
        lists, longest = items.shape
        flat = items.T.astype(np.int64, order="C").ravel()
        held: Ints | slice = slice(None)
        lengths = np.full(lists, longest)
        if flat.min(initial=0) < 0:
            inside = items >= 0
            if (inside[:, 1:] & ~inside[:, :-1]).any():
                raise ValueError(f"topic {name}: padding (-1) stands before an item; it must be at the end of a list")
            held = np.flatnonzero(flat >= 0)
            lengths = np.count_nonzero(inside, axis=1)
            flat = flat[held]
        owner, first = _number(flat)
        entries = cls(lengths, longest, held, owner, first, flat.take(first), np.bincount(owner, minlength=len(first)))
        seen = np.zeros((lists, len(first)), dtype=np.bool_)
        if isinstance(held, slice):
            for row, own in zip(seen, owner.reshape(longest, lists).T, strict=True):
                row[own] = True
        else:
            seen[entries.spread(np.arange(lists)), owner] = True
        if np.count_nonzero(seen) < len(owner):
            raise ValueError(f"topic {name}: a list holds an item twice")
        return entries

    def spread(self, values: Array) -> Array:
        """What each entry has in `values`: [n, Q], [n, 1] for ranks, or [Q] for lists."""
        table = np.empty((self.longest, len(self.lengths)), dtype=values.dtype)
        table[:] = values
        return table.ravel()[self.held]

    def total(self, values: Array) -> Floats:
        """The sum of `values` (as in `spread`) over the entries of every item, added up by rank, best first."""
        each = self.spread(values)
        if len(self.lengths) > PAIRWISE:
            order = stable_order(self.owner)
            return np.asarray(np.add.reduceat(each[order], np.cumsum(self.sizes) - self.sizes), dtype=np.float64)
        best = each[self.first]
        each[self.first] = 0  # for so few, the same to the last bit as above: the first plus the sum of the rest
        return np.asarray(best + np.bincount(self.owner, each, minlength=len(self.item)))

    @cached_property
    def mean_rank(self) -> Floats:
        """The mean rank of every item, a missing one being the list's length + 1; it breaks ties."""
        missing = self.lengths + 1
        gained = self.spread(np.arange(1.0, self.longest + 1)[:, None] - missing)
        total = np.bincount(self.owner, gained, minlength=len(self.item))  # whole numbers, so in any order
        return np.asarray((total + missing.sum()) / len(missing))


def _number(flat: Ints) -> tuple[Ints, Ints]:
    """Number what is in `flat` from 0 on: the number of each entry, and the first entry of each number."""
    if flat.max(initial=0) >= TABLE:
        _, first, owner = np.unique(flat, return_index=True, return_inverse=True)
        return owner, first
    places = np.arange(len(flat), dtype=np.int32)  # half the memory to write to
    table = np.empty(flat.max(initial=0) + 1, dtype=np.int32)
    table[flat[::-1]] = places[::-1]  # the last to be written stays; cells of other items are never read
    earliest = table.take(flat)
    first = np.flatnonzero(earliest == places)
    number = np.empty(len(flat), dtype=np.int64)
    number[first] = np.arange(len(first))
    return number.take(earliest), first


def stable_order(values: Ints) -> Ints:
    """Stable argsort of whole numbers from 0; 16 bits at a time, which NumPy sorts by radix, many times faster."""
    order = np.argsort(values.astype(np.uint16), kind="stable")
    bits = 16
    while int(values.max(initial=0)) >> bits:
        digits = (values >> bits).astype(np.uint16)
        order = order[np.argsort(digits[order], kind="stable")]
        bits += 16
    return order
