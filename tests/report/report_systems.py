"""A tiny collection of pictures, and systems that rank them more or less well."""

from pathlib import Path

import numpy as np
from PIL import Image

from matchcut.collection import Collection, Frame, Item, Shot
from matchcut.evaluation.matrices import ScoreMatrix

ITEMS = [f"{i}.png" for i in range(30)]
TEXTS = [f"{key}#{n}" for key in ITEMS for n in (0, 1)]
RIGHT = [key for key in ITEMS for _ in (0, 1)]


def system(noise: float, seed: int = 0, size: int = 30) -> ScoreMatrix:
    """Two captions an item; the less noise, the better."""
    rng = np.random.default_rng(seed)
    scores = np.repeat(np.eye(size), 2, axis=0) + noise * rng.normal(size=(2 * size, size))
    return ScoreMatrix.of(scores, texts=TEXTS[: 2 * size], items=ITEMS[:size], text_items=RIGHT[: 2 * size])


def pictures(root: Path) -> Collection:
    """The items of the systems; the first has a thumbnail."""
    made = Collection.create(root / "pictures")
    (made.root / "thumbs").mkdir()
    Image.new("RGB", (40, 30), "red").save(made.root / "thumbs" / "0.jpg")
    with made.writing() as writer:
        for i, key in enumerate(ITEMS):
            Image.fromarray(np.full((24, 32, 3), 8 * i, np.uint8)).save(root / key)
            thumb = "thumbs/0.jpg" if i == 0 else ""
            writer.put_item(Item(key, "image", str(root / key)), [Shot(0, 0, (Frame(0.0),), thumb=thumb)])
            writer.put_captions(key, [f"picture <{i}>", f"number {i}"])
        writer.put_split({"test": ITEMS})
    return made
