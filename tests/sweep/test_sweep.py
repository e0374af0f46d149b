import multiprocessing
import os
import signal
import subprocess
import sys
import time
from functools import partial
from types import SimpleNamespace

import pytest
import torch

from matchcut.cli import main
from matchcut.errors import MatchcutError
from matchcut.evaluation.matrices import read_scores
from matchcut.sweep import Grid, read_results, sweep
from matchcut.sweep.runner import stacks
from matchcut.training import checkpoint, evaluate, train

LOOP = """
import sys
from pathlib import Path

from matchcut.collection import Collection
from matchcut.sweep import Grid, sweep

if __name__ == "__main__":
    grid, collection = Grid.read(sys.argv[1]), Collection.open(Path(sys.argv[2]))
    sweep(grid, collection, jobs=1, device="cpu", progress=lambda event: print(event.kind, flush=True))
"""


def weights(folder):
    """Everything that changes while training."""
    tensors, facts = checkpoint.read(folder / checkpoint.LAST)
    return tensors, {**facts["counters"], "seconds": 0}


def same(a, b):
    return a[1] == b[1] and a[0].keys() == b[0].keys() and all(torch.equal(a[0][name], b[0][name]) for name in a[0])


@pytest.fixture
def one_thread():
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def test_every_cell_gets_the_weights_of_a_training_by_itself(collection, grid_file, one_thread):
    grid = Grid.read(grid_file)
    events = []
    results = sweep(grid, collection, jobs=1, device="cpu", progress=events.append, keep_scores=["test"])
    assert [r.status for r in results] == ["done"] * 4
    assert [r.cell for r in results] == [c.name for c in grid.cells]
    assert [e.kind for e in events if e.cell == grid.cells[1]] == ["begun", "epoch", "epoch", "epoch", "ended"]
    models = collection.root / "models"
    for cell, result in zip(grid.cells, results, strict=True):
        alone = train(cell.recipe, collection, name=f"alone-{cell.name}", device="cpu")
        assert same(weights(models / result.model), weights(alone.folder))
        assert (result.score, result.best_epoch, result.epochs) == (alone.best, alone.best_epoch, 3)
        matrix = read_scores(models / result.model / "scores-test.npz")
        measured = evaluate(collection, result.model, samples=10).metrics["paired"]
        ranks = (matrix.scores >= matrix.scores[matrix.items[None] == matrix.text_items[:, None]][:, None]).sum(1)
        assert measured.text_to_item.recall[1] == pytest.approx(100 * (ranks == 1).mean())
    first, other = (weights(models / r.model) for r in results[:2])
    assert not same(first, other)


def test_stacked_cells_get_these_weights_but_for_rounding(collection, grid_file, one_thread):
    still = ["model.input_dropout=0.0", "model.pooling=mean", "model.text_pooling=mean"]
    grid = Grid.read(grid_file, overrides=still)
    events = []
    results = sweep(grid, collection, jobs=1, stack=3, device="cpu", progress=events.append, keep_scores=["test"])
    assert [r.status for r in results] == ["done"] * 4
    assert [(e.kind, e.cell.name) for e in events[:6]] == [
        (kind, cell.name) for kind in ("begun", "epoch") for cell in grid.cells[:3]
    ]
    for cell, result in zip(grid.cells, results, strict=True):
        alone = train(cell.recipe, collection, name=f"alone-{cell.name}", device="cpu")
        (a, facts), (b, others) = weights(collection.root / "models" / result.model), weights(alone.folder)
        assert facts["step"] == others["step"] == 18
        for name in b:
            if name.startswith("model"):
                torch.testing.assert_close(a[name], b[name], rtol=1e-4, atol=1e-5)
        assert (collection.root / "models" / result.model / "scores-test.npz").exists()
    again = []
    assert sweep(grid, collection, jobs=1, stack=2, device="cpu", progress=again.append) == results
    assert {e.kind for e in again} == {"ended"}


