"""Time and memory of an audit of very many captions.

    matchcut import msrvtt ../shared/data/msrvtt --collection msrvtt && matchcut embed msrvtt --encoder minilm
    python benchmarks/audit.py msrvtt --captions 1000000

The captions are those of the collection, drawn again and again with a number behind them and a little noise on their
vectors, five an item. The items have no files, so no pictures are compared.
"""

import resource
import tempfile
import time
from pathlib import Path

import numpy as np
import tyro

from matchcut.audit import audit
from matchcut.collection import Collection, Item
from matchcut.features import FeatureSet, FeatureWriter

EACH = 5  # captions an item
NOISE = 0.02  # deviation of each number of a vector


def main(collection: Path, /, *, captions: int = 1_000_000, text: str = "minilm") -> None:
    """Make the collection and audit it.

    Args:
        collection: folder with captions and their features.
        captions: how many to make.
        text: their feature set.
    """
    with tempfile.TemporaryDirectory() as folder:
        made = make(
            Path(folder), Collection.open(collection), FeatureSet.open(collection / "features" / text), captions
        )
        start, wall = time.process_time(), time.perf_counter()
        found = audit(made, text=text, item=None)
        seconds, wall = time.process_time() - start, time.perf_counter() - wall
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    print(f"{len(found.content.keys):,} captions of {len(found.content.items):,} items: {seconds:.0f} s of CPU,")
    print(f"{wall:.0f} s of wall clock, {peak:.1f} GiB at the peak")


def make(root: Path, source: Collection, features: FeatureSet, captions: int) -> Collection:
    """A collection of `captions` captions drawn from another one's."""
    rng = np.random.default_rng(0)
    known = source.captions()
    drawn = rng.integers(0, len(known), captions)
    made = Collection.create(root)
    with made.writing() as writer, FeatureWriter(root / "features" / features.manifest.name, features.manifest) as rows:
        for first in range(0, captions, EACH):
            key, some = f"item{first // EACH}", [known[i] for i in drawn[first : first + EACH]]
            writer.put_item(Item(key, "video", f"/{key}.mp4"), [])
            writer.put_captions(key, [f"{caption.text} {first}" for caption in some])
            for k, caption in enumerate(some):
                vector = features.rows(caption.key).astype(np.float32)
                rows.add(f"{key}#{k}", vector + NOISE * rng.normal(size=vector.shape))
    return made


if __name__ == "__main__":
    tyro.cli(main)
