"""A collection: one folder with a catalogue, feature sets, thumbnails, models and indexes."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from sqlalchemy import URL, Connection, Engine, and_, create_engine, event, false, func, or_, select
from sqlalchemy.exc import DatabaseError, IntegrityError

from matchcut.collection import schema
from matchcut.collection.records import Caption, Failure, Frame, Item, Judgment, Shot
from matchcut.collection.writer import Writer, set_meta
from matchcut.errors import MatchcutError
from matchcut.files import atomic, locked

CATALOGUE = "catalogue.db"


class Collection:
    """A folder on disk and the catalogue in it.

    All changes go through `with collection.writing() as writer`, one transaction each: whatever stops the program,
    the catalogue holds either all of a transaction or none of it.

    >>> import tempfile
    >>> collection = Collection.create(Path(tempfile.mkdtemp()) / "films")
    >>> with collection.writing() as writer:
    ...     writer.put_item(Item(key="a", kind="video", source="a.mp4"), [Shot(0.0, 2.0, (Frame(0.0), Frame(0.5)))])
    ...     writer.put_captions("a", ["a red ball rolls"])
    >>> [shot.key for shot in collection.shots()], [caption.key for caption in collection.captions()]
    (['a@0'], ['a#0'])
    """

    def __init__(self, root: Path, engine: Engine) -> None:
        self.root, self._engine = root, engine

    @classmethod
    def create(cls, root: Path | str) -> "Collection":
        """Make the folder and an empty catalogue, or open what is there."""
        root = Path(root)
        if (root / CATALOGUE).exists():
            return cls.open(root)
        try:
            with locked(root / ".lock"):  # two that begin at once would take the catalogue from under each other
                if (root / CATALOGUE).exists():
                    return cls.open(root)
                cls._make(root / CATALOGUE)
        except DatabaseError as error:
            raise MatchcutError(f"{root}: a collection cannot be made here: {_reason(error)}") from error
        return cls(root, _engine(root / CATALOGUE))

    @staticmethod
    def _make(path: Path) -> None:
        with atomic(path) as temporary:
            engine = _engine(temporary)
            schema.metadata.create_all(engine)
            with engine.begin() as connection:
                set_meta(connection, "schema_version", schema.VERSION)
            engine.dispose()

    @classmethod
    def open(cls, root: Path | str) -> "Collection":
        """Open an existing collection.

        Raises:
            MatchcutError: if there is none, the catalogue is damaged, or a later version of Matchcut made it.
        """
        root = Path(root)
        if not (root / CATALOGUE).is_file():
            raise MatchcutError(f"{root}: no collection here; make one with `matchcut add` or `matchcut import`")
        engine = _engine(root / CATALOGUE)
        try:
            with engine.connect() as connection:
                version = _get_meta(connection, "schema_version")
        except DatabaseError as error:
            raise MatchcutError(f"{root / CATALOGUE}: not a readable catalogue: {_reason(error)}") from error
        if version not in range(1, schema.VERSION + 1):
            raise MatchcutError(
                f"{root / CATALOGUE}: schema version {version}, this Matchcut reads versions 1 to {schema.VERSION}; "
                "use the version that made it, or make the collection anew"
            )
        return cls(root, engine)

    @contextmanager
    def writing(self) -> Iterator[Writer]:
        """One transaction: all of it is kept, or none. A catalogue of an older version is upgraded in it."""
        try:
            with self._engine.begin() as connection:
                schema.upgrade(connection)
                yield Writer(connection)
        except IntegrityError:
            raise  # a mistake of the program, not of the disk
        except DatabaseError as error:
            raise MatchcutError(
                f"{self.root / CATALOGUE}: cannot be written: {_reason(error)}; nothing was changed"
            ) from error

    @contextmanager
    def reading(self) -> Iterator[Connection]:
        """A connection for queries of one's own."""
        try:
            with self._engine.connect() as connection:
                yield connection
        except DatabaseError as error:
            raise MatchcutError(f"{self.root / CATALOGUE}: cannot be read: {_reason(error)}") from error

    def items(self, *, split: str | None = None, scheme: str = "default") -> list[Item]:
        """All items in the order they came, or those of one part of a split scheme."""
        query = select(schema.items).order_by(schema.items.c.id)
        if split is not None:
            query = query.join(schema.splits).where(schema.splits.c.scheme == scheme, schema.splits.c.part == split)
        names = list(Item.__dataclass_fields__)
        with self.reading() as connection:
            return [Item(**{name: row[name] for name in names}) for row in connection.execute(query).mappings()]

    def shots(self, *, split: str | None = None, scheme: str = "default", frames: bool = True) -> list[Shot]:
        """All shots in the order of items and shot numbers; `frames=False` leaves their frames out, which is faster."""
        shot = schema.shots.c
        columns = (shot.id, shot.start, shot.end, schema.items.c.key, shot.number, shot.thumb)
        query = (
            select(*columns).join_from(schema.items, schema.shots).order_by(schema.items.c.id, schema.shots.c.number)
        )
        if split is not None:
            query = query.join(schema.splits, schema.splits.c.item_id == schema.items.c.id)
            query = query.where(schema.splits.c.scheme == scheme, schema.splits.c.part == split)
        with self.reading() as connection:
            rows = connection.execute(query).all()
            found: dict[int, list[Frame]] = {}
            if frames:
                frame = schema.frames.c
                ordered = select(frame.shot_id, frame.time, frame.member).order_by(frame.shot_id, frame.number)
                if split is not None:
                    ordered = ordered.where(frame.shot_id.in_(query.with_only_columns(shot.id).order_by(None)))
                for shot_id, time, member in connection.execute(ordered):
                    found.setdefault(shot_id, []).append(Frame(time, member))
        return [
            Shot(start, end, tuple(found.get(shot_id, ())), item, number, thumb)
            for shot_id, start, end, item, number, thumb in rows
        ]

    def captions(self, *, split: str | None = None, scheme: str = "default") -> list[Caption]:
        """All captions, or those that one part of a split scheme uses, in the order of items and caption numbers.

        A part uses the captions named for it (`Writer.put_split`), or else all captions of its items but those that
        are there to be named only.
        """
        caption, belongs, chosen = schema.captions.c, schema.splits.c, schema.split_captions.c
        with self.reading() as connection:
            can_name = schema.can_name(connection)
            query = (
                select(schema.items.c.key, caption.number, caption.text, caption.named_only if can_name else false())
                .join_from(schema.items, schema.captions)
                .order_by(schema.items.c.id, caption.number)
            )
            if split is not None:
                query = query.join(schema.splits, belongs.item_id == schema.items.c.id)
                query = query.where(belongs.scheme == scheme, belongs.part == split)
            if split is not None and can_name:
                here = and_(chosen.caption_id == caption.id, chosen.scheme == scheme)
                query = query.outerjoin(schema.split_captions, here).where(
                    or_(and_(belongs.named, chosen.caption_id.is_not(None)), ~belongs.named & ~caption.named_only)
                )
            return [Caption(*row) for row in connection.execute(query)]

    def splits(self) -> dict[str, dict[str, int]]:
        """Number of items of each part of each split scheme, such as {"default": {"train": 6000}}."""
        query = (
            select(schema.splits.c.scheme, schema.splits.c.part, func.count())
            .group_by(schema.splits.c.scheme, schema.splits.c.part)
            .order_by(schema.splits.c.scheme, schema.splits.c.part)
        )
        found: dict[str, dict[str, int]] = {}
        with self.reading() as connection:
            for scheme, part, count in connection.execute(query):
                found.setdefault(scheme, {})[part] = count
        return found

    def named_captions(self) -> dict[str, dict[str, int]]:
        """Number of captions of each part that names its captions, such as {"jsfusion": {"test": 1000}}."""
        belongs, caption, chosen = schema.splits.c, schema.captions.c, schema.split_captions.c
        query = (
            select(belongs.scheme, belongs.part, func.count(chosen.caption_id))
            .join_from(schema.splits, schema.captions, caption.item_id == belongs.item_id, isouter=True)
            .outerjoin(schema.split_captions, and_(chosen.caption_id == caption.id, chosen.scheme == belongs.scheme))
            .where(belongs.named)
            .group_by(belongs.scheme, belongs.part)
            .order_by(belongs.scheme, belongs.part)
        )
        found: dict[str, dict[str, int]] = {}
        with self.reading() as connection:
            if schema.can_name(connection):
                for scheme, part, count in connection.execute(query):
                    found.setdefault(scheme, {})[part] = count
        return found

    def judgments(self, source: str) -> list[Judgment]:
        """All judgments of one source ("exact", "crowdflower", ...)."""
        owner = schema.items.alias("owner")
        query = (
            select(owner.c.key, schema.captions.c.number, schema.items.c.key, schema.judgments.c.relevance)
            .join_from(schema.judgments, schema.captions, schema.judgments.c.caption_id == schema.captions.c.id)
            .join(owner, owner.c.id == schema.captions.c.item_id)
            .join(schema.items, schema.items.c.id == schema.judgments.c.item_id)
            .where(schema.judgments.c.source == source)
            .order_by(schema.captions.c.id, schema.items.c.id)
        )
        with self.reading() as connection:
            return [Judgment(f"{key}#{number}", item, rel) for key, number, item, rel in connection.execute(query)]

    def judged(self) -> dict[str, str]:
        """The sources of judgments, each "complete" (a pair without one is not relevant) or "partial" (is unknown)."""
        return {key.removeprefix("judgments:"): value for key, value in self.facts("judgments:").items()}

    def failures(self) -> list[Failure]:
        """What could not be taken in, and why."""
        with self.reading() as connection:
            rows = connection.execute(select(schema.failures).order_by(schema.failures.c.source))
            return [Failure(row.source, row.reason, row.at) for row in rows]

    def facts(self, prefix: str = "") -> dict[str, str]:
        """Named facts about the collection (`Writer.put_fact`) whose name starts with `prefix`."""
        query = select(schema.meta).where(schema.meta.c.key.startswith(prefix, autoescape=True))
        with self.reading() as connection:
            return {row.key: json.loads(row.value) for row in connection.execute(query.order_by(schema.meta.c.key))}

    def counts(self) -> dict[str, int]:
        """Number of rows of each kind: items, shots, frames, captions, judgments, failures."""
        tables = [schema.items, schema.shots, schema.frames, schema.captions, schema.judgments, schema.failures]
        with self.reading() as connection:
            return {t.name: connection.execute(select(func.count()).select_from(t)).scalar_one() for t in tables}


def _engine(path: Path) -> Engine:
    engine = create_engine(URL.create("sqlite", database=str(path)))

    @event.listens_for(engine, "connect")
    def configure(connection: object, _: object) -> None:
        cursor = connection.cursor()  # type: ignore[attr-defined]
        cursor.execute("PRAGMA foreign_keys = ON")
        cursor.execute("PRAGMA busy_timeout = 10000")
        cursor.close()

    return engine


def _get_meta(connection: Connection, key: str) -> object:
    found = connection.execute(select(schema.meta.c.value).where(schema.meta.c.key == key)).scalar()
    return None if found is None else json.loads(found)


def _reason(error: Exception) -> str:
    return str(error.orig) if isinstance(error, DatabaseError) else str(error)