def test_only_cells_that_agree_are_stacked(grid_file):
    grid = Grid.read(grid_file, overrides=["grid.training.seed=[0, 1]"])
    groups = stacks(grid.cells, 3)
    assert sorted(map(len, groups)) == [1, 1, 3, 3]
    assert all(len({cell.recipe.training.seed for cell in group}) == 1 for group in groups)
    assert sorted(cell.name for group in groups for cell in group) == sorted(cell.name for cell in grid.cells)
    assert stacks(grid.cells, 1) == [(cell,) for cell in grid.cells]


def test_networks_that_cannot_be_stacked_are_refused_before_anything_is_read(collection, grid_file):
    grid = Grid.read(grid_file, overrides=["model={name='sgraf'}"])
    with pytest.raises(MatchcutError, match="--stack: 'sgraf' cannot be stacked"):
        sweep(grid, collection, stack=2, device="cpu")
    with pytest.raises(ValueError, match="stack must be at least 1, got 0"):
        sweep(grid, collection, stack=0, device="cpu")


def test_a_part_that_is_not_there_is_refused_before_anything_is_trained(collection, grid_file):
    with pytest.raises(MatchcutError, match="no part 'tset' in split 'default' to keep scores of"):
        sweep(Grid.read(grid_file), collection, jobs=1, device="cpu", keep_scores=["tset"])
    assert not (collection.root / "sweeps").exists()


def test_killed_and_begun_again_ends_with_the_same_weights(collection, grid_file, tmp_path, one_thread):
    grid_file.write_text(grid_file.read_text() + "\n[training]\nepochs = 30\n")
    script = tmp_path / "loop.py"
    script.write_text(LOOP)
    command = [sys.executable, script, grid_file, collection.root]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    while "epoch" not in process.stdout.readline():
        assert process.poll() is None
    process.kill()
    process.wait()
    log = collection.root / "models" / "g-0.01-all" / "log.jsonl"
    size = -1
    while size != log.stat().st_size:  # the worker ends with its parent
        size = log.stat().st_size
        time.sleep(0.5)
    assert 0 < len(log.read_text().splitlines()) < 30
    assert read_results(collection.root / "sweeps" / "g") == {}

    grid, kinds = Grid.read(grid_file), []
    cell = grid.cells[0]
    (result,) = sweep(
        grid, collection, only=[cell.name], jobs=1, device="cpu", progress=lambda event: kinds.append(event.kind)
    )
    assert result.status == "done"
    assert 0 < kinds.count("epoch") < 30  # it went on, not anew
    alone = train(cell.recipe, collection, name="alone", device="cpu")
    assert same(weights(log.parent), weights(alone.folder))


def test_a_finished_sweep_is_left_alone_and_again_starts_anew(collection, grid_file):
    grid, only, kinds = Grid.read(grid_file), ["0.01-*"], []

    def run(**options):
        kinds.clear()
        return sweep(
            grid, collection, only=only, jobs=1, device="cpu", progress=lambda e: kinds.append(e.kind), **options
        )

    first = run()
    assert kinds.count("epoch") == 6
    assert run() == first
    assert kinds == ["ended"] * 2
    run(again=True)
    assert kinds.count("epoch") == 6
    path = collection.root / "sweeps" / "g" / "results.jsonl"
    with open(path, "a") as file:
        file.write('{"cell": "0.01-all", "cho')  # a crash while writing
    assert set(read_results(path.parent)) == {"0.01-all", "0.01-hardest"}
    run()
    assert len(path.read_text().splitlines()) == 2
    path.write_text("{}\n")
    with pytest.raises(MatchcutError, match=r"results.jsonl, line 1: not a result"):
        run()


def test_a_result_stands_only_with_its_checkpoint_and_its_data(collection, grid_file):
    grid, only, kinds = Grid.read(grid_file), ["0.01-all"], []

    def run(read=grid):
        kinds.clear()
        return sweep(read, collection, only=only, jobs=1, device="cpu", progress=lambda e: kinds.append(e.kind))[0]

    run()
    (collection.root / "models" / "g-0.01-all" / "last.safetensors").unlink()
    assert run().status == "done"
    assert kinds.count("epoch") == 3
    longer = run(Grid.read(grid_file, overrides=["training.epochs=4"]))
    assert (longer.status, kinds) == ("failed", ["begun", "ended"])
    assert "another recipe: training.epochs was 3 and is now 4" in longer.reason
    assert run().status == "done"
    with collection.writing() as writer:
        writer.put_captions("train0", ["another caption"])
    assert "holds a run with another data" in run().reason


