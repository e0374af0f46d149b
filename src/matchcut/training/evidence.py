"""What treatments of negatives may look at while training: stored features, SVD vectors, the network's own."""

import hashlib
from dataclasses import dataclass, field

import numpy as np
import torch
from torch import Tensor

from matchcut.collection import Collection
from matchcut.encoders.svd import COMPONENTS, svd_vectors
from matchcut.errors import MatchcutError
from matchcut.features import FeatureSet, FeatureWriter, Manifest
from matchcut.negatives import Evidence
from matchcut.training.data import PairData

OWN = "own"  # the network's own embeddings of the batch
SVD = "svd"  # TF-IDF and SVD of the training captions


@dataclass(frozen=True)
class TrainingEvidence:
    """Vectors of all captions [T, d] and all items [N, d] of the training part, by name."""

    text: dict[str, Tensor] = field(default_factory=dict)
    item: dict[str, Tensor] = field(default_factory=dict)
    own: bool = False

    @classmethod
    def load(cls, collection: Collection, data: PairData, names: list[str]) -> "TrainingEvidence":
        """Find what the names stand for.

        A name is that of a feature set of captions or of frames (an item is then the mean of its rows), `own`, or
        `svd`, which is computed once and kept as a feature set.

        Raises:
            MatchcutError: if there is no such feature set, or it lacks a caption or an item.
        """
        found = cls(own=OWN in names)
        for name in names:
            if name in data.text:
                found.text[name] = data.text[name].mean()
            elif name in data.item:
                found.item[name] = data.item[name].mean()
            elif name != OWN:
                found._read(collection, data, name)
        return found

    def batch(self, index: Tensor, owner: Tensor, text: object, item: object, device: torch.device) -> Evidence:
        """The evidence of a batch: captions index [B], their items owner [B]; text, item: the network's embeddings."""
        texts = {name: vectors[index].to(device) for name, vectors in self.text.items()}
        items = {name: vectors[owner].to(device) for name, vectors in self.item.items()}
        if self.own:
            if not isinstance(text, Tensor) or not isinstance(item, Tensor):
                raise MatchcutError(f"evidence {OWN!r} needs a network with one vector a text and an item")
            texts[OWN], items[OWN] = text, item
        return Evidence(text=texts, item=items)

    def _read(self, collection: Collection, data: PairData, name: str) -> None:
        path = collection.root / "features" / name
        if name == SVD:
            _make_svd(collection, data)
        if not path.is_dir():
            raise MatchcutError(
                f"{collection.root}: no evidence {name!r}: it is neither a feature set nor {OWN!r} or {SVD!r}; "
                f"make it with `matchcut embed {collection.root} --encoder {name}`"
            )
        features = FeatureSet.open(path)
        if features.manifest.of == "captions":
            self.text[name] = _means(*features.take(data.captions))
            return
        shots: dict[str, list[str]] = {key: [] for key in data.items}
        for shot in collection.shots(frames=False):
            if shot.item in shots:
                shots[shot.item].append(shot.key)
        means = [_means(*features.take(keys)).mean(0) for keys in shots.values()]
        self.item[name] = torch.stack(means)


def _make_svd(collection: Collection, data: PairData) -> None:
    """Fit the vectors on the training captions, unless they are there."""
    digest = hashlib.sha256("\n".join(data.texts).encode()).hexdigest()[:16]
    path = collection.root / "features" / SVD
    if path.is_dir():
        features = FeatureSet.open(path)
        if features.manifest.weights == digest:
            return
    try:
        vectors = svd_vectors(data.texts)
    except ValueError as error:
        raise MatchcutError(f"{collection.root}: evidence {SVD!r}: {error}") from error
    manifest = Manifest(
        name=SVD,
        encoder=SVD,
        weights=digest,
        preprocessing=f"TF-IDF and SVD of the training captions, {COMPONENTS} components at most",
        of="captions",
        shape=(vectors.shape[1],),
        dtype="float32",
    )
    with FeatureWriter(path, manifest, force=True) as writer:
        for key, vector in zip(data.captions, vectors, strict=True):
            writer.add(key, vector[None])


def _means(values: np.ndarray, lengths: np.ndarray) -> Tensor:
    """The mean row of each entry, float32 [len(lengths), d]."""
    starts = np.concatenate([[0], np.cumsum(lengths)[:-1]])
    return torch.from_numpy(np.add.reduceat(values.astype(np.float32), starts) / np.maximum(lengths, 1)[:, None])
