"""Exact search among vectors: every query is compared with every vector."""

from dataclasses import dataclass
from pathlib import Path

import msgspec
import numpy as np
from numpy.typing import NDArray

from matchcut.errors import MatchcutError
from matchcut.files import atomic


@dataclass(frozen=True)
class ExactIndex:
    """N ids and their vectors float32 [N, d]; the score is the dot product.

    >>> index = ExactIndex(["a", "b", "c"], np.eye(3, dtype=np.float32))
    >>> index.search(np.array([0.0, 0.2, 0.9], dtype=np.float32), k=2)
    [('c', 0.9), ('b', 0.2)]
    """

    ids: list[str]
    vectors: NDArray[np.float32]
    made_from: str = ""  # what the vectors depend on; an index made from something else is stale

    def search(self, query: NDArray[np.float32], *, k: int) -> list[tuple[str, float]]:
        """The k best ids with their scores, best first; equal scores in the order of the index. query: [d]."""
        return self.best(self.vectors @ query, k=k)

    def best(self, scores: NDArray[np.float32], *, k: int) -> list[tuple[str, float]]:
        """The k best of given scores [N]."""
        k = min(k, len(self.ids))
        if k == 0:
            return []
        kth = np.partition(scores, len(scores) - k)[len(scores) - k]
        candidates = np.flatnonzero(scores >= kth)
        order = candidates[np.argsort(-scores[candidates], kind="stable")][:k]
        return [(self.ids[i], round(float(scores[i]), 6)) for i in order]

    def save(self, folder: Path) -> None:
        """Write `vectors.npy` and then `index.json`; an interrupted write leaves no readable index."""
        (folder / "index.json").unlink(missing_ok=True)
        with atomic(folder / "vectors.npy") as temporary, open(temporary, "wb") as file:
            np.save(file, self.vectors)
        with atomic(folder / "index.json") as temporary:
            temporary.write_bytes(msgspec.json.encode({"made_from": self.made_from, "ids": self.ids}))

    @classmethod
    def load(cls, folder: Path) -> "ExactIndex | None":
        """Read an index, memory-mapped; None if there is none.

        Raises:
            MatchcutError: if the files are damaged.
        """
        if not (folder / "index.json").exists():
            return None
        try:
            facts = msgspec.json.decode((folder / "index.json").read_bytes())
            vectors = np.load(folder / "vectors.npy", mmap_mode="r")
            if len(vectors) != len(facts["ids"]):
                raise ValueError(f"{len(vectors)} vectors for {len(facts['ids'])} ids")
        except (OSError, ValueError, KeyError, msgspec.DecodeError) as error:
            raise MatchcutError(f"{folder}: damaged index: {error}; delete the folder and search again") from error
        return cls(facts["ids"], vectors, facts["made_from"])
