"""A collection whose judgments can be found out from its features."""

import numpy as np
import pytest
from PIL import Image

from matchcut.collection import Collection, Frame, Item, Judgment, Shot
from matchcut.features import FeatureWriter, Manifest


@pytest.fixture(scope="session")
def judged_collection(tmp_path_factory) -> Collection:
    """40 images of 4 kinds, two captions each; people accepted captions of images of the same kind."""
    root = tmp_path_factory.mktemp("audit")
    made = Collection.create(root / "kinds")
    rng = np.random.default_rng(0)
    keys = [f"{i}.png" for i in range(40)]
    points = {key: np.eye(8)[i % 4] + 0.25 * rng.normal(size=8) for i, key in enumerate(keys)}
    with made.writing() as writer:
        for i, key in enumerate(keys):
            Image.fromarray(np.full((24, 32, 3), 6 * i, np.uint8)).save(root / key)
            writer.put_item(Item(key, "image", str(root / key)), [Shot(0, 0, (Frame(0.0),))])
            writer.put_captions(key, [f"a thing of kind {i % 4}.", f"picture {i} <b>"])
        writer.put_split({"train": keys[:20], "val": keys[20:30], "test": keys[30:]})
        pairs = [(a, b) for a in range(40) for b in range(40) if a != b]
        chosen = [pairs[k] for k in rng.permutation(len(pairs))[:400]]
        judged = [Judgment(f"{keys[a]}#0", keys[b], float(a % 4 == b % 4)) for a, b in chosen]
        writer.put_judgments("people", judged, complete=False)
    for name, of, records in (
        ("minilm", "captions", made.captions()),
        ("efficientnet-lite0", "frames", made.shots()),
    ):
        manifest = Manifest(name=name, encoder=name, weights="w", preprocessing="", of=of, shape=(8,), dtype="float32")
        with FeatureWriter(made.root / "features" / name, manifest) as writer:
            for record in records:
                writer.add(record.key, (points[record.item] + 0.1 * rng.normal(size=8))[None])
    return made
