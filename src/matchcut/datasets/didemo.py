"""DiDeMo: Flickr videos of up to 30 seconds; for retrieval, all descriptions of a video joined to one paragraph.

Hendricks et al., "Localizing moments in video with natural language", 2017. Files of the paragraph-to-video protocol:
didemo_{train,val,test}_label.csv with the columns video_path and text.
"""

from pathlib import Path

from matchcut.collection import Collection
from matchcut.datasets.report import Report, differences
from matchcut.datasets.shipped import plain, read_bytes, rows_of
from matchcut.datasets.store import bare, store
from matchcut.errors import MatchcutError

ORIGIN = "it comes with the paragraph-to-video protocol of DiDeMo"
# Counted in the files as shipped.
EXPECTED = {"train paragraphs": 8_362, "val paragraphs": 1_062, "test paragraphs": 1_004}


def load(folder: Path, collection: Collection) -> Report:
    """Put DiDeMo's paragraphs and splits into a collection, without pixels; keys are the videos' file names.

    Some descriptions end with a line end: in a paragraph it is a space, as between all descriptions.
    """
    entries = []
    parts: dict[str, list[str]] = {}
    for part in ("train", "val", "test"):
        where, data = read_bytes(folder, [f"didemo_{part}_label.csv"], origin=ORIGIN)
        parts[part] = []
        for line, row in rows_of(where, data, ["video_path", "text"]):
            key = row["video_path"].rpartition("/")[2]
            if not key:
                raise MatchcutError(f"{where}, line {line}: names no video")
            if not row["text"]:
                raise MatchcutError(f"{where}, line {line}: {row['video_path']} has an empty paragraph")
            entries.append(bare(key, [plain(row["text"])]))
            parts[part].append(key)
    notes = differences({f"{part} paragraphs": len(keys) for part, keys in parts.items()}, EXPECTED)
    return store(collection, "DiDeMo", entries, splits={"default": parts}, notes=notes)
