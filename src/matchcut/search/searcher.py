"""Finding moments in a collection by a sentence."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from hashlib import sha256
from typing import Any, Literal

import msgspec
import numpy as np
import torch

from matchcut.collection import Collection
from matchcut.encoders import for_manifest
from matchcut.errors import MatchcutError
from matchcut.models.base import Rows, concat, score_all
from matchcut.models.inputs import Padded
from matchcut.search.index import ExactIndex
from matchcut.training.data import open_features
from matchcut.training.streams import Stream
from matchcut.training.trained_model import TrainedModel


@dataclass(frozen=True)
class Moment:
    """A shot that was found."""

    item: str
    source: str  # the file, or the archive that holds the frames
    start: float  # seconds
    end: float
    score: float  # higher is better; comparable within one model only
    shot: str  # ITEM@NUMBER
    thumb: str  # path of its thumbnail below the collection's folder, or empty

    def to_dict(self) -> dict[str, Any]:
        return asdict(self)


class Searcher:
    """Searches the shots of a collection with one of its models.

    The shots' vectors are computed once and kept in `COLLECTION/index/MODEL`; they are computed again when the model
    or the features have changed.
    """

    def __init__(self, collection: Collection, model: str, *, which: str = "best") -> None:
        """Open a model and its index.

        Args:
            model: name of a model of the collection, or the folder of one that was trained on another collection.
            which: "best" or "last" weights.

        Raises:
            MatchcutError: if there is no such model, or its features do not fit.
        """
        self.collection = collection
        self._trained = TrainedModel.open(collection, model, which=which)
        self._network = self._trained.network
        self._shots = {shot.key: shot for shot in collection.shots(frames=False)}
        self._sources = {item.key: item.source for item in collection.items()}
        self._trained.check_fits(collection, of="frames")
        self._encoders = {name: for_manifest(self._trained.features[name]) for name in self._trained.recipe.text}
        self._rows: Any = None
        if self._network.factorises:
            self._index = self._vectors(f"{self._trained.name}-{which}")
        else:
            ids, self._rows = self._encode_shots()
            self._index = ExactIndex(ids, np.zeros((len(ids), 0), np.float32))

    def __len__(self) -> int:
        """Number of shots that can be found."""
        return len(self._index.ids)

    @torch.no_grad()
    def search(self, text: str, *, k: int = 10, group: Literal["shot", "item"] = "shot") -> list[Moment]:
        """The k best moments for a sentence, best first.

        Args:
            group: "shot" for every shot, or "item" for the best shot of each video only.
        """
        if not text.strip():
            raise MatchcutError("the query is empty; describe what to look for in a sentence")
        if k < 1:
            raise MatchcutError(f"--top must be at least 1, got {k}")
        query = self._network.encode_text(self._inputs([text]))
        if isinstance(query, torch.Tensor) and self._rows is None:
            scores = self._index.vectors @ query[0].float().numpy()
        else:
            scores = score_all(self._network, query, self._rows)[0].numpy()
        if group == "shot":
            return [self._moment(key, score) for key, score in self._index.best(scores, k=k)]
        best: dict[str, Moment] = {}
        wanted = k
        while True:  # an item's shots may fill the head of the list: look further until k items are found
            for key, score in self._index.best(scores, k=wanted):
                moment = self._moment(key, score)
                best.setdefault(moment.item, moment)
            if len(best) >= k or wanted >= len(self):
                return list(best.values())[:k]
            wanted *= 4

    def _inputs(self, texts: Sequence[str]) -> dict[str, Padded]:
        return {
            name: Padded.of([torch.from_numpy(np.asarray(rows, dtype=np.float32)) for rows in encoder.encode(texts)])
            for name, encoder in self._encoders.items()
        }

    def _moment(self, key: str, score: float) -> Moment:
        shot = self._shots[key]
        return Moment(shot.item, self._sources[shot.item], shot.start, shot.end, score, key, shot.thumb)

    def _vectors(self, name: str) -> ExactIndex:
        folder = self.collection.root / "index" / name
        made_from = self._state()
        index = ExactIndex.load(folder)
        if index is None or index.made_from != made_from:
            ids, rows = self._encode_shots()
            index = ExactIndex(ids, rows.numpy(), made_from)
            index.save(folder)
        return index

    def _state(self) -> str:
        """Changes when the weights, the features or the shots change."""
        digest = sha256()
        for name, tensor in sorted(self._network.state_dict().items()):
            digest.update(name.encode() + tensor.numpy().tobytes())
        for name in self._trained.recipe.item:
            features = open_features(self.collection, name, of="frames")
            digest.update(msgspec.json.encode([features.manifest.identity(), features.ids]))
        digest.update(msgspec.json.encode(list(self._shots)))
        return digest.hexdigest()

    @torch.no_grad()
    def _encode_shots(self, batch: int = 256) -> tuple[list[str], Any]:
        sets = {name: open_features(self.collection, name, of="frames") for name in self._trained.recipe.item}
        stored = [set(features.ids) for features in sets.values()]
        ids = [key for key in self._shots if all(key in ids for ids in stored)]
        if not ids:
            raise MatchcutError(f"{self.collection.root}: no shot has features in {list(sets)}; run `matchcut embed`")
        parts: list[torch.Tensor | Rows] = []
        for start in range(0, len(ids), 64 * batch):
            block = ids[start : start + 64 * batch]
            streams = {name: Stream.of(*features.take(block)) for name, features in sets.items()}
            for first in range(0, len(block), batch):
                index = torch.arange(first, min(first + batch, len(block)))
                inputs = {name: stream.batch(index) for name, stream in streams.items()}
                parts.append(self._network.encode_item(inputs))
        return ids, concat(parts)  # type: ignore[type-var]
