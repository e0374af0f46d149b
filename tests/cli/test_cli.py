import inspect
import os
import subprocess
import sys
from importlib import import_module

import pytest

from matchcut.cli import COMMANDS, main
from matchcut.collection import Collection

HEAVY = ("torch", "transformers", "sklearn", "matplotlib", "av", "sqlalchemy", "cv2")


def function(name):
    module, _, attribute = COMMANDS[name][0].partition(":")
    return getattr(import_module(module), attribute)


@pytest.mark.parametrize("name", COMMANDS)
def test_help_comes_from_the_function(name, capsys):
    with pytest.raises(SystemExit) as exit:
        main([name, "--help"])
    assert exit.value.code == 0
    text = capsys.readouterr().out
    summary = inspect.getdoc(function(name)).splitlines()[0]
    assert COMMANDS[name][1] == summary
    assert summary in " ".join(text.split())


def test_the_overview_names_every_command(capsys):
    assert main(["--help"]) == 0
    out = capsys.readouterr().out
    assert all(f"  {name} " in out for name in COMMANDS)


@pytest.mark.parametrize(
    ("name", "arguments"),
    [("train", "RECIPE [COLLECTION]"), ("search", "COLLECTION TEXT"), ("convert", "CHECKPOINT")],
)
def test_help_names_its_arguments(name, arguments, capsys):
    with pytest.raises(SystemExit):
        main([name, "--help"])
    assert capsys.readouterr().out.splitlines()[0].endswith(arguments)


def test_no_heavy_import_before_the_work_begins():
    code = f"""
import sys
from importlib import import_module
from matchcut.cli import COMMANDS
for place, _ in COMMANDS.values():
    import_module(place.partition(":")[0])
print([name for name in {HEAVY!r} if name in sys.modules])
"""
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert out.strip() == "[]"


def test_bad_input_is_one_line_and_exit_code_2(capsys, tmp_path):
    assert main(["info", str(tmp_path / "nothing")]) == 2
    err = capsys.readouterr().err
    assert err.startswith("matchcut info: ")
    assert err.count("\n") == 1
    assert main(["serch", "x"]) == 2
    assert "did you mean 'search'?" in capsys.readouterr().err


def test_train_needs_to_know_the_collection(tmp_path, capsys):
    recipe = tmp_path / "r.toml"
    recipe.write_text("[training]\nepochs = 1\n")
    assert main(["train", str(recipe)]) == 2
    assert "data.collection: not given" in capsys.readouterr().err
    assert main(["train", str(tmp_path / "none.toml"), str(tmp_path)]) == 2
    assert "none.toml: cannot be read" in capsys.readouterr().err


def run(*args, stdout):
    return subprocess.run([sys.executable, "-m", "matchcut", *args], stdout=stdout, stderr=subprocess.PIPE, text=True)


@pytest.mark.parametrize("args", [["--help"], ["info", "--json"], ["info"]])
def test_a_reader_that_went_away_is_no_error(args, tmp_path):
    Collection.create(tmp_path / "empty")
    reading, writing = os.pipe()
    os.close(reading)
    done = run(*args, *([str(tmp_path / "empty")] if "info" in args else []), stdout=writing)
    os.close(writing)
    assert (done.stderr, done.returncode) == ("", 141)


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="no device that is always full")
def test_a_full_disk_below_the_output_is_one_line():
    with open("/dev/full", "w") as full:
        done = run("--help", stdout=full)
    assert (done.stderr, done.returncode) == ("matchcut --help: No space left on device\n", 2)
