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


def test_a_submission_is_measured_as_its_run(tmp_path, capsys):
    run, xml, qrels, form = (tmp_path / name for name in ("a.run", "a.xml", "qrels", "about.toml"))
    run.write_text(RUN)
    qrels.write_text(QRELS)
    form.write_text('team = "TEAM"')
    assert main(["fuse", str(run), "--out", str(xml), "--submission", str(form)]) == 0
    capsys.readouterr()
    assert main(["evaluate", "--run", str(run), str(xml), "--qrels", str(qrels), "--json"]) == 0
    one, other = json.loads(capsys.readouterr().out)
    assert one | {"name": "a.xml"} == other
    page = tmp_path / "page.html"
    assert main(["report", "--run", str(run), str(xml), "--qrels", str(qrels), "--out", str(page)]) == 0
    assert "a.xml" in page.read_text()


def test_two_runs_are_compared(tmp_path, capsys):
    qrels, runs = tmp_path / "qrels", [tmp_path / "one.run", tmp_path / "a_run_with_a_rather_long_name_v1.run"]
    qrels.write_text(QRELS)
    for run in runs:
        run.write_text(RUN)
    assert main(["evaluate", "--run", *map(str, runs), "--qrels", str(qrels)]) == 0
    printed = capsys.readouterr().out
    assert "no difference shown" in printed
    assert "…" not in printed
    assert main(["evaluate", "--run", str(runs[0]), "--qrels", str(qrels)]) == 0
    assert "difference" not in capsys.readouterr().out


def test_missing_topics_count_nothing_or_are_left_out(tmp_path, capsys):
    run, qrels = tmp_path / "mine.run", tmp_path / "qrels"
    run.write_text("2 0 h 2 8 t\n")
    qrels.write_text(QRELS)
    values = []
    for flags in ([], ["--nist-compat"]):
        assert main(["evaluate", "--run", str(run), "--qrels", str(qrels), "--json", *flags]) == 0
        values.append(json.loads(capsys.readouterr().out)[0]["xinfAP"])
    assert values == [0.5, 1.0]


def test_a_run_on_other_topics_is_one_line_and_code_2(tmp_path, capsys):
    run, qrels = tmp_path / "mine.run", tmp_path / "qrels"
    run.write_text("9 0 h 2 8 t\n")
    qrels.write_text(QRELS)
    assert main(["evaluate", "--run", str(run), "--qrels", str(qrels)]) == 2
    assert capsys.readouterr().err.startswith("matchcut evaluate: mine.run: run and qrels share no topic")


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
