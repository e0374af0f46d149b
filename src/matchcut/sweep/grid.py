"""Grids: a recipe with lists of values, whose product is the cells to train."""

import re
from collections.abc import Iterator, Mapping, Sequence
from copy import deepcopy
from dataclasses import dataclass, field
from decimal import Decimal
from fnmatch import fnmatchcase
from itertools import product
from math import prod
from pathlib import Path
from typing import Any

from matchcut.config import merge, read_toml
from matchcut.errors import MatchcutError
from matchcut.training.recipe import SECTIONS, Recipe, plain_name

KEYS = tuple(name for name in SECTIONS if name != "name")  # sections of a recipe whose keys may have lists of values
LARGEST = 10_000  # cells; more is a slip of the pen
LABEL = re.compile(r"[\w.+%-]+")


@dataclass(frozen=True)
class Axis:
    """One dimension of a grid: what each of its choices, by label, lays over the recipe."""

    name: str  # the recipe's key, such as "training.lr", or the name of a set of choices
    choices: dict[str, dict[str, Any]]


@dataclass(frozen=True)
class Cell:
    """One model of a grid."""

    name: str  # its labels, joined by hyphens
    choices: dict[str, str]  # axis -> label
    recipe: Recipe  # its name is that of the model's folder, GRID-CELL


@dataclass(frozen=True)
class Grid:
    """A checked grid. `read` makes one from a file, `of` from a table.

    >>> grid = Grid.of({"name": "g", "grid": {"training": {"lr": [1e-3, 1e-4], "seed": [0, 1]}}})
    >>> [cell.name for cell in grid.cells]
    ['0.001-seed0', '0.001-seed1', '1e-4-seed0', '1e-4-seed1']
    >>> grid.cells[2].recipe.name, grid.cells[2].recipe.training.lr, grid.cells[2].choices
    ('g-1e-4-seed0', 0.0001, {'training.lr': '1e-4', 'training.seed': 'seed0'})
    """

    name: str
    axes: tuple[Axis, ...]
    cells: tuple[Cell, ...]
    table: dict[str, Any] = field(repr=False)  # the recipe that all cells share, and the grid
    source: str = "grid"

    @classmethod
    def read(cls, path: Path | str, *, overrides: Sequence[str] = ()) -> "Grid":
        """Read a TOML grid; `base` in it builds on a recipe or another grid; each override is "key.key=value".

        Raises:
            MatchcutError: naming file, cell and key, if any cell is not a valid recipe; for an override of a key that
                every cell sets anyway.
        """
        table = read_toml(Path(path), overrides=overrides)
        table.setdefault("name", Path(path).stem)
        grid = cls.of(table, source=str(path))
        for given in overrides:
            key = given.partition("=")[0].strip()
            for axis in grid.axes:
                if all(key in _leaves(choice) for choice in axis.choices.values()):
                    raise MatchcutError(
                        f"--set {given}: has no effect, every choice of {axis.name} in the grid sets {key}; "
                        f"change the grid: --set 'grid.{axis.name}=...'"
                    )
        return grid

    @classmethod
    def of(cls, table: Mapping[str, Any], *, source: str = "grid") -> "Grid":
        """Check a table as `read` gets it from a file."""
        recipe = {key: value for key, value in table.items() if key != "grid"}
        section = table.get("grid")
        if not isinstance(section, Mapping) or not section:
            raise MatchcutError(
                f"{source}: grid: no such table; [grid.training] with lr = [1e-3, 1e-4] makes two cells"
            )
        name = plain_name(recipe.get("name", "grid"), where=f"{source}: name")
        axes = tuple(_axes(section, f"{source}: grid"))
        _check_apart(axes, source)
        count = prod(len(axis.choices) for axis in axes)
        if count > LARGEST:
            raise MatchcutError(f"{source}: grid: {count:,} cells; at most {LARGEST:,} are taken")
        cells = tuple(_cell(name, labels, axes, recipe, source) for labels in product(*(a.choices for a in axes)))
        return cls(name, axes, cells, {**recipe, "name": name, "grid": dict(section)}, source)

    def only(self, patterns: Sequence[str]) -> tuple[Cell, ...]:
        """The cells whose name fits one of the patterns, such as `ATT-*`; all, if there is none.

        Raises:
            MatchcutError: if a pattern fits no cell.
        """
        for pattern in patterns:
            if not any(fnmatchcase(cell.name, pattern) for cell in self.cells):
                raise MatchcutError(f"--only {pattern}: fits no cell; the first is called {self.cells[0].name!r}")
        return tuple(c for c in self.cells if not patterns or any(fnmatchcase(c.name, p) for p in patterns))

    def to_toml(self) -> str:
        """The grid with its base and overrides in place, as a file that `read` takes."""
        import tomli_w

        return tomli_w.dumps(self.table)


def _axes(section: Mapping[str, Any], where: str) -> Iterator[Axis]:
    for key, value in _nested(section).items():
        if key in KEYS:
            yield from _key_axes(value, key, where)
        elif isinstance(value, Mapping) and value:
            yield _named_axis(key, value, where)
        else:
            raise MatchcutError(
                f"{where}.{key}: expected choices, each a table of what it sets, such as A = {{model.dim = 256}}; "
                f"a list of values goes under the recipe's key, such as training.{key} = [...]"
            )


