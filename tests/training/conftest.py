import sys
from pathlib import Path

from tiny_collection import collection, recipe_file

sys.path.insert(0, str(Path(__file__).parents[1] / "encoders"))  # for tiny_checkpoints

__all__ = ["collection", "recipe_file"]
