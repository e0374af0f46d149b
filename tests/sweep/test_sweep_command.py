import io
import json
import os
from dataclasses import replace

import pytest
from rich.console import Console

from matchcut.cli import main
from matchcut.cli.sweep_tables import Board, comparison_tables
from matchcut.evaluation.matrices import read_scores, write_scores
from matchcut.sweep import Event, Grid, Result, compare_cells
from matchcut.sweep.results import ResultLog, sweep_folder


def text(capsys):
    printed = capsys.readouterr()
    return printed.out, printed.err


def test_dry_run_lists_the_cells(grid_file, capsys):
    assert main(["sweep", str(grid_file), "--dry-run"]) == 0
    out, _ = text(capsys)
    assert "4 models" in out
    assert "0.003-hardest" in out
    assert main(["sweep", str(grid_file), "--dry-run", "--json", "--only", "*-all", "--set", "training.epochs=9"]) == 0
    listed = json.loads(text(capsys)[0])
    assert [c["cell"] for c in listed] == ["0.01-all", "0.003-all"]
    assert listed[0]["recipe"]["training"]["epochs"] == 9


def test_what_is_wrong_is_one_line(grid_file, collection, capsys):
    wrong = [
        (["--set", "grid.training.lr=[-1.0]"], "cell -1.0-all: training: lr must be above 0"),
        (["--jobs", "0"], "--jobs must be at least 1, got 0"),
        (["--summary"], "no model of this sweep is trained yet"),
        (["--only", "z"], "--only z: fits no cell"),
    ]
    for flags, message in wrong:
        assert main(["sweep", str(grid_file), str(collection.root), *flags]) == 2
        assert message in text(capsys)[1]
    assert main(["sweep", str(grid_file)]) == 2
    assert "data.collection: not given" in text(capsys)[1]


def test_train_and_compare(grid_file, collection, capsys):
    command = ["sweep", str(grid_file), str(collection.root), "--device", "cpu"]
    assert main([*command, "--jobs", "1", "--keep-scores", "test"]) == 0
    out, _ = text(capsys)
    assert "0.01-all: epoch 1/3, loss" in out
    assert "[4/4] 0.003-hardest: done, val" in out
    assert main([*command, "--summary"]) == 0
    out, _ = text(capsys)
    assert "models on val" in out
    assert "95% interval" in " ".join(out.split())
    assert main([*command, "--summary", "--part", "test", "--json"]) == 0
    found = json.loads(text(capsys)[0])
    assert found["part"] == "test"
    assert found["cells"][0]["measures"].keys() == {
        f"{d} {m}" for d in ("t2i", "i2t") for m in ("R@1", "R@5", "R@10", "MdR")
    }
    scores = [c["score"] for c in found["cells"]]
    assert scores == sorted(scores, reverse=True)
    assert scores[0] == pytest.approx(sum(v for k, v in found["cells"][0]["measures"].items() if "R@" in k))
    assert main([*command, "--summary", "--part", "train"]) == 2
    assert "scores-train.npz: no such file; keep the scores first" in text(capsys)[1]
    _new_weights_make_old_scores_worthless(collection, grid_file)


def _new_weights_make_old_scores_worthless(collection, grid_file):
    from matchcut.sweep import sweep

    folder = collection.root / "models" / "g-0.01-all"
    path = folder / "scores-test.npz"
    right = read_scores(path)
    write_scores(path, 0 * right.scores, texts=right.texts, items=right.items)
    os.utime(path, ns=(0, 0))
    sweep(Grid.read(grid_file), collection, only=["0.01-all"], jobs=1, device="cpu", keep_scores=["test"])
    assert (read_scores(path).scores == right.scores).all()


def test_the_board_tells_every_state(grid_file):
    grid = Grid.read(grid_file)
    console = Console(width=120, height=30, record=True, file=io.StringIO())
    board = Board(console, grid.cells)
    first, second, third, _ = grid.cells
    assert board.take(Event("begun", first)) == ""
    record = {"epoch": 1, "loss": 0.5, "val": {"rsum": 123.4}}
    assert board.take(Event("epoch", first, record=record)) == "0.01-all: epoch 1/3, loss 0.5, val 123.4"
    failed = Result(cell=second.name, choices=second.choices, model="m", status="failed", reason="out of paper")
    assert board.take(Event("ended", second, result=failed)) == "[1/4] 0.01-hardest: failed: out of paper"
    done = Result(cell=third.name, choices=third.choices, model="m", status="done", score=99.0, best_epoch=2, epochs=3)
    assert board.take(Event("ended", third, result=done)) == "[2/4] 0.003-all: done, val 99.0 in epoch 2"
    console.print(board)
    shown = [line.split() for line in console.export_text().splitlines()]
    rows = {line[1]: line for line in shown if len(line) > 3 and line[1] in [c.name for c in grid.cells]}
    assert list(rows) == ["0.01-all", "0.01-hardest", "0.003-all", "0.003-hardest"]  # running, failed, done, waiting
    assert rows["0.01-all"][3::2][:4] == ["running", "1/3", "0.5000", "123.4"]
    assert [rows[name][3] for name in list(rows)[1:]] == ["failed", "done", "waiting"]
    assert shown[-1][:6] == ["1", "done,", "1", "failed,", "1", "waiting;"]


def test_a_long_board_fits_the_terminal():
    grid = Grid.of({"name": "g", "grid": {"training": {"seed": list(range(60))}}})
    console = Console(width=100, height=24, record=True, file=io.StringIO())
    console.print(Board(console, grid.cells))
    lines = console.export_text().rstrip("\n").splitlines()
    assert len(lines) <= 23
    assert "43 more not shown" in lines[-1]


def test_cells_that_failed_are_named(grid_file, collection):
    grid = Grid.read(grid_file)
    log = ResultLog(sweep_folder(collection, grid.name))
    for cell, score in zip(grid.cells, (10.0, 30.0, 20.0), strict=False):
        log.write(Result(cell=cell.name, choices=cell.choices, model=cell.recipe.name, status="done", score=score))
    found = compare_cells(collection, grid, grid.cells)
    assert found.without == ("0.003-hardest",)
    assert [c.cell for c in found.summary.cells] == ["0.01-hardest", "0.003-all", "0.01-all"]
    assert len(comparison_tables(found)) == 2
    names = [f"{way} {name}" for way in ("t2i", "i2t") for name in ("R@1", "R@5", "R@10", "MdR")]
    measured = replace(found, measures={c.cell: dict.fromkeys(names, 93.4) for c in found.summary.cells})
    console = Console(width=80, record=True, file=io.StringIO())
    console.print(comparison_tables(measured)[0])
    assert console.export_text().count(" 93.4 ") == 3 * 8  # whole numbers also in a narrow terminal
