"""Putting what a loader found into a collection, in one transaction."""

from collections import Counter
from collections.abc import Collection as Sized
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from matchcut.collection import Collection, Item, Judgment, Shot
from matchcut.datasets.report import Report
from matchcut.datasets.shipped import once
from matchcut.errors import MatchcutError
from matchcut.files import is_text


@dataclass(frozen=True)
class Entry:
    """An item with all that is known about it."""

    item: Item
    captions: Sequence[str]
    shots: Sequence[Shot] = ()
    named_only: Sequence[str] = ()  # captions for parts that name them; numbered after the others


def bare(key: str, captions: Sequence[str], *, kind: str = "video", duration: float = 0.0, rule: str = "") -> Entry:
    """An item without pixels, for work on its captions."""
    return Entry(Item(key, kind, "", duration=duration, rule=rule), captions)


def store(
    collection: Collection,
    name: str,
    entries: Sequence[Entry],
    *,
    splits: Mapping[str, Mapping[str, Sequence[str]]] | None = None,
    named: Mapping[str, Mapping[str, Sequence[str]]] | None = None,
    judgments: Mapping[str, Sequence[Judgment]] | None = None,
    complete: Sized[str] = (),
    failures: Mapping[str, str] | None = None,
    notes: Sequence[str] = (),
) -> Report:
    """Write it all down: everything is kept, or nothing.

    Args:
        collection: where it goes.
        name: how the benchmark calls itself.
        entries: items.
        splits: scheme -> part -> item keys; parts without items are not stored.
        named: scheme -> part -> caption keys, for parts that use only some captions of their items.
        judgments: source -> judgments.
        complete: the sources in which a pair that is not judged is known to be irrelevant.
        failures: source of what could not be read -> reason.
        notes: what the user should know.

    Raises:
        MatchcutError: if an item is there twice or in two parts of a split, a caption is empty or not valid text, or a
            pair is judged twice or not with a number.
    """
    splits, named, judgments = splits or {}, named or {}, judgments or {}
    splits = {scheme: {part: keys for part, keys in parts.items() if keys} for scheme, parts in splits.items()}
    splits = {scheme: parts for scheme, parts in splits.items() if parts}
    for scheme, parts in splits.items():
        once(parts, f"{name}, split {scheme}")
    keys = Counter(entry.item.key for entry in entries)
    if len(keys) < len(entries):
        twice = next(key for key, count in keys.items() if count > 1)
        raise MatchcutError(f"{name}: {twice} is there twice; an item must come once, with all its captions")
    for entry in entries:
        if not all((*entry.captions, *entry.named_only)):
            raise MatchcutError(f"{name}: {entry.item.key} has an empty caption")
        for text in (entry.item.key, *entry.captions, *entry.named_only):
            if not is_text(text):
                raise MatchcutError(f"{name}: {entry.item.key!r}: half a character (a lone surrogate) in {text!r}")
    read = {entry.item.source for entry in entries} - {""}
    earlier = [failure.source for failure in collection.failures()]
    tried_again = [source for source in earlier if source in read or source.partition("!")[0] in read]
    with collection.writing() as writer:
        for entry in entries:
            writer.put_item(entry.item, entry.shots)
            writer.put_captions(entry.item.key, entry.captions, named_only=entry.named_only)
        for source in tried_again:
            writer.clear_failure(source)
        for source, reason in (failures or {}).items():
            writer.put_failure(source, reason)
        for scheme, parts in splits.items():
            writer.put_split(parts, scheme=scheme, captions=named.get(scheme))
        for source, judged in judgments.items():
            writer.put_judgments(source, judged, complete=source in complete)
    return Report(
        name=name,
        items=len(entries),
        captions=sum(len(entry.captions) for entry in entries),
        splits=_sizes(splits),
        named=_sizes(named),
        judgments={source: len(judged) for source, judged in judgments.items()},
        notes=tuple(notes),
    )


def _sizes(lists: Mapping[str, Mapping[str, Sequence[str]]]) -> dict[str, dict[str, int]]:
    return {scheme: {part: len(keys) for part, keys in parts.items()} for scheme, parts in lists.items()}
