"""Captions that come along with videos: a text file beside each, or one table for all."""

import csv
import io
import json
import os
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from matchcut.errors import MatchcutError
from matchcut.files import is_text

PARTS = ("train", "val", "test")
DELIMITERS = {".csv": ",", ".tsv": "\t"}


@dataclass(frozen=True)
class Row:
    """One line of a caption table."""

    line: int
    file: str
    caption: str
    split: str = ""


@dataclass(frozen=True)
class Captions:
    """The captions and the part of the split of each item that a table names, by item key."""

    texts: dict[str, list[str]]
    parts: dict[str, str]


def read_sidecar(path: Path) -> list[str]:
    """The captions in a text file, one a line; blank lines are passed over.

    Raises:
        MatchcutError: if it cannot be read, is not UTF-8, or holds no caption.
    """
    texts = [text for line in _lines(path) if (text := _clean(line))]
    if not texts:
        raise MatchcutError(f"{path}: holds no caption; write one a line, or remove the file")
    return texts


def read_table(path: Path) -> list[Row]:
    """The rows of a CSV, TSV (with a header) or JSONL file: columns file and caption, and split if there is one.

    Raises:
        MatchcutError: names the file and the line, if a column is missing, a file or caption is empty, or a split
            is none of train, val, test.
    """
    suffix = path.suffix.lower()
    if suffix in DELIMITERS:
        entries = _delimited(path, DELIMITERS[suffix])
    elif suffix in (".jsonl", ".ndjson"):
        entries = _json_lines(path)
    else:
        raise MatchcutError(f"{path}: captions come as .csv, .tsv or .jsonl, not {suffix or 'a file without suffix'!r}")
    rows = [_row(path, line, entry) for line, entry in entries]
    if not rows:
        raise MatchcutError(f"{path}: holds no captions")
    return rows


def match(path: Path, rows: Iterable[Row], sources: Mapping[str, str]) -> Captions:
    """Say which item each row is about.

    A row names a file by its item key, its path (absolute, or from the table's folder), its file name, or its file name
    without suffix, as long as that fits one item only.

    Args:
        path: the table, for messages and relative paths.
        rows: as `read_table` gives them.
        sources: the path of the file behind each item key.

    Raises:
        MatchcutError: names the table and the line, if a file is unknown or fits several items, or an item is put
            into two parts of the split.
    """
    names = _names(sources)
    captions = Captions({}, {})
    for row in rows:
        where = f"{path}, line {row.line}"
        for name in (row.file.removeprefix("./"), os.path.abspath(path.parent / row.file)):
            if keys := names.get(name):
                break
        else:
            raise MatchcutError(f"{where}: {row.file!r} is none of the videos given or in the collection")
        if len(keys) > 1:
            raise MatchcutError(f"{where}: {row.file!r} fits {', '.join(keys)}; write one of these")
        key = keys[0]
        captions.texts.setdefault(key, []).append(row.caption)
        if row.split and captions.parts.setdefault(key, row.split) != row.split:
            raise MatchcutError(f"{where}: {row.file!r} is in {row.split} here and in {captions.parts[key]} further up")
    return captions


def _names(sources: Mapping[str, str]) -> dict[str, list[str]]:
    """The item keys for each name an item may go by; the more exact name wins."""
    ways: list[Callable[[str, str], str]] = [
        lambda key, source: key,
        lambda key, source: source,
        lambda key, source: key.rpartition("/")[2],
        lambda key, source: str(Path(key).with_suffix("")),
        lambda key, source: Path(key).stem,
    ]
    names: dict[str, list[str]] = {}
    for way in ways:
        found: dict[str, list[str]] = {}
        for key, source in sources.items():
            found.setdefault(way(key, source), []).append(key)
        for name, keys in found.items():
            names.setdefault(name, keys)
    return names


def _row(path: Path, line: int, entry: Mapping[str, object]) -> Row:
    where = f"{path}, line {line}"
    values = {}
    for column in ("file", "caption", "split"):
        value = entry.get(column, "" if column == "split" else None)
        if value is None and column == "split":
            value = ""
        if value is None:
            raise MatchcutError(f"{where}: no {column!r}; a line has file, caption and, if you like, split")
        if not isinstance(value, str):
            raise MatchcutError(f"{where}: {column!r} must be text, got {value!r}")
        if not is_text(value):
            raise MatchcutError(f"{where}: {column!r} holds half a character (a lone surrogate), got {value!r}")
        values[column] = _clean(value) if column == "caption" else value.strip()
        if not values[column] and column != "split":
            raise MatchcutError(f"{where}: the column {column!r} is empty")
    if values["split"] and values["split"] not in PARTS:
        raise MatchcutError(f"{where}: split {values['split']!r} is none of {', '.join(PARTS)}")
    return Row(line, **values)


def _delimited(path: Path, delimiter: str) -> Iterator[tuple[int, dict[str, object]]]:
    reader = csv.DictReader(_lines(path), delimiter=delimiter, strict=True)
    try:
        missing = [column for column in ("file", "caption") if column not in (reader.fieldnames or [])]
        if missing:
            raise MatchcutError(
                f"{path}, line 1: no column {missing[0]!r}; the header must name file and caption, and may name split"
            )
        for entry in reader:
            if None in entry:
                raise MatchcutError(
                    f"{path}, line {reader.line_num}: more values than the header has columns; "
                    "put a value that holds the delimiter in double quotes"
                )
            yield reader.line_num, {str(k): v for k, v in entry.items()}
    except csv.Error as error:
        raise MatchcutError(f"{path}, line {reader.line_num + 1}: not readable as a table: {error}") from error


def _json_lines(path: Path) -> Iterator[tuple[int, dict[str, object]]]:
    for number, line in enumerate(_lines(path), start=1):
        if not line.strip():
            continue
        try:
            entry = json.loads(line)
        except ValueError as error:
            raise MatchcutError(f"{path}, line {number}: not JSON: {error}") from error
        if not isinstance(entry, dict):
            raise MatchcutError(
                f'{path}, line {number}: must be an object such as {{"file": "a.mp4", "caption": "a cat"}}'
            )
        yield number, entry


def _lines(path: Path) -> list[str]:
    try:
        text = path.read_text(encoding="utf-8-sig")
    except OSError as error:
        raise MatchcutError(f"{path}: {error.strerror}") from error
    except UnicodeDecodeError as error:
        line = error.object[: error.start].count(b"\n") + 1
        raise MatchcutError(f"{path}, line {line}: not UTF-8 text; save the file as UTF-8") from error
    return io.StringIO(text).readlines()


def _clean(text: str) -> str:
    return " ".join(text.split())
