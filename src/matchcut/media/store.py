"""Writing scanned files into a collection: one transaction each, thumbnails beside it."""

import hashlib
import os
from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path

from matchcut.collection import Collection, Failure, Item
from matchcut.files import atomic
from matchcut.media.scan import Scan
from matchcut.media.sources import Source

TABLE = "captions from a table:"  # fact about an item that also has a text file beside it


class Store:
    """The collection that is being added to, with what it held when the work began."""

    def __init__(self, collection: Collection) -> None:
        self._collection = collection
        self._thumbs: dict[str, list[str]] = {}
        for shot in collection.shots():
            self._thumbs.setdefault(shot.item, []).append(shot.thumb)
        self._texts: dict[str, list[str]] = {}
        for caption in collection.captions():
            self._texts.setdefault(caption.item, []).append(caption.text)
        self._failures = {failure.source for failure in collection.failures()}
        self.from_table = {fact.removeprefix(TABLE) for fact in collection.facts(TABLE)}

    def holds(self, source: Source, item: Item, rule: str) -> bool:
        """Whether the item was made from this file, as it is now, by this rule, and its thumbnails are there."""
        try:
            state = os.stat(source.path)
        except OSError:
            return False
        made_from = (item.source, item.size, item.mtime_ns, item.rule)
        if made_from != (source.path, state.st_size, state.st_mtime_ns, rule):
            return False
        return all(thumb and (self._collection.root / thumb).is_file() for thumb in self._thumbs.get(item.key, [""]))

    def put(
        self, source: Source, result: Scan | None, texts: Sequence[str] | None, *, part: str | None, from_table: bool
    ) -> None:
        """Write an item (unless it is there unchanged), its captions and its part of the split, if there are any."""
        written: list[Path] = []
        old = set(self._thumbs.get(source.key, []))
        try:
            if result is not None:
                thumbs = self._put_thumbs(result, written)
                shots = [replace(shot, thumb=thumb) for shot, thumb in zip(result.shots, thumbs, strict=True)]
                result = replace(result, shots=shots)
                old -= set(thumbs)
            self._commit(source, result, texts, part, from_table)
        except BaseException:
            for path in written:
                path.unlink(missing_ok=True)
            raise
        if result is not None:
            for thumb in old - {""}:
                (self._collection.root / thumb).unlink(missing_ok=True)

    def put_failures(self, failures: Iterable[Failure]) -> None:
        """Record files that could not be taken in."""
        with self._collection.writing() as writer:
            for failure in failures:
                writer.put_failure(failure.source, failure.reason)

    def forget_failures(self, places: Iterable[Path]) -> None:
        """Drop what is recorded about files at or below these places that are no longer there."""
        roots = [os.path.abspath(place) for place in places]
        with self._collection.writing() as writer:
            for source in self._failures:
                below = any(source == root or source.startswith(root + os.sep) for root in roots)
                if below and not os.path.exists(source):
                    writer.clear_failure(source)

    def _commit(
        self, source: Source, result: Scan | None, texts: Sequence[str] | None, part: str | None, from_table: bool
    ) -> None:
        if texts is not None and list(texts) == self._texts.get(source.key):
            texts = None
        prefer = from_table and source.key not in self.from_table and Path(source.path).with_suffix(".txt").is_file()
        if result is None and texts is None and part is None and not prefer:
            return
        with self._collection.writing() as writer:
            if result is not None:
                writer.put_item(result.item, result.shots)
                writer.clear_failure(source.path)
            if texts is not None:
                writer.put_captions(source.key, texts)
            if part is not None:
                writer.put_split({part: [source.key]})
            if prefer:
                writer.put_fact(f"{TABLE}{source.key}", "yes")

    def _put_thumbs(self, result: Scan, written: list[Path]) -> list[str]:
        """The name says what the picture was made from, so that a changed file never shows an old picture."""
        item = result.item
        origin = f"{item.key}\0{item.size}\0{item.mtime_ns}\0{item.rule}"
        name = hashlib.sha256(origin.encode()).hexdigest()[:24]
        thumbs = [f"thumbs/{name[:2]}/{name[2:]}-{number}.jpg" for number in range(len(result.thumbs))]
        for thumb, data in zip(thumbs, result.thumbs, strict=True):
            path = self._collection.root / thumb
            if not path.is_file():
                with atomic(path) as temporary:
                    temporary.write_bytes(data)
                written.append(path)
        return thumbs
