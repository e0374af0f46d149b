"""A model's hardest negatives, and which of them look like non-negatives."""

from dataclasses import dataclass
from typing import Any

import numpy as np

from matchcut.audit.content import Content, Floats, Ints
from matchcut.audit.evidence import best_caption
from matchcut.audit.models import Scored

RANKS = (1, 2, 3, 5, 10)


@dataclass(frozen=True, eq=False)
class Hardest:
    """For T captions the k items of the highest scores that are not their own.

    texts: int64 [T], items: int64 [T, k], positions in the content. scores: [T, k]. similarity: [T, k], cosine of the
    caption with the best of the item's own captions; closest: int64 [T, k], which caption that is. beats: bool [T, k],
    the score is at least that of the caption's own item.
    """

    model: str
    part: str
    texts: Ints
    items: Ints
    scores: Floats
    similarity: Floats
    closest: Ints
    beats: np.ndarray

    def by_rank(self, thresholds: dict[str, float], random: dict[str, float]) -> list[dict[str, Any]]:
        """For each rank the share of hardest negatives that look like non-negatives by each threshold, 0 to 1.

        Args:
            thresholds: name -> similarity above which a pair looks like a non-negative. random: name -> the share
                among random pairs of the same kind, for comparison.
        """
        rows: list[dict[str, Any]] = [
            {
                "rank": str(rank),
                "beats": float(self.beats[:, rank - 1].mean()),
                **{name: float((self.similarity[:, rank - 1] > t).mean()) for name, t in thresholds.items()},
            }
            for rank in RANKS
            if rank <= self.items.shape[1]
        ]
        return [*rows, {"rank": "random", "beats": None, **random}]


def hardest_negatives(scored: Scored, content: Content, *, most: int = 10) -> Hardest:
    """Find the `most` hardest negatives of every scored caption.

    Raises:
        ValueError: if there is no second item.
    """
    if len(scored.items) < 2:
        raise ValueError(f"{len(scored.items)} items are scored, a negative needs 2")
    most = min(most, len(scored.items) - 1)
    column = np.full(len(content.items), -1)
    column[scored.items] = np.arange(len(scored.items))
    own = column[content.owner[scored.texts]]
    scores = scored.scores.copy()
    row = np.arange(len(scores))
    mine = np.where(own >= 0, scores[row, own], np.inf)
    scores[row[own >= 0], own[own >= 0]] = -np.inf
    top = np.argpartition(-scores, most - 1, axis=1)[:, :most]
    order = np.argsort(-np.take_along_axis(scores, top, axis=1), axis=1, kind="stable")
    top = np.take_along_axis(top, order, axis=1)
    values = np.take_along_axis(scores, top, axis=1)
    items = scored.items[top]
    similarity, closest = best_caption(content, np.repeat(scored.texts, most), items.reshape(-1))
    shape = items.shape
    return Hardest(
        model=scored.model,
        part=scored.part,
        texts=scored.texts,
        items=items,
        scores=values,
        similarity=similarity.reshape(shape),
        closest=closest.reshape(shape),
        beats=values >= mine[:, None],
    )


def random_best(scored: Scored, content: Content, *, count: int = 100_000, seed: int = 0) -> Floats:
    """The same best-caption similarity for random pairs of scored captions and items that are not their own, [P]."""
    rng = np.random.default_rng(seed)
    texts = rng.choice(scored.texts, count)
    items = rng.choice(scored.items, count)
    other = content.owner[texts] != items
    return best_caption(content, texts[other], items[other])[0]
