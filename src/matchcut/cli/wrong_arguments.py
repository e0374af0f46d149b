"""What is wrong with the arguments of a command, in one line, and what would be right."""

import re
from collections.abc import Iterator, Sequence
from dataclasses import MISSING
from difflib import get_close_matches
from pathlib import Path
from types import NoneType, UnionType
from typing import TYPE_CHECKING, Any, Literal, Union, get_args, get_origin

if TYPE_CHECKING:
    from matchcut.cli.arguments import Argument

WORDS = {int: "a whole number", float: "a number", Path: "a path"}
NUMBER = re.compile(r"-\.?\d.*")


def wrong(takes: "Sequence[Argument]", args: Sequence[str], *, prog: str, told: str) -> str:
    """The first thing that is wrong.

    Args:
        takes: what the command takes.
        args: what was given, and refused.
        prog: such as "matchcut info".
        told: what the parser says of it, for what is not foreseen here.
    """
    return next(_wrong(takes, args, prog), " ".join(re.sub("[─-╿]", " ", told).split()))


def _wrong(takes: "Sequence[Argument]", args: Sequence[str], prog: str) -> "Iterator[str]":
    flags = {one.name: one for one in takes if one.is_flag}
    bare = [one for one in takes if not one.is_flag]
    given: dict[str, str] = {}
    loose: list[str] = []  # values that no flag takes
    rest = list(args)
    while rest:
        token = rest.pop(0)
        if token == "--":
            loose += rest
            break
        if not token.startswith("-") or NUMBER.fullmatch(token):
            loose.append(token)
            continue
        name, equals, value = token.partition("=")
        name = name.replace("_", "-")
        if name not in flags:
            near = get_close_matches(name, flags, n=1)
            yield f"{token}: no such flag; " + (f"did you mean {near[0]}?" if near else f"`{prog} --help` lists them")
            continue
        one = flags[name]
        if one.kind is bool:
            if equals:
                yield f"{token}: {name} takes no value"
            given[name] = "True"
            continue
        values = [value] if equals else []
        while rest and (one.several or not values) and (not rest[0].startswith("-") or NUMBER.fullmatch(rest[0])):
            values.append(rest.pop(0))
        given[name] = values[-1] if values else ""
        if not values and not one.several:
            yield f"{name}: needs a value, {_words(one.kind)}"
        yield from (_misfit(name, one.kind, value) for value in values if not _fits(value, one.kind))
    most = len(loose) if any(one.several for one in bare) else len(bare)
    for value, one in zip(loose, bare, strict=False):
        if not _fits(value, one.kind):
            yield _misfit(one.name, one.kind, value)
    usage = " ".join([prog, *(one.shown for one in bare)])
    if loose[most:]:
        yield f"{loose[most]!r}: not expected here; {usage}"
    lacking = [one.name for one in bare[len(loose) :] if one.default is MISSING]
    lacking += [name for name, one in flags.items() if one.default is MISSING and name not in given]
    if lacking:
        needed = [f"{one.name} {one.shown}" for one in flags.values() if one.default is MISSING]
        yield f"{_listed(lacking, 'and')} {'are' if len(lacking) > 1 else 'is'} missing; {' '.join([usage, *needed])}"
    for group in {one.group for one in flags.values()} - {None}:
        fields = {name: one for name, one in flags.items() if one.group is group and name in given}
        try:
            group(**{name.partition(".")[2].replace("-", "_"): one.kind(given[name]) for name, one in fields.items()})
        except ValueError as error:
            yield f"{next(iter(fields)).partition('.')[0]}: {error}"


def _misfit(name: str, kind: Any, value: str) -> str:
    near = get_close_matches(value, _choices(kind), n=1)
    return f"{name} {value}: must be {_words(kind)}" + (f"; did you mean {near[0]}?" if near else "")


def _kinds(kind: Any) -> tuple[Any, ...]:
    return get_args(kind) if get_origin(kind) in (Union, UnionType) else (kind,)


def _choices(kind: Any) -> list[str]:
    return [str(choice) for one in _kinds(kind) if get_origin(one) is Literal for choice in get_args(one)]


def _fits(value: str, kind: Any) -> bool:
    return any(_is(value, one) for one in _kinds(kind))


def _is(value: str, kind: Any) -> bool:
    if kind is NoneType:
        return value == "None"
    if get_origin(kind) is Literal:
        return value in _choices(kind)
    try:
        kind(value)
    except (TypeError, ValueError):
        return False
    return True


def _words(kind: Any) -> str:
    """What a value must be, such as "a whole number" or "one of a, b".

    >>> _words(float | Literal["avs"]), _words(Literal["a", "b", "c"] | None)
    ('a number or avs', 'a, b or c')
    """
    found = [WORDS.get(one, "text") for one in _kinds(kind) if one is not NoneType and get_origin(one) is not Literal]
    found += _choices(kind)
    return _listed(found, "or")


def _listed(names: Sequence[str], last: str) -> str:
    return f" {last} ".join([", ".join(names[:-1]), names[-1]] if names[1:] else names)
