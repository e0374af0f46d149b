"""Reading a feature set."""

from collections.abc import Sequence
from functools import cached_property
from itertools import pairwise
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from matchcut.errors import MatchcutError
from matchcut.features import shards
from matchcut.features.manifest import Manifest

Floats = NDArray[np.generic]  # float16 or float32


class FeatureSet:
    """A named set of ragged rows, mapped into memory: the frames of shots, the tokens or vectors of captions.

    Shapes: an id has n rows of `manifest.shape`, n may be 0. Where several shards hold an id, the last one counts.

    >>> import tempfile
    >>> from matchcut.features import FeatureWriter
    >>> manifest = Manifest(name="a", encoder="e", weights="w", preprocessing="", of="frames", shape=(2,))
    >>> path = Path(tempfile.mkdtemp()) / "a"
    >>> with FeatureWriter(path, manifest) as writer:
    ...     writer.add("x@0", np.ones((3, 2)))
    ...     writer.add("y@0", np.zeros((1, 2)))
    >>> features = FeatureSet.open(path)
    >>> features.ids, features.lengths.tolist(), features.rows("x@0").shape
    (['x@0', 'y@0'], [3, 1], (3, 2))
    >>> values, lengths = features.take(["y@0", "x@0"])
    >>> values.shape, lengths.tolist()
    ((4, 2), [1, 3])
    """

    def __init__(
        self, path: Path, manifest: Manifest, ids: list[str], lengths: NDArray[np.int64], starts: NDArray[np.int64],
        parts: Sequence[Floats], stamps: list[str],
    ) -> None:  # fmt: skip
        """Use `FeatureSet.open`. `starts` [N]: each id's first row, counted through `parts` laid end to end."""
        self.path, self.manifest, self.ids, self.lengths, self.stamps = path, manifest, ids, lengths, stamps
        self._starts, self._parts = starts, parts
        self._bounds = np.cumsum([0, *(len(part) for part in parts)])  # first row of each part, and the end

    @classmethod
    def open(cls, path: Path | str) -> "FeatureSet":
        """Open a set for reading. Costs the ids; the values stay on disk until they are asked for.

        Raises:
            MatchcutError: if there is none, or a shard is damaged or truncated.
        """
        path = Path(path)
        manifest = Manifest.load(path)
        indexes, parts = [], []
        for number in shards.numbers(path):
            index = shards.read_index(path, number)
            rows = sum(index.lengths)
            parts.append(shards.read_values(path, number, rows=rows, shape=manifest.shape, dtype=manifest.dtype))
            indexes.append(index)
        ids = [key for index in indexes for key in index.ids]
        stamps = [stamp for index in indexes for stamp in index.stamps]
        lengths = np.array([n for index in indexes for n in index.lengths], dtype=np.int64)
        starts = np.cumsum(lengths) - lengths
        last = {key: position for position, key in enumerate(ids)}
        if len(last) < len(ids):
            keep = sorted(last.values())
            ids, stamps = [ids[k] for k in keep], [stamps[k] for k in keep]
            lengths, starts = lengths[keep], starts[keep]
        return cls(path, manifest, ids, lengths, starts, parts, stamps)

    def __len__(self) -> int:
        return len(self.ids)

    def __contains__(self, key: object) -> bool:
        return key in self._position

    @cached_property
    def _position(self) -> dict[str, int]:
        return {key: position for position, key in enumerate(self.ids)}

    def rows(self, key: str) -> Floats:
        """The rows of one id, [n, *shape], without copying them."""
        position = int(self.positions([key])[0])
        start, length = int(self._starts[position]), int(self.lengths[position])
        if length == 0:
            return np.empty((0, *self.manifest.shape), dtype=self.manifest.dtype)
        part = int(np.searchsorted(self._bounds, start, side="right")) - 1
        start -= int(self._bounds[part])
        return self._parts[part][start : start + length]

    def take(self, ids: Sequence[str]) -> tuple[Floats, NDArray[np.int64]]:
        """The rows of these ids, in the order asked for: (values [sum of lengths, *shape], lengths [len(ids)] int64).

        Raises:
            MatchcutError: if the set lacks one of them.
        """
        return self._gather(self.positions(ids))

    def array(self) -> Floats:
        """All rows in the order of `ids`, in memory: [lengths.sum(), *shape]."""
        if len(self._parts) and int(self.lengths.sum()) == int(self._bounds[-1]):
            return np.concatenate([np.asarray(part) for part in self._parts])
        return self._gather(np.arange(len(self.ids)))[0]

    def positions(self, ids: Sequence[str]) -> NDArray[np.int64]:
        """Where these ids stand in `self.ids`, [len(ids)].

        Raises:
            MatchcutError: if the set lacks one of them.
        """
        try:
            return np.fromiter((self._position[key] for key in ids), dtype=np.int64, count=len(ids))
        except KeyError as error:
            missing = sum(key not in self._position for key in ids)
            raise MatchcutError(
                f"{self.path}: no features of {error.args[0]!r} ({missing} of {len(ids)} ids are missing); "
                "run `matchcut embed`, and see `matchcut info` for files that failed"
            ) from error

    def _gather(self, positions: NDArray[np.int64]) -> tuple[Floats, NDArray[np.int64]]:
        lengths = self.lengths[positions]
        ends = np.cumsum(lengths)
        total = int(ends[-1]) if len(ends) else 0
        rows = np.arange(total) + np.repeat(self._starts[positions] - (ends - lengths), lengths)
        values = np.empty((total, *self.manifest.shape), dtype=self.manifest.dtype)
        order = np.argsort(rows, kind="stable")  # each part is read once, forwards
        cuts = np.searchsorted(rows[order], self._bounds)
        for part, (first, last) in enumerate(pairwise(cuts)):
            into = order[first:last]
            values[into] = self._parts[part][rows[into] - self._bounds[part]]
        return values, lengths
