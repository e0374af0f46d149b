"""Putting videos and images into a collection."""

import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Literal

from matchcut.collection import Collection, Failure, Item
from matchcut.collection.collection import CATALOGUE
from matchcut.datasets.caption_files import Captions, Row, match, read_sidecar, read_table
from matchcut.errors import MatchcutError
from matchcut.files import locked
from matchcut.media import pool
from matchcut.media.sampling import FrameRule
from matchcut.media.scan import Scan, rule_of, scan
from matchcut.media.sources import Source, assign_keys, find, usual_key
from matchcut.media.store import Store


@dataclass
class Report:
    """What became of each file, by item key."""

    added: list[str] = field(default_factory=list)
    changed: list[str] = field(default_factory=list)  # were there; the file or the rule is another now
    unchanged: list[str] = field(default_factory=list)
    failed: list[Failure] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)  # what the user should know, and need not mend
    shots: int = 0  # of the added and changed
    frames: int = 0
    captions: int = 0  # that came along, of all the files given


def ingest(
    collection: Collection | Path,
    paths: Sequence[Path],
    *,
    shots: Literal["adaptive", "none"] = "adaptive",
    every: float | Literal["avs"] = 0.5,
    frames: int | None = None,
    at_most: int = 16,
    captions: Path | None = None,
    progress: Callable[[int, int, str], None] | None = None,
    workers: int | None = None,
) -> Report:
    """Add files, and all videos and images below folders, to a collection.

    Each file is one transaction: stopped at any moment and started again, it goes on where it was. A file whose size,
    time of change and rule are those of the catalogue is not read again. A file that cannot be read is recorded in the
    catalogue with the reason, and the others go on. Captions come from `name.txt` beside `name.mp4`, or from a table,
    which has the last word on the items it names.

    Args:
        collection: where to add; a path is opened, or made once the arguments have proved right.
        paths: files and folders.
        shots, every, frames, at_most: which frames stand for which shots, see `FrameRule`.
        captions: a CSV, TSV or JSONL table, see `matchcut.datasets.caption_files.read_table`.
        progress: called with (files done, files in all, item key) after each file.
        workers: processes; as many as there are cores if not given. A script that calls this with more than one needs
            the `if __name__ == "__main__":` guard of Python's multiprocessing.

    Raises:
        MatchcutError: if nothing is found, the table is wrong (nothing has been written then), or the disk is full (the
            files before are kept).
        ValueError: if a number of the rule is out of its range.
    """
    rule = FrameRule(shots=shots, every=every, frames=frames, at_most=at_most)
    rows = read_table(captions) if captions else []
    found, missing = find(paths)
    target, root = (collection, collection.root) if isinstance(collection, Collection) else (None, collection)
    if target is None and not (root / CATALOGUE).exists():
        _plan({}, found, captions, rows)  # the arguments must prove right before there is a collection
    busy = f"{root}: another `matchcut add` is at work in this collection; wait until it is done"
    with locked(root / ".adding", busy=busy):  # two would give the same key to different files
        target = target or Collection.create(root)
        items = {item.key: item for item in target.items()}
        sources, notes, table = _plan(items, found, captions, rows)
        report = Report(notes=notes, failed=missing)
        _take_in(Store(target), items, sources, table, report, rule, paths, workers, progress)
    return report


def _plan(
    items: Mapping[str, Item], found: Sequence[Source], captions: Path | None, rows: Sequence[Row]
) -> tuple[list[Source], list[str], Captions]:
    """The files with their keys, what to say about these, and what the table says about each key."""
    sources, notes = assign_keys(found, _taken(items, found))
    behind = {key: item.source for key, item in items.items()} | {s.key: s.path for s in sources}
    return sources, notes, match(captions, rows, behind) if captions else Captions({}, {})


def _take_in(
    store: Store, items: Mapping[str, Item], sources: Sequence[Source], table: Captions, report: Report,
    rule: FrameRule, paths: Sequence[Path], workers: int | None, progress: Callable[[int, int, str], None] | None,
) -> None:  # fmt: skip
    """Read and write all files, one after the other."""
    missing = list(report.failed)
    store.forget_failures(paths)
    store.put_failures(missing)
    unchanged = {s.key for s in sources if s.key in items and store.holds(s, items[s.key], rule_of(s, rule))}
    new = [s for s in sources if s.key not in unchanged]
    cores = len(os.sched_getaffinity(0))
    results = pool.run(partial(try_scan, rule=rule), new, workers=workers or cores, crashed=_crash)
    for done, source in enumerate(sources, start=1):
        result = None if source.key in unchanged else next(results)
        if isinstance(result, Failure):
            store.put_failures([result])
            report.failed.append(result)
        else:
            named = source.key in table.texts
            texts = table.texts[source.key] if named else _sidecar(source, store, report)
            store.put(source, result, texts, part=table.parts.get(source.key), from_table=named)
            _count(source.key, result, texts or [], source.key in items, report)
        if progress:
            progress(done, len(sources), source.key)
    _put_rest(table, items, store, report)


def try_scan(source: Source, *, rule: FrameRule) -> Scan | Failure:
    """`scan`, with what is wrong with the file as a value."""
    try:
        return scan(source, rule)
    except MatchcutError as error:
        return Failure(source.path, str(error).removeprefix(f"{source.path}: "))
    except (OSError, ValueError, ArithmeticError) as error:  # what a decoder raises half-way on a file it cannot bear
        return Failure(source.path, f"cannot be read: {' '.join(str(error).split()) or type(error).__name__}")


def _crash(source: Source) -> Scan | Failure:
    return Failure(source.path, "the decoder crashed on it")


def _taken(items: Mapping[str, Item], found: Iterable[Source]) -> dict[str, str]:
    """The file behind each key in use. One that has gone, while one like it is found, has been moved."""
    taken = {key: item.source for key, item in items.items()}
    for source in found:
        key = usual_key(source)
        if key in items and not os.path.exists(taken[key]):
            with suppress(OSError):  # a link that leads nowhere
                if os.path.getsize(source.path) == items[key].size:
                    taken[key] = source.path
    return taken


def _sidecar(source: Source, store: Store, report: Report) -> list[str] | None:
    """The captions in the text file beside a file, or none if there is no such text file or a table has replaced it."""
    sidecar = Path(source.path).with_suffix(".txt")
    if source.key in store.from_table or not sidecar.is_file():
        return None
    try:
        return read_sidecar(sidecar)
    except MatchcutError as error:
        report.notes.append(str(error))
        return None


def _count(key: str, result: Scan | None, texts: Sequence[str], known: bool, report: Report) -> None:
    report.captions += len(texts)
    if result is None:
        report.unchanged.append(key)
        return
    (report.changed if known else report.added).append(key)
    report.shots += len(result.shots)
    report.frames += sum(len(shot.frames) for shot in result.shots)


def _put_rest(table: Captions, items: Mapping[str, Item], store: Store, report: Report) -> None:
    """The captions of items that are in the collection and were not among the files given."""
    written = {*report.added, *report.changed, *report.unchanged}
    for key, texts in table.texts.items():
        if key in written:
            continue
        if key in items:
            source = Source(items[key].source, os.path.dirname(items[key].source), key)
            store.put(source, None, texts, part=table.parts.get(key), from_table=True)
            report.captions += len(texts)
        else:
            report.notes.append(f"{key}: its captions were not taken in, as the file was not; give the table again")
