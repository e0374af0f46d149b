"""Strict decoding of TOML tables into dataclasses: a wrong key or type is an error that says what is right."""

import math
import re
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import MISSING, Field, fields, is_dataclass
from difflib import get_close_matches
from pathlib import Path
from typing import Any, TypeVar, cast, get_args, get_type_hints

import msgspec

from matchcut.errors import MatchcutError

T = TypeVar("T")


def decode(kind: type[T], table: Mapping[str, Any], *, where: str) -> T:
    """Build a dataclass from a table.

    Args:
        kind: a dataclass; its fields may be numbers, strings, tuples, `Literal`s, unions and dataclasses.
        table: what a TOML file holds.
        where: what the messages name first, such as "recipes/a.toml: training".

    Raises:
        MatchcutError: for an unknown key, a missing one, a wrong type, a number that is not finite, or a value that the
            dataclass refuses.

    >>> from dataclasses import dataclass
    >>> @dataclass(frozen=True)
    ... class Optimizer:
    ...     lr: float = 1e-3
    >>> decode(Optimizer, {"lr": 2}, where="a.toml")
    Optimizer(lr=2.0)
    >>> decode(Optimizer, {"lrr": 2}, where="a.toml")
    Traceback (most recent call last):
    ...
    matchcut.errors.MatchcutError: a.toml: lrr: unknown key; did you mean 'lr'? Known keys: lr
    """
    _check_keys(kind, table, where, "")
    check_finite(table, where=where)
    try:
        return msgspec.convert(table, kind)
    except msgspec.ValidationError as error:
        message, _, path = str(error).partition(" - at ")
        key = re.sub(r"^\$\.?", "", path.strip("`"))
        raise MatchcutError(f"{where}: {key + ': ' if key else ''}{_reason(message, kind, key)}") from error
    except (TypeError, ValueError) as error:
        raise MatchcutError(f"{where}: {error}") from error


def check_finite(value: Any, *, where: str, key: str = "") -> None:
    """Refuse `nan` and `inf`, which TOML allows, anywhere in a table: no option means anything with them.

    >>> check_finite({"terms": [{"weight": float("inf")}]}, where="a.toml: objective")
    Traceback (most recent call last):
    ...
    matchcut.errors.MatchcutError: a.toml: objective: terms[0].weight: expected a finite number, got inf
    """
    if isinstance(value, Mapping):
        for name, entry in value.items():
            check_finite(entry, where=where, key=f"{key}.{name}" if key else name)
    elif isinstance(value, list | tuple):
        for i, entry in enumerate(value):
            check_finite(entry, where=where, key=f"{key}[{i}]")
    elif isinstance(value, float) and not math.isfinite(value):
        raise MatchcutError(f"{where}: {key}: expected a finite number, got {value}")


def _check_keys(kind: type, table: Mapping[str, Any], where: str, parent: str) -> None:
    known = {field.name: field for field in fields(kind) if field.init}
    hints = get_type_hints(kind)
    for key, value in table.items():
        if key not in known:
            near = get_close_matches(key, known, n=1)
            hint = f"did you mean {near[0]!r}? " if near else ""
            raise MatchcutError(f"{where}: {parent}{key}: unknown key; {hint}Known keys: {', '.join(known)}")
        inner = [hint for hint in (hints[key], *get_args(hints[key])) if is_dataclass(hint)]
        if inner and isinstance(value, Mapping):
            _check_keys(cast(type, inner[0]), value, where, f"{parent}{key}.")
    for name, field in known.items():
        if name not in table and _required(field):
            raise MatchcutError(f"{where}: {parent}{name}: missing; it has no default")


WORDS = {
    "float": "a number",
    "int": "a whole number",
    "str": "text in quotes",
    "bool": "true or false",
    "array": "a list",
    "object": "a table",
}


def _reason(message: str, kind: type, key: str) -> str:
    if message.startswith("Invalid enum value"):
        hint: Any = kind
        for name in re.sub(r"\[.*?\]", "", key).split("."):
            hint = get_type_hints(hint).get(name) if is_dataclass(hint) else hint
        inner = [
            choice for part in get_args(hint) for choice in (get_args(part) or (part,))
        ]  # of `Literal[...] | None`
        choices = ", ".join(repr(choice) for choice in inner if isinstance(choice, str))
        message = message.replace(
            "Invalid enum value", f"expected one of {choices}; got" if choices else "unknown value"
        )
    message = re.sub(r"`([^`]*)`", _words, message)
    return message.replace("Expected", "expected").replace("`", "'")


def _words(named: re.Match[str]) -> str:
    """A type, or what may be one of several such as `int | null`, in words; anything else as it is."""
    kinds = [kind for kind in named[1].split(" | ") if kind != "null"] or ["null"]
    return " or ".join(WORDS[kind] for kind in kinds) if all(kind in WORDS for kind in kinds) else named[0]


