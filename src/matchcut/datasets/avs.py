"""The caption files of the Ad-hoc Video Search family: lines `videoid#k caption`, one file a part.

Layout of the training data of W2VV (Dong, Li and Snoek, 2018) and the systems after it, such as
`msvdtrain.caption.txt` or `tv2016train.caption.txt`.
"""

from pathlib import Path

from matchcut.collection import Collection
from matchcut.datasets.report import Report
from matchcut.datasets.shipped import lines_of
from matchcut.datasets.store import bare, store
from matchcut.errors import MatchcutError

SUFFIX = ".caption.txt"
PARTS = ("train", "val", "test")


def load(path: Path, collection: Collection) -> Report:
    """Put one such file, or all of a folder, into a collection, without pixels.

    The name of a file says the part: the last of train, val, test in it. Captions are numbered from 0 in the order of
    their k, whatever k starts from.
    """
    files = [path] if path.is_file() else sorted(path.glob(f"*{SUFFIX}"))
    if not files:
        raise MatchcutError(f"{path}: no *{SUFFIX} here; lines must read videoid#k caption")
    entries, notes = [], []
    parts: dict[str, list[str]] = {}
    for file in files:
        captions = _captions(str(file), file.read_bytes())
        entries += [bare(key, [texts[k] for k in sorted(texts)]) for key, texts in captions.items()]
        stem = file.name.removesuffix(SUFFIX)
        part = max(PARTS, key=stem.rfind)
        if part in stem:
            parts.setdefault(part, []).extend(captions)
        else:
            notes.append(f"{file}: names no part (train, val, test), so its {len(captions):,} videos are in none")
    return store(collection, "AVS captions", entries, splits={"default": parts} if parts else {}, notes=notes)


def _captions(where: str, data: bytes) -> dict[str, dict[int, str]]:
    found: dict[str, dict[int, str]] = {}
    for number, line in lines_of(where, data):
        name, _, text = line.partition(" ")
        key, sign, k = name.rpartition("#")
        if not (key and sign and k.isdecimal() and text.strip()):
            raise MatchcutError(f"{where}, line {number}: must read videoid#k caption, is {line[:60]!r}")
        if int(k) in found.setdefault(key, {}):
            raise MatchcutError(f"{where}, line {number}: {name} is there twice")
        found[key][int(k)] = text.strip()
    return found
