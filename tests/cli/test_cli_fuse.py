import pytest

from matchcut.cli import main
from matchcut.evaluation import read_run


@pytest.fixture
def files(tmp_path):
    (tmp_path / "a.run").write_text("1 0 x 1 3 a\n1 0 y 2 2 a\n1 0 z 3 1 a\n")
    (tmp_path / "b.run").write_text("1 0 z 1 3 b\n1 0 x 2 2 b\n1 0 w 3 1 b\n")
    (tmp_path / "qrels").write_text("1 0 x 1 1\n1 0 z 1 0\n")
    return tmp_path


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
    assert main(["fuse", *runs, "--qrels", qrels, "--sweep-q", qrels, "--plot", str(plot)]) == 0
    printed = capsys.readouterr().out
    assert "xinfAP" in printed
    assert "(MAX)" in printed
    assert plot.exists()


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (["a.run"], "nothing to do with the result"),
        (["--out", "o"], "no run to fuse"),
        (["a.run", "--out", "o", "--method", "weighted"], "needs weights"),
        (["a.run", "--out", "o", "--plot", "p.png"], "give --sweep-q QRELS too"),
        (["qrels", "--out", "o"], "line 1: 5 columns; a run has six"),
    ],
)
def test_bad_input_is_one_line_and_code_2(files, capsys, monkeypatch, flags, message):
    monkeypatch.chdir(files)
    assert main(["fuse", *flags]) == 2
    error = capsys.readouterr().err
    assert message in error
    assert error.count("\n") == 1
    assert not (files / "o").exists()
