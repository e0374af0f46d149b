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
        some, and the fewest, mean and most an item of these; `splits` {scheme: {part: items}}; `judgments`
        {source: {"pairs", "complete"}}; `failures` with source, reason and time.
    """
    counts = collection.counts()
    items, judged = schema.items, collection.judged()
    per_item = (
        select(func.count().label("n")).select_from(schema.captions).group_by(schema.captions.c.item_id).subquery()
    )
    with collection.reading() as connection:
        by_kind = _counts(connection, items.c.kind)
        seconds = connection.execute(select(func.sum(items.c.duration))).scalar() or 0.0
        captioned, fewest, mean, most = connection.execute(
            select(func.count(), func.min(per_item.c.n), func.avg(per_item.c.n), func.max(per_item.c.n))
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
        },
        "splits": collection.splits(),
        "judgments": {
            source: {"pairs": pairs.get(source, 0), "complete": state == "complete"} for source, state in judged.items()
        },
        "failures": [asdict(failure) for failure in collection.failures()],
    }


def _counts(connection: Connection, column: Column[Any]) -> dict[str, int]:
    query = select(column, func.count()).group_by(column).order_by(column)
    return {value: count for value, count in connection.execute(query)}  # noqa: C416 (a result is no mapping)
