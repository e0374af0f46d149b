"""Wrong arguments are one line that says what is wrong and what would be right, for every command."""

import inspect
from dataclasses import MISSING, dataclass
from importlib import import_module
from pathlib import Path
from typing import Literal

import pytest

from matchcut.cli import COMMANDS, main
from matchcut.cli.arguments import arguments, parse
from matchcut.cli.flags import Many
from matchcut.errors import MatchcutError


@dataclass(frozen=True)
class Size:
    """How large."""

    width: int = 3
    """Of the picture."""

    def __post_init__(self) -> None:
        if self.width < 1:
            raise ValueError(f"width must be at least 1, got {self.width}")


def look(
    collection: Path,
    query: str | None = None,
    /,
    *,
    model: str,
    top_k: int | None = None,
    ties: Literal["first", "last"] = "first",
    every: float | Literal["avs"] = 0.5,
    names: Many[str] = (),
    size: Size = Size(),
    json: bool = False,
) -> None:
    """Look.

    Args:
        collection: Folder of the collection.
        query: What to look for,
            of two lines.
        model: Name of a model.
        top_k: How many.
        ties: Which.
        every: How often.
        names: Some.
        size: How large.
        json: Print JSON.
    """


def both(first: Path, /) -> None:
    """Look."""


def function(name):
    module, _, attribute = COMMANDS[name][0].partition(":")
    return getattr(import_module(module), attribute)


@pytest.mark.parametrize(
    ("args", "message"),
    [
        ("", "COLLECTION and --model are missing; matchcut look COLLECTION [QUERY] --model STR"),
        ("c", "--model is missing; matchcut look COLLECTION [QUERY] --model STR"),
        ("--model m", "COLLECTION is missing; matchcut look COLLECTION [QUERY] --model STR"),
        ("c q more --model m", "'more': not expected here; matchcut look COLLECTION [QUERY]"),
        ("c --model m -- q --json", "'--json': not expected here; matchcut look COLLECTION [QUERY]"),
        ("c --modle m", "--modle: no such flag; did you mean --model?"),
        ("c --model m --zzz", "--zzz: no such flag; `matchcut look --help` lists them"),
        ("c --model m -v", "-v: no such flag; `matchcut look --help` lists them"),
        ("c --model m --top_k x", "--top-k x: must be a whole number"),
        ("c --model m --top-k 1.5", "--top-k 1.5: must be a whole number"),
        ("c --model m --top-k=x", "--top-k x: must be a whole number"),
        ("c --model m --top-k", "--top-k: needs a value, a whole number"),
        ("c --model m --top-k --json", "--top-k: needs a value, a whole number"),
        ("c --model m --ties frist", "--ties frist: must be first or last; did you mean first?"),
        ("c --model m --every often", "--every often: must be a number or avs"),
        ("c --model m --json=yes --top-k x", "--json=yes: --json takes no value"),
        ("c --model m --size.width w", "--size.width w: must be a whole number"),
        ("c --model m --size.width -1", "--size: width must be at least 1, got -1"),
    ],
)
def test_what_is_wrong_and_what_would_be_right(args, message):
    with pytest.raises(MatchcutError) as error:
        parse(look, args.split(), prog="matchcut look")
    assert str(error.value) == message


def test_arguments_that_are_right_make_the_call():
    given = "c q --model=m --top_k -5 --names a b --names c --size.width 4 --every avs"
    call = parse(look, given.split(), prog="x")
    assert call.func is look
    assert call.args == (Path("c"), "q")
    assert call.keywords == {
        "model": "m", "top_k": -5, "ties": "first", "every": "avs", "names": (("a", "b"), ("c",)),
        "size": Size(4), "json": False,
    }  # fmt: skip
    assert parse(both, ["-5"], prog="x").args == (Path("-5"),)
    assert parse(look, ["c", "--model", "m", "--top-k", "None"], prog="x").keywords["top_k"] is None


def test_what_nobody_has_foreseen_is_told_in_the_parser_s_words():
    def odd(count: dict[str, int], /) -> None:
        """Odd."""

    with pytest.raises(MatchcutError, match=r"^[^─-╿\n]+$"):
        parse(odd, ["a", "b", "c"], prog="x")


def test_help_is_shown_whatever_else_is_there(capsys):
    with pytest.raises(SystemExit) as end:
        parse(look, ["--ties", "nonsense", "--help"], prog="matchcut look")
    assert end.value.code == 0
    shown = capsys.readouterr().out
    assert shown.startswith("usage: matchcut look [-h] [OPTIONS] COLLECTION [QUERY]\n")
    assert "--top-k INT " in shown
    assert "--names STR ... " in shown
    assert "--every FLOAT|{avs} " in shown
    assert "What to look for, of two lines." in shown
    assert "(default: first)" in shown
    assert "(default: None)" not in shown


@pytest.mark.parametrize("name", COMMANDS)
class TestEveryCommand:
    def refused(self, args, capsys):
        assert main(args) == 2
        out, err = capsys.readouterr()
        assert out == ""
        assert err.count("\n") == 1
        assert err.startswith(f"matchcut {args[0]}: ")
        return err.removeprefix(f"matchcut {args[0]}: ").rstrip()

    def takes(self, name):
        return [one for found in arguments(function(name)).values() for one in found]

    def test_unknown_flag(self, name, capsys):
        flag = max((one.name for one in self.takes(name) if one.is_flag), key=len)
        assert self.refused([name, f"{flag}x"], capsys) == f"{flag}x: no such flag; did you mean {flag}?"

    def test_wrong_type(self, name, capsys):
        for one in self.takes(name):
            if one.kind is int and not one.several:
                assert self.refused([name, one.name, "many"], capsys) == f"{one.name} many: must be a whole number"

    def test_missing(self, name, capsys):
        needed = [one.name for one in self.takes(name) if one.default is MISSING and not one.several]
        if needed:
            told = self.refused([name], capsys)
            assert all(needed_name in told.partition(" missing; matchcut ")[0] for needed_name in needed)

    def test_one_too_many(self, name, capsys):
        bare = [one for one in self.takes(name) if not one.is_flag]
        if not any(one.several for one in bare):
            words = ["x"] * len(bare)
            assert self.refused([name, *words, "more"], capsys).startswith("'more': not expected here; matchcut")

    def test_every_parameter_is_explained(self, name):
        lines = inspect.getdoc(function(name)).partition("Args:\n")[2].splitlines()
        assert [line.split(":")[0].strip() for line in lines if line[4:5] != " "] == list(arguments(function(name)))
