"""Captions that stand with more than one item: word for word, or nearly."""

import re
from collections import defaultdict
from dataclasses import dataclass

import numpy as np
import torch

from matchcut.audit.content import Content, Ints

ROWS, COLUMNS = 512, 16_384  # a block of similarities: 32 MB
_BETWEEN = re.compile(r"[\W_]+")


@dataclass(frozen=True)
class Exact:
    """Captions shared by several items, compared without case, punctuation and spacing.

    group: int64 [T], equal for captions of the same words. groups: the shared ones, most items first, each a list of
    caption positions, one an item.
    """

    group: Ints
    groups: list[list[int]]
    captions: int  # captions whose words stand with another item too
    items: int  # items that have such a caption


@dataclass(frozen=True, eq=False)
class Near:
    """The nearest caption of another item, for each of Q captions.

    queries, nearest: int64 [Q], positions. similarity: float32 [Q], cosine. above: int64 [Q], how many captions of
    other items are at least as near as `threshold`.
    """

    queries: Ints
    nearest: Ints
    similarity: np.ndarray
    above: Ints
    threshold: float
    of: int  # captions of the collection; every query was compared with all of them


def words(text: str) -> str:
    """A caption without case, punctuation and spacing; one without any word as it is.

    >>> words("A dog, running ."), words("?!")
    ('a dog running', '?!')
    """
    return _BETWEEN.sub(" ", text.casefold()).strip() or text


def exact_duplicates(content: Content) -> Exact:
    """Group captions by their words. Linear in the number of captions.

    >>> content = Content(["a#0", "b#0"], ["A dog.", "a dog"], ["a", "b"], np.arange(2), np.eye(2, dtype=np.float32))
    >>> exact_duplicates(content).groups
    [[0, 1]]
    """
    code: dict[str, int] = {}
    group = np.fromiter((code.setdefault(words(text), len(code)) for text in content.texts), dtype=np.int64)
    members: dict[int, dict[int, int]] = defaultdict(dict)  # group -> item -> its first caption of these words
    for caption, (number, item) in enumerate(zip(group.tolist(), content.owner.tolist(), strict=True)):
        members[number].setdefault(item, caption)
    shared = {number: list(found.values()) for number, found in members.items() if len(found) > 1}
    is_shared = np.zeros(len(code), dtype=bool)
    is_shared[list(shared)] = True
    hit = is_shared[group]
    return Exact(
        group=group,
        groups=sorted(shared.values(), key=lambda captions: -len(captions)),
        captions=int(hit.sum()),
        items=len(np.unique(content.owner[hit])),
    )


def near_duplicates(
    content: Content, *, threshold: float = 0.9, queries: int = 10_000, seed: int = 0, device: str | None = None
) -> Near:
    """Compare captions with all captions of other items, by cosine.

    Blocks of the similarity matrix come and go: memory does not grow with it, time does, as queries x T x d.

    Args:
        threshold: what counts as nearly the same, for `Near.above`.
        queries: at most so many captions are compared, drawn without replacement; all if there are no more. Shares
            found on them hold for the collection.
        device: where to multiply; None: a GPU if there is one.

    >>> vectors = np.array([[1, 0], [0.8, 0.6], [0, 1]], dtype=np.float32)
    >>> content = Content(["a#0", "b#0", "c#0"], ["x", "y", "z"], ["a", "b", "c"], np.arange(3), vectors)
    >>> near_duplicates(content, threshold=0.7).nearest.tolist()
    [1, 0, 1]

    Raises:
        ValueError: if queries is below 1.
    """
    if queries < 1:
        raise ValueError(f"queries must be at least 1, got {queries}")
    total = len(content.texts)
    chosen = np.arange(total)
    if total > queries:
        chosen = np.sort(np.random.default_rng(seed).choice(total, queries, replace=False))
    where = torch.device(device or ("cuda" if torch.cuda.is_available() else "cpu"))
    vectors = torch.from_numpy(content.vectors)
    first = content.first
    best = torch.full((len(chosen),), -2.0)
    at = torch.zeros(len(chosen), dtype=torch.int64)
    above = torch.zeros(len(chosen), dtype=torch.int64)
    for top in range(0, total, COLUMNS):
        columns = vectors[top : top + COLUMNS].to(where)
        for start in range(0, len(chosen), ROWS):
            rows = chosen[start : start + ROWS]
            block = vectors[torch.from_numpy(rows)].to(where) @ columns.T
            owner = content.owner[rows]
            own_row, own_column = _ranges(first[owner] - top, first[owner + 1] - top, block.shape[1])
            block[own_row.to(where), own_column.to(where)] = -2.0
            value, column = (x.cpu() for x in block.max(dim=1))
            part = slice(start, start + len(rows))
            better = value > best[part]
            at[part] = torch.where(better, column + top, at[part])
            best[part] = torch.maximum(best[part], value)
            above[part] += (block >= threshold).sum(dim=1).cpu()
    return Near(chosen, at.numpy(), best.numpy(), above.numpy(), threshold, total)


def _ranges(low: Ints, high: Ints, width: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Row and column numbers of the columns low[i] to high[i] of each row i, as far as they are within the block."""
    low, high = np.clip(low, 0, width), np.clip(high, 0, width)
    lengths = high - low
    row = np.repeat(np.arange(len(low)), lengths)
    column = np.arange(len(row)) - np.repeat(np.cumsum(lengths) - lengths, lengths) + np.repeat(low, lengths)
    return torch.from_numpy(row), torch.from_numpy(column)
