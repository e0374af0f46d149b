import json
import re

import numpy as np
import pytest

from matchcut.cli import main
from matchcut.cli.fuse_inputs import Inputs
from matchcut.collection import Collection, Frame, Item, Shot
from matchcut.evaluation import read_run
from matchcut.evaluation.matrices import read_scores, write_scores
from matchcut.evaluation.score_files import read_score_file
from matchcut.evaluation.submission import read_single
from matchcut.features import FeatureWriter, Manifest
from matchcut.fusion import fuse
from matchcut.training import Recipe, train


@pytest.fixture
def files(tmp_path):
    (tmp_path / "a.run").write_text("1 0 x 1 3 a\n1 0 y 2 2 a\n1 0 z 3 1 a\n")
    (tmp_path / "b.run").write_text("1 0 z 1 3 b\n1 0 x 2 2 b\n1 0 w 3 1 b\n")
    (tmp_path / "qrels").write_text("1 0 x 1 1\n1 0 z 1 0\n")
    (tmp_path / "scores").write_text("1 z 0.9 x 0.8\n2 z\n")
    (tmp_path / "about.toml").write_text('team = "TEAM"\ntopics = "topics"\n')
    (tmp_path / "topics").write_text("662 a drone flying\n")
    ids = [f"i{n}" for n in range(6)]
    rng = np.random.default_rng(0)
    for name, noise in (("a", 0.2), ("b", 0.4), ("val-a", 0.2), ("val-b", 0.9)):
        scores = np.eye(6) + noise * rng.normal(size=(6, 6))
        write_scores(tmp_path / f"{name}.npz", scores, texts=[f"{i}#0" for i in ids], items=ids, text_items=ids)
    write_scores(
        tmp_path / "nan.npz", np.where(np.arange(6) == 2, np.nan, scores), texts=[f"{i}#0" for i in ids], items=ids
    )
    write_scores(tmp_path / "short.npz", scores[:, :5], texts=[f"{i}#0" for i in ids], items=ids[:5])
    return tmp_path


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """24 + 8 + 8 videos without pixels and two models that were trained on their made-up features."""
    made = Collection.create(tmp_path_factory.mktemp("fuse") / "collection")
    parts = {"train": 24, "val": 8, "test": 8}
    keys = {part: [f"{part}{i}" for i in range(count)] for part, count in parts.items()}
    rng = np.random.default_rng(0)
    points = {key: rng.normal(size=8) for part in keys.values() for key in part}
    with made.writing() as writer:
        for key in points:
            writer.put_item(Item(key, "video", ""), [Shot(0.0, 1.0, (Frame(0.0),))])
            writer.put_captions(key, [f"this is {key}", f"{key} again"])
        writer.put_split(keys)
    for name, of, records in (("minilm", "captions", made.captions()), ("efficientnet-lite0", "frames", made.shots())):
        manifest = Manifest(name=name, encoder=name, weights="w", preprocessing="", of=of, shape=(8,), dtype="float32")
        with FeatureWriter(made.root / "features" / name, manifest) as writer:
            for record in records:
                writer.add(record.key, (points[record.item] + 0.3 * rng.normal(size=8))[None])
    for name, seed in (("m", 0), ("n", 1)):
        training = {"epochs": 1, "batch_size": 8, "seed": seed}
        train(Recipe.of({"name": name, "model": {"dim": 8, "hidden_layers": 0}, "training": training}), made)
    return made


def test_fuse_writes_a_run(files, capsys):
    out = files / "out.run"
    assert (
        main(
            ["fuse", str(files / "a.run"), str(files / "b.run"), "--method", "hybrid", "--top", "2", "--out", str(out)]
        )
        == 0
    )
    fused = read_run(out)
    assert list(fused["1"]) == ["x", "z", "y", "w"]
    assert fused.tag == "hybrid2"
    assert "4 shots of 1 topics" in " ".join(capsys.readouterr().out.split())


