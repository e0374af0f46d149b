"""What a run was made of, kept in its checkpoints: a run goes on only where that is the same."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from matchcut.collection import Collection
from matchcut.errors import MatchcutError
from matchcut.training import checkpoint
from matchcut.training.checkpoint import LAST
from matchcut.training.data import digest, read_manifest
from matchcut.training.recipe import Recipe
from matchcut.training.text_streams import stored_item, stored_text


def features_of(recipe: Recipe, collection: Collection) -> dict[str, dict[str, Any]]:
    """Which encoder, weights and preprocessing made each feature set that a recipe reads."""
    sides = [("captions", stored_text(recipe)), ("frames", stored_item(recipe))]
    return {n: read_manifest(collection, n, of=of).identity() for of, names in sides for n in names}


def check_same(folder: Path, facts: Mapping[str, Any]) -> None:
    """Refuse to go on with a run that was made of something else.

    Raises:
        MatchcutError: naming what was and what is.
    """
    _, stored = checkpoint.read(folder / LAST)
    # A recipe of an older version lacks options that have come since: they get their defaults.
    stored["recipe"] = Recipe.of(stored["recipe"], source=str(folder)).to_dict()
    for section in ("recipe", "features", "data", "vocabulary", "targets"):
        old, new = stored.get(section) or {}, facts[section] or {}
        if old != new:
            raise MatchcutError(
                f"{folder}: holds a run with another {section}: {_difference(old, new)}; "
                "give this one another --name, or --again to replace that run"
            )


def _difference(old: Any, new: Any, path: str = "") -> str:
    if isinstance(old, dict) and isinstance(new, dict):
        for key in [*old, *new]:
            if old.get(key) != new.get(key):
                return _difference(old.get(key), new.get(key), f"{path}.{key}" if path else key)
    return f"{path} was {_short(old)} and is now {_short(new)}".strip()


def _short(value: Any) -> str:
    """A long list of words by its length and a hash."""
    return f"{len(value)} words, {digest(value)}" if isinstance(value, list) and len(value) > 8 else repr(value)
