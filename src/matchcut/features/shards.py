"""One shard of a feature set: `NNNNN.npy` with the values, `NNNNN.json` with whose they are.

The .json is written last, so a shard is there when its .json is, whatever stopped the program.
"""

from pathlib import Path

import msgspec
import numpy as np
from numpy.typing import NDArray

from matchcut.errors import MatchcutError
from matchcut.files import atomic


class Index(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Whose rows a shard holds, in order."""

    ids: list[str]
    lengths: list[int]  # rows of each id
    stamps: list[str]  # state of each id's source when it was embedded: tells whether it has changed since


def numbers(folder: Path) -> list[int]:
    """Numbers of the complete shards in a folder, ascending."""
    return sorted(int(path.stem) for path in folder.glob("*.json") if path.stem.isdigit())


def write(folder: Path, number: int, values: NDArray[np.generic], index: Index) -> None:
    """Write a shard: values [sum of lengths, *shape]."""
    with atomic(folder / f"{number:05d}.npy") as temporary, open(temporary, "wb") as file:
        np.save(file, values, allow_pickle=False)
    with atomic(folder / f"{number:05d}.json") as temporary:
        temporary.write_bytes(msgspec.json.encode(index))


def read_index(folder: Path, number: int) -> Index:
    """Read whose rows a shard holds."""
    path = folder / f"{number:05d}.json"
    try:
        index = msgspec.json.decode(path.read_bytes(), type=Index)
    except (OSError, msgspec.DecodeError) as error:
        raise MatchcutError(f"{path}: damaged: {error}; {_ADVICE}") from error
    if not len(index.ids) == len(index.lengths) == len(index.stamps):
        raise MatchcutError(f"{path}: damaged: {len(index.ids)} ids but {len(index.lengths)} lengths; {_ADVICE}")
    return index


def read_values(folder: Path, number: int, *, rows: int, shape: tuple[int, ...], dtype: str) -> NDArray[np.generic]:
    """Map a shard's values into memory, [rows, *shape], read-only."""
    path = folder / f"{number:05d}.npy"
    try:
        values: NDArray[np.generic] = np.load(path, mmap_mode="r" if rows else None, allow_pickle=False)
    except (OSError, ValueError, EOFError) as error:
        raise MatchcutError(f"{path}: damaged or truncated: {error}; {_ADVICE}") from error
    if values.shape != (rows, *shape) or values.dtype != dtype:
        raise MatchcutError(
            f"{path}: damaged: holds {values.dtype} {list(values.shape)}, its set says {dtype} {[rows, *shape]}; "
            + _ADVICE
        )
    return values


_ADVICE = "delete this shard's .npy and .json and run `matchcut embed` again to make it anew"
