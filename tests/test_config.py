from dataclasses import dataclass, field
from typing import Literal

import pytest

from matchcut.config import decode, merge, pick, read_toml
from matchcut.errors import MatchcutError


@dataclass(frozen=True)
class Inner:
    rate: float = 0.5
    kind: Literal["a", "b"] = "a"
    sizes: tuple[int, ...] = ()
    most: int | None = None
    seconds: float | dict[str, float] = 0.0


@dataclass(frozen=True)
class Outer:
    name: str
    inner: Inner = field(default_factory=Inner)


def test_nested_tables_become_dataclasses():
    table = {"name": "x", "inner": {"rate": 1, "sizes": [1, 2]}}
    assert decode(Outer, table, where="a.toml") == Outer("x", Inner(1.0, "a", (1, 2)))


@pytest.mark.parametrize(
    ("table", "message"),
    [
        ({}, "a.toml: name: missing; it has no default"),
        ({"name": 1}, "a.toml: name: expected text in quotes, got a whole number"),
        ({"name": "x", "inner": {"rates": 1}}, "a.toml: inner.rates: unknown key; did you mean 'rate'?"),
        ({"name": "x", "inner": {"kind": "c"}}, "a.toml: inner.kind: expected one of 'a', 'b'; got 'c'"),
        ({"name": "x", "inner": {"sizes": [1, "2"]}}, "a.toml: inner.sizes[1]: expected a whole number"),
        ({"name": "x", "inner": {"most": "9"}}, "a.toml: inner.most: expected a whole number, got text in quotes"),
        ({"name": "x", "inner": {"seconds": "9"}}, "a.toml: inner.seconds: expected a number or a table, got text"),
        ({"name": "x", "inner": {"rate": True}}, "a.toml: inner.rate: expected a number, got true or false"),
    ],
)
def test_messages(table, message):
    with pytest.raises(MatchcutError) as error:
        decode(Outer, table, where="a.toml")
    assert str(error.value).startswith(message)


def test_pick_takes_the_name_out():
    assert pick({"one": 1}, {"name": "one", "x": 2}, where="w") == (1, {"x": 2})
    with pytest.raises(MatchcutError, match="w: name: 'on' is not known; did you mean 'one'"):
        pick({"one": 1}, {"name": "on"}, where="w")


def test_merge_leaves_both_tables_alone():
    below, above = {"a": {"x": 1}}, {"a": {"y": 2}}
    assert merge(below, above) == {"a": {"x": 1, "y": 2}}
    assert (below, above) == ({"a": {"x": 1}}, {"a": {"y": 2}})


def test_overrides_are_toml_values_or_text(tmp_path):
    path = tmp_path / "a.toml"
    path.write_text("[a]\nb = 1\n")
    found = read_toml(path, overrides=["a.b=[1, 2]", "a.c=plain words", "d=true"])
    assert found == {"a": {"b": [1, 2], "c": "plain words"}, "d": True}
    with pytest.raises(MatchcutError, match="'b' is a value, not a table"):
        read_toml(path, overrides=["a.b.c=1"])
    for odd in ("a..b=1", ".a=1", "a.=1", "=1", "a"):
        with pytest.raises(MatchcutError, match="expected KEY=VALUE"):
            read_toml(path, overrides=[odd])
    assert read_toml(path, overrides=["a.b=1\nc=2"]) == {"a": {"b": "1\nc=2"}}
