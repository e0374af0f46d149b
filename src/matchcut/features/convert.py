"""Bringing features of other formats into the store."""

from pathlib import Path

from matchcut.features.arrays import open_npz
from matchcut.features.bigfile import open_bigfile
from matchcut.features.feature_set import FeatureSet
from matchcut.features.writer import FeatureWriter


def from_bigfile(path: Path | str, writer: FeatureWriter) -> int:
    """Add a BigFile directory to a set; return how many ids were added. Ids that are there already are left alone.

    >>> from_bigfile("FeatureData/resnet152", FeatureWriter(Path("features/resnet"), manifest))  # doctest: +SKIP
    9000
    """
    return copy(open_bigfile(path), writer)


def from_npz(path: Path | str, writer: FeatureWriter) -> int:
    """Add an .npz file with `ids`, `values` and perhaps `lengths` to a set; return how many ids were added."""
    return copy(open_npz(path), writer)


def copy(source: FeatureSet, writer: FeatureWriter) -> int:
    """Add the rows of one set to another; return how many ids were added. Ids that are there already are left alone.

    Raises:
        ValueError: if the rows do not have the shape the writer takes.
    """
    new = [key for key in source.ids if key not in writer.done]
    for key in new:
        writer.add(key, source.rows(key))
    writer.flush()
    return len(new)
