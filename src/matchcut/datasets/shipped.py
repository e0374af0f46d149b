"""Reading the files of a benchmark where they lie: loose in a folder or inside the archive they are shipped in."""

import csv
import io
import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any
from zipfile import BadZipFile, ZipFile

from matchcut.errors import MatchcutError


def look(folder: Path, names: Sequence[str], archives: Sequence[str] = ()) -> tuple[str, bytes] | None:
    """The first of these files that is there, loose or inside one of the archives: its name for messages, its bytes.

    Args:
        folder: where to look.
        names: names of the file, the likeliest first.
        archives: names of zip archives that it may be in, at any depth.

    Raises:
        MatchcutError: if it cannot be read, or an archive is damaged.
    """
    for path in (folder / name for name in names):
        if path.is_file():
            try:
                return str(path), path.read_bytes()
            except OSError as error:
                raise MatchcutError(f"{path}: cannot be read: {error.strerror or error}") from error
    for archive in (folder / name for name in archives):
        if archive.is_file():
            with open_zip(archive) as opened:
                for member in opened.namelist():
                    if member.rpartition("/")[2] in names and not member.startswith("__MACOSX/"):
                        return f"{archive}, entry {member!r}", read_member(opened, member)
    return None


def read_bytes(folder: Path, names: Sequence[str], archives: Sequence[str] = (), *, origin: str) -> tuple[str, bytes]:
    """As `look`, but the file must be there; `origin` says where it comes from when it is not."""
    found = look(folder, names, archives)
    if found is None:
        inside = f", nor in {' or '.join(archives)}" if archives else ""
        raise MatchcutError(f"{folder}: no {' or '.join(names)} here{inside}; {origin}")
    return found


def lines_of(where: str, data: bytes) -> list[tuple[int, str]]:
    """Number and text of each line of UTF-8 text that is not empty, split at line ends only."""
    lines = enumerate(_text(where, data).split("\n"), start=1)
    return [(number, line.rstrip("\r")) for number, line in lines if line.strip()]


def rows_of(where: str, data: bytes, columns: Sequence[str]) -> list[tuple[int, dict[str, str]]]:
    """Line number and values of each row of a table (CSV) whose header names at least these columns.

    A value in quotes may hold line ends; spaces and line ends at the ends of a value are taken away. A value of these
    columns that a short row lacks is empty.

    Raises:
        MatchcutError: if a column is missing, or a row cannot be read.

    >>> rows_of("a.csv", b'key,text\\r\\n1,"one,\\ntwo "\\r\\n', ["text"])
    [(3, {'key': '1', 'text': 'one,\\ntwo'})]
    """
    reader = csv.DictReader(io.StringIO(_text(where, data), newline=""), restkey="", restval="", strict=True)
    try:
        names = [name.strip() for name in reader.fieldnames or ()]
        missing = [column for column in columns if column not in names]
        if missing:
            raise MatchcutError(f"{where}: no column {missing[0]} in its header")
        reader.fieldnames = names
        found = []
        for row in reader:
            row.pop("", None)  # more values than columns
            found.append((reader.line_num, {name: value.strip() for name, value in row.items()}))
    except csv.Error as error:
        line = reader.reader.line_num
        raise MatchcutError(f"{where}, line {line}: not readable as a table: {error}") from error
    return found


def plain(text: str) -> str:
    """A text with one space for any white space.

    >>> plain(" a  dog\\n runs ")
    'a dog runs'
    """
    return " ".join(text.split())


def _text(where: str, data: bytes) -> str:
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise MatchcutError(f"{where}: not UTF-8 text (byte {error.start})") from error


def json_of(where: str, data: bytes) -> Any:
    """The value in a JSON file."""
    try:
        return json.loads(data)
    except ValueError as error:
        raise MatchcutError(f"{where}: not valid JSON: {error}") from error


def texts_of(value: Any) -> list[str]:
    """A list of texts from a JSON file, without spaces at their ends.

    Raises:
        TypeError: if it is another thing, such as a single text.
    """
    if not isinstance(value, list) or not all(isinstance(text, str) for text in value):
        raise TypeError(f"{str(value)[:40]!r} is no list of captions")
    return [text.strip() for text in value]


def listed(names: Sequence[str], most: int = 3) -> str:
    """The first few of many names.

    >>> listed(["a", "b", "c", "d", "e"])
    'a, b, c and 2 more'
    """
    rest = len(names) - most
    return ", ".join(names[:most]) + (f" and {rest:,} more" if rest > 0 else "")


def once(parts: Mapping[str, Sequence[str]], where: str) -> None:
    """Raise a MatchcutError if something is listed twice, in one part of a split or in two.

    >>> once({"train": ["a"], "test": ["b", "a"]}, "lists")
    Traceback (most recent call last):
    ...
    matchcut.errors.MatchcutError: lists: a is listed twice, for train and for test
    """
    seen: dict[str, str] = {}
    for part, names in parts.items():
        for name in names:
            if name in seen:
                raise MatchcutError(f"{where}: {name} is listed twice, for {seen[name]} and for {part}")
            seen[name] = part


def open_zip(path: Path) -> ZipFile:
    """Open a zip archive, or say that it is not a whole one."""
    try:
        return ZipFile(path)
    except (OSError, BadZipFile) as error:
        reason = getattr(error, "strerror", None) or error
        raise MatchcutError(f"{path}: not a whole zip archive ({reason}); get it again") from error


def read_member(archive: ZipFile, member: str) -> bytes:
    """The bytes of an entry, or a line that names archive and entry."""
    try:
        return archive.read(member)
    except Exception as error:  # zipfile lets errors of its decompressors through
        raise MatchcutError(f"{archive.filename}, entry {member!r}: damaged: {error}") from error


def image_members(archive: ZipFile, suffixes: Sequence[str] = (".jpg", ".jpeg", ".png")) -> Iterator[str]:
    """Entries that are images by their name, in the order of the archive."""
    for member in archive.namelist():
        name = member.rpartition("/")[2]
        if name.lower().endswith(tuple(suffixes)) and not name.startswith("._"):
            yield member


def image_size(archive: ZipFile, member: str) -> tuple[int, int]:
    """Width and height of an image in an archive, from its first bytes.

    Raises:
        MatchcutError: if the entry is damaged or no image.
    """
    from PIL import Image, UnidentifiedImageError

    where = f"{archive.filename}, entry {member!r}"
    try:
        with archive.open(member) as file, Image.open(file) as image:
            return image.size
    except UnidentifiedImageError as error:
        raise MatchcutError(f"{where}: not an image") from error
    except Exception as error:  # zipfile lets errors of its decompressors through, Pillow those of its readers
        raise MatchcutError(f"{where}: damaged: {error}") from error
