"""Kinds of flags that several commands have."""

from collections.abc import Sequence
from itertools import chain
from pathlib import Path
from typing import Annotated, TypeVar

import tyro

from matchcut.errors import MatchcutError

T = TypeVar("T")

# Takes `--model A B` and `--model A --model B` alike; `joined` gives (A, B) for both.
Many = Annotated[tuple[tuple[T, ...], ...], tyro.conf.UseAppendAction]


def joined(values: tuple[tuple[T, ...], ...]) -> tuple[T, ...]:
    """The values of a `Many` flag in order.

    >>> joined((("a", "b"), ("c",)))
    ('a', 'b', 'c')
    """
    return tuple(chain.from_iterable(values))


def by_name(paths: Sequence[Path]) -> dict[str, Path]:
    """Each file by its name, or by its path where two have one name.

    Raises:
        MatchcutError: if a file is named twice.

    >>> list(by_name([Path("a/run"), Path("b/run"), Path("c/other")]))
    ['a/run', 'b/run', 'other']
    """
    names = [path.name for path in paths]
    if twice := next((path for path in paths if paths.count(path) > 1), None):
        raise MatchcutError(f"{twice}: named twice; give each file once")
    return {path.name if names.count(path.name) == 1 else str(path): path for path in paths}