def test_fuse_scores_and_sweeps(files, capsys):
    plot = files / "curve.png"
    runs = [str(files / "a.run"), str(files / "b.run")]
    qrels = str(files / "qrels")
    assert main(["fuse", *runs, "--qrels", qrels, "--contributions", "--sweep-q", "--plot", str(plot)]) == 0
    printed = capsys.readouterr().out
    assert "xinfAP" in printed
    assert "all without it" in printed
    assert "(MAX)" in printed
    assert plot.exists()


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (["a.run"], "nothing to do with the result"),
        (["--out", "o"], "no run to fuse"),
        (["a.run", "--out", "o", "--method", "weighted"], "needs weights"),
        (["a.run", "--out", "o", "--plot", "p.png"], "give --sweep-q too"),
        (["qrels", "--out", "o"], "line 1: 5 columns; a run has six"),
        (["scores", "--out", "o"], "line 2: 1 fields after the topic"),
        (["a.run", "--out", "o", "--weights", "much"], "--weights much: must be numbers"),
        (["a.run", "--out", "o", "--sweep-q"], "--sweep-q needs judgments"),
        (["a.run", "b.run", "--out", "o", "--weights", "learn"], "--val has 0 files for 2 files"),
        (["a.run", "--out", "o", "--weights", "learn", "--val", "a.run"], "validation needs judgments"),
        (["a.run", "--out", "o", "--to", "npz"], "runs fuse into a run"),
        (["a.run", "--out", "o.npz"], "runs fuse into a run"),
        (["a.run", "--model", "m", "--out", "o"], "a collection and --model go together"),
        (["a.npz", "short.npz", "--out", "o"], "short.npz: scores (6, 5), a.npz has (6, 6)"),
        (["a.npz", "--out", "o", "--measure", "R@1", "--contributions"], "no measure 'R@1'"),
        (["a.run", "b.run", "--out", "o", "--depth", "0"], "depth must be at least 1, got 0"),
        (["a.run", "--out", "o.xml"], "give --submission about.toml"),
        (["a.run", "--submission", "about.toml"], "--submission writes the XML file that --out names"),
        (["a.run", "--out", "o", "--to", "run", "--submission", "about.toml"], "and no --to"),
        (["a.run", "--out", "o", "--submission", "absent.toml"], "absent.toml: cannot be read"),
        (["a.run", "--out", "o", "--submission", "about.toml"], "o: not written: topic 1662: no result; topic 1:"),
        (["a.npz", "--out", "o", "--submission", "about.toml"], "topic i0#0: not a number"),
        (["a.run", "a.run", "--out", "o"], "a.run: named twice"),
        (["a.npz", "nan.npz", "--out", "o"], "nan.npz: scores[0, 2] is NaN"),
    ],
)
def test_bad_input_is_one_line_and_code_2(files, capsys, monkeypatch, flags, message):
    monkeypatch.chdir(files)
    assert main(["fuse", *flags]) == 2
    error = capsys.readouterr().err
    assert message in error
    assert error.count("\n") == 1
    assert not (files / "o").exists()


def test_matrices_fuse_into_a_matrix_with_learned_weights(files, capsys, monkeypatch):
    monkeypatch.chdir(files)
    val = ["--val", "val-a.npz", "val-b.npz"]
    assert (
        main(["fuse", "a.npz", "b.npz", *val, "--weights", "learn", "--contributions", "--sweep-q", "--out", "o.npz"])
        == 0
    )
    printed = capsys.readouterr().out
    weights = [float(w) for w in re.findall(r"[ab]\.npz (\d\.\d+)", printed)]
    assert weights[0] > weights[1]
    assert "t2v R@1 against Q'" in printed
    out, a, b = (read_scores(f"{name}.npz") for name in ("o", "a", "b"))
    np.testing.assert_allclose(out.scores, fuse([a.scores, b.scores], "weighted", weights=weights), atol=0.02)
    assert out.text_items.tolist() == a.text_items.tolist()
    assert main(["fuse", "a.npz", "b.npz", *val, "--select", "greedy", "--out", "o.npy"]) == 0
    assert "chosen (greedy): a.npz" in capsys.readouterr().out
    assert read_scores("o.npy").scores.shape == (6, 6)


def test_a_choice_of_one_has_no_contributions(files, capsys, monkeypatch):
    monkeypatch.chdir(files)
    flags = ["--weights", "1", "0", "--select", "greedy", "--val", "val-a.npz", "val-b.npz", "--contributions"]
    assert main(["fuse", "a.npz", "b.npz", *flags]) == 0
    printed = capsys.readouterr().out
    assert "chosen (greedy): a.npz;" in printed
    assert "one model was chosen" in printed


def test_item_to_text_fuses_the_lists_of_the_items(files, capsys, monkeypatch):
    monkeypatch.chdir(files)
    (files / "copy.npz").write_bytes((files / "val-b.npz").read_bytes())
    assert main(["fuse", "val-b.npz", "copy.npz", "--method", "avg", "--measure", "v2t R@1", "--sweep-q"]) == 0
    printed = capsys.readouterr().out
    sums = re.findall(r"rsum (\d+\.\d)", printed)
    assert len(sums) == 3
    assert len(set(sums)) == 1  # a ranking fused with itself is that ranking, in both directions
    assert "tied" not in printed


def test_bands_and_tests_keep_the_captions_of_an_item_together(trained):
    given = Inputs.read([], trained, ["m", "n"], split=None, qrels=None)
    assert np.unique(given.facing("t2v R@1").clusters, return_counts=True)[1].tolist() == [2] * 8
    assert given.facing("v2t R@1").clusters is None


def test_choosing_on_what_is_measured_is_warned_of(files, capsys, monkeypatch):
    monkeypatch.chdir(files)
    choose = ["--select", "greedy", "--out", "o"]
    assert main(["fuse", "a.run", "b.run", *choose, "--val", "a.run", "b.run", "--val-qrels", "qrels"]) == 0
    assert "warning: 1 of 1 validation queries are also fused and measured" in capsys.readouterr().out
    (files / "other.run").write_text("7 0 x 1 3 a\n")
    (files / "other").write_text("7 0 x 1 1\n")
    assert main(["fuse", "a.run", *choose, "--val", "other.run", "--val-qrels", "other"]) == 0
    assert "warning" not in capsys.readouterr().out


