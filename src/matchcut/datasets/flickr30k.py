"""Flickr30k: photographs with five captions each.

Young et al., "From image descriptions to visual denotations", 2014. Files: the English captions of Multi30k's task 2
(Elliott et al., 2016), {train,val}.{1..5}.en.gz, line by line for {train,val}_images.txt; test captions of
Karpathy's split as f30k_caption_karpathy_test.jsonl.
"""

import gzip
import json
from pathlib import Path

from matchcut.collection import Collection
from matchcut.datasets.report import Report, differences
from matchcut.datasets.shipped import lines_of, look, read_bytes, texts_of
from matchcut.datasets.store import Entry, bare, store
from matchcut.errors import MatchcutError

ORIGIN = "it comes with Multi30k's task 2"
TEST = "f30k_caption_karpathy_test.jsonl"
# Counted in the files as shipped.
EXPECTED = {"train images": 29_000, "val images": 1_014, "test images": 1_000}


def load(folder: Path, collection: Collection) -> Report:
    """Put Flickr30k's captions and splits into a collection, without pixels; keys are the images' names."""
    entries = {part: _task2(folder, part) for part in ("train", "val")}
    shipped = look(folder, [TEST])
    entries["test"] = karpathy(*shipped) if shipped else []
    notes = list(differences({f"{part} images": len(found) for part, found in entries.items()}, EXPECTED))
    if not shipped:
        notes.append(f"no {TEST} here, so no test images")
    parts = {part: [entry.item.key for entry in found] for part, found in entries.items() if found}
    everything = [entry for found in entries.values() for entry in found]
    return store(collection, "Flickr30k", everything, splits={"default": parts}, notes=notes)


def karpathy(where: str, data: bytes) -> list[Entry]:
    """Images without pixels from lines {"image": path, "caption": [captions]}; keys are the files' names."""
    entries = []
    for number, line in lines_of(where, data):
        try:
            row = json.loads(line)
            captions = texts_of(row["caption"])
            entries.append(bare(row["image"].rpartition("/")[2], captions, kind="image"))
        except (AttributeError, KeyError, TypeError, ValueError) as error:
            raise MatchcutError(f"{where}, line {number}: must be {{image, caption: [captions]}}: {error!r}") from error
    return entries


def _task2(folder: Path, part: str) -> list[Entry]:
    place, listing = read_bytes(folder, [f"{part}_images.txt"], origin=ORIGIN)
    keys = [line.strip() for _, line in lines_of(place, listing)]
    columns = []
    for k in range(1, 6):
        where, data = read_bytes(folder, [f"{part}.{k}.en.gz", f"{part}.{k}.en"], origin=ORIGIN)
        try:
            text = gzip.decompress(data) if where.endswith(".gz") else data
        except (OSError, EOFError) as error:
            raise MatchcutError(f"{where}: not a whole gzip file: {error}") from error
        lines = [line.strip() for _, line in lines_of(where, text)]
        if len(lines) != len(keys):
            raise MatchcutError(f"{where}: {len(lines):,} captions for the {len(keys):,} images of {place}")
        columns.append(lines)
    return [bare(key, captions, kind="image") for key, *captions in zip(keys, *columns, strict=True)]
