"""YouCook2: cooking videos; each step is a clip with one sentence.

Zhou, Xu and Corso, "Towards automatic learning of procedures from web instructional videos", 2018. File as shipped:
youcookii_annotations_trainval.json.
"""

from pathlib import Path

from matchcut.collection import Collection
from matchcut.datasets.report import Report, differences
from matchcut.datasets.shipped import json_of, read_bytes
from matchcut.datasets.store import bare, store
from matchcut.errors import MatchcutError

FILE = "youcookii_annotations_trainval.json"
PARTS = {"training": "train", "validation": "val"}
# Counted in the file as shipped.
EXPECTED = {"videos": 1_790, "train clips": 10_337, "val clips": 3_492}


def load(folder: Path, collection: Collection) -> Report:
    """One item a clip, such as `GLd3aX16zBg/0`, without pixels; its times are in the item's rule."""
    where, data = read_bytes(folder, [FILE], origin="YouCook2 ships it with its annotations")
    entries = []
    parts: dict[str, list[str]] = {part: [] for part in PARTS.values()}
    try:
        videos = json_of(where, data)["database"]
        for key, video in videos.items():
            for clip in video["annotations"]:
                start, end = map(float, clip["segment"])
                name = f"{key}/{clip['id']}"
                rule = f"seconds {start:g} to {end:g}"
                entries.append(bare(name, [clip["sentence"].strip()], duration=end - start, rule=rule))
                parts[PARTS[video["subset"]]].append(name)
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise MatchcutError(f"{where}: not laid out as YouCook2's annotations: {error!r}") from error
    counts = {"videos": len(videos), **{f"{part} clips": len(keys) for part, keys in parts.items()}}
    return store(collection, "YouCook2", entries, splits={"default": parts}, notes=differences(counts, EXPECTED))
