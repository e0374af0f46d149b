"""How alike the captions of different items are, and how many false negatives a batch will hold."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from matchcut.audit.content import Content, Floats, Ints
from matchcut.audit.duplicates import Exact

PERCENTS = (0.1, 0.5, 1.0, 2.0, 5.0, 10.0)
THRESHOLDS = (0.6, 0.7, 0.8, 0.9)
BATCHES = (128, 512, 1024)
AT_ONCE = 65_536  # pairs whose similarity is computed at a time


@dataclass(frozen=True, eq=False)
class Pairs:
    """Random pairs of captions of different items, as a batch with one caption an item holds them.

    left, right: int64 [P], caption positions. similarity: float32 [P], cosine, ascending.
    """

    left: Ints
    right: Ints
    similarity: Floats

    def threshold(self, percent: float) -> float:
        """The similarity that `percent` % of the pairs are above."""
        return float(np.quantile(self.similarity, 1 - percent / 100))

    def share_above(self, threshold: float) -> float:
        """The share of pairs above a similarity, 0 to 1."""
        return 1 - float(np.searchsorted(self.similarity, threshold, side="right")) / len(self.similarity)

    def near(self, similarity: float, count: int) -> list[tuple[int, int, float]]:
        """The `count` pairs whose similarity is nearest to this: (left, right, similarity)."""
        middle = int(np.searchsorted(self.similarity, similarity))
        start = max(0, min(middle - count // 2, len(self.similarity) - count))
        chosen = range(start, min(start + count, len(self.similarity)))
        return [(int(self.left[i]), int(self.right[i]), float(self.similarity[i])) for i in chosen]


@dataclass(frozen=True)
class Batch:
    """Pairs of a batch of `size` items that are likely false negatives, unordered pairs (i, j), i < j.

    exact: mean number of pairs of the same words in simulated batches. above: the same for pairs above `threshold`.
    expected: what the rate among random pairs gives, size (size - 1) / 2 * P(similarity > threshold).
    low, high: 2.5 % and 97.5 % of the simulated batches' `above`. touched: mean share of the batch's captions that
    are in at least one such pair of either kind.
    """

    size: int
    pairs: int
    exact: float
    above: float
    low: float
    high: float
    expected: float
    touched: float
    threshold: float
    batches: int


def random_pairs(content: Content, *, count: int = 1_000_000, seed: int = 0) -> Pairs:
    """Draw pairs of items, then a caption of each, uniformly; with replacement.

    Raises:
        ValueError: if count is below 1.
    """
    if count < 1:
        raise ValueError(f"count must be at least 1, got {count}")
    rng = np.random.default_rng(seed)
    items = len(content.items)
    one = rng.integers(items, size=count)
    other = (one + 1 + rng.integers(items - 1, size=count)) % items
    left, right = content.one_caption_each(one, rng), content.one_caption_each(other, rng)
    similarity = np.empty(count, dtype=np.float32)
    for start in range(0, count, AT_ONCE):
        part = slice(start, start + AT_ONCE)
        similarity[part] = np.einsum("pd,pd->p", content.vectors[left[part]], content.vectors[right[part]])
    order = np.argsort(similarity, kind="stable")
    return Pairs(left[order], right[order], similarity[order])


def batch(
    content: Content, exact: Exact, pairs: Pairs, size: int, *, threshold: float, batches: int = 50, seed: int = 0
) -> Batch | None:
    """Simulate random batches of `size` items with one caption each; None if there are fewer items than that."""
    if size > len(content.items):
        return None
    rng = np.random.default_rng(seed)
    same, above, touched = [], [], []
    for _ in range(batches):
        items = rng.choice(len(content.items), size, replace=False)
        captions = content.one_caption_each(items, rng)
        group = exact.group[captions]
        vectors = content.vectors[captions]
        equal = group[:, None] == group[None, :]
        alike = vectors @ vectors.T > threshold
        np.fill_diagonal(equal, False)
        np.fill_diagonal(alike, False)
        same.append(equal.sum() / 2)
        above.append(alike.sum() / 2)
        touched.append((equal | alike).any(axis=1).mean())
    count = size * (size - 1) // 2
    low, high = np.quantile(above, [0.025, 0.975])
    return Batch(
        size=size,
        pairs=count,
        exact=float(np.mean(same)),
        above=float(np.mean(above)),
        low=float(low),
        high=float(high),
        expected=count * pairs.share_above(threshold),
        touched=float(np.mean(touched)),
        threshold=threshold,
        batches=batches,
    )


def left_out(
    pairs: Pairs, *, percents: Sequence[float] = PERCENTS, thresholds: Sequence[float] = THRESHOLDS, size: int = 128
) -> list[dict[str, Any]]:
    """What `DropSimilar(percent=...)` and `DropAbove(...)` would leave out of a batch of `size`, one row a setting."""
    settings = [(f"{percent:g} %", pairs.threshold(percent)) for percent in percents]
    settings += [(f"above {threshold:g}", threshold) for threshold in thresholds]
    rows = []
    for name, threshold in settings:
        share = pairs.share_above(threshold)
        rows.append(
            {"setting": name, "threshold": threshold, "share": share, "per_caption": share * (size - 1), "size": size}
        )
    return rows
