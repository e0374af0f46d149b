"""A small collection with made-up features that a head can learn, and a recipe for it."""

from pathlib import Path

import numpy as np
import pytest

from matchcut.collection import Collection, Frame, Item, Judgment, Shot
from matchcut.features import FeatureWriter, Manifest

PARTS = {"train": 24, "val": 8, "test": 8}
RECIPE = """
[model]
name = "projection"
dim = 16
hidden_layers = 0

[[objective.terms]]
loss = {name = "hinge"}

[training]
epochs = 3
batch_size = 8
lr = 0.01
"""


def manifest(name: str, of: str, width: int, weights: str = "w0") -> Manifest:
    return Manifest(name=name, encoder=name, weights=weights, preprocessing="p", of=of, shape=(width,), dtype="float32")


def fill_features(collection: Collection, *, width: int = 12, weights: str = "w0") -> None:
    """Captions and frames of an item are noisy views of the same random point."""
    rng = np.random.default_rng(0)
    points = {item.key: rng.normal(size=width) for item in collection.items()}
    sets = [("minilm", "captions", collection.captions()), ("efficientnet-lite0", "frames", collection.shots())]
    for name, of, records in sets:
        with FeatureWriter(collection.root / "features" / name, manifest(name, of, width, weights)) as writer:
            for record in records:
                rows = len(record.frames) if isinstance(record, Shot) else 1
                writer.add(record.key, points[record.item] + 0.1 * rng.normal(size=(rows, width)))


@pytest.fixture
def collection(tmp_path: Path) -> Collection:
    """24 + 8 + 8 videos of two shots, two captions each; the first two test videos mean the same."""
    made = Collection.create(tmp_path / "collection")
    keys = {part: [f"{part}{i}" for i in range(count)] for part, count in PARTS.items()}
    with made.writing() as writer:
        for key in (key for part in keys.values() for key in part):
            shots = [Shot(0.0, 1.0, (Frame(0.0), Frame(0.5))), Shot(1.0, 2.0, (Frame(1.0),))]
            writer.put_item(Item(key=key, kind="video", source=f"/films/{key}.mp4", duration=2.0), shots)
            writer.put_captions(key, [f"this is {key}", f"{key} again"])
        writer.put_split(keys)
        right = [Judgment(f"{key}#{n}", key, 1.0) for key in keys["test"] for n in (0, 1)]
        same = [Judgment("test0#0", "test1", 1.0), Judgment("test1#0", "test0", 1.0)]
        writer.put_judgments("exact", [*right, *same], complete=True)
    fill_features(made)
    return made


@pytest.fixture
def recipe_file(tmp_path: Path) -> Path:
    path = tmp_path / "tiny.toml"
    path.write_text(RECIPE)
    return path
