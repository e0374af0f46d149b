"""How long a query takes among many shots: the text through MiniLM and a head, then the exact scan.

python benchmarks/search.py --shots 100000 --dim 512
"""

import time
from statistics import median

import numpy as np
import torch

from matchcut.encoders import load_encoder
from matchcut.models.inputs import Padded
from matchcut.models.projection import ProjectionConfig
from matchcut.search import ExactIndex

QUERIES = (
    "a red ball rolls to the left",
    "two dogs run on the beach",
    "a man plays the guitar",
    "someone slices onions",
)


def main(*, shots: int = 100_000, dim: int = 512, repeats: int = 5) -> None:
    """Print the median and the worst time of a query, in milliseconds.

    Args:
        shots: how many vectors are searched; they are random.
        dim: of the common space.
        repeats: how often each query is asked.
    """
    rng = np.random.default_rng(0)
    vectors = rng.normal(size=(shots, dim)).astype(np.float32)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    index = ExactIndex([f"video{i}@0" for i in range(shots)], vectors)
    encoder = load_encoder("minilm")
    head = ProjectionConfig(dim=dim).build({"minilm": (384,)}, {"efficientnet-lite0": (1280,)}).eval()
    encoding, scanning = [], []
    for query in QUERIES * repeats:
        started = time.perf_counter()
        rows = torch.from_numpy(encoder.encode([query])[0])
        with torch.inference_mode():
            vector = head.encode_text({"minilm": Padded(rows[None], torch.tensor([len(rows)]))})[0].numpy()
        between = time.perf_counter()
        index.search(vector, k=10)
        encoding.append(1000 * (between - started))
        scanning.append(1000 * (time.perf_counter() - between))
    print(f"{shots:,} shots, {dim} dimensions, {len(encoding)} queries")
    for name, times in (("encode the text", encoding), ("scan all shots", scanning)):
        print(f"  {name}: median {median(times):.1f} ms, worst {max(times):.1f} ms")


if __name__ == "__main__":
    import tyro

    tyro.cli(main)
