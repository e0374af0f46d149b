"""MSR-VTT: 10,000 web videos with twenty captions each.

Xu, Mei, Yao and Rui, "MSR-VTT: A large video description dataset for bridging video and language", 2016. Captions as
shipped (train_val_annotation.zip and test_videodatainfo.json.zip, zipped or not) or in one MSRVTT_data.json; pixels as
videoN.mp4 files at any depth, or as JPEG frames `videoN/shotSS_CC_fFFFF.jpg` in a zip.
"""

import re
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from matchcut.collection import Collection, Frame, Item, Shot
from matchcut.datasets.msrvtt_lists import TEST, Lists, Sentences
from matchcut.datasets.report import Report, differences
from matchcut.datasets.shipped import (
    image_members,
    image_size,
    json_of,
    listed,
    look,
    open_zip,
    read_bytes,
)
from matchcut.datasets.store import Entry, store
from matchcut.errors import MatchcutError

ANNOTATIONS = (
    (("train_val_videodatainfo.json",), ("train_val_annotation.zip",)),
    (("test_videodatainfo.json",), ("test_videodatainfo.json.zip", "test_videodatainfo.zip")),
)
ORIGIN = "MSR-VTT ships its captions in train_val_annotation.zip and test_videodatainfo.json.zip"
FRAMES = "frames*.zip"
FRAME_NAME = re.compile(r"(?:.*/)?(video\d+)/shot(\d+)_(\d+)_f(\d+)\.jpg")
FRAME_RULE = "frames as shipped, times spread evenly"
PARTS = {"train": "train", "validate": "val", "val": "val", "test": "test"}
# Counted in the files as shipped.
EXPECTED = {"annotated videos": 10_000, "annotated captions": 200_000}


@dataclass(frozen=True)
class Annotated:
    """A video of the annotation files."""

    part: str  # of the official split; empty if only JSFUSION's list tells of the video
    duration: float  # seconds
    captions: tuple[str, ...]


def load(folder: Path, collection: Collection) -> Report:
    """Put MSR-VTT into a collection: the videos that have pixels here, with keys such as `video7010`.

    Without any pixels all annotated videos become items without a source, for work on captions. The schemes 7k, 9k and
    jsfusion test with one caption a video, the sentence in JSFUSION's list.
    """
    lists = Lists.read(folder)
    annotated, notes = _annotations(folder, lists.sentences)
    counts = {
        "annotated videos": len(annotated),
        "annotated captions": sum(len(video.captions) for video in annotated.values()),
    }
    notes += differences(counts, EXPECTED)
    found, failures, how = _pixels(folder, annotated)
    notes += how
    strangers = sorted(found.keys() - annotated.keys())
    if strangers:
        notes.append(f"{len(strangers):,} videos have no captions and were left out: {listed(strangers)}")
    items = {key: found[key] for key in annotated if key in found}
    without = sum(len(video.captions) for key, video in annotated.items() if key not in items)
    if without:
        notes.append(f"{without:,} captions of {len(annotated) - len(items):,} videos have no pixels and were left out")
    if failures:
        notes.append(f"{len(failures):,} sources cannot be read and were left out; `matchcut info` lists them")
    schemes, more = lists.schemes(items)
    notes += more
    captions = {key: annotated[key].captions for key in items}
    asked = Sentences.find({key: text for key, text in lists.sentences.items() if key in items}, captions)
    if any(annotated[key].part for key in items if key in lists.sentences):
        notes.append(asked.note())
    elif not asked.named and schemes.get("jsfusion", {}).get("test"):
        notes.append(f"{TEST} has no column sentence: its parts test with all captions, which is not the protocol 1k-A")
    default: dict[str, list[str]] = {"train": [], "val": [], "test": []}
    for key in items:
        if annotated[key].part:
            default[annotated[key].part].append(key)
    return store(
        collection,
        "MSR-VTT",
        [Entry(item, captions[key], shots, asked.apart.get(key, ())) for key, (item, shots) in items.items()],
        splits={"default": default, **schemes},
        named={scheme: {"test": asked.named} for scheme in schemes if asked.named},
        failures=failures,
        notes=notes,
    )


