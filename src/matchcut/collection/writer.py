"""Changing a catalogue, within one transaction."""

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict
from datetime import UTC, datetime

from sqlalchemy import Connection, delete, insert, select, update

from matchcut.collection import schema
from matchcut.collection.records import Item, Judgment, Shot
from matchcut.errors import MatchcutError

AT_ONCE = 500  # values in one statement; SQLite allows some thousands


class Writer:
    """The changes one can make within a transaction."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._item_ids: dict[str, int] = {}

    def put_item(self, item: Item, shots: Sequence[Shot]) -> None:
        """Add an item with its shots and frames. An item of that key is updated: its shots are replaced, its
        captions, splits and judgments stay."""
        values = asdict(item)
        found = self._connection.execute(select(schema.items.c.id).where(schema.items.c.key == item.key)).scalar()
        if found is None:
            result = self._connection.execute(insert(schema.items).values(**values))
            primary = result.inserted_primary_key
            assert primary is not None
            item_id = int(primary[0])
        else:
            item_id = int(found)
            self._connection.execute(update(schema.items).where(schema.items.c.id == item_id).values(**values))
            self._connection.execute(delete(schema.shots).where(schema.shots.c.item_id == item_id))
        self._item_ids[item.key] = item_id
        for number, shot in enumerate(shots):
            result = self._connection.execute(
                insert(schema.shots).values(
                    item_id=item_id, number=number, start=shot.start, end=shot.end, thumb=shot.thumb
                )
            )
            primary = result.inserted_primary_key
            assert primary is not None
            rows = [
                {"shot_id": primary[0], "number": k, "time": frame.time, "member": frame.member}
                for k, frame in enumerate(shot.frames)
            ]
            if rows:
                self._connection.execute(insert(schema.frames), rows)

    def remove_item(self, key: str) -> None:
        """Remove an item and all that belongs to it."""
        self._connection.execute(delete(schema.items).where(schema.items.c.id == self._item_id(key)))
        self._item_ids.pop(key, None)

    def put_captions(self, item: str, texts: Sequence[str], *, named_only: Sequence[str] = ()) -> None:
        """Set the captions of an item. Captions with the same number and text keep their judgments, and stay named
        by the parts that name them.

        Args:
            named_only: captions that only parts which name them use; their numbers follow those of `texts`.
        """
        item_id = self._item_id(item)
        table = schema.captions
        query = select(table.c.id, table.c.number, table.c.text, table.c.named_only).where(table.c.item_id == item_id)
        old = {row.number: row for row in self._connection.execute(query)}
        given = {number: (text, number >= len(texts)) for number, text in enumerate([*texts, *named_only])}
        same = {number for number, row in old.items() if given.get(number) == (row.text, row.named_only)}
        stale = [row.id for number, row in old.items() if number not in same]
        if stale:
            self._connection.execute(delete(table).where(table.c.id.in_(stale)))
        new = [
            {"item_id": item_id, "number": number, "text": text, "named_only": aside}
            for number, (text, aside) in given.items()
            if number not in same
        ]
        if new:
            self._connection.execute(insert(table), new)

    def put_split(
        self,
        parts: Mapping[str, Iterable[str]],
        *,
        scheme: str = "default",
        captions: Mapping[str, Iterable[str]] | None = None,
    ) -> None:
        """Set which items belong to which part: {"train": item keys, ...}. Earlier rows of these items are replaced.

        Args:
            captions: part -> caption keys, for parts that use these captions of their items and no others. A part
                that is not here uses all captions of its items, save those that are there to be named only.

        Raises:
            MatchcutError: if there is no such item or caption, or a caption is named for a part without its item.
        """
        captions = captions or {}
        held = {part: list(keys) for part, keys in parts.items()}
        rows = [
            {"scheme": scheme, "item_id": self._item_id(key), "part": part, "named": part in captions}
            for part, keys in held.items()
            for key in keys
        ]
        table, chosen = schema.splits, schema.split_captions
        ids = [row["item_id"] for row in rows]
        for k in range(0, len(ids), AT_ONCE):
            some = ids[k : k + AT_ONCE]
            self._connection.execute(delete(table).where(table.c.scheme == scheme, table.c.item_id.in_(some)))
            of_these = select(schema.captions.c.id).where(schema.captions.c.item_id.in_(some))
            self._connection.execute(delete(chosen).where(chosen.c.scheme == scheme, chosen.c.caption_id.in_(of_these)))
        if rows:
            self._connection.execute(insert(table), rows)
        if captions:
            part_of = {self._item_id(key): part for part, keys in held.items() for key in keys}
            self._name(scheme, part_of, captions)

    def _name(self, scheme: str, part_of: Mapping[int, str], captions: Mapping[str, Iterable[str]]) -> None:
        """Name captions for parts; part_of: the part of each item."""
        known = self._captions()
        found: dict[int, None] = {}
        for part, keys in captions.items():
            for key in keys:
                if key not in known:
                    raise MatchcutError(f"split {scheme!r}, part {part!r}: no such caption {key!r}")
                caption_id, item_id = known[key]
                if part_of.get(item_id) != part:
                    raise MatchcutError(
                        f"split {scheme!r}: caption {key!r} is named for {part!r}, its item is not in it"
                    )
                found[caption_id] = None
        if found:
            rows = [{"scheme": scheme, "caption_id": caption_id} for caption_id in found]
            self._connection.execute(insert(schema.split_captions), rows)

    def put_judgments(self, source: str, judgments: Iterable[Judgment], *, complete: bool) -> None:
        """Replace the judgments of one source. `complete`: a pair that is not listed is known to be irrelevant."""
        captions = self._captions()
        rows = {}
        for judgment in judgments:
            if judgment.caption not in captions:
                raise MatchcutError(f"judgment of {source!r} for caption {judgment.caption!r}: no such caption")
            pair = f"judgment of {source!r} for caption {judgment.caption!r} and item {judgment.item!r}"
            if not 0 <= judgment.relevance <= 1:
                raise MatchcutError(f"{pair}: relevance {judgment.relevance}, must be 0 to 1")
            ids = (captions[judgment.caption][0], self._item_id(judgment.item))
            if ids in rows:
                raise MatchcutError(f"{pair}: is there twice; judge a pair once")
            rows[ids] = {
                "source": source,
                "caption_id": ids[0],
                "item_id": ids[1],
                "relevance": judgment.relevance,
            }
        self._connection.execute(delete(schema.judgments).where(schema.judgments.c.source == source))
        if rows:
            self._connection.execute(insert(schema.judgments), list(rows.values()))
        self.put_fact(f"judgments:{source}", "complete" if complete else "partial")

    def put_failure(self, source: str, reason: str) -> None:
        """Record that a source could not be taken in."""
        self.clear_failure(source)
        at = datetime.now(UTC).isoformat(timespec="seconds")
        self._connection.execute(insert(schema.failures).values(source=source, reason=reason, at=at))

    def clear_failure(self, source: str) -> None:
        """Forget the failure of a source, once it has been taken in."""
        self._connection.execute(delete(schema.failures).where(schema.failures.c.source == source))

    def put_fact(self, name: str, value: str) -> None:
        """Set a named fact about the collection."""
        set_meta(self._connection, name, value)

    def _captions(self) -> dict[str, tuple[int, int]]:
        """The ids of every caption and of its item, by caption key."""
        caption = schema.captions.c
        query = select(schema.items.c.key, caption.number, caption.id, caption.item_id).join_from(
            schema.items, schema.captions
        )
        return {f"{key}#{number}": (mine, item) for key, number, mine, item in self._connection.execute(query)}

    def _item_id(self, key: str) -> int:
        if key not in self._item_ids:
            found = self._connection.execute(select(schema.items.c.id).where(schema.items.c.key == key)).scalar()
            if found is None:
                raise MatchcutError(f"item {key!r}: not in this collection")
            self._item_ids[key] = int(found)
        return self._item_ids[key]


def set_meta(connection: Connection, key: str, value: object) -> None:
    """Set a named fact, stored as JSON."""
    connection.execute(delete(schema.meta).where(schema.meta.c.key == key))
    connection.execute(insert(schema.meta).values(key=key, value=json.dumps(value)))