def _key_axes(value: Any, key: str, where: str) -> Iterator[Axis]:
    """The lists below a section of the recipe: each an axis with the name of its key."""
    if isinstance(value, Mapping):
        for inner, entry in value.items():
            yield from _key_axes(entry, f"{key}.{inner}", where)
        return
    if not isinstance(value, list) or not value:
        raise MatchcutError(f"{where}.{key}: expected a list of values, got {value!r}; what all cells share goes above")
    labels = [_label(key, entry, f"{where}.{key}") for entry in value]
    for label in labels:
        if labels.count(label) > 1:
            raise MatchcutError(f"{where}.{key}: {label} is there twice")
    yield Axis(key, {label: _nested({key: entry}) for label, entry in zip(labels, value, strict=True)})


def _named_axis(name: str, choices: Mapping[str, Any], where: str) -> Axis:
    for label, table in choices.items():
        if not LABEL.fullmatch(label):
            raise MatchcutError(f"{where}.{name}: {label!r}: expected letters, digits and . + % _ - in a name")
        if not isinstance(table, Mapping):
            raise MatchcutError(f"{where}.{name}.{label}: expected a table of what it sets, got {table!r}")
        for key in _nested(table):
            if key not in KEYS:
                raise MatchcutError(f"{where}.{name}.{label}: {key}: unknown section; known are {', '.join(KEYS)}")
    return Axis(name, {label: _nested(table) for label, table in choices.items()})


def _cell(grid: str, labels: tuple[str, ...], axes: tuple[Axis, ...], recipe: dict[str, Any], source: str) -> Cell:
    name = "-".join(labels)
    chosen: dict[str, Any] = {}
    for axis, label in zip(axes, labels, strict=True):
        chosen = merge(chosen, axis.choices[label])
    table = _lay(deepcopy(recipe), deepcopy(chosen), f"{source}: cell {name}")
    table["name"] = f"{grid}-{name}"
    table["training"] = {"threads": 1, **table.get("training", {})}  # many models at a time: one core each
    found = Recipe.of(table, source=f"{source}: cell {name}")
    return Cell(name, {axis.name: label for axis, label in zip(axes, labels, strict=True)}, found)


def _lay(below: Any, above: Any, where: str) -> Any:
    """Lay a choice over a recipe; a table with numbers for keys changes entries of a list (the first is 0)."""
    if isinstance(below, list) and isinstance(above, dict):
        for key, value in above.items():
            if not key.isdigit() or int(key) >= len(below):
                raise MatchcutError(f"{where}: {key!r} is not a position in a list of {len(below)} (the first is 0)")
            below[int(key)] = _lay(below[int(key)], value, where)
        return below
    if not isinstance(below, dict) or not isinstance(above, dict) or above.get("name") not in (None, below.get("name")):
        return above
    for key, value in above.items():
        below[key] = _lay(below.get(key), value, where)
    return below


def _nested(table: Any) -> Any:
    """The table with keys in quotes such as "training.lr" as inner tables."""
    if not isinstance(table, Mapping):
        return table
    result: dict[str, Any] = {}
    for key, value in table.items():
        first, *rest = key.split(".") if key.split(".")[0] in KEYS else [key]
        inner = _nested(value)
        for part in reversed(rest):
            inner = {part: inner}
        result = merge(result, {first: inner})
    return result


def _check_apart(axes: Sequence[Axis], source: str) -> None:
    """Two axes must not set the same key: the order would decide."""
    seen: dict[str, str] = {}
    for axis in axes:
        for key in {leaf for table in axis.choices.values() for leaf in _leaves(table)}:
            for other, owner in seen.items():
                if owner != axis.name and f"{key}.".startswith(f"{other}.") | f"{other}.".startswith(f"{key}."):
                    raise MatchcutError(f"{source}: grid: {key} is set by both {owner!r} and {axis.name!r}")
            seen[key] = axis.name


def _leaves(table: Any, path: str = "") -> Iterator[str]:
    for key, value in table.items():
        here = f"{path}.{key}" if path else key
        if isinstance(value, Mapping) and value:
            yield from _leaves(value, here)
        else:
            yield here


def _label(key: str, value: Any, where: str) -> str:
    last = key.rpartition(".")[2]
    if isinstance(value, bool):
        label = f"{last}-{str(value).lower()}"
    elif isinstance(value, int):
        label = f"{last}{value}"
    elif isinstance(value, float):
        label = number(value)
    elif isinstance(value, list) and value and all(isinstance(entry, str) for entry in value):
        label = "+".join(value)
    else:
        label = value if isinstance(value, str) else ""
    if not LABEL.fullmatch(label):
        raise MatchcutError(f"{where}: {value!r} makes no name; name the choices: [grid.NAME] A = {{{key} = ...}}")
    return label


def number(value: float) -> str:
    """A number as short as it can be said.

    >>> number(1e-4), number(5e-05), number(0.2), number(0.0015), number(1.23e-4)
    ('1e-4', '5e-5', '0.2', '0.0015', '1.23e-4')
    """
    if value == 0 or 1e-3 <= abs(value) < 1e4:
        return repr(value)
    return f"{Decimal(repr(value)).normalize():e}"
