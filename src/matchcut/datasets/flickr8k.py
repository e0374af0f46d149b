"""Flickr8k: 8,000 photographs with five captions each, and human judgments of other images' captions.

Hodosh, Young and Hockenmaier, "Framing image description as a ranking task", 2013. Files as shipped in
Flickr8k_text.zip and Flickr8k_Dataset.zip, zipped or not.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

from matchcut.collection import Collection, Frame, Item, Judgment, Shot
from matchcut.datasets.report import Report, differences
from matchcut.datasets.shipped import image_members, image_size, lines_of, listed, look, open_zip, read_bytes
from matchcut.datasets.store import Entry, store
from matchcut.errors import MatchcutError

TEXT = ("Flickr8k_text.zip",)
ORIGIN = "Flickr8k ships it in Flickr8k_text.zip"
IMAGE_ARCHIVES = ("Flickr8k_Dataset.zip", "images*.zip")
IMAGE_FOLDERS = ("Flicker8k_Dataset", "Flickr8k_Dataset", "Images", "images")
PARTS = {"train": "Flickr_8k.trainImages.txt", "val": "Flickr_8k.devImages.txt", "test": "Flickr_8k.testImages.txt"}
# Counted in the files as shipped.
EXPECTED = {
    "images": 8_091,
    "captions": 40_455,
    "train images": 6_000,
    "val images": 1_000,
    "test images": 1_000,
}
# Source of judgments: file, and the relevance from its numbers.
JUDGED: dict[str, tuple[str, Callable[[list[float]], float]]] = {
    "crowdflower": ("CrowdFlowerAnnotations.txt", lambda numbers: numbers[0]),
    "experts": ("ExpertAnnotations.txt", lambda grades: (sum(grades[:3]) / 3 - 1) / 3),
}
EXPECTED_CROWDFLOWER = {"CrowdFlower judgments": 47_830}


@dataclass(frozen=True)
class Picture:
    """Where an image is: a file of its own, or a member of an archive."""

    source: Path
    member: str = ""
    width: int = 0
    height: int = 0


def load(folder: Path, collection: Collection) -> Report:
    """Put Flickr8k into a collection; item keys are the image names, such as `1000268201_693b08cb0e.jpg`."""
    captions = _captions(*read_bytes(folder, ["Flickr8k.token.txt"], TEXT, origin=ORIGIN))
    lists = {
        part: [line.strip() for _, line in lines_of(*read_bytes(folder, [name], TEXT, origin=ORIGIN))]
        for part, name in PARTS.items()
    }
    pictures, failures = _pictures(folder)
    notes = []
    orphans = {key: texts for key, texts in captions.items() if key not in pictures}
    if orphans:
        count = sum(map(len, orphans.values()))
        notes.append(f"{count:,} captions have no image and were left out: {listed(list(orphans))}")
    parts = {part: [name for name in names if name in pictures] for part, names in lists.items()}
    usable = {f"{key}#{k}" for key in pictures for k in range(len(captions.get(key, [])))}
    judgments = {
        source: [j for j in judged if j.item in pictures and j.caption in usable]
        for source, judged in _judgments(folder).items()
    }
    counts = {
        "images": len(pictures),
        "captions": sum(len(texts) for key, texts in captions.items() if key in pictures),
        **{f"{part} images": len(keys) for part, keys in parts.items()},
    }
    notes += differences(counts, EXPECTED)
    if failures:
        notes.append(f"{len(failures):,} images cannot be read and were left out; `matchcut info` lists them")
    if "crowdflower" in judgments:
        notes += differences({"CrowdFlower judgments": len(judgments["crowdflower"])}, EXPECTED_CROWDFLOWER)
    else:
        notes.append("no CrowdFlowerAnnotations.txt here, so its judgments were not read")
    entries = [_entry(key, picture, captions.get(key, [])) for key, picture in pictures.items()]
    return store(
        collection,
        "Flickr8k",
        entries,
        splits={"default": parts},
        judgments=judgments,
        failures=failures,
        notes=notes,
    )


def _entry(key: str, picture: Picture, captions: list[str]) -> Entry:
    status = picture.source.stat()
    item = Item(
        key=key,
        kind="image",
        source=str(picture.source),
        size=status.st_size,
        mtime_ns=status.st_mtime_ns,
        width=picture.width,
        height=picture.height,
    )
    return Entry(item, captions, [Shot(0.0, 0.0, (Frame(0.0, picture.member),))])


def _captions(where: str, data: bytes) -> dict[str, list[str]]:
    """Image name -> captions, from lines `image.jpg#k<TAB>caption`."""
    found: dict[str, dict[int, str]] = {}
    for number, line in lines_of(where, data):
        head, tab, text = line.partition("\t")
        name, sign, k = head.rpartition("#")
        if not (tab and sign and k.isdecimal() and text.strip()):
            raise MatchcutError(f"{where}, line {number}: must read image.jpg#0<TAB>caption, is {line[:60]!r}")
        found.setdefault(name, {})[int(k)] = text.strip()
    return {name: [texts[k] for k in sorted(texts)] for name, texts in found.items()}


def _pictures(folder: Path) -> tuple[dict[str, Picture], dict[str, str]]:
    """Image name -> where it is, sorted; and what cannot be read, with the reason."""
    found: dict[str, Picture] = {}
    failures: dict[str, str] = {}
    for archive in (path for pattern in IMAGE_ARCHIVES for path in sorted(folder.glob(pattern))):
        with open_zip(archive) as opened:
            for member in image_members(opened):
                try:
                    width, height = image_size(opened, member)
                except MatchcutError as error:
                    failures[f"{archive.resolve()}!{member}"] = str(error)
                else:
                    found[member.rpartition("/")[2]] = Picture(archive.resolve(), member, width, height)
        return dict(sorted(found.items())), failures
    for path in (folder / name for name in IMAGE_FOLDERS):
        if path.is_dir():
            return _loose(sorted(path.resolve().glob("*.jpg")))
    places = " or ".join((*IMAGE_ARCHIVES, *(f"{name}/" for name in IMAGE_FOLDERS)))
    raise MatchcutError(f"{folder}: no images here, neither {places}; Flickr8k ships Flickr8k_Dataset.zip")


def _loose(paths: Iterable[Path]) -> tuple[dict[str, Picture], dict[str, str]]:
    from PIL import Image

    found: dict[str, Picture] = {}
    failures: dict[str, str] = {}
    for path in paths:
        try:
            with Image.open(path) as image:
                found[path.name] = Picture(path, "", *image.size)
        except (OSError, ValueError, SyntaxError) as error:
            failures[str(path)] = f"not an image: {error}"
    return found, failures


def _judgments(folder: Path) -> dict[str, list[Judgment]]:
    """Human judgments, as far as their files are here.

    CrowdFlower: image, caption id, share of yes, numbers of yes and no.
    Experts: image, caption id, three grades of 1 to 4.
    """
    found: dict[str, list[Judgment]] = {}
    for source, (name, relevance) in JUDGED.items():
        shipped = look(folder, [name], TEXT)
        if shipped is None:
            continue
        where, data = shipped
        found[source] = []
        for number, line in lines_of(where, data):
            try:
                image, caption, *values = line.split("\t")
                found[source].append(Judgment(caption, image, relevance([float(value) for value in values])))
            except (IndexError, ValueError) as error:
                raise MatchcutError(f"{where}, line {number}: must read image, caption id, numbers") from error
    return found
