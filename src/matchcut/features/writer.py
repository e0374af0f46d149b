"""Writing a feature set, shard by shard."""

from collections.abc import Mapping
from contextlib import ExitStack, suppress
from pathlib import Path
from types import MappingProxyType, TracebackType

import numpy as np
from numpy.typing import ArrayLike, NDArray

from matchcut.errors import MatchcutError
from matchcut.features import shards
from matchcut.features.manifest import FILE, Manifest
from matchcut.files import locked

SHARD_BYTES = 64 * 2**20


class FeatureWriter:
    """Adds rows to a feature set, making it if it is not there.

    Rows are kept until a shard is full (`shard_bytes`) or `flush` is called; a shard is on disk complete or not at all,
    so a writer that was killed goes on after the last one. An id that is added again replaces the older rows.

    >>> import tempfile
    >>> manifest = Manifest(name="a", encoder="e", weights="w", preprocessing="", of="captions", shape=(4,))
    >>> path = Path(tempfile.mkdtemp()) / "a"
    >>> with FeatureWriter(path, manifest) as writer:
    ...     writer.add("video1#0", np.ones((1, 4)), stamp="first wording")
    >>> with FeatureWriter(path, manifest) as writer:
    ...     dict(writer.done)
    {'video1#0': 'first wording'}
    """

    def __init__(self, path: Path, manifest: Manifest, *, force: bool = False, shard_bytes: int = SHARD_BYTES) -> None:
        """Open `path` for writing. `force`: throw away what is there.

        Raises:
            MatchcutError: if a set with another manifest is there, it is damaged, another process is writing it,
                or the folder cannot be written.
        """
        if shard_bytes < 1:
            raise ValueError(f"shard_bytes must be at least 1, got {shard_bytes}")
        self.path, self.manifest = path, manifest
        self._shard_bytes, self._bytes = shard_bytes, 0
        self._ids: list[str] = []
        self._rows: list[NDArray[np.generic]] = []
        self._stamps: list[str] = []
        self._done: dict[str, str] = {}
        with ExitStack() as held:
            busy = f"{path}: another process is writing this set; wait until it is done"
            held.enter_context(locked(path / ".lock", busy=busy))
            for rest in path.glob(".*.part"):  # of a writer that was killed
                rest.unlink()
            if force or not (path / FILE).exists():
                _clear(path)
                manifest.save(path)
            Manifest.load(path).refuse_other(manifest, path)
            there = shards.numbers(path)
            for number in there:
                index = shards.read_index(path, number)
                self._done.update(zip(index.ids, index.stamps, strict=True))
            self._held = held.pop_all()
        self._number = there[-1] + 1 if there else 0

    @property
    def done(self) -> Mapping[str, str]:
        """The ids the set has, each with the stamp it was added with."""
        return MappingProxyType(self._done)

    def add(self, key: str, rows: ArrayLike, *, stamp: str = "") -> None:
        """Add the rows of an id, [n, *shape]. `stamp` says which state of the source they come from.

        Raises:
            ValueError: if the rows do not have the set's shape, or a number is not finite in the set's dtype.
        """
        values = np.asarray(rows)
        if values.ndim == 0 or values.shape[1:] != self.manifest.shape:
            raise ValueError(
                f"{key}: rows of shape {list(values.shape)}, the set takes [n, *{list(self.manifest.shape)}]"
            )
        with np.errstate(over="ignore"):
            values = values.astype(self.manifest.dtype)
        if not np.isfinite(values).all():
            raise ValueError(
                f"{key}: a value is not finite in {self.manifest.dtype}; use dtype='float32' or mend the encoder"
            )
        self._ids.append(key)
        self._rows.append(values)
        self._stamps.append(stamp)
        self._done[key] = stamp
        self._bytes += values.nbytes
        if self._bytes >= self._shard_bytes:
            self.flush()

    def flush(self) -> None:
        """Write what is kept as a shard."""
        if not self._ids:
            return
        index = shards.Index(self._ids, [len(rows) for rows in self._rows], self._stamps)
        shards.write(self.path, self._number, np.concatenate(self._rows), index)
        self._ids, self._rows, self._stamps, self._bytes = [], [], [], 0
        self._number += 1

    def __enter__(self) -> "FeatureWriter":
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None) -> None:
        try:
            if not isinstance(error, MatchcutError):  # after a full disk, writing again would only hide the reason
                self.flush()
        finally:
            self._held.close()


def _clear(path: Path) -> None:
    """Remove a set: the manifest first, so that a half-removed set is no set."""
    with suppress(FileNotFoundError):
        (path / FILE).unlink()
    for pattern in ("*.json", "*.npy"):
        for file in path.glob(pattern):
            file.unlink()
