"""Benchmarks as they are shipped, one file per format, and the built-in world."""

from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING

from matchcut.datasets.report import Report
from matchcut.errors import MatchcutError

if TYPE_CHECKING:
    from matchcut.collection import Collection

__all__ = ["FORMATS", "Report", "check", "load"]

# Format: where its loader is. A loader takes (path, collection) and gives a Report.
FORMATS = {
    "msrvtt": "matchcut.datasets.msrvtt:load",
    "flickr8k": "matchcut.datasets.flickr8k:load",
    # Captions and splits only, no pixels:
    "flickr30k": "matchcut.datasets.flickr30k:load",
    "coco": "matchcut.datasets.coco:load",
    "msvd": "matchcut.datasets.msvd:load",
    "didemo": "matchcut.datasets.didemo:load",
    "activitynet": "matchcut.datasets.activitynet:load",
    "activitynet-segments": "matchcut.datasets.activitynet:load_segments",
    "vatex": "matchcut.datasets.vatex:load",
    "lsmdc": "matchcut.datasets.lsmdc:load",
    "youcook2": "matchcut.datasets.youcook2:load",
    "tgif": "matchcut.datasets.tgif:load",
    "avs": "matchcut.datasets.avs:load",
}


def load(name: str, path: Path | str, collection: "Collection") -> Report:
    """Put a benchmark into a collection. Running it again changes nothing.

    Args:
        name: one of FORMATS.
        path: the folder with the files of the benchmark, named as they are shipped.
        collection: where it goes.

    Raises:
        MatchcutError: if the format is unknown, or a file is missing or damaged; nothing is changed then.
    """
    path = Path(path)
    check(name, path)
    module, _, function = FORMATS[name].partition(":")
    report: Report = getattr(import_module(module), function)(path, collection)
    return report


def check(name: str, path: Path) -> None:
    """Raise a MatchcutError if there is no such format, or nothing at the path."""
    if name not in FORMATS:
        raise MatchcutError(f"no benchmark format {name!r}; known: world, {', '.join(FORMATS)}")
    if not path.exists():
        raise MatchcutError(f"{path}: no such file or folder; `import {name}` needs the files of the benchmark")
