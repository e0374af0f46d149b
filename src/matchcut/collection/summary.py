"""What a collection holds, in numbers."""

from dataclasses import asdict
from typing import Any

from sqlalchemy import Column, Connection, func, select

from matchcut.collection import schema
from matchcut.collection.collection import Collection


def summarize(collection: Collection) -> dict[str, Any]:
    """The contents of a catalogue as plain values, ready for JSON.

    Returns:
        `items` by kind; `shots`, `frames`; `hours` of video; `captions` with the number in all, how many items have
        some, the fewest, mean and most an item of these, and how many (`named_only`, counted in `all` alone) only
        parts that name them use; `splits` {scheme: {part: items}}; `named_captions` {scheme: {part: captions}} of the
        parts that name theirs; `judgments` {source: {"pairs", "complete"}}; `failures` with source, reason and time.
    """
    counts = collection.counts()
    items, judged = schema.items, collection.judged()
    per_item = select(func.count().label("n")).select_from(schema.captions).group_by(schema.captions.c.item_id)
    named_only = 0
    with collection.reading() as connection:
        if schema.can_name(connection):
            aside = select(func.count()).select_from(schema.captions).where(schema.captions.c.named_only)
            named_only = connection.execute(aside).scalar_one()
            per_item = per_item.where(~schema.captions.c.named_only)
        each = per_item.subquery().c.n
        by_kind = _counts(connection, items.c.kind)
        seconds = connection.execute(select(func.sum(items.c.duration))).scalar() or 0.0
        captioned, fewest, mean, most = connection.execute(
            select(func.count(), func.min(each), func.avg(each), func.max(each))
        ).one()
        pairs = _counts(connection, schema.judgments.c.source)
    return {
        "items": by_kind,
        "shots": counts["shots"],
        "frames": counts["frames"],
        "hours": seconds / 3600,
        "captions": {
            "all": counts["captions"],
            "items": captioned,
            "min": fewest or 0,
            "mean": float(mean or 0.0),
            "max": most or 0,
            "named_only": named_only,
        },
        "splits": collection.splits(),
        "named_captions": collection.named_captions(),
        "judgments": {
            source: {"pairs": pairs.get(source, 0), "complete": state == "complete"} for source, state in judged.items()
        },
        "failures": [asdict(failure) for failure in collection.failures()],
    }


def _counts(connection: Connection, column: Column[Any]) -> dict[str, int]:
    query = select(column, func.count()).group_by(column).order_by(column)
    return {value: count for value, count in connection.execute(query)}  # noqa: C416 (a result is no mapping)
