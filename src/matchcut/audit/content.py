"""What an audit reads of a collection: captions and items with one vector each."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from matchcut.collection import Collection
from matchcut.errors import MatchcutError
from matchcut.features import FeatureSet
from matchcut.training.data import open_features

Floats = NDArray[np.float32]
Ints = NDArray[np.int64]
BLOCK = 65_536  # ids whose rows are read at a time


@dataclass(frozen=True, eq=False)
class Content:
    """T captions of V items, captions of one item next to each other.

    owner: int64 [T], the position of each caption's item. vectors: float32 [T, d], length 1.
    pictures: float32 [V, e], mean over frames, centred, length 1; None without such features. Centring makes the
    cosine compare what is particular to a picture. left_out: captions without features.
    """

    keys: list[str]
    texts: list[str]
    items: list[str]
    owner: Ints
    vectors: Floats
    pictures: Floats | None = None
    left_out: int = 0

    @cached_property
    def first(self) -> Ints:
        """Position of the first caption of each item, and T at the end: int64 [V + 1]."""
        return np.searchsorted(self.owner, np.arange(len(self.items) + 1))

    @cached_property
    def counts(self) -> Ints:
        """Number of captions of each item, int64 [V], at least 1."""
        return np.diff(self.first)

    def one_caption_each(self, items: Ints, rng: np.random.Generator) -> Ints:
        """A random caption of each of these items: positions, of the shape of `items`."""
        return self.first[items] + (rng.random(items.shape) * self.counts[items]).astype(np.int64)

    def only(self, items: Ints) -> "Content":
        """The content of some items, int64 [M] ascending."""
        keep = np.flatnonzero(np.isin(self.owner, items))
        return Content(
            keys=[self.keys[i] for i in keep],
            texts=[self.texts[i] for i in keep],
            items=[self.items[i] for i in items],
            owner=np.searchsorted(items, self.owner[keep]),
            vectors=self.vectors[keep],
            pictures=None if self.pictures is None else self.pictures[items],
        )


def read(
    collection: Collection, *, split: str | None = None, scheme: str = "default", text: str = "minilm",
    item: str | None = "efficientnet-lite0",
) -> Content:  # fmt: skip
    """Read the captions of a collection, or of one part of it, with a vector each.

    Args:
        text: feature set of captions. item: feature set of frames; None: no pictures are compared.

    Raises:
        MatchcutError: if a feature set is missing or of the wrong side, or fewer than two items have captions in it, or
            there is no such part.
    """
    captions = collection.captions(split=split, scheme=scheme)
    if not captions:
        parts = collection.splits().get(scheme, {})
        if split is not None and split not in parts:
            raise MatchcutError(f"{collection.root}: no part {split!r}; there is {', '.join(parts) or 'none'}")
        raise MatchcutError(f"{collection.root}: {f'part {split!r}' if split else 'it'} has no captions to compare")
    of_text = open_features(collection, text, of="captions")
    stored = set(of_text.ids)
    usable = [c for c in captions if c.key in stored]
    pictures: Floats | None = None
    if item is not None:
        of_item = open_features(collection, item, of="frames")
        shots: dict[str, list[str]] = {}
        there = set(of_item.ids)
        for shot in collection.shots(split=split, scheme=scheme):
            if shot.key in there:
                shots.setdefault(shot.item, []).append(shot.key)
        usable = [c for c in usable if c.item in shots]
    items = list(dict.fromkeys(c.item for c in usable))
    if len(items) < 2:
        where = f"part {split!r} of {collection.root}" if split else str(collection.root)
        raise MatchcutError(
            f"{where}: {len(items)} items have captions with features in {text!r}, an audit needs 2; "
            "`matchcut info` shows what there is, `matchcut embed` makes features"
        )
    position = {key: i for i, key in enumerate(items)}
    if item is not None:
        pictures = unit(_means(of_item, [shots[key] for key in items]), centre=True)
    return Content(
        keys=[c.key for c in usable],
        texts=[c.text for c in usable],
        items=items,
        owner=np.array([position[c.item] for c in usable], dtype=np.int64),
        vectors=unit(_means(of_text, [[c.key] for c in usable])),
        pictures=pictures,
        left_out=len(captions) - len(usable),
    )


def unit(vectors: Floats, *, centre: bool = False) -> Floats:
    """Rows at length 1, in place if they need no centring; a zero row stays zero."""
    if centre:
        vectors = vectors - vectors.mean(axis=0)
    vectors /= np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), 1e-12)
    return vectors


def _means(features: FeatureSet, ids: Sequence[Sequence[str]]) -> Floats:
    """Mean row of each group of ids, float32 [len(ids), d], read block by block."""
    width = int(np.prod(features.manifest.shape))
    means = np.zeros((len(ids), width), dtype=np.float32)
    for start in range(0, len(ids), BLOCK):
        groups = ids[start : start + BLOCK]
        values, lengths = features.take([key for group in groups for key in group])
        group_of = np.repeat(np.arange(len(groups)), [len(group) for group in groups])
        owner = np.repeat(group_of, lengths)
        sums = np.zeros((len(groups), width), dtype=np.float32)
        flat = values.reshape(len(values), width).astype(np.float32)
        if len(owner) == len(groups):
            sums = flat
        else:
            np.add.at(sums, owner, flat)
        means[start : start + len(groups)] = sums / np.maximum(np.bincount(owner, minlength=len(groups)), 1)[:, None]
    bad = np.flatnonzero(~np.isfinite(means.sum(axis=1)))
    if len(bad):
        raise MatchcutError(f"{features.path}: {ids[bad[0]][0]!r} holds a number that is not finite; embed it again")
    return means
