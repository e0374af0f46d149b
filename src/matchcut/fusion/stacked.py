"""Runs turned into arrays once, to be fused many times: sweeps, selections and contributions do."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import chain
from typing import Any

import numpy as np

from matchcut.evaluation.arrays import Array
from matchcut.evaluation.ranks import Floats, Ints
from matchcut.evaluation.trec import Ranking, Run
from matchcut.fusion.entries import Entries


@dataclass(frozen=True)
class StackedTopic:
    """The lists of one topic: item numbers and scores [Q, n], -1 = padding; ids: str, one a number; name: the topic."""

    items: Ints
    scores: Floats
    ids: Array
    name: str = ""

    @cached_property
    def entries(self) -> Entries:
        """The lists sorted by item, once for all fusions."""
        return Entries.of(self.items, self.name)


@dataclass(frozen=True)
class Stacked:
    """Q runs as arrays, topic by topic. `fuse` takes it in place of the runs and skips the conversion.

    >>> from matchcut.fusion import fuse
    >>> both = Stacked.of([{"1": ["a", "b"]}, {"1": ["b", "a"]}])
    >>> list(fuse(both.pick([1]))["1"])
    ['b', 'a']
    """

    topics: dict[str, StackedTopic]
    lists: int

    def __len__(self) -> int:
        return self.lists

    @classmethod
    def of(cls, runs: Sequence[Any]) -> "Stacked":
        """Convert runs, given in any of the ways of `Run.of`. A topic that a run lacks is an empty list."""
        loaded = [Run.of(r) for r in runs]
        topics = dict.fromkeys(topic for run in loaded for topic in run)
        return cls({t: _stack(t, [run.rankings.get(t) for run in loaded]) for t in topics}, len(loaded))

    def pick(self, members: Sequence[int]) -> "Stacked":
        """Some of the runs, in the given order, and the topics that they have."""
        rows = list(members)
        some = {t: StackedTopic(s.items[rows], s.scores[rows], s.ids, t) for t, s in self.topics.items()}
        return Stacked({t: s for t, s in some.items() if (s.items >= 0).any()}, len(rows))


def _stack(name: str, rankings: Sequence[Ranking | None]) -> StackedTopic:
    first: dict[str, int] = {}  # of every item the place where it is first seen
    lists = [ranking.ids if ranking is not None else () for ranking in rankings]
    size = sum(map(len, lists))
    place = np.fromiter(map(first.setdefault, chain.from_iterable(lists), range(size)), dtype=np.int64, count=size)
    number = np.cumsum(place == np.arange(size)) - 1
    held = np.arange(max(map(len, lists), default=0)) < np.array([len(x) for x in lists])[:, None]
    items, scores = np.full(held.shape, -1, dtype=np.int64), np.zeros(held.shape)
    items[held] = number[place]
    scores[held] = np.concatenate([r.scores for r in rankings if r is not None])
    return StackedTopic(items, scores, np.fromiter(first, dtype=np.object_, count=len(first)), name)
