"""What a command takes: read off its function's signature and shown by tyro."""

import inspect
import io
import re
from collections.abc import Callable, Iterator, Sequence
from contextlib import redirect_stderr
from dataclasses import MISSING, dataclass, fields, is_dataclass
from functools import partial
from pathlib import Path
from types import NoneType, UnionType
from typing import Annotated, Any, Literal, Union, get_args, get_origin, get_type_hints

import tyro

from matchcut.cli.wrong_arguments import wrong
from matchcut.errors import MatchcutError

NOTHING = (None, False, (), inspect.Parameter.empty)  # defaults that say nothing, and are not shown
TYPES = {int: "INT", float: "FLOAT", str: "STR", Path: "PATH"}


@dataclass(frozen=True)
class Argument:
    """One flag, or one argument without a flag."""

    name: str  # "--top" of a flag, "COLLECTION" else
    kind: Any  # the type of one value
    several: bool  # takes any number of values
    default: Any  # `MISSING` if it must be given
    group: Any = None  # the dataclass that it is a field of

    @property
    def is_flag(self) -> bool:
        return self.name.startswith("--")

    @property
    def shown(self) -> str:
        """What stands for it in the help, for a flag its values."""
        name = _shown(self.kind) if self.is_flag else self.name
        name += " ..." if self.several else ""
        return name if self.is_flag or self.default is MISSING else f"[{name}]"


def arguments(function: Callable[..., None]) -> dict[str, list[Argument]]:
    """What each parameter of a command's function stands for.

    Parameters before `/` have no flag and go by their names; one that is a dataclass has a flag for each field.

    >>> def look(collection: Path, /, *, top_k: int | None = None) -> None: ...
    >>> [(one.name, one.shown) for found in arguments(look).values() for one in found]
    [('COLLECTION', 'COLLECTION'), ('--top-k', 'INT')]
    """
    hints = get_type_hints(function)
    return {p.name: list(_arguments(p, hints[p.name])) for p in inspect.signature(function).parameters.values()}


def parse(function: Callable[..., None], args: Sequence[str], *, prog: str) -> Callable[[], None]:
    """Read the arguments of a command; returns the call that they ask for, which is still to be made.

    Raises:
        MatchcutError: if they are not what the function takes.
        SystemExit: after --help.
    """
    takes = arguments(function)
    asks = [help for help in ("-h", "--help") if help in args]
    told = io.StringIO()
    try:
        with redirect_stderr(told):
            call: Callable[[], None] = tyro.cli(
                _described(function, takes), prog=prog, args=asks or args, config=(tyro.conf.FlagCreatePairsOff,)
            )
            return call
    except SystemExit as end:
        if asks or not end.code:
            raise
    raise MatchcutError(
        wrong([one for found in takes.values() for one in found], args, prog=prog, told=told.getvalue())
    )


def _arguments(parameter: inspect.Parameter, hint: Any) -> Iterator[Argument]:
    default = MISSING if parameter.default is parameter.empty else parameter.default
    flag = f"--{parameter.name.replace('_', '-')}"
    if is_dataclass(hint):
        inner = get_type_hints(hint)
        for field in fields(hint):
            yield Argument(f"{flag}.{field.name.replace('_', '-')}", inner[field.name], False, field.default, hint)
        return
    several = get_origin(hint) in (tuple, list)
    while get_origin(hint) in (tuple, list):
        hint = get_args(hint)[0]
    bare = parameter.kind is parameter.POSITIONAL_ONLY
    yield Argument(parameter.name.upper() if bare else flag, hint, several, default)


def _shown(kind: Any) -> str:
    if get_origin(kind) in (Union, UnionType):
        return "|".join(_shown(choice) for choice in get_args(kind) if choice is not NoneType)
    if get_origin(kind) is Literal:
        return f"{{{','.join(map(str, get_args(kind)))}}}"
    return TYPES.get(kind, "")


def _described(function: Callable[..., None], takes: dict[str, list[Argument]]) -> Callable[..., Callable[[], None]]:
    """A function of the same parameters and words that makes the call later; with what tyro shows of each parameter."""

    def later(*args: Any, **kwargs: Any) -> Callable[[], None]:
        return partial(function, *args, **kwargs)

    signature = inspect.signature(function)
    hints = get_type_hints(function, include_extras=True)
    parameters = []
    for name, parameter in signature.parameters.items():
        described = tyro.conf.arg(
            metavar=takes[name][0].shown or None,
            help_behavior_hint="" if any(parameter.default is says_nothing for says_nothing in NOTHING) else None,
        )
        hint = hints[name] if is_dataclass(hints[name]) else Annotated[hints[name], described]
        parameters.append(parameter.replace(annotation=hint))
    later.__doc__ = re.sub(r"\n {8,}", " ", inspect.getdoc(function) or "")  # tyro keeps line breaks in what Args says
    later.__annotations__ = {parameter.name: parameter.annotation for parameter in parameters}
    later.__signature__ = signature.replace(parameters=parameters)  # type: ignore[attr-defined]
    return later
