"""LSMDC: film clips, one sentence each; the 1,000 clips of the public test.

Rohrbach et al., "Movie description", 2017. File as shipped: LSMDC16_challenge_1000_publictect.csv, tab-separated
without a header: clip, four times, sentence.
"""

from pathlib import Path

from matchcut.collection import Collection
from matchcut.datasets.report import Report, differences
from matchcut.datasets.shipped import lines_of, read_bytes
from matchcut.datasets.store import bare, store
from matchcut.errors import MatchcutError

FILE = "LSMDC16_challenge_1000_publictect.csv"
EXPECTED = {"test clips": 1_000}  # counted in the file as shipped


def load(folder: Path, collection: Collection) -> Report:
    """Put the test sentences into a collection, without pixels; keys are the clips' names."""
    where, data = read_bytes(folder, [FILE], origin="LSMDC ships it with the 2016 challenge")
    entries = []
    for number, line in lines_of(where, data):
        fields = line.split("\t")
        if len(fields) != 6 or not fields[5].strip():
            raise MatchcutError(f"{where}, line {number}: must have 6 tab-separated fields, clip first, sentence last")
        entries.append(bare(fields[0], [fields[5].strip()]))
    parts = {"test": [entry.item.key for entry in entries]}
    notes = differences({"test clips": len(entries)}, EXPECTED)
    return store(collection, "LSMDC", entries, splits={"default": parts}, notes=notes)
