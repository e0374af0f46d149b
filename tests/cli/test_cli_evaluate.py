import json

from matchcut.cli import main

QRELS = "1 0 a 1 1\n1 0 b 1 0\n1 0 c 1 1\n2 0 a 1 0\n2 0 h 1 1\n"
RUN = "1 0 a 1 9 t\n1 0 b 2 8 t\n1 0 c 3 7 t\n2 0 a 1 9 t\n2 0 h 2 8 t\n"


def test_run_files_against_judgments(tmp_path, capsys):
    run, qrels, out = tmp_path / "mine.run", tmp_path / "qrels", tmp_path / "out.json"
    run.write_text(RUN)
    qrels.write_text(QRELS)
    assert main(["evaluate", "--run", str(run), "--qrels", str(qrels), "--out", str(out)]) == 0
    assert "mine.run" in capsys.readouterr().out
    assert len(json.loads(out.read_text())) == 1


def test_models_and_runs_are_not_mixed(tmp_path, capsys):
    for args in ([], ["--run", "a"], ["--qrels", "q"], [str(tmp_path), "--run", "a", "--qrels", "q"]):
        assert main(["evaluate", *args]) == 2
        assert "give either COLLECTION with --model, or --run FILES" in capsys.readouterr().err


def test_a_flag_given_twice_adds_to_the_first(tmp_path, capsys):
    qrels = tmp_path / "qrels"
    qrels.write_text(QRELS)
    for name in ("one.run", "two.run"):
        (tmp_path / name).write_text(RUN)
    runs = [str(tmp_path / name) for name in ("one.run", "two.run")]
    assert main(["evaluate", "--run", runs[0], "--run", runs[1], "--qrels", str(qrels), "--json"]) == 0
    twice = capsys.readouterr().out
    assert len(json.loads(twice)) == 2
    assert main(["evaluate", "--run", *runs, "--qrels", str(qrels), "--json"]) == 0
    assert capsys.readouterr().out == twice
