"""The tables of a catalogue."""

from sqlalchemy import Column, Float, ForeignKey, Index, Integer, MetaData, String, Table, Text, UniqueConstraint

VERSION = 1

metadata = MetaData()

meta = Table("meta", metadata, Column("key", String, primary_key=True), Column("value", Text, nullable=False))

items = Table(
    "items",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("key", String, nullable=False, unique=True),
    Column("kind", String, nullable=False),
    Column("source", Text, nullable=False, index=True),
    Column("size", Integer, nullable=False),
    Column("mtime_ns", Integer, nullable=False),
    Column("duration", Float, nullable=False),
    Column("fps", Float, nullable=False),
    Column("width", Integer, nullable=False),
    Column("height", Integer, nullable=False),
    Column("rule", String, nullable=False),
)


def _item(primary: bool = False) -> Column[int]:
    return Column("item_id", Integer, ForeignKey("items.id", ondelete="CASCADE"), nullable=False, primary_key=primary)


shots = Table(
    "shots",
    metadata,
    Column("id", Integer, primary_key=True),
    _item(),
    Column("number", Integer, nullable=False),
    Column("start", Float, nullable=False),
    Column("end", Float, nullable=False),
    Column("thumb", Text, nullable=False),
    UniqueConstraint("item_id", "number"),
)

frames = Table(
    "frames",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("shot_id", Integer, ForeignKey("shots.id", ondelete="CASCADE"), nullable=False),
    Column("number", Integer, nullable=False),
    Column("time", Float, nullable=False),
    Column("member", Text, nullable=False),
    UniqueConstraint("shot_id", "number"),
)

captions = Table(
    "captions",
    metadata,
    Column("id", Integer, primary_key=True),
    _item(),
    Column("number", Integer, nullable=False),
    Column("text", Text, nullable=False),
    UniqueConstraint("item_id", "number"),
)

splits = Table(
    "splits",
    metadata,
    Column("scheme", String, primary_key=True),
    _item(primary=True),
    Column("part", String, nullable=False),
    Index("ix_splits_part", "scheme", "part"),
)

judgments = Table(
    "judgments",
    metadata,
    Column("source", String, primary_key=True),
    Column("caption_id", Integer, ForeignKey("captions.id", ondelete="CASCADE"), primary_key=True),
    _item(primary=True),
    Column("relevance", Float, nullable=False),
)

failures = Table(
    "failures",
    metadata,
    Column("source", Text, primary_key=True),
    Column("reason", Text, nullable=False),
    Column("at", String, nullable=False),
)