def _annotations(folder: Path, sentences: Mapping[str, str]) -> tuple[dict[str, Annotated], list[str]]:
    """Video -> part, length and captions, in the order of the files; and what to say.

    For videos of an annotation file that is not there, `sentences` will do (video -> sentence), if there are any.
    """
    whole = look(folder, ["MSRVTT_data.json"])
    files = [whole] if whole else [look(folder, names, zips) for names, zips in ANNOTATIONS]
    notes = []
    for (names, zips), file in zip(ANNOTATIONS, files, strict=not whole):
        if file is None and not sentences:
            read_bytes(folder, names, zips, origin=ORIGIN)  # says what is missing
        if file is None:
            notes.append(f"no {names[0]} here: of its videos only those in {TEST} come in, with the sentence there")
    found: dict[str, Annotated] = {}
    for where, data in filter(None, files):
        value = json_of(where, data)
        try:
            captions: dict[str, list[str]] = defaultdict(list)
            for sentence in sorted(value["sentences"], key=lambda sentence: sentence["sen_id"]):
                captions[sentence["video_id"]].append(sentence["caption"].strip())
            for video in value["videos"]:
                key, span = video["video_id"], float(video["end time"]) - float(video["start time"])
                found[key] = Annotated(PARTS[video["split"]], round(span, 3), tuple(captions.pop(key, ())))
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise MatchcutError(f"{where}: not laid out as MSR-VTT's videodatainfo.json: {error!r}") from error
        if captions:
            raise MatchcutError(f"{where}: captions of {listed(list(captions))}, which are not among its videos")
    if None in files:
        found |= {key: Annotated("", 0.0, (text,)) for key, text in sentences.items() if key not in found}
    return found, notes


Pixels = tuple[dict[str, tuple[Item, list[Shot]]], dict[str, str], list[str]]  # items, failures, what to say


def _pixels(folder: Path, annotated: dict[str, Annotated]) -> Pixels:
    files = {path.stem: path.resolve() for path in sorted(folder.rglob("video*.mp4"))}
    if files:
        return _from_files(files)
    archives = sorted(folder.glob(FRAMES))
    if archives:
        return _from_frames(archives[0].resolve(), annotated)
    bare = {key: (Item(key, "video", "", duration=video.duration), list[Shot]()) for key, video in annotated.items()}
    return bare, {}, [f"no videoN.mp4 and no {FRAMES} here: captions and splits only"]


def _from_files(files: dict[str, Path]) -> Pixels:
    import os

    from matchcut.media.pool import run

    results = run(_scan, list(files.values()), workers=os.cpu_count() or 1, crashed=_crashed)
    found, failures = {}, {}
    for key, result in zip(files, results, strict=True):
        if isinstance(result, str):
            failures[str(files[key])] = result
        else:
            found[key] = (replace(result[0], key=key), result[1])
    return found, failures, [f"{len(found):,} video files, one shot each"]


def _scan(path: Path) -> tuple[Item, list[Shot]] | str:
    from matchcut.media.sampling import FrameRule
    from matchcut.media.scan import scan
    from matchcut.media.sources import Source

    try:
        seen = scan(Source(str(path), str(path.parent), path.stem), FrameRule(shots="none"))
    except MatchcutError as error:
        return str(error)
    return seen.item, seen.shots


def _crashed(path: Path) -> str:
    return f"{path}: the decoder crashed"


def _from_frames(archive: Path, annotated: dict[str, Annotated]) -> Pixels:
    """Frames SS_CC_FFFF are numbered within shot SS, and where a shot begins is not told. What is known is the order:
    frame k of n stands for the k-th of n equal parts of the video, and a shot spans the parts of its frames."""
    names: dict[str, dict[int, list[str]]] = defaultdict(lambda: defaultdict(list))
    sizes: dict[str, tuple[int, int]] = {}
    failures: dict[str, str] = {}
    with open_zip(archive) as opened:
        for member in sorted(image_members(opened)):
            match = FRAME_NAME.fullmatch(member)
            try:
                if match is None:
                    raise MatchcutError(f"{archive}, entry {member!r}: must be named videoN/shotSS_CC_fFFFF.jpg")
                sizes[match[1]] = image_size(opened, member)
                names[match[1]][int(match[2])].append(member)
            except MatchcutError as error:
                failures[f"{archive}!{member}"] = str(error)
    status = archive.stat()
    found = {}
    for key, shots in names.items():
        width, height = sizes[key]
        duration = annotated[key].duration if key in annotated else 0.0
        item = Item(
            key, "video", str(archive), status.st_size, status.st_mtime_ns, duration, 0.0, width, height, FRAME_RULE
        )
        found[key] = (item, spread(list(shots.values()), duration))
    images = sum(len(shot) for shots in names.values() for shot in shots.values())
    several = sum(len(shots) > 1 for shots in names.values())
    say = [f"{images:,} frames of {len(found):,} videos, {several:,} of them with frames of several shots"]
    return found, failures, say


def spread(shots: list[list[str]], duration: float) -> list[Shot]:
    """Shots from the members that show them, with times spread evenly over the video.

    >>> [(shot.start, shot.end, [frame.time for frame in shot.frames]) for shot in spread([["a", "b"], ["c"]], 9.0)]
    [(0.0, 6.0, [1.5, 4.5]), (6.0, 9.0, [7.5])]
    """
    step = duration / sum(map(len, shots))
    found: list[Shot] = []
    begin = 0
    for members in shots:
        frames = tuple(Frame(round((begin + k + 0.5) * step, 3), member) for k, member in enumerate(members))
        found.append(Shot(round(begin * step, 3), round((begin + len(members)) * step, 3), frames))
        begin += len(members)
    return found
