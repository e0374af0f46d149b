"""COCO captions: the 5,000 test images of Karpathy's split, and human ratings of Crisscrossed Captions.

Lin et al., "Microsoft COCO: Common objects in context", 2014; Parekh et al., "Crisscrossed Captions", 2021. Files:
coco_caption_karpathy_test.jsonl; sits_test.csv of Crisscrossed Captions, in the folder or in its folder cxc/, whose
captions are named by the ids of COCO's captions_val2014.json.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path

from matchcut.collection import Collection, Judgment
from matchcut.datasets.flickr30k import karpathy
from matchcut.datasets.report import Report, differences
from matchcut.datasets.shipped import json_of, look, read_bytes, rows_of
from matchcut.datasets.store import Entry, store
from matchcut.errors import MatchcutError

FILE = "coco_caption_karpathy_test.jsonl"
IDS = "captions_val2014.json"
IDS_ARCHIVE = "annotations_trainval2014.zip"
RATINGS = ("sits_test.csv", "cxc/sits_test.csv")
BEST = 5.0  # ratings run from 0 to this
# Counted in the files as shipped.
EXPECTED = {"test images": 5_000, "captions": 25_010}
FIVE = 5  # some images have six or seven


def load(folder: Path, collection: Collection) -> Report:
    """Put the test captions into a collection, without pixels, and the ratings as judgments "cxc", relevance 0 to 1.

    The scheme "five" names the first five captions of each image.
    """
    entries = karpathy(*read_bytes(folder, [FILE], origin="it comes with Karpathy's split of COCO"))
    counts = {"test images": len(entries), "captions": sum(len(entry.captions) for entry in entries)}
    notes = list(differences(counts, EXPECTED))
    judgments: dict[str, Sequence[Judgment]] = {}
    ratings = look(folder, RATINGS)
    ids = look(folder, [IDS], [IDS_ARCHIVE])
    if ratings and ids:
        names = _caption_names(*ids, entries)
        judgments["cxc"] = _ratings(*ratings, names, {entry.item.key for entry in entries})
    elif ratings:
        notes.append(
            f"no {IDS} here, nor in {IDS_ARCHIVE}: without its ids the ratings in {ratings[0]} name no caption"
        )
    parts = {"test": [entry.item.key for entry in entries]}
    first = [f"{entry.item.key}#{number}" for entry in entries for number in range(min(FIVE, len(entry.captions)))]
    return store(
        collection,
        "COCO",
        entries,
        splits={"default": parts, "five": parts},
        named={"five": {"test": first}},
        judgments=judgments,
        notes=notes,
    )


def _caption_names(where: str, data: bytes, entries: Sequence[Entry]) -> dict[str, str]:
    """COCO's id of a caption -> our name of it, for the captions that are the same to the letter."""
    ours = {
        (entry.item.key, text): f"{entry.item.key}#{number}"
        for entry in entries
        for number, text in enumerate(entry.captions)
    }
    try:
        value = json_of(where, data)
        images = {image["id"]: image["file_name"] for image in value["images"]}
        named = {
            str(row["id"]): ours.get((images[row["image_id"]], row["caption"].strip())) for row in value["annotations"]
        }
    except (AttributeError, KeyError, TypeError) as error:
        raise MatchcutError(f"{where}: not laid out as COCO's caption annotations: {error!r}") from error
    return {number: name for number, name in named.items() if name is not None}


def _ratings(where: str, data: bytes, names: Mapping[str, str], images: set[str]) -> list[Judgment]:
    found: dict[tuple[str, str], Judgment] = {}
    for line, row in rows_of(where, data, ["caption", "image", "agg_score"]):
        caption = names.get(row["caption"].rpartition(":")[2])
        if caption is not None and row["image"] in images:
            try:
                judgment = Judgment(caption, row["image"], float(row["agg_score"]) / BEST)
            except ValueError as error:
                raise MatchcutError(f"{where}, line {line}: agg_score {row['agg_score']!r} is no number") from error
            found[caption, row["image"]] = judgment
    return list(found.values())
