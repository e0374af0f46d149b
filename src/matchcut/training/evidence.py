"""What treatments of negatives may look at while training: stored features, SVD vectors, the network's own."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from matchcut.collection import Collection
from matchcut.encoders.svd import COMPONENTS, svd_vectors
from matchcut.errors import MatchcutError
from matchcut.features import FeatureSet, FeatureWriter, Manifest
from matchcut.negatives import Evidence
from matchcut.negatives.evidence import Vectors
from matchcut.training.data import PairData
from matchcut.training.encode import encode_items, encode_texts
from matchcut.training.evidence_sources import CaptionsOfItems, Judged, Teacher
from matchcut.training.trained_model import TrainedModel

OWN = "own"  # the network's own embeddings of the batch
SVD = "svd"  # TF-IDF and SVD of the training captions
ALL, MODEL, JUDGED = "all:", "model:", "judged:"  # all captions of an item; trained models; human judgments
SHUFFLED = "shuffled:"  # vectors of others, as a control


@dataclass(frozen=True)
class TrainingEvidence:
    """Vectors of all captions [T, d] and all items [N, d] of the training part, by name."""

    text: dict[str, Tensor] = field(default_factory=dict)
    item: dict[str, Tensor] = field(default_factory=dict)
    own: tuple[str, ...] = ()  # names that stand for the network's own embeddings
    all_captions: dict[str, Tensor] = field(default_factory=dict)  # unit vectors of captions, to compare with all
    scores: dict[str, Teacher | Judged] = field(default_factory=dict)
    captions_of: CaptionsOfItems | None = None

    @classmethod
    def load(
        cls,
        collection: Collection,
        data: PairData,
        names: list[str],
        *,
        part: str = "train",
        scheme: str = "default",
    ) -> "TrainingEvidence":
        """Find what the names stand for.

            NAME           a feature set of captions, or of frames: an item is then the mean of its rows
            svd            TF-IDF and SVD of the training captions, computed once and kept as a feature set
            svd:K          the same with K components in place of 400
            own            the network's own embeddings of the batch
            all:NAME       the vectors of captions, each compared with all captions of an item, not with one
            model:A+B      scores of trained models of the collection, or folders: of several their mean
            judged:SOURCE  human judgments; a pair without one counts 0
            shuffled:NAME  any of the vectors handed to other captions and items, to see what their meaning is worth:
                           in one random order, for every training the same; the network's own ones to the next of the
                           batch

        Args:
            part, scheme: of the split, what `data` is.

        Raises:
            MatchcutError: if there is no such feature set, model or judgments, or it lacks a caption or an item.
        """
        found = cls(own=own(names), captions_of=CaptionsOfItems.of(data.owner, len(data.items)))
        for name in names:
            if name.startswith(ALL):
                vectors = cls.load(collection, data, [name.removeprefix(ALL)]).text
                if not vectors:
                    raise MatchcutError(f"evidence {name!r}: {name.removeprefix(ALL)!r} are not vectors of captions")
                found.all_captions[name] = functional.normalize(next(iter(vectors.values())), dim=1)
            elif name.startswith(JUDGED):
                found.scores[name] = Judged.load(collection, data, name.removeprefix(JUDGED))
            elif name.startswith(MODEL):
                models = name.removeprefix(MODEL).split("+")
                found.scores[name] = Teacher.mean([_embed(collection, model, data, part, scheme) for model in models])
            elif name.startswith(SHUFFLED) and name not in found.own:
                found._shuffle(collection, data, name)
            elif name in data.text:
                found.text[name] = data.text[name].mean()
            elif name in data.item:
                found.item[name] = data.item[name].mean()
            elif name not in found.own:
                found._read(collection, data, name)
        return found

    def batch(
        self,
        index: Tensor,
        owner: Tensor,
        text: object,
        item: object,
        device: torch.device,
        *,
        captions: Tensor | None = None,
    ) -> Evidence:
        """The evidence of a batch: captions index [T] and items owner [V]; text, item: the network's embeddings.

        captions: int64 [V], the caption that each item came with, of which the first T are `index`; None: `index`.
        """
        paired = captions is None
        texts = {name: vectors[index].to(device) for name, vectors in self.text.items()}
        items = {name: vectors[owner].to(device) for name, vectors in self.item.items()}
        item_texts: dict[str, Vectors] = {}
        text_items: dict[str, Tensor] = {}
        if not paired:
            item_texts |= {name: vectors[captions].to(device) for name, vectors in self.text.items()}
            text_items |= {name: vectors[: len(index)] for name, vectors in items.items()}
        if self.own:
            if not isinstance(text, Tensor) or not isinstance(item, Tensor) or not paired:
                raise MatchcutError(f"evidence {OWN!r} needs a network with one vector a text and an item, no memory")
            for name in self.own:
                texts[name], items[name] = (text, item) if name == OWN else (text.roll(1, 0), item.roll(1, 0))
        if self.all_captions and self.captions_of is not None:
            every, lengths = self.captions_of.of_items(owner)
            for name, vectors in self.all_captions.items():
                texts[name] = vectors[index].to(device)
                item_texts[name] = vectors[every].to(device), lengths.to(device)
        scores = {name: source.batch(index, owner).to(device) for name, source in self.scores.items()}
        return Evidence(text=texts, item=items, item_text=item_texts, text_item=text_items, scores=scores)

    def _shuffle(self, collection: Collection, data: PairData, name: str) -> None:
        base = name.removeprefix(SHUFFLED)
        of = TrainingEvidence.load(collection, data, [base])
        if not of.text and not of.item:
            raise MatchcutError(f"evidence {name!r}: {base!r} are not vectors of captions or items")
        for mine, vectors in ((self.text, of.text), (self.item, of.item)):
            for found in vectors.values():
                mine[name] = found[np.random.default_rng(0).permutation(len(found))]

    def _read(self, collection: Collection, data: PairData, name: str) -> None:
        path = collection.root / "features" / name
        if name == SVD or name.startswith(f"{SVD}:"):
            count = components(name)
            path = path.with_name(name.replace(":", "-"))
            _make_svd(collection, data, path, count)
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


def _embed(collection: Collection, name: str, data: PairData, part: str, scheme: str) -> tuple[Tensor, Tensor]:
    """Embeddings of these captions and items by a trained model."""
    trained = TrainedModel.open(collection, name)
    recipe = trained.recipe
    if not trained.network.factorises:
        raise MatchcutError(f"evidence {MODEL + name!r}: {recipe.model_name} has no single vector a text and an item")
    own = trained.data(collection, part, scheme=scheme)
    caption, item = ({key: i for i, key in enumerate(keys)} for keys in (own.captions, own.items))
    lacking = [key for key in data.captions if key not in caption] + [key for key in data.items if key not in item]
    if lacking:
        raise MatchcutError(f"evidence {MODEL + name!r}: that model's features lack {lacking[0]!r}")
    text, items = encode_texts(trained.network, own), encode_items(trained.network, own)
    assert isinstance(text, Tensor)
    assert isinstance(items, Tensor)
    return text[[caption[key] for key in data.captions]], items[[item[key] for key in data.items]]


def own(names: Sequence[str]) -> tuple[str, ...]:
    """Those of the names that stand for the network's own embeddings."""
    return tuple(name for name in names if name in (OWN, SHUFFLED + OWN))


def components(name: str) -> int:
    """How many components "svd" or "svd:K" has at most.

    Raises:
        MatchcutError: if K is no number above 0.
    """
    count = name.removeprefix(SVD).removeprefix(":")
    if name != SVD and not (count.isdecimal() and int(count)):
        raise MatchcutError(f"evidence {name!r}: expected a number of components, such as {SVD}:100")
    return int(count or COMPONENTS)


def _make_svd(collection: Collection, data: PairData, path: Path, components: int) -> None:
    """Fit the vectors on the training captions, unless they are there."""
    digest = hashlib.sha256("\n".join(data.texts).encode()).hexdigest()[:16]
    if path.is_dir():
        features = FeatureSet.open(path)
        if features.manifest.weights == digest:
            return
    try:
        vectors = svd_vectors(data.texts, components=components)
    except ValueError as error:
        raise MatchcutError(f"{collection.root}: evidence {SVD!r}: {error}") from error
    manifest = Manifest(
        name=path.name,
        encoder=SVD,
        weights=digest,
        preprocessing=f"TF-IDF and SVD of the training captions, {components} components at most",
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
