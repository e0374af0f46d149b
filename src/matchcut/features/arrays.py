"""Features in an .npz file with ids: the simplest thing another program can write."""

from pathlib import Path
from typing import Literal

import numpy as np

from matchcut.errors import MatchcutError
from matchcut.features.feature_set import FeatureSet
from matchcut.features.manifest import Manifest


def open_npz(path: Path | str, *, of: Literal["frames", "captions"] = "frames") -> FeatureSet:
    """Open an .npz with `ids` [N] and `values`, as a read-only feature set in memory.

    `values` is [N, *shape], one row an id, or [sum of lengths, *shape] with `lengths` [N]. Float types other than
    float16 become float32.

    >>> import tempfile
    >>> path = Path(tempfile.mkdtemp()) / "some.npz"
    >>> np.savez(path, ids=["a", "b"], values=np.eye(3, 2, dtype="float32"), lengths=[2, 1])
    >>> open_npz(path).rows("a").tolist()
    [[1.0, 0.0], [0.0, 1.0]]

    Raises:
        MatchcutError: if the file is damaged, an array is missing, an id is repeated, or the counts do not fit.
    """
    path = Path(path)
    try:
        with np.load(path, allow_pickle=False) as file:
            arrays = {name: file[name] for name in file.files}
    except Exception as error:  # numpy and zipfile raise many kinds for a damaged file
        raise MatchcutError(f"{path}: not a readable .npz file: {error}") from error
    for name in ("ids", "values"):
        if name not in arrays:
            raise MatchcutError(
                f"{path}: no array {name!r}; it needs ids and values, and lengths if ids have several rows"
            )
    ids, values = [str(key) for key in arrays["ids"].tolist()], arrays["values"]
    lengths = arrays.get("lengths", np.ones(len(ids))).astype(np.int64)
    if len(lengths) != len(ids) or int(lengths.sum()) != len(values) or (lengths < 0).any():
        raise MatchcutError(
            f"{path}: {len(ids)} ids, {len(lengths)} lengths adding to {lengths.sum()}, {len(values)} rows of values"
        )
    if len(set(ids)) < len(ids):
        raise MatchcutError(f"{path}: an id is repeated; each id must come once, with all its rows")
    if not np.issubdtype(values.dtype, np.floating):
        raise MatchcutError(f"{path}: values are {values.dtype}; they must be floats")
    dtype: Literal["float16", "float32"] = "float16" if values.dtype == np.float16 else "float32"
    manifest = Manifest(
        name=path.stem,
        encoder=f"npz:{path.name}",
        weights="",
        preprocessing="",
        of=of,
        shape=values.shape[1:],
        dtype=dtype,
    )
    return FeatureSet(
        path, manifest, ids, lengths, np.cumsum(lengths) - lengths, [values.astype(dtype)], [""] * len(ids)
    )
