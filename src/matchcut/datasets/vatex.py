"""VATEX: YouTube clips with ten English captions each; the 1,500 test clips of the retrieval split.

Wang et al., "VATEX: A large-scale, high-quality multilingual dataset for video-and-language research", 2019. File of
the retrieval literature: descs_ret_test.json, [{video_id, desc: [captions]}].
"""

from pathlib import Path

from matchcut.collection import Collection
from matchcut.datasets.report import Report, differences
from matchcut.datasets.shipped import json_of, read_bytes, texts_of
from matchcut.datasets.store import bare, store
from matchcut.errors import MatchcutError

# Counted in the file as shipped.
EXPECTED = {"test clips": 1_500, "captions": 15_000}


def load(folder: Path, collection: Collection) -> Report:
    """Put the test captions into a collection, without pixels."""
    where, data = read_bytes(folder, ["descs_ret_test.json"], origin="it comes with the retrieval split of VATEX")
    try:
        entries = [bare(str(row["video_id"]), texts_of(row["desc"])) for row in json_of(where, data)]
    except (AttributeError, KeyError, TypeError) as error:
        raise MatchcutError(f"{where}: must be a list of {{video_id, desc: [captions]}}: {error!r}") from error
    counts = {"test clips": len(entries), "captions": sum(len(entry.captions) for entry in entries)}
    parts = {"test": [entry.item.key for entry in entries]}
    return store(collection, "VATEX", entries, splits={"default": parts}, notes=differences(counts, EXPECTED))
