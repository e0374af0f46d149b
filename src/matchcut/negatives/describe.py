"""Objects that print as the expression that builds them and the recipe section that does."""

import json
import math
from dataclasses import MISSING, Field, fields
from typing import Any, ClassVar


class Described:
    """A dataclass whose `repr` is the expression that builds it; only what differs from the default is shown.

    `print` adds the recipe section that does the same, as a comment.

    >>> from matchcut.negatives import DropSimilar
    >>> DropSimilar("bert", percent=1)
    DropSimilar('bert', percent=1)
    >>> print(DropSimilar("bert", percent=1))
    DropSimilar('bert', percent=1)
    # {name = "drop_similar", evidence = "bert", percent = 1}
    >>> DropSimilar("bert", percent=1).to_recipe()
    {'name': 'drop_similar', 'evidence': 'bert', 'percent': 1}
    """

    name: ClassVar[str]
    __dataclass_fields__: ClassVar[dict[str, Field[Any]]]

    def __repr__(self) -> str:
        parts = [
            f"{f.name}={_shown(getattr(self, f.name))}" if f.kw_only else _shown(getattr(self, f.name))
            for f in self._told()
        ]
        return f"{type(self).__name__}({', '.join(parts)})"

    def __str__(self) -> str:
        return f"{self!r}\n# {toml(self.to_recipe())}"

    def to_recipe(self) -> dict[str, Any]:
        """The section of a recipe that builds this, as plain values."""
        named = {"name": self.name} if hasattr(self, "name") else {}
        return named | {f.name: _plain(getattr(self, f.name)) for f in self._told()}

    def _told(self) -> list[Field[Any]]:
        return [f for f in fields(self) if f.init and getattr(self, f.name) != _default(f)]


def toml(value: Any) -> str:
    """A plain value on one line, as TOML writes it.

    >>> toml({"scale": 0.5, "learned": True, "levels": ["a", float("inf")]})
    '{scale = 0.5, learned = true, levels = ["a", inf]}'
    """
    if isinstance(value, dict):
        return f"{{{', '.join(f'{key} = {toml(entry)}' for key, entry in value.items())}}}"
    if isinstance(value, list):
        return f"[{', '.join(map(toml, value))}]"
    return str(value) if isinstance(value, float) else json.dumps(value)


def _default(f: Field[Any]) -> Any:
    return f.default_factory() if f.default_factory is not MISSING else f.default


def _shown(value: Any) -> str:
    if isinstance(value, (tuple, list)):
        return f"[{', '.join(map(_shown, value))}]"
    return repr(value) if not isinstance(value, float) or math.isfinite(value) else f"float('{value}')"


def _plain(value: Any) -> Any:
    if isinstance(value, Described):
        return value.to_recipe()
    if isinstance(value, dict):
        return {key: _plain(entry) for key, entry in value.items()}
    if isinstance(value, (tuple, list)):
        return [_plain(entry) for entry in value]
    return value
