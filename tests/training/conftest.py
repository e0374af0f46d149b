import sys
from pathlib import Path

from tiny_collection import collection, recipe_file

sys.path[:0] = [
    str(Path(__file__).parents[1] / room) for room in ("encoders", "models")
]  # tiny_checkpoints, clip_streams

__all__ = ["collection", "recipe_file"]
