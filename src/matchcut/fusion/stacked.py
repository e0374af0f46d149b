"""Runs turned into arrays once, to be fused many times: sweeps, selections and contributions do."""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import chain, count
from typing import Any

import numpy as np

from matchcut.evaluation.ranks import Floats, Ints
from matchcut.evaluation.trec import Ranking, Run


@dataclass(frozen=True)
class StackedTopic:
    """The lists of one topic: item numbers and scores [Q, n], -1 = padding; ids: the item of each number."""

    items: Ints
    scores: Floats
    ids: tuple[str, ...]


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
        return cls({t: _stack([run.rankings.get(t) for run in loaded]) for t in topics}, len(loaded))

    def pick(self, members: Sequence[int]) -> "Stacked":
        """Some of the runs, in the given order, and the topics that they have."""
        rows = list(members)
        some = {t: StackedTopic(s.items[rows], s.scores[rows], s.ids) for t, s in self.topics.items()}
        return Stacked({t: s for t, s in some.items() if (s.items >= 0).any()}, len(rows))


def _stack(rankings: Sequence[Ranking | None]) -> StackedTopic:
    number: defaultdict[str, int] = defaultdict(count().__next__)  # a new item gets the next number
    lists = [ranking.ids if ranking is not None else () for ranking in rankings]
    flat = np.fromiter(map(number.__getitem__, chain.from_iterable(lists)), dtype=np.int64, count=sum(map(len, lists)))
    held = np.arange(max(map(len, lists), default=0)) < np.array([len(x) for x in lists])[:, None]
    items, scores = np.full(held.shape, -1, dtype=np.int64), np.zeros(held.shape)
    items[held] = flat
    scores[held] = np.concatenate([r.scores for r in rankings if r is not None])
    return StackedTopic(items, scores, tuple(number))