def _required(field: Field[Any]) -> bool:
    return field.default is MISSING and field.default_factory is MISSING


def pick(kinds: Mapping[str, T], table: Mapping[str, Any], *, where: str) -> tuple[T, dict[str, Any]]:
    """Resolve the `name` of a table through a dict; return what it names and the table without the name."""
    rest = dict(table)
    name = rest.pop("name", None)
    if not isinstance(name, str) or name not in kinds:
        near = get_close_matches(str(name), kinds, n=1)
        hint = f"did you mean {near[0]!r}? " if near else ""
        raise MatchcutError(f"{where}: name: {name!r} is not known; {hint}Known names: {', '.join(kinds)}")
    return kinds[name], rest


def read_toml(path: Path, *, overrides: Sequence[str] = ()) -> dict[str, Any]:
    """Read a TOML file; `base = "other.toml"` in it builds on that file, `overrides` ("a.b=value") win over both.

    Raises:
        MatchcutError: if a file is missing, is not TOML, builds on itself, or an override is not "key=value".
    """
    table = _with_bases(path, ())
    override(table, overrides)
    return table


def override(table: dict[str, Any], overrides: Sequence[str]) -> None:
    """Put values given as "key.key=value" into a table, in place; one that is not TOML is text.

    >>> table = {"a": {"b": 1}}
    >>> override(table, ["a.b=2", "a.c=x"])
    >>> table
    {'a': {'b': 2, 'c': 'x'}}

    Raises:
        MatchcutError: if one is not "key=value", or goes through what is no table.
    """
    for given in overrides:
        key, equals, text = given.partition("=")
        if not equals or not all(key.strip().split(".")):
            raise MatchcutError(f"--set {given}: expected KEY=VALUE, such as training.lr=1e-4")
        _put(table, key.strip(), _value(text.strip()))


def _with_bases(path: Path, seen: tuple[Path, ...]) -> dict[str, Any]:
    if path.resolve() in seen:
        raise MatchcutError(f"{path}: base: builds on itself")
    try:
        with open(path, "rb") as file:
            table = tomllib.load(file)
    except OSError as error:
        raise MatchcutError(f"{path}: cannot be read: {error.strerror}") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise MatchcutError(f"{path}: not a TOML file: {error}") from error
    base = table.pop("base", None)
    if base is None:
        return table
    if not isinstance(base, str):
        raise MatchcutError(f"{path}: base: expected the path of another recipe, got {base!r}")
    return merge(_with_bases(path.parent / base, (*seen, path.resolve())), table)


def merge(below: Mapping[str, Any], above: Mapping[str, Any]) -> dict[str, Any]:
    """Lay one table over another: inner tables are merged, anything else in `above` replaces what is below.

    An inner table with another `name` replaces the whole table below: its keys belong to another thing.

    >>> merge({"a": {"x": 1, "y": 2}, "b": 1}, {"a": {"y": 3}})
    {'a': {'x': 1, 'y': 3}, 'b': 1}
    """
    result = dict(below)
    for key, value in above.items():
        old = result.get(key)
        result[key] = value
        if (
            isinstance(old, Mapping)
            and isinstance(value, Mapping)
            and value.get("name", old.get("name")) == old.get("name")
        ):
            result[key] = merge(old, value)
    return result


def plain(value: Any) -> Any:
    """A table as TOML has it: lists for tuples, and nothing that is None.

    >>> plain({"a": (1, 2), "b": None})
    {'a': [1, 2]}
    """
    if isinstance(value, Mapping):
        return {key: plain(entry) for key, entry in value.items() if entry is not None}
    return [plain(entry) for entry in value] if isinstance(value, list | tuple) else value


def _put(table: dict[str, Any], key: str, value: object) -> None:
    *parents, last = key.split(".")
    place: Any = table
    for name in parents:
        place = _step(place, name, key)
    if isinstance(place, list):
        place[_position(place, last, key)] = value
    else:
        place[last] = value


def _step(place: Any, name: str, key: str) -> Any:
    if isinstance(place, list):
        return place[_position(place, name, key)]
    inner = place.setdefault(name, {})
    if not isinstance(inner, dict | list):
        raise MatchcutError(f"--set {key}: {name!r} is a value, not a table")
    return inner


def _position(place: list[Any], name: str, key: str) -> int:
    if not name.isdigit() or int(name) >= len(place):
        raise MatchcutError(f"--set {key}: {name!r} is not a position in a list of {len(place)} (the first is 0)")
    return int(name)


def _value(text: str) -> object:
    try:
        found = tomllib.loads(f"value = {text}")
    except tomllib.TOMLDecodeError:
        return text
    return found["value"] if len(found) == 1 else text  # a second line would be another key
