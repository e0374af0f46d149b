"""Which models of a sweep need nothing more."""

import json
from typing import Any

from safetensors import SafetensorError, safe_open

from matchcut.collection import Collection
from matchcut.sweep.grid import Cell
from matchcut.sweep.results import Result
from matchcut.training.checkpoint import LAST
from matchcut.training.data import read_manifest
from matchcut.training.shared import SharedData
from matchcut.training.text_streams import stored_text


def is_finished(cell: Cell, result: Result, collection: Collection, shared: SharedData) -> bool:
    """Whether a cell's last result still stands: its checkpoint was made by this recipe from the data as they are.

    Anything else is for `train` to go on with, or to refuse.
    """
    facts = _facts(collection, cell.recipe.name)
    if result.status != "done" or not facts or facts["counters"]["epoch"] != result.epochs:
        return False
    recipe = cell.recipe
    sides = [("captions", stored_text(recipe)), ("frames", list(recipe.item))]
    features = {n: read_manifest(collection, n, of=of).identity() for of, names in sides for n in names}
    text = shared.text(recipe)
    data = {part: shared.pairs(recipe, part, text).fingerprint() for part in (recipe.data.train, recipe.data.val)}
    return bool(facts["recipe"] == recipe.to_dict() and facts["features"] == features and facts["data"] == data)


def _facts(collection: Collection, model: str) -> dict[str, Any]:
    """What a model's last checkpoint says of itself, without its tensors; nothing if it cannot be read."""
    try:
        with safe_open(collection.root / "models" / model / LAST, framework="pt") as file:
            found: dict[str, Any] = json.loads((file.metadata() or {}).get("facts", "{}"))
            return found
    except (SafetensorError, OSError, ValueError):
        return {}
