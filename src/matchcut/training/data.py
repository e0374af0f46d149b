"""The captions and items of one part of a split, with their features in memory: no decoding while training."""

from collections.abc import Callable, Mapping, MutableMapping, Sequence
from dataclasses import dataclass
from functools import partial
from hashlib import sha256

import numpy as np
import torch
from torch import Tensor

from matchcut.collection import Collection, Shot
from matchcut.errors import MatchcutError
from matchcut.features import FeatureSet, Manifest
from matchcut.models.inputs import Padded
from matchcut.training.pixels import PIXELS, PixelStream, there
from matchcut.training.streams import AnyStream, Stream

Memo = MutableMapping[tuple[object, ...], AnyStream]
"""Streams that were read, by name and a hash of the keys."""


@dataclass(frozen=True)
class PairData:
    """T captions of N items.

    `owner` int64 [T] holds the position of each caption's item; `text` and `item` map a stream's name to its T and N
    entries. `left_out` counts captions and items without features.
    """

    captions: list[str]  # caption keys
    texts: list[str]
    items: list[str]  # item keys
    owner: Tensor
    text: Mapping[str, AnyStream]
    item: Mapping[str, AnyStream]
    left_out: int = 0

    def fingerprint(self) -> str:
        """How many captions and items there are, and a hash of their keys: tells whether the data are the same."""
        known = digest([*self.captions, "", *self.items])
        return f"{len(self.captions)} captions of {len(self.items)} items, {known}"

    @property
    def unreadable(self) -> dict[int, str]:
        """Items whose frames could not be read when a batch asked for them, by position, with the reason."""
        streams = [stream for stream in self.item.values() if isinstance(stream, PixelStream)]
        return {position: reason for stream in streams for position, reason in stream.unreadable.items()}

    @property
    def text_shapes(self) -> dict[str, tuple[int, ...]]:
        """Row shape of each text stream."""
        return {name: stream.shape for name, stream in self.text.items()}

    @property
    def item_shapes(self) -> dict[str, tuple[int, ...]]:
        """Row shape of each item stream."""
        return {name: stream.shape for name, stream in self.item.items()}

    def text_batch(self, index: Tensor) -> dict[str, Padded]:
        """The text streams of these captions [M] int64."""
        return {name: stream.batch(index) for name, stream in self.text.items()}

    def item_batch(self, index: Tensor) -> dict[str, Padded]:
        """The item streams of these items [M] int64."""
        return {name: stream.batch(index) for name, stream in self.item.items()}


def load(
    collection: Collection,
    *,
    part: str,
    scheme: str = "default",
    text: Sequence[str],
    item: Sequence[str],
    pixels: str = "",
    memo: Memo | None = None,
) -> PairData:
    """Read one part of a split scheme with its feature sets; streams made from the wording are added elsewhere.

    Of a part that names its captions, these; else all captions of its items (`Collection.captions`).
    Items without features (their file was broken) and captions without features are left out and counted; with pixels
    also items without frames, and those whose file is not there.

    Args:
        text, item: names of feature sets, of captions and of frames.
        pixels: the CLIP checkpoint whose image tower reads the frames themselves, "" for none.
        memo: what was read before is taken from here, and what is read is put in.

    Raises:
        MatchcutError: if the part holds no caption, a feature set is missing, or it is of the wrong side.
    """
    memo = {} if memo is None else memo
    records = {record.key: record for record in collection.items(split=part, scheme=scheme)}
    items = list(records)
    if not items:
        raise MatchcutError(f"{collection.root}: no items in part {part!r} of split {scheme!r}; {_parts(collection)}")
    captions = collection.captions(split=part, scheme=scheme)
    if not captions:
        raise MatchcutError(f"{collection.root}: the items of part {part!r} of split {scheme!r} have no captions")
    text_sets = {name: open_features(collection, name, of="captions") for name in text}
    item_sets = {name: open_features(collection, name, of="frames") for name in item}
    whole: dict[str, list[Shot]] = {key: [] for key in items}
    for shot in collection.shots(split=part, scheme=scheme, frames=bool(pixels)):
        whole[shot.item].append(shot)
    shots = {key: [shot.key for shot in found] for key, found in whole.items()}

    stored_shots = [set(features.ids) for features in item_sets.values()]
    kept = [k for k in items if shots[k] and all(set(shots[k]) <= stored for stored in stored_shots)]
    if pixels:
        kept = [k for k in kept if there(records[k], whole[k])]
    stored_captions = [set(features.ids) for features in text_sets.values()]
    position = {key: i for i, key in enumerate(kept)}
    usable = [c for c in captions if c.item in position and all(c.key in stored for stored in stored_captions)]
    if not usable:
        raise MatchcutError(
            f"{collection.root}: no caption of part {part!r} has features in all of {[*text, *item]}; "
            f"run `matchcut embed` first{', and look whether the files are where they were' if pixels else ''}"
        )
    seen: dict[str, AnyStream] = {}
    if pixels:
        seen[PIXELS] = PixelStream([(records[k], tuple(s for s in whole[k] if s.frames)) for k in kept], pixels)
    keys, shot_keys = [c.key for c in usable], [shots[k] for k in kept]
    return PairData(
        captions=keys,
        texts=[c.text for c in usable],
        items=kept,
        owner=torch.tensor([position[c.item] for c in usable]),
        text={name: _read(memo, name, keys, partial(_rows, f, keys)) for name, f in text_sets.items()},
        item={name: _read(memo, name, kept, partial(_item_rows, f, shot_keys)) for name, f in item_sets.items()} | seen,
        left_out=len(items) - len(kept) + len(captions) - len(usable),
    )


def _read(memo: Memo, name: str, keys: Sequence[str], read: Callable[[], AnyStream]) -> AnyStream:
    key = (name, digest(keys))
    if key not in memo:
        memo[key] = read()
    return memo[key]


def digest(keys: Sequence[str]) -> str:
    """A hash of some keys in their order."""
    return sha256("\n".join(keys).encode()).hexdigest()[:12]


def open_features(collection: Collection, name: str, *, of: str) -> FeatureSet:
    """Open a feature set of a collection and check that it is of captions or of frames."""
    read_manifest(collection, name, of=of)
    return FeatureSet.open(collection.root / "features" / name)


def read_manifest(collection: Collection, name: str, *, of: str) -> Manifest:
    """What a feature set of a collection is, without opening it; checked to be of captions or of frames."""
    path = collection.root / "features" / name
    if not path.is_dir():
        there = sorted(p.name for p in (collection.root / "features").glob("*") if p.is_dir())
        raise MatchcutError(
            f"{collection.root}: no feature set {name!r}; there is {', '.join(there) or 'none'}; "
            f"make it with `matchcut embed {collection.root} --encoder {name}`"
        )
    manifest = Manifest.load(path)
    if manifest.of != of:
        raise MatchcutError(f"{path}: holds features of {manifest.of}, needed are features of {of}")
    return manifest


def _rows(features: FeatureSet, keys: Sequence[str]) -> Stream:
    return Stream.of(*features.take(keys))


def _item_rows(features: FeatureSet, shots: Sequence[Sequence[str]]) -> Stream:
    """One entry an item: the rows of its shots, one after the other."""
    values, lengths = features.take([key for keys in shots for key in keys])
    ends = np.cumsum([len(keys) for keys in shots])
    return Stream.of(values, np.add.reduceat(lengths, np.concatenate([[0], ends[:-1]])))


def _parts(collection: Collection) -> str:
    found = [f"{scheme}: {', '.join(parts)}" for scheme, parts in collection.splits().items()]
    return f"there is {'; '.join(found)}" if found else "the collection has no splits"
