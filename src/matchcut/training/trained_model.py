"""A trained model of a collection, ready to encode and score."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from matchcut.collection import Collection
from matchcut.errors import MatchcutError
from matchcut.models.base import RetrievalModel
from matchcut.training import checkpoint
from matchcut.training.checkpoint import BEST, LAST
from matchcut.training.data import open_features
from matchcut.training.recipe import Recipe


@dataclass(frozen=True)
class TrainedModel:
    """A network with its weights and the recipe that made it."""

    name: str
    recipe: Recipe
    network: RetrievalModel[Any, Any]  # in evaluation mode, on the CPU
    features: Mapping[str, Mapping[str, Any]]  # identity of each feature set it was trained on
    epoch: int  # the epoch its weights are from

    @classmethod
    def open(cls, collection: Collection, name: str, *, which: str = "best") -> "TrainedModel":
        """Load `COLLECTION/models/NAME`.

        Args:
            which: "best", the weights of the best validation, or "last".

        Raises:
            MatchcutError: if there is no such model, it is damaged, or the collection's features do not fit it.
        """
        folder = collection.root / "models" / name
        if not folder.is_dir():
            there = sorted(path.name for path in (collection.root / "models").glob("*") if path.is_dir())
            raise MatchcutError(f"{collection.root}: no model {name!r}; there is {', '.join(there) or 'none yet'}")
        tensors, facts = checkpoint.read(folder / (BEST if which == "best" else LAST))
        recipe = Recipe.of(facts["recipe"], source=str(folder))
        features = facts["features"]
        for of, sets in (("captions", recipe.text), ("frames", recipe.item)):
            for feature_set in sets:
                _check_fits(collection, feature_set, of, features[feature_set], folder.name)
        shapes = {feature_set: tuple(facts["shape"]) for feature_set, facts in features.items()}
        network: RetrievalModel[Any, Any] = recipe.model.build(
            {name: shapes[name] for name in recipe.text}, {name: shapes[name] for name in recipe.item}
        )
        network.load_state_dict(checkpoint.part(tensors, "model"))
        network.eval()
        epoch = facts["epoch"] if which == "best" else facts["counters"]["epoch"]
        return cls(name, recipe, network, features, epoch)


def _check_fits(collection: Collection, name: str, of: str, expected: Mapping[str, Any], model: str) -> None:
    found = open_features(collection, name, of=of).manifest.identity()
    for key, value in expected.items():
        if found.get(key) != value:
            raise MatchcutError(
                f"{collection.root / 'features' / name}: does not fit model {model!r}: {key} is {found.get(key)!r}, "
                f"the model was trained with {value!r}; embed the collection again with that encoder"
            )
