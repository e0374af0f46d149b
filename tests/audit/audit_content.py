"""Content of random vectors, for comparison with loops."""

import numpy as np

from matchcut.audit.content import Content


def random_content(items: int = 12, *, width: int = 6, seed: int = 0, pictures: bool = True) -> Content:
    """Items with 1 to 3 captions each, around a point of the item's own."""
    rng = np.random.default_rng(seed)
    counts = rng.integers(1, 4, size=items)
    owner = np.repeat(np.arange(items), counts)
    points = rng.normal(size=(items, width))
    vectors = points[owner] + 0.5 * rng.normal(size=(len(owner), width))
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    looks = points @ rng.normal(size=(width, 5))
    looks /= np.linalg.norm(looks, axis=1, keepdims=True)
    return Content(
        keys=[f"i{i}#{n}" for n, i in enumerate(owner)],
        texts=[f"caption {i} number {n}" for n, i in enumerate(owner)],
        items=[f"i{i}" for i in range(items)],
        owner=owner,
        vectors=vectors.astype(np.float32),
        pictures=looks.astype(np.float32) if pictures else None,
    )
