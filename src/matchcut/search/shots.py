"""The shots of a collection as a trained network sees them."""

from collections.abc import Mapping, Sequence
from functools import cached_property
from hashlib import sha256
from pathlib import Path
from typing import Any

import msgspec
import torch

from matchcut.collection import Collection
from matchcut.errors import MatchcutError
from matchcut.features import FeatureSet
from matchcut.models.base import Rows, concat
from matchcut.models.inputs import Padded
from matchcut.training.data import open_features
from matchcut.training.pixels import AT_ONCE, PIXELS, PixelStream, Unreadable, there
from matchcut.training.streams import AnyStream, Stream
from matchcut.training.text_streams import clip_source, stored_item
from matchcut.training.trained_model import TrainedModel

BATCH = 256


class Shots:
    """Encodes shots from the feature sets, or the frames, that a model reads."""

    def __init__(self, collection: Collection, trained: TrainedModel) -> None:
        trained.check_fits(collection, of="frames")
        self._collection, self._trained = collection, trained
        self._pixels = PIXELS in trained.recipe.item
        self.by_key = {shot.key: shot for shot in collection.shots(frames=self._pixels)}
        self.items = {item.key: item for item in collection.items()}
        self.unreadable: list[str] = []  # why the frames of shots could not be read

    @cached_property
    def keys(self) -> list[str]:
        """The shots that have all that the network reads.

        Raises:
            MatchcutError: if there is none.
        """
        stored = [set(features.ids) for features in self._sets.values()]
        keys = [key for key in self.by_key if all(key in ids for ids in stored)]
        if self._pixels:
            keys = [key for key in keys if there(self.items[self.by_key[key].item], [self.by_key[key]])]
        if not keys:
            what = "frames that are where they were" if self._pixels else f"features in {list(self._sets)}"
            raise MatchcutError(f"{self._collection.root}: no shot has {what}; run `matchcut embed` or `matchcut info`")
        return keys

    @torch.no_grad()
    def encode(self, keys: Sequence[str]) -> tuple[list[str], Any]:
        """The embeddings of these shots, and which they are: those whose frames cannot be read are left out.

        Raises:
            MatchcutError: if none is left.
        """
        batch = AT_ONCE if self._pixels else BATCH
        parts: list[torch.Tensor | Rows] = []
        kept: list[str] = []
        for start in range(0, len(keys), 64 * batch):
            block = keys[start : start + 64 * batch]
            streams: dict[str, AnyStream] = {n: Stream.of(*features.take(block)) for n, features in self._sets.items()}
            if self._pixels:
                streams[PIXELS] = self._frames(block)
            for first in range(0, len(block), batch):
                index, inputs = self._readable(streams, torch.arange(first, min(first + batch, len(block))))
                if len(index):
                    parts.append(self._trained.network.encode_item(inputs))
                    kept += [block[k] for k in index.tolist()]
        if not parts:
            raise MatchcutError(
                f"{self._collection.root}: no shot can be encoded: {self.unreadable[:1] or 'none given'}"
            )
        return kept, concat(parts)  # type: ignore[type-var]

    def state(self) -> str:
        """A hash that changes when the weights, the features, the frames or the shots change."""
        digest = sha256()
        for name, tensor in sorted(self._trained.network.state_dict().items()):
            digest.update(name.encode() + tensor.numpy().tobytes())
        for features in self._sets.values():
            # Ids stay when a file is replaced, or its features are written anew; what is on disk does not.
            files = [(file.name, *_size_and_time(file)) for file in sorted(features.path.glob("*.npy"))]
            digest.update(msgspec.json.encode([features.manifest.identity(), features.ids, files]))
        if self._pixels:
            digest.update(self._frames(list(self.by_key)).identity().encode())
        digest.update(msgspec.json.encode(list(self.by_key)))
        return digest.hexdigest()

    @cached_property
    def _sets(self) -> dict[str, FeatureSet]:
        names = stored_item(self._trained.recipe)
        return {name: open_features(self._collection, name, of="frames") for name in names}

    def _frames(self, keys: Sequence[str]) -> PixelStream:
        shots = [self.by_key[key] for key in keys]
        return PixelStream([(self.items[shot.item], (shot,)) for shot in shots], clip_source(self._trained.recipe))

    def _readable(
        self, streams: Mapping[str, AnyStream], index: torch.Tensor
    ) -> tuple[torch.Tensor, dict[str, Padded]]:
        while True:
            try:
                return index, {name: stream.batch(index) for name, stream in streams.items()}
            except Unreadable as error:
                self.unreadable += error.reasons.values()
                index = index[~torch.isin(index, torch.tensor(error.positions))]


def _size_and_time(file: Path) -> tuple[int, int]:
    found = file.stat()
    return found.st_size, found.st_mtime_ns
