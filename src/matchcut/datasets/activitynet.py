"""ActivityNet Captions: long videos, several sentences each, every sentence with its stretch of time.

Krishna et al., "Dense-captioning events in videos", 2017. Files as shipped: train.json, val_1.json, val_2.json. The two
validation files describe the same videos in the words of different people.
"""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from matchcut.collection import Collection
from matchcut.datasets.report import Report, differences
from matchcut.datasets.shipped import json_of, read_bytes, texts_of
from matchcut.datasets.store import Entry, bare, store
from matchcut.errors import MatchcutError

ORIGIN = "ActivityNet Captions ships it in captions.zip"
FILES = {"train": "train.json", "val": "val_1.json", "test": "val_2.json"}
# Counted in the files as shipped.
EXPECTED = {"train videos": 10_009, "val videos": 4_917, "test videos": 4_885}


def load(folder: Path, collection: Collection) -> Report:
    """One item a video, its sentences joined to one paragraph: the paragraph-to-video protocol.

    Part "val" is val_1.json, the one that papers report. Part "test" is val_2.json; its items are named
    `val_2/v_...`, as they are videos of "val" in other words.
    """
    return _load(folder, collection, "ActivityNet Captions", _paragraph)


def load_segments(folder: Path, collection: Collection) -> Report:
    """One item a sentence, standing for its stretch of the video: `v_.../0`, `v_.../1`, ..."""
    return _load(folder, collection, "ActivityNet Captions, segments", _segments)


def _load(folder: Path, collection: Collection, name: str, entries_of: Callable[[str, Any], Iterator[Entry]]) -> Report:
    entries: list[Entry] = []
    parts: dict[str, list[str]] = {}
    counts: dict[str, int] = {}
    for part, file in FILES.items():
        where, data = read_bytes(folder, [file], ["captions.zip"], origin=ORIGIN)
        videos = json_of(where, data)
        try:
            prefix = "val_2/" if part == "test" else ""
            found = [entry for key, video in videos.items() for entry in entries_of(prefix + key, video)]
        except (AttributeError, KeyError, TypeError, ValueError) as error:
            raise MatchcutError(f"{where}: not laid out as ActivityNet Captions: {error!r}") from error
        entries += found
        parts[part] = [entry.item.key for entry in found]
        counts[f"{part} videos"] = len(videos)
    return store(collection, name, entries, splits={"default": parts}, notes=differences(counts, EXPECTED))


def _paragraph(key: str, video: Any) -> Iterator[Entry]:
    yield bare(key, [" ".join(texts_of(video["sentences"]))], duration=float(video["duration"]))


def _segments(key: str, video: Any) -> Iterator[Entry]:
    for number, ((start, end), text) in enumerate(zip(video["timestamps"], video["sentences"], strict=True)):
        if text.strip():
            rule = f"seconds {start:g} to {end:g}"
            yield bare(f"{key}/{number}", [text.strip()], duration=max(0.0, float(end) - float(start)), rule=rule)
