"""Finding moments in a collection by a sentence."""

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass
from typing import Any, Literal

import numpy as np
import torch
from numpy.typing import NDArray

from matchcut.collection import Collection
from matchcut.encoders import for_manifest
from matchcut.errors import MatchcutError
from matchcut.files import is_text
from matchcut.models.base import score_all
from matchcut.models.inputs import Padded
from matchcut.search.index import ExactIndex
from matchcut.search.shots import Shots
from matchcut.training.text_streams import stored_text
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
    or the features have changed. A network whose score is no product of two vectors has no such index: it scores all
    shots, which is slow for many, or ranks anew the best shots of a first model that has one.
    """

    def __init__(
        self,
        collection: Collection,
        model: str,
        *,
        which: str = "best",
        first: str | None = None,
        candidates: int = 200,
    ) -> None:
        """Open a model and its index.

        Args:
            model: name of a model of the collection, or the folder of one that was trained on another collection.
            which: "best" or "last" weights.
            first: a model with an index, whose best shots `model` ranks anew. A shot that is not among them is not
                found.
            candidates: how many shots of the first model are ranked anew.

        Raises:
            MatchcutError: if there is no such model, its features do not fit, or a model with an index is to rank the
                shots of another.
        """
        self.collection = collection
        self._trained = TrainedModel.open(collection, model, which=which)
        self._network = self._trained.network
        self._shots = Shots(collection, self._trained)
        self._encoders = {
            name: for_manifest(self._trained.features[name]) for name in stored_text(self._trained.recipe)
        }
        self._first: Searcher | None = None
        self._rows: Any = None
        if first is not None:
            self._first, self._candidates = self._open_first(first, candidates), candidates
            self._index = _unscored(self._shots.keys)
        elif self._network.factorises:
            self._index = self._vectors(f"{self._trained.name}-{which}")
        else:
            keys, self._rows = self._shots.encode(self._shots.keys)
            self._index = _unscored(keys)

    def __len__(self) -> int:
        """Number of shots that can be found."""
        return len(self._index.ids)

    @property
    def unreadable(self) -> list[str]:
        """Why the frames of shots could not be read, for networks that read frames."""
        return self._shots.unreadable

    @torch.no_grad()
    def search(self, text: str, *, k: int = 10, group: Literal["shot", "item"] = "shot") -> list[Moment]:
        """The k best moments for a sentence, best first.

        Args:
            group: "shot" for every shot, or "item" for the best shot of each video only.
        """
        if not text.strip():
            raise MatchcutError("the query is empty; describe what to look for in a sentence")
        if not is_text(text):
            raise MatchcutError("the query is not text in the terminal's encoding; type it in UTF-8")
        if k < 1:
            raise MatchcutError(f"--top must be at least 1, got {k}")
        index, scores = self._scores(text, k)
        if group == "shot":
            return [self._moment(key, score) for key, score in index.best(scores, k=k)]
        best: dict[str, Moment] = {}
        wanted = k
        while True:  # an item's shots may fill the head of the list: look further until k items are found
            for key, score in index.best(scores, k=wanted):
                moment = self._moment(key, score)
                best.setdefault(moment.item, moment)
            if len(best) >= k or wanted >= len(index.ids):
                return list(best.values())[:k]
            wanted *= 4

    def _scores(self, text: str, k: int) -> tuple[ExactIndex, NDArray[np.float32]]:
        """The shots that come into question, and their scores."""
        query = self._network.encode_text(self._inputs([text]))
        if self._first is not None:
            known = set(self._index.ids)
            found = [m.shot for m in self._first.search(text, k=max(k, self._candidates)) if m.shot in known]
            if not found:
                return _unscored([]), np.zeros(0, np.float32)
            keys, rows = self._shots.encode(found)
            return _unscored(keys), score_all(self._network, query, rows)[0].numpy()
        if self._rows is None:
            return self._index, self._index.vectors @ query[0].float().numpy()
        return self._index, score_all(self._network, query, self._rows)[0].numpy()

    def _open_first(self, name: str, candidates: int) -> "Searcher":
        if candidates < 1:
            raise MatchcutError(f"--candidates must be at least 1, got {candidates}")
        if self._network.factorises:
            raise MatchcutError(
                f"model {self._trained.name!r} has an index, which finds the best of all shots; leave --first out"
            )
        first = Searcher(self.collection, name)
        if not first._network.factorises:
            raise MatchcutError(
                f"--first {name}: {first._trained.recipe.model_name} has no index; name a model with one"
            )
        return first

    def _inputs(self, texts: Sequence[str]) -> dict[str, Padded]:
        stored = {
            name: Padded.of([torch.from_numpy(np.asarray(rows, dtype=np.float32)) for rows in encoder.encode(texts)])
            for name, encoder in self._encoders.items()
        }
        return {**stored, **self._trained.text.batch(texts, stored)}

    def _moment(self, key: str, score: float) -> Moment:
        shot = self._shots.by_key[key]
        return Moment(shot.item, self._shots.items[shot.item].source, shot.start, shot.end, score, key, shot.thumb)

    def _vectors(self, name: str) -> ExactIndex:
        folder = self.collection.root / "index" / name
        made_from = self._shots.state()
        index = ExactIndex.load(folder)
        if index is None or index.made_from != made_from:
            keys, rows = self._shots.encode(self._shots.keys)
            index = ExactIndex(keys, rows.numpy(), made_from)
            with suppress(MatchcutError, OSError):  # a collection that may only be read is searched all the same
                index.save(folder)
        return index


def _unscored(keys: list[str]) -> ExactIndex:
    return ExactIndex(keys, np.zeros((len(keys), 0), np.float32))
