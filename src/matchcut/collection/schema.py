"""The tables of a catalogue."""

from sqlalchemy import (
    Boolean,
    Column,
    Connection,
    Float,
    ForeignKey,
    Index,
    Integer,
    MetaData,
    String,
    Table,
    Text,
    UniqueConstraint,
    select,
    text,
    update,
)

VERSION = 2  # 1 could not name the captions of a part; it is read as it is, and upgraded when it is first written to

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
    Column("named_only", Boolean, nullable=False, server_default="0"),  # used only by parts that name it
    UniqueConstraint("item_id", "number"),
)

splits = Table(
    "splits",
    metadata,
    Column("scheme", String, primary_key=True),
    _item(primary=True),
    Column("part", String, nullable=False),
    Column("named", Boolean, nullable=False, server_default="0"),  # of the item's captions, only those named below
    Index("ix_splits_part", "scheme", "part"),
)

split_captions = Table(
    "split_captions",
    metadata,
    Column("scheme", String, primary_key=True),
    Column("caption_id", Integer, ForeignKey("captions.id", ondelete="CASCADE"), primary_key=True),
    Index("ix_split_captions_caption", "caption_id"),  # for the cascade
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


def can_name(connection: Connection) -> bool:
    """Whether the catalogue has what it takes to name captions: it is of version 2 or later."""
    return connection.execute(select(meta.c.value).where(meta.c.key == "schema_version")).scalar() != "1"


def upgrade(connection: Connection) -> None:
    """Bring a catalogue of version 1 to this version, within the transaction; any other is left as it is."""
    if can_name(connection):
        return
    here = update(meta).where(meta.c.key == "schema_version", meta.c.value == "1")
    if connection.execute(here.values(value=str(VERSION))).rowcount:  # of two writers at once, one finds it to do
        for table, column in (("captions", "named_only"), ("splits", "named")):
            connection.execute(text(f"ALTER TABLE {table} ADD COLUMN {column} BOOLEAN DEFAULT '0' NOT NULL"))
        split_captions.create(connection)
