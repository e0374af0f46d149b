import os
from threading import Thread

import numpy as np
import pytest

from matchcut.errors import MatchcutError
from matchcut.evaluation import Run
from matchcut.evaluation.matrices import ScoreMatrix, read_scores, write_scores
from matchcut.evaluation.submission import Submission, write_submission
from matchcut.fusion.sources import as_run, of_one_kind, read_as_run, read_ranking, write_ranking

MATRIX = ScoreMatrix.of([[0.5, 0.5, 0.1], [0.1, 0.2, 0.3]], texts=["1", "2"], items=["x", "y", "z"])


def test_the_kind_is_seen_in_the_file(tmp_path):
    (tmp_path / "run").write_text("1 0 7 1 0.9 me\n")  # shots may be numbers too
    (tmp_path / "scores").write_text("1 7 0.9\n")
    write_scores(tmp_path / "m.npz", MATRIX.scores, texts=MATRIX.texts, items=MATRIX.items)
    for name in ("run", "scores"):
        assert dict(read_ranking(tmp_path / name)["1"]) == {"7": 0.9}
    assert read_ranking(tmp_path / "m.npz").scores.tolist() == MATRIX.scores.tolist()
    (tmp_path / "empty").write_text("\n")
    with pytest.raises(MatchcutError, match="no line at all"):
        read_ranking(tmp_path / "empty")


def test_a_submission_is_seen_in_the_file_too(tmp_path):
    write_submission(tmp_path / "s.xml", Submission(Run.of({"1661": ["a", "b"]}), team="TEAM"))
    text = (tmp_path / "s.xml").read_text()
    (tmp_path / "mark").write_text("\ufeff\n" + text.partition("\n")[2], encoding="utf-8")
    (tmp_path / "latin").write_bytes(text.replace("UTF-8", "latin-1").replace("TEAM", "\xc9").encode("latin-1"))
    for name in ("s.xml", "mark", "latin"):
        assert list(read_ranking(tmp_path / name)["1661"]) == ["a", "b"]


def test_any_kind_is_read_as_a_run(tmp_path):
    (tmp_path / "run").write_text("1 0 x 1 0.9 me\n")
    write_ranking(tmp_path / "m.npz", MATRIX)
    assert list(read_as_run(tmp_path / "run")["1"]) == ["x"]
    assert list(read_as_run(tmp_path / "m.npz")["2"]) == ["z", "y", "x"]
    with pytest.raises(MatchcutError, match=r"absent\.xml: cannot be read"):
        read_as_run(tmp_path / "absent.xml")


def test_a_run_is_read_from_a_pipe(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    writer = Thread(target=(tmp_path / "pipe").write_text, args=("1 0 x 1 0.9 me\n",), daemon=True)
    writer.start()
    assert list(read_as_run(tmp_path / "pipe")["1"]) == ["x"]
    writer.join()


def test_a_matrix_becomes_a_run_by_the_rules_of_runs():
    run = as_run(MATRIX, depth=2)
    assert {t: list(r.items()) for t, r in run.items()} == {
        "1": [("y", 0.5), ("x", 0.5)],
        "2": [("z", 0.3), ("y", 0.2)],
    }
    assert list(as_run(MATRIX, depth=1)["1"]) == ["y"]  # the tie rule of runs, not the column, decides at the edge
    with pytest.raises(MatchcutError, match="p: has no ids"):
        as_run(ScoreMatrix(MATRIX.scores), "p")
    with pytest.raises(MatchcutError, match="m: text 2 has a score that is not a finite number"):
        as_run(ScoreMatrix.of([[1.0], [np.nan]], texts=["1", "2"], items=["x"]), "m")


def test_mixed_rankings_become_runs():
    both = of_one_kind({"m": MATRIX, "r": Run.of({"1": ["x"]})})
    assert [type(r) for r in both.values()] == [Run, Run]
    assert of_one_kind({"m": MATRIX})["m"].texts is MATRIX.texts


def test_what_was_written_reads_back(tmp_path):
    assert write_ranking(tmp_path / "m.npz", MATRIX) == "scores of 2 texts and 3 items"
    assert read_scores(tmp_path / "m.npz").items.tolist() == ["x", "y", "z"]
    assert write_ranking(tmp_path / "m.npy", MATRIX) == "scores of 2 texts and 3 items"
    assert read_scores(tmp_path / "m.npy").scores.tolist() == MATRIX.scores.tolist()
    assert write_ranking(tmp_path / "r", MATRIX, depth=2) == "4 shots of 2 topics"
    assert list(read_ranking(tmp_path / "r")["2"]) == ["z", "y"]
    assert write_ranking(tmp_path / "s", MATRIX, kind="scores") == "6 shots of 2 topics"
    assert (tmp_path / "s").read_text().startswith("1 y 0.5 x 0.5 z 0.1")
    with pytest.raises(MatchcutError, match=r"have no ids; write a \.npy"):
        write_ranking(tmp_path / "n.npz", ScoreMatrix(MATRIX.scores))
