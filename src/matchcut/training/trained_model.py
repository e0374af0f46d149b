"""A trained model, ready to encode and score."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from matchcut.collection import Collection
from matchcut.errors import MatchcutError
from matchcut.features import Manifest
from matchcut.models.base import RetrievalModel
from matchcut.training import checkpoint
from matchcut.training.checkpoint import BEST, LAST
from matchcut.training.data import open_features
from matchcut.training.recipe import Recipe


@dataclass(frozen=True)
class TrainedModel:
    """A network with its weights and the recipe that made it."""

    folder: Path
    recipe: Recipe
    network: RetrievalModel[Any, Any]  # in evaluation mode, on the CPU
    features: Mapping[str, Manifest]  # the feature sets that it was trained on
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
        if not (folder / (BEST if which == "best" else LAST)).is_file():
            there = sorted(path.name for path in (collection.root / "models").glob("*") if path.is_dir())
            raise MatchcutError(
                f"{collection.root}: no model {name!r}; there is {', '.join(there) or 'none yet'}; "
                "a model of another collection is named by its folder"
            )
        tensors, facts = checkpoint.read(folder / (BEST if which == "best" else LAST))
        recipe = Recipe.of(facts["recipe"], source=str(folder))
        features = {
            key: Manifest(name=key, **{**identity, "shape": tuple(identity["shape"])})
            for key, identity in facts["features"].items()
        }
        shapes = {key: manifest.shape for key, manifest in features.items()}
        network: RetrievalModel[Any, Any] = recipe.model.build(
            {key: shapes[key] for key in recipe.text}, {key: shapes[key] for key in recipe.item}
        )
        network.load_state_dict(checkpoint.part(tensors, "model"))
        network.eval()
        epoch = facts["epoch"] if which == "best" else facts["counters"]["epoch"]
        return cls(folder, recipe, network, features, epoch)

    def check_fits(self, collection: Collection, *, of: str) -> None:
        """Refuse feature sets of "frames" or "captions" that other encoders made than those it was trained on."""
        for name in self.recipe.item if of == "frames" else self.recipe.text:
            found = open_features(collection, name, of=of).manifest.identity()
            for key, value in self.features[name].identity().items():
                if found[key] != value:
                    raise MatchcutError(
                        f"{collection.root / 'features' / name}: does not fit model {self.name!r}: {key} is "
                        f"{found[key]!r}, the model was trained with {value!r}; embed the collection again with that "
                        "encoder"
                    )