def test_runs_score_files_and_matrices_go_together(files, capsys, monkeypatch):
    monkeypatch.chdir(files)
    (files / "scores").write_text("i0#0 i0 0.9 i1 0.8\n")
    assert main(["fuse", "a.npz", "scores", "--depth", "3", "--to", "scores", "--out", "o"]) == 0
    fused = read_score_file("o")
    assert len(fused) == 6
    assert next(iter(fused["i0#0"])) == "i0"
    assert max(map(len, fused.values())) == 3
    assert main(["fuse", "a.npz", "b.npz", "--qrels", "qrels2", "--out", "o"]) == 2
    (files / "qrels2").write_text("i0#0 0 i0 1 1\ni1#0 0 i0 1 0\n")
    assert main(["fuse", "a.npz", "b.npz", "--qrels", "qrels2", "--out", "o"]) == 0
    assert "xinfAP" in capsys.readouterr().out
    assert len(read_run("o")) == 6


def test_a_submission_is_written_checked_and_read_again(files, capsys, monkeypatch):
    monkeypatch.chdir(files)
    for name in ("a", "b"):
        (files / f"{name}.run").write_text((files / f"{name}.run").read_text().replace("1 0", "1662 0"))
    (files / "qrels").write_text("1662 0 x 1 1\n1662 0 z 1 0\n")
    (files / "dropped").write_text("z\n")
    with open("about.toml", "a") as form:
        form.write('dropped = "dropped"\n')
    asked = ["--submission", "about.toml", "--depth", "2", "--qrels", "qrels"]
    assert main(["fuse", "a.run", "b.run", "--out", "both.xml", *asked]) == 0
    assert "F_M_C_D_TEAM.21_1, 2 shots of 1 topics, without 1 dropped shots" in capsys.readouterr().out
    assert main(["fuse", "a.run", "--out", "one.xml", *asked]) == 0
    assert list(read_single("both.xml")["1662"]) == ["x", "y"]
    assert main(["fuse", "both.xml", "b.run", "--out", "again.run"]) == 0
    assert list(read_run("again.run")["1662"]) == ["x", "z", "w", "y"]
    write_scores("m.npz", np.array([[0.1, 0.9, 0.5]]), texts=["662"], items=["x", "y", "z"])
    assert main(["fuse", "m.npz", "--out", "m.xml", "--submission", "about.toml"]) == 0
    assert list(read_single("m.xml")["1662"]) == ["y", "x"]


def test_models_of_a_collection_are_fused(trained, tmp_path, capsys):
    out = tmp_path / "o.npz"
    names = ["--model", "m", "--model", "n"]
    assert main(["fuse", str(trained.root), *names, "--weights", "learn", "--out", str(out)]) == 0
    assert "weights learned on 16 queries" in capsys.readouterr().out
    matrix = read_scores(out)
    assert matrix.scores.shape == (16, 8)
    assert matrix.text_items[0] == matrix.items[0] == matrix.texts[0].partition("#")[0]


def test_models_and_matrices_are_reported_on(trained, tmp_path, capsys):
    root, out = str(trained.root), tmp_path / "page.html"
    assert main(["fuse", root, "--model", "m", "n", "--out", str(tmp_path / "both.npz")]) == 0
    arguments = ["report", root, "--model", "m", "--scores", str(tmp_path / "both.npz"), "--out", str(out)]
    assert main([*arguments, "--protocol", "msvd"]) == 0
    told = " ".join(capsys.readouterr().out.split())
    assert "8 items instead of the 670 of MSVD" in told
    facts = json.loads(out.with_suffix(".json").read_text())
    assert facts["systems"] == ["m", "both.npz"]
    assert "came without pixels" in out.read_text()
    assert main([*arguments, "--json", "--split", "val"]) == 2  # the matrix is of the test part
    assert "both.npz: lacks" in capsys.readouterr().err
    assert main(["report", root, "--model", "m", "--split", "val", "--out", str(out), "--json"]) == 0
    assert "chosen on 'val'" in json.loads(capsys.readouterr().out)["warnings"][0]["message"]


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        ([], "give models (COLLECTION --model A B)"),
        (["--run", "a.run"], "--run FILES and --qrels FILE go together"),
        (["--model", "m"], "give its folder"),
        (["--scores", "a.npz", "--out", "p.pdf"], "must end in .html"),
        (["--scores", "a.npz", "--protocol", "best"], "no protocol 'best'"),
        (["--scores", "short.npz"], "a report needs texts, items and text_items"),
        (["--run", "a.run", "--qrels", "a.run"], "a.run, line 1: 6 columns"),
    ],
)
def test_bad_input_for_a_report_is_one_line_and_code_2(files, capsys, monkeypatch, flags, message):
    monkeypatch.chdir(files)
    assert main(["report", *flags]) == 2
    error = capsys.readouterr().err
    assert message in error
    assert error.count("\n") == 1
