"""BigFile directories, the feature format of the ad-hoc video search family.

`feature.bin` raw float32, little-endian, row after row; `id.txt` the ids in row order, separated by white space;
`shape.txt` "N D"; for frame features also `video2frames.txt`, a Python dict literal {video: [frame ids]} or JSON.
(From the reference code of danieljf24/hybrid_space and its relatives.)
"""

import ast
import json
import re
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from matchcut.errors import MatchcutError
from matchcut.features.feature_set import FeatureSet
from matchcut.features.manifest import Manifest


def open_bigfile(path: Path | str) -> FeatureSet:
    """Open a BigFile directory as a read-only feature set of one row an id.

    With `video2frames.txt` the ids are the videos, each with the rows of its frames in the order listed there.

    Raises:
        MatchcutError: if a file is missing or damaged, or the files contradict each other.
    """
    path = Path(path)
    count, dim = _shape(path / "shape.txt")
    ids = _text(path / "id.txt").split()
    if len(ids) != count:
        raise MatchcutError(f"{path / 'id.txt'}: {len(ids)} ids, but shape.txt says {count}")
    values = _values(path / "feature.bin", count, dim)
    if (path / "video2frames.txt").exists():
        videos = read_video2frames(path / "video2frames.txt")
        position = {key: row for row, key in enumerate(ids)}
        try:
            rows = [position[frame] for frames in videos.values() for frame in frames]
        except KeyError as error:
            raise MatchcutError(f"{path / 'video2frames.txt'}: frame {error.args[0]!r} is not in id.txt") from error
        ids, lengths = list(videos), np.array([len(frames) for frames in videos.values()], dtype=np.int64)
        if rows != list(range(count)):
            values = values[rows]
    else:
        ids, first = _unique(ids)
        lengths = np.ones(len(ids), dtype=np.int64)
        values = values if len(ids) == count else values[first]
    manifest = Manifest(
        name=path.name,
        encoder=f"bigfile:{path.name}",
        weights="",
        preprocessing="",
        of="frames",
        shape=(dim,),
        dtype="float32",
    )
    return FeatureSet(path, manifest, ids, lengths, np.cumsum(lengths) - lengths, [values], [""] * len(ids))


def read_video2frames(path: Path) -> dict[str, list[str]]:
    """Read {video: [frame ids]}, written as a Python literal or as JSON. Nothing in the file is executed."""
    text = _text(path)
    try:
        found = ast.literal_eval(text.strip())
    except (ValueError, SyntaxError, MemoryError, RecursionError):
        try:
            found = json.loads(text)
        except ValueError as error:
            raise MatchcutError(f"{path}: neither a Python dict literal nor JSON: {error}") from error
    if not isinstance(found, dict) or not all(isinstance(frames, list | tuple) for frames in found.values()):
        raise MatchcutError(f"{path}: must be a dict from video to list of frame ids")
    return {str(video): [str(frame) for frame in frames] for video, frames in found.items()}


def read_id_feature_text(path: Path | str) -> tuple[list[str], NDArray[np.float32]]:
    """Read the text precursor `id v1 ... vD`, one id a line: (ids, values [N, D]).

    As the reference code does, a repeated id keeps its first line, and a line with a NaN is dropped.

    Raises:
        MatchcutError: if a line has another number of values than the first, or one that is no number.
    """
    path = Path(path)
    ids: list[str] = []
    rows: list[NDArray[np.float32]] = []
    seen = set()
    for number, line in enumerate(_text(path).splitlines(), start=1):
        key, *words = line.split() or [""]
        if not key or key in seen:
            continue
        try:
            row = np.array([float(word) for word in words], dtype=np.float32)
        except ValueError as error:
            raise MatchcutError(f"{path}, line {number}: {error}; a line must be an id and numbers") from error
        if rows and len(row) != len(rows[0]):
            raise MatchcutError(f"{path}, line {number}: {len(row)} values, the first line has {len(rows[0])}")
        if not np.isnan(row).any():
            seen.add(key)
            ids.append(key)
            rows.append(row)
    if not rows:
        raise MatchcutError(f"{path}: no features; a line must be an id and numbers")
    return ids, np.stack(rows)


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except FileNotFoundError as error:
        raise MatchcutError(f"{path}: missing; a BigFile directory has feature.bin, id.txt and shape.txt") from error
    except (OSError, UnicodeDecodeError) as error:
        raise MatchcutError(f"{path}: cannot be read: {error}") from error


def _shape(path: Path) -> tuple[int, int]:
    text = _text(path)
    match = re.fullmatch(r"\s*(\d+)\s+(\d+)\s*", text)
    if not match:
        raise MatchcutError(f"{path}: {text.strip()[:40]!r}; it must be two numbers, rows and dimensions")
    return int(match[1]), int(match[2])


def _values(path: Path, count: int, dim: int) -> NDArray[np.float32]:
    size = path.stat().st_size if path.exists() else -1
    if size != count * dim * 4:
        raise MatchcutError(
            f"{path}: {max(size, 0)} bytes, but shape.txt says {count} x {dim} float32 = {count * dim * 4}"
        )
    if size == 0:
        return np.zeros((count, dim), dtype=np.float32)
    values: NDArray[np.float32] = np.memmap(path, dtype="<f4", mode="r", shape=(count, dim))
    return values


def _unique(ids: list[str]) -> tuple[list[str], list[int]]:
    first: dict[str, int] = {}
    for row, key in enumerate(ids):
        first.setdefault(key, row)
    return list(first), list(first.values())