def test_what_fails_is_recorded_and_the_others_go_on(collection, grid_file, capsys):
    """One diverges, one lacks its features, one is killed in its second epoch; the fourth is trained."""
    grid_file.write_text(
        grid_file.read_text().partition("[grid]")[0]
        + """
[training]
clip = 0

[grid.how]
diverges = {training.lr = 1e30, objective.terms = [{loss = {name = "hinge", negatives = "all"}}]}
lacks = {model.text = ["nothing"]}
killed = {training.epochs = 4}
good = {}
"""
    )

    def kill(event):
        if event.cell.name == "killed" and event.kind == "epoch":
            for child in multiprocessing.active_children():
                os.kill(child.pid, signal.SIGKILL)

    grid = Grid.read(grid_file)
    results = {r.cell: r for r in sweep(grid, collection, jobs=1, device="cpu", progress=kill)}
    assert {name: r.status for name, r in results.items()} == {
        "diverges": "failed", "lacks": "failed", "killed": "failed", "good": "done"
    }  # fmt: skip
    assert "the loss is not finite" in results["diverges"].reason
    assert "no feature set 'nothing'" in results["lacks"].reason
    assert results["killed"].reason.startswith("its worker was killed by SIGKILL; out of memory?")
    assert read_results(collection.root / "sweeps" / "g") == results

    assert main(["sweep", str(grid_file), str(collection.root), "--device", "cpu", "--jobs", "2"]) == 2
    printed = capsys.readouterr()
    assert "killed: done" in printed.out  # tried again, it went on
    assert "2 of 4 models failed" in printed.err
    assert "  lacks: " in printed.err
    assert "next: matchcut sweep" in printed.out


def test_an_error_that_nobody_foresaw_keeps_its_traceback(collection, grid_file):
    blocked = collection.root / "models" / "g-0.01-all" / "log.jsonl"
    blocked.mkdir(parents=True)
    (blocked.parent / "last.safetensors").mkdir()
    results = sweep(Grid.read(grid_file), collection, only=["0.01-*"], jobs=1, device="cpu")
    assert [r.status for r in results] == ["failed", "done"]
    assert results[0].reason


def test_a_second_run_at_the_same_time_is_refused(collection, grid_file):
    grid = Grid.read(grid_file)

    def second(event):
        if event.kind == "begun":
            with pytest.raises(MatchcutError, match="this sweep is running in another process"):
                sweep(grid, collection, only=["0.01-all"], jobs=1)

    assert sweep(grid, collection, only=["0.01-all"], jobs=1, device="cpu", progress=second)[0].status == "done"


def test_too_little_shared_memory_is_said(collection, grid_file, monkeypatch):
    monkeypatch.setattr("matchcut.sweep.share.shutil.disk_usage", lambda path: SimpleNamespace(free=10))
    with pytest.raises(MatchcutError, match=r"/dev/shm: 0.0 GB free, but the features .* --shm-size"):
        sweep(Grid.read(grid_file), collection, jobs=1, device="cpu")
    assert not multiprocessing.active_children()


def test_jobs_below_one():
    with pytest.raises(ValueError, match="jobs must be at least 1, got 0"):
        sweep(None, None, jobs=0)


def test_the_interrupt_key_stops_at_once_and_cleanly(collection, grid_file):
    command = [sys.executable, "-m", "matchcut", "sweep", grid_file, collection.root, "--device", "cpu"]
    command += ["--set", "training.epochs=100000", "--jobs", "2"]
    heard = partial(signal.signal, signal.SIGINT, signal.SIG_DFL)  # shells let background jobs ignore it
    process = subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, process_group=0, preexec_fn=heard
    )
    assert process.stdout is not None
    assert "epoch 1/100000" in process.stdout.readline()
    os.killpg(process.pid, signal.SIGINT)
    _, errors = process.communicate(timeout=60)
    assert process.returncode == 130
    assert errors.strip() == "matchcut sweep: interrupted; run the same command again to go on"
    assert not list(collection.root.rglob("*.part"))
