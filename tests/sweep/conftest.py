import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parents[1] / "training"))

from tiny_collection import RECIPE, collection

__all__ = ["collection"]

GRID = """
base = "tiny.toml"
name = "g"

[grid]
training.lr = [0.01, 0.003]

[grid.negatives]
all = {objective.terms = [{loss = {name = "hinge", negatives = "all"}}]}
hardest = {}
"""


@pytest.fixture
def grid_file(tmp_path: Path) -> Path:
    """Two rates x two kinds of negatives, on the tiny recipe."""
    (tmp_path / "tiny.toml").write_text(RECIPE)
    path = tmp_path / "grid.toml"
    path.write_text(GRID)
    return path
