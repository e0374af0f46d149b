"""MSVD: 1,970 short YouTube clips with about 41 captions each.

Chen and Dolan, "Collecting highly parallel data for paraphrase evaluation", 2011. Files of the retrieval literature:
captions_msvd.json {clip: [captions]} and {train,val,test}_list.txt.
"""

from pathlib import Path

from matchcut.collection import Collection
from matchcut.datasets.report import Report, differences
from matchcut.datasets.shipped import json_of, lines_of, read_bytes
from matchcut.datasets.store import bare, store
from matchcut.errors import MatchcutError

ORIGIN = "it comes with the MSVD split of the retrieval literature"
# Counted in the files as shipped.
EXPECTED = {"clips": 1_970, "captions": 80_827, "train clips": 1_200, "val clips": 100, "test clips": 670}


def load(folder: Path, collection: Collection) -> Report:
    """Put MSVD's captions and splits into a collection, without pixels."""
    where, data = read_bytes(folder, ["captions_msvd.json"], origin=ORIGIN)
    captions = json_of(where, data)
    if not isinstance(captions, dict) or not all(isinstance(texts, list) for texts in captions.values()):
        raise MatchcutError(f"{where}: must be an object of lists, clip name to captions")
    parts = {}
    for part in ("train", "val", "test"):
        place, listing = read_bytes(folder, [f"{part}_list.txt"], origin=ORIGIN)
        parts[part] = [line.strip() for _, line in lines_of(place, listing)]
        for key in parts[part]:
            if key not in captions:
                raise MatchcutError(f"{place}: clip {key} has no captions in captions_msvd.json")
    entries = [bare(key, [str(text).strip() for text in texts]) for key, texts in captions.items()]
    counts = {
        "clips": len(entries),
        "captions": sum(len(entry.captions) for entry in entries),
        **{f"{part} clips": len(keys) for part, keys in parts.items()},
    }
    return store(collection, "MSVD", entries, splits={"default": parts}, notes=differences(counts, EXPECTED))
