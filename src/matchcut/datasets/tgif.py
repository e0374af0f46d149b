"""TGIF: animated GIFs from Tumblr, one sentence each.

Li et al., "TGIF: A new dataset and benchmark on animated GIF description", 2016. File as shipped: a table without a
header, address<TAB>sentence (tgif-v1.0.tsv), or another one in its layout.
"""

from pathlib import Path

from matchcut.collection import Collection
from matchcut.datasets.report import Report
from matchcut.datasets.shipped import lines_of
from matchcut.datasets.store import bare, store
from matchcut.errors import MatchcutError


def load(path: Path, collection: Collection) -> Report:
    """Put the sentences into a collection, without pixels; keys are the GIFs' names. A GIF may have several lines.

    Args:
        path: the table, or a folder that holds one table (.tsv).
        collection: where it goes.
    """
    tables = [path] if path.is_file() else sorted(path.glob("*.tsv"))
    if len(tables) != 1:
        raise MatchcutError(f"{path}: {len(tables)} tables (.tsv) here, must be one; name the file")
    captions: dict[str, list[str]] = {}
    for number, line in lines_of(str(tables[0]), tables[0].read_bytes()):
        address, tab, text = line.partition("\t")
        if not (tab and text.strip()):
            raise MatchcutError(f"{tables[0]}, line {number}: must read address<TAB>sentence, is {line[:60]!r}")
        captions.setdefault(address.rpartition("/")[2], []).append(text.strip())
    return store(collection, "TGIF", [bare(key, texts) for key, texts in captions.items()])
