"""A trained model, ready to encode and score."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from matchcut.collection import Collection
from matchcut.encoders.clip_inputs import picture_shape
from matchcut.encoders.vocabulary import Vocabulary
from matchcut.errors import MatchcutError
from matchcut.features import Manifest
from matchcut.models.base import RetrievalModel
from matchcut.training import checkpoint
from matchcut.training.build import build_model
from matchcut.training.checkpoint import BEST, LAST
from matchcut.training.data import PairData, load, read_manifest
from matchcut.training.pixels import PIXELS
from matchcut.training.recipe import Recipe
from matchcut.training.text_streams import (
    MADE,
    TextStreams,
    add_text_streams,
    aligned_with,
    clip_source,
    pixels_for,
    stored_item,
    stored_text,
)


@dataclass(frozen=True)
class TrainedModel:
    """A network with its weights and the recipe that made it."""

    folder: Path
    recipe: Recipe
    network: RetrievalModel[Any, Any]  # in evaluation mode, on the CPU
    features: Mapping[str, Manifest]  # the feature sets that it was trained on
    text: TextStreams  # makes its text streams that are no feature sets
    epoch: int  # the epoch its weights are from

    @property
    def name(self) -> str:
        """Name of its folder."""
        return self.folder.name

    @classmethod
    def open(cls, collection: Collection, name: str, *, which: str = "best") -> "TrainedModel":
        """Load a model of a collection by its name, or any model by the path of its folder.

        Args:
            which: "best", the weights of the best validation, or "last".

        Raises:
            MatchcutError: if there is no such model, or it is damaged.
        """
        folder = collection.root / "models" / name
        if not folder.is_dir():
            folder = Path(name)
        file = BEST if which == "best" else LAST
        if not (folder / file).is_file():
            there = sorted(path.parent.name for path in (collection.root / "models").glob(f"*/{file}"))
            raise MatchcutError(
                f"{collection.root}: no model {name!r}; there is {', '.join(there) or 'none yet'}; "
                "a model of another collection is named by its folder"
            )
        tensors, facts = checkpoint.read(folder / file)
        recipe = Recipe.of(facts["recipe"], source=str(folder))
        features = {
            key: Manifest(name=key, **{**identity, "shape": tuple(identity["shape"])})
            for key, identity in facts["features"].items()
        }
        shapes = {key: manifest.shape for key, manifest in features.items()}
        text = _text_streams(recipe, features, facts.get("vocabulary") or [])
        text_shapes = {**{key: shapes[key] for key in stored_text(recipe)}, **text.shapes}
        words = len(text.vocabulary) if text.vocabulary is not None else 0
        item_shapes = {key: shapes[key] for key in stored_item(recipe)}
        if pixels := pixels_for(recipe):
            item_shapes[PIXELS] = picture_shape(pixels)
        network = build_model(_without_weights(recipe), text_shapes, item_shapes, words=words)
        network.load_state_dict(checkpoint.part(tensors, "model"))
        network.eval()
        epoch = facts["epoch"] if which == "best" else facts["counters"]["epoch"]
        return cls(folder, recipe, network, features, text, epoch)

    def data(self, collection: Collection, part: str, *, scheme: str | None = None) -> PairData:
        """One part of a split with all streams that the network reads.

        Args:
            scheme: by default that of the recipe.

        Raises:
            MatchcutError: if features are missing, or are not of the encoders that it was trained with.
        """
        for of in ("captions", "frames"):
            self.check_fits(collection, of=of)
        stored = load(
            collection,
            part=part,
            scheme=scheme or self.recipe.data.scheme,
            text=stored_text(self.recipe),
            item=stored_item(self.recipe),
            pixels=pixels_for(self.recipe),
        )
        return add_text_streams(stored, self.text)

    def check_fits(self, collection: Collection, *, of: str) -> None:
        """Refuse feature sets of "frames" or "captions" that other encoders made than those it was trained on."""
        for name in stored_item(self.recipe) if of == "frames" else stored_text(self.recipe):
            found = read_manifest(collection, name, of=of).identity()
            for key, value in self.features[name].identity().items():
                if found[key] != value:
                    raise MatchcutError(
                        f"{collection.root / 'features' / name}: does not fit model {self.name!r}: {key} is "
                        f"{found[key]!r}, the model was trained with {value!r}; embed the collection again with that "
                        "encoder"
                    )


def _text_streams(recipe: Recipe, features: Mapping[str, Manifest], words: Sequence[str]) -> TextStreams:
    reads = tuple(name for name in recipe.text if name in MADE)
    tokens = aligned_with(recipe)
    vocabulary = Vocabulary(tuple(words)) if words else None
    encoder, by_piece = features[tokens].encoder if tokens else "", getattr(recipe.model, "bag_by_piece", False)
    return TextStreams(reads, vocabulary, tokens, encoder, clip_source(recipe), bag_by_piece=by_piece)


def _without_weights(recipe: Recipe) -> Recipe:
    """The recipe with CLIP's towers as an empty architecture: their weights are the trained ones."""
    towers = getattr(recipe.model, "towers", None)
    if towers is None:
        return recipe
    return replace(recipe, model=replace(recipe.model, towers=replace(towers, start="random")))
