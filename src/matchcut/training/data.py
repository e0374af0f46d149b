"""The captions and items of one part of a split, with their features in memory: no decoding while training."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from hashlib import sha256

import numpy as np
import torch
from torch import Tensor

from matchcut.collection import Collection
from matchcut.errors import MatchcutError
from matchcut.features import FeatureSet
from matchcut.models.inputs import Padded
from matchcut.training.streams import Stream

# Streams that some networks read and no encoder makes.
NOT_STORED = {
    "words": "word numbers of a vocabulary",
    "bow": "word counts of a vocabulary",
    "clip-token-ids": "token ids for CLIP's text tower",
    "clip-pixels": "pixels for CLIP's image tower",
}


@dataclass(frozen=True)
class PairData:
    """T captions of N items.

    `owner` int64 [T] holds the position of each caption's item; `text` and `item` map a feature set's name to its rows,
    T and N entries. `left_out` counts captions and items without features.
    """

    captions: list[str]  # caption keys
    texts: list[str]
    items: list[str]  # item keys
    owner: Tensor
    text: Mapping[str, Stream]
    item: Mapping[str, Stream]
    left_out: int = 0

    def fingerprint(self) -> str:
        """How many captions and items there are, and a hash of their keys: tells whether the data are the same."""
        digest = sha256("\n".join([*self.captions, "", *self.items]).encode()).hexdigest()[:12]
        return f"{len(self.captions)} captions of {len(self.items)} items, {digest}"

    def text_batch(self, index: Tensor) -> dict[str, Padded]:
        """The text streams of these captions [M] int64."""
        return {name: stream.batch(index) for name, stream in self.text.items()}

    def item_batch(self, index: Tensor) -> dict[str, Padded]:
        """The item streams of these items [M] int64."""
        return {name: stream.batch(index) for name, stream in self.item.items()}


def load(
    collection: Collection, *, part: str, scheme: str = "default", text: Sequence[str], item: Sequence[str]
) -> PairData:
    """Read one part of a split scheme with its feature sets.

    Items without features (their file was broken) and captions without features are left out and counted.

    Raises:
        MatchcutError: if the part holds no caption, a feature set is missing, or it is of the wrong side.
    """
    items = [record.key for record in collection.items(split=part, scheme=scheme)]
    if not items:
        raise MatchcutError(f"{collection.root}: no items in part {part!r} of split {scheme!r}; {_parts(collection)}")
    captions = collection.captions(split=part, scheme=scheme)
    if not captions:
        raise MatchcutError(f"{collection.root}: the items of part {part!r} of split {scheme!r} have no captions")
    text_sets = {name: open_features(collection, name, of="captions") for name in text}
    item_sets = {name: open_features(collection, name, of="frames") for name in item}
    shots: dict[str, list[str]] = {key: [] for key in items}
    for shot in collection.shots(split=part, scheme=scheme, frames=False):
        shots[shot.item].append(shot.key)

    stored_shots = [set(features.ids) for features in item_sets.values()]
    kept = [k for k in items if shots[k] and all(set(shots[k]) <= stored for stored in stored_shots)]
    stored_captions = [set(features.ids) for features in text_sets.values()]
    position = {key: i for i, key in enumerate(kept)}
    usable = [c for c in captions if c.item in position and all(c.key in stored for stored in stored_captions)]
    if not usable:
        raise MatchcutError(
            f"{collection.root}: no caption of part {part!r} has features in all of {[*text, *item]}; "
            "run `matchcut embed` first"
        )
    return PairData(
        captions=[c.key for c in usable],
        texts=[c.text for c in usable],
        items=kept,
        owner=torch.tensor([position[c.item] for c in usable]),
        text={name: Stream.of(*features.take([c.key for c in usable])) for name, features in text_sets.items()},
        item={name: _item_stream(features, [shots[k] for k in kept]) for name, features in item_sets.items()},
        left_out=len(items) - len(kept) + len(captions) - len(usable),
    )


def open_features(collection: Collection, name: str, *, of: str) -> FeatureSet:
    """Open a feature set of a collection and check that it is of captions or of frames."""
    path = collection.root / "features" / name
    if not path.is_dir() and name in NOT_STORED:
        raise MatchcutError(
            f"model: the network reads the stream {name!r} ({NOT_STORED[name]}), which `matchcut train` cannot make "
            "yet; use the network from Python, or choose one that reads feature sets, such as 'projection'"
        )
    if not path.is_dir():
        there = sorted(p.name for p in (collection.root / "features").glob("*") if p.is_dir())
        raise MatchcutError(
            f"{collection.root}: no feature set {name!r}; there is {', '.join(there) or 'none'}; "
            f"make it with `matchcut embed {collection.root} --encoder {name}`"
        )
    features = FeatureSet.open(path)
    if features.manifest.of != of:
        raise MatchcutError(f"{path}: holds features of {features.manifest.of}, needed are features of {of}")
    return features


def _item_stream(features: FeatureSet, shots: Sequence[Sequence[str]]) -> Stream:
    """One entry an item: the rows of its shots, one after the other."""
    values, lengths = features.take([key for keys in shots for key in keys])
    ends = np.cumsum([len(keys) for keys in shots])
    return Stream.of(values, np.add.reduceat(lengths, np.concatenate([[0], ends[:-1]])))


def _parts(collection: Collection) -> str:
    found = {scheme: ", ".join(parts) for scheme, parts in collection.splits().items()}
    return f"there is {found}" if found else "the collection has no splits"
