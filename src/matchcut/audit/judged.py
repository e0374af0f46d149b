"""Human judgments as labelled pairs: which captions of other items are true of an item."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from matchcut.audit.content import Content, Ints
from matchcut.collection import Collection
from matchcut.errors import MatchcutError


@dataclass(frozen=True, eq=False)
class Judged:
    """P judged pairs of an item with another item's caption.

    texts, items: int64 [P], positions in `content`. relevant: bool [P], at least half of the people accepted it: a
    false negative. fit: bool [P], the pairs of the half of the judged items that choices are made on; results are
    reported on the others.
    """

    source: str
    content: Content
    texts: Ints
    items: Ints
    relevant: NDArray[np.bool_]
    fit: NDArray[np.bool_]
    background: frozenset[str]  # keys of items that no judgment names

    @property
    def report(self) -> NDArray[np.bool_]:
        """The pairs that results are reported on, bool [P]."""
        return ~self.fit


def judged_pairs(collection: Collection, content: Content, *, source: str, seed: int = 0) -> Judged:
    """The judgments of one source about captions of other items, split in two halves by judged item.

    Args:
        content: of the whole collection.
        source: of partial judgments. Where they are complete, every pair without one would be a further negative.

    Raises:
        MatchcutError: if there are no such judgments, or one of the halves lacks relevant or irrelevant pairs.
    """
    judgments = collection.judgments(source)
    text = {key: i for i, key in enumerate(content.keys)}
    item = {key: i for i, key in enumerate(content.items)}
    rows = [
        (text[j.caption], item[j.item], j.relevance >= 0.5)
        for j in judgments
        if j.caption in text and j.item in item and content.owner[text[j.caption]] != item[j.item]
    ]
    if not rows:
        raise MatchcutError(
            f"{collection.root}: no judgments {source!r} about captions of other items; "
            f"there is {', '.join(collection.judged()) or 'none'}"
        )
    texts, items, relevant = (np.array(column) for column in zip(*rows, strict=True))
    named = np.unique(items)
    half = np.random.default_rng(seed).permutation(named)[: len(named) // 2]
    fit = np.isin(items, half)
    for part in (fit, ~fit):
        if not 0 < relevant[part].sum() < part.sum():
            raise MatchcutError(
                f"{collection.root}: judgments {source!r}: {int(relevant.sum())} relevant of {len(rows)} pairs about "
                f"{len(named)} items are too few to choose on one half and report on the other"
            )
    touched = {content.items[i] for i in np.unique(np.concatenate([items, content.owner[texts]]))}
    background = frozenset(key for key in content.items if key not in touched)
    return Judged(source, content, texts, items, relevant, fit, background)
