"""The whole journey on the built-in world: videos, features, three models, a comparison, a search."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from matchcut.collection import Collection
from matchcut.datasets import world
from matchcut.datasets.world_plan import World
from matchcut.encoders import load_encoder
from matchcut.encoders.embed import embed
from matchcut.search import Moment, Searcher
from matchcut.training import Evaluation, Recipe, evaluate, train

OBJECTIVES: Mapping[str, Any] = {
    "hardest": {"terms": [{"loss": {"name": "hinge"}}]},
    "hardest, DropSimilar 2%": {
        "terms": [
            {
                "loss": {"name": "hinge"},
                "treatments": [{"name": "drop_similar", "evidence": "minilm", "percent": 2}],
            }
        ]
    },
    "InfoNCE": {"terms": [{"loss": {"name": "infonce", "scale": 20.0}}]},
}
QUERIES = ("a red circle gets bigger", "a blue square spins", "a yellow star")

Step = Callable[[str], Callable[[int, int], None]]


@dataclass(frozen=True)
class Demo:
    """What the demo found."""

    collection: Collection
    evaluations: dict[str, Evaluation]  # by the name of the objective
    searches: dict[str, list[Moment]]  # by query
    searched_with: str  # name of the model


def run(root: Path, *, step: Step, settings: World | None = None, epochs: int = 30, seed: int = 0) -> Demo:
    """Make a built-in world in a folder, embed it, train a model with each objective, compare them, and search.

    Everything that is there already is kept, so the demo can be stopped and started again.

    Args:
        root: folder of the collection.
        step: called with what is about to be done; gives the function that takes (done, of how many).
        settings: of the world.
    """
    collection = Collection.create(root)
    world.fill(collection, settings or World(), progress=step("draw videos"))
    for spec in ("efficientnet-lite0", "minilm"):
        embed(collection, load_encoder(spec), progress=step(f"embed with {spec}"))
    evaluations = {}
    for name, objective in OBJECTIVES.items():
        recipe = Recipe.of(_recipe(name, objective, epochs, seed), source="demo")
        report = step(f"train {name}")
        train(recipe, collection, progress=lambda record, report=report: report(record["epoch"], record["epochs"]))  # type: ignore[misc]
        evaluations[name] = evaluate(collection, recipe.name)
    best = max(evaluations, key=lambda name: evaluations[name].metrics["exact"].rsum)
    searcher = Searcher(collection, evaluations[best].model)
    searches = {query: searcher.search(query, k=3) for query in QUERIES}
    return Demo(collection, evaluations, searches, evaluations[best].model)


def _recipe(name: str, objective: Any, epochs: int, seed: int) -> dict[str, Any]:
    plain = "".join(c if c.isalnum() else "-" for c in name.lower().replace("%", "")).replace("--", "-")
    return {
        "name": plain if seed == 0 else f"{plain}-seed{seed}",  # another seed, other models beside the first
        "objective": objective,
        "model": {"name": "projection", "dim": 256, "hidden": 512},
        "training": {"epochs": epochs, "batch_size": 128, "seed": seed},
    }
