"""The data of a sweep, read once into memory that all workers share."""

import shutil
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

from matchcut.collection import Collection
from matchcut.errors import MatchcutError
from matchcut.training.recipe import Recipe
from matchcut.training.shared import SharedData

MEMORY = Path("/dev/shm")  # where Linux keeps what processes share


def read_all(collection: Collection, recipes: Sequence[Recipe], *, parts: Sequence[str] = ()) -> SharedData:
    """All that trainings of these recipes ask for, and the streams of further parts.

    What cannot be read for one recipe is left to its worker to say.
    """
    shared = SharedData(collection)
    for recipe in recipes:
        with suppress(MatchcutError):
            shared.prepare(recipe)
            for part in parts:
                shared.pairs(recipe, part, shared.text(recipe))
    return shared


def share(shared: SharedData) -> None:
    """Move everything into memory that other processes can use.

    Raises:
        MatchcutError: if there is too little of it.
    """
    needed = sum(tensor.nbytes for tensor in shared.tensors())
    if MEMORY.is_dir() and (free := shutil.disk_usage(MEMORY).free) < needed:
        raise MatchcutError(
            f"{MEMORY}: {free / 1e9:.1f} GB free, but the features that the workers share take {needed / 1e9:.1f} GB; "
            "give it more (docker run --shm-size), or fewer feature sets to the grid"
        )
    shared.share_memory()
