import pytest

from matchcut.errors import MatchcutError
from matchcut.evaluation import Qrels, Run, read_qrels, read_run, write_run
from matchcut.evaluation.score_files import read_score_file, write_score_file
from matchcut.evaluation.topics import read_topics, topic_id, topic_number
from matchcut.evaluation.trec import read_lines


def write(folder, text, name="file.txt"):
    path = folder / name
    path.write_bytes(text.encode())
    return path


def test_order_is_by_score_then_id_descending_whatever_the_rank_says(tmp_path):
    run = read_run(write(tmp_path, "1 0 a 1 5 x\n1 0 c 2 5 x\n1 0 b 3 5 x\n1 0 d 4 9 x\n2 0 a 1 1 x\n"))
    assert list(run["1"]) == ["d", "c", "b", "a"]
    assert run.topics == ("1", "2")
    assert run.tag == "x"
    assert run["1"]["d"] == 9


def test_of_a_shot_listed_twice_the_last_score_counts(tmp_path):
    run = read_run(write(tmp_path, "1 0 a 1 9 x\n1 0 b 2 8 x\n1 0 a 3 1 x\n"))
    assert dict(run["1"]) == {"b": 8, "a": 1}


@pytest.mark.parametrize(
    "text", ["1 0 a 1 2 x\r\n1 0 b 2 1 x\r\n", "1 0 a 1 2 x\n1 0 b 2 1 x", "\ufeff1 0 a 1 2 x\n\n1 0 b 2 1 x\n\n"]
)
def test_line_ends_blank_lines_and_byte_order_mark(tmp_path, text):
    assert list(read_run(write(tmp_path, text))["1"]) == ["a", "b"]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("1 0 a 1 2 x\n1 0 b 2 1\n", "file.txt, line 2: 5 columns; a run has six"),
        ("\n1 0 a 1 high x\n", "line 2: the score 'high' .column 5. is not a finite number"),
        ("1 0 a 1 nan x\n", "line 1: the score 'nan'"),
        ("1 0 a 1 inf x\n", "line 1: the score 'inf'"),
        ("1 0 a 1 1_0 x\n", "line 1: the score '1_0'"),
        ("1 0 a 1 \u0661 x\n", "line 1: the score '\u0661'"),
        ("", "no line at all"),
    ],
)
def test_bad_run_lines_are_refused_with_file_and_line(tmp_path, text, message):
    with pytest.raises(MatchcutError, match=message):
        read_run(write(tmp_path, text))


def test_missing_and_binary_files(tmp_path):
    with pytest.raises(MatchcutError, match="cannot be read: No such file"):
        read_run(tmp_path / "absent")
    (tmp_path / "binary").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(MatchcutError, match="line 1: not text in UTF-8"):
        read_qrels(tmp_path / "binary")
    (tmp_path / "long").write_bytes(b"1 0 a 1 1\n" * 5000 + b"1 0 \xe4 1 1\n")
    with pytest.raises(MatchcutError, match="long, line 5001: not text in UTF-8"):
        list(read_lines(tmp_path / "long"))


def test_a_run_reads_back_as_it_was_written(tmp_path):
    run = Run.of({"1": {"a": 0.1 + 0.2, "b": 1e-300}, "2": ["x", "y", "z"]}, tag="mine")
    write_run(tmp_path / "run", run)
    back = read_run(tmp_path / "run")
    assert back == run
    assert back.tag == "mine"
    write_run(tmp_path / "short", run, depth=1)
    assert {t: list(r) for t, r in read_run(tmp_path / "short").items()} == {"1": ["a"], "2": ["x"]}


def test_runs_from_wrong_things():
    with pytest.raises(ValueError, match="a list holds a shot twice"):
        Run.of({"1": ["a", "a"]})
    with pytest.raises(ValueError, match="not a finite number"):
        Run.of({"1": {"a": float("nan")}})
    with pytest.raises(ValueError, match="not int"):
        Run.of(3)
    with pytest.raises(ValueError, match="'abc' is no list of shots"):
        Run.of({"1": "abc"})


def test_judgments_from_wrong_things():
    with pytest.raises(ValueError, match="not int"):
        Qrels.of(3)
    for grade in (0.5, -2, float("nan")):
        with pytest.raises(ValueError, match=r"topic 1: the judgment .* of a is not -1, 0, 1"):
            Qrels.of({"1": {"a": grade}})


def test_ids_may_be_numbers():
    run, qrels = Run.of({1: [7, 8], 2: {7: 0.5}}), Qrels.of({1: {7: 1}, 2: {7: True}})
    assert [list(r) for r in run.values()] == [["7", "8"], ["7"]]
    assert {t: dict(q) for t, q in qrels.items()} == {"1": {"7": 1}, "2": {"7": 1}}


def test_qrels_with_and_without_strata(tmp_path):
    five = read_qrels(write(tmp_path, "1 0 a 2 -1\r\n1 0 b 1 3"))
    assert dict(five["1"]) == {"a": -1, "b": 3}
    assert five["1"].strata == {"a": "2", "b": "1"}
    four = read_qrels(write(tmp_path, "1 0 a 0\n2 0 a 1\n"))
    assert {t: dict(q) for t, q in four.items()} == {"1": {"a": 0}, "2": {"a": 1}}
    assert set(four["1"].strata.values()) == {"1"}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("1 0 a\n", "line 1: 3 columns; qrels have five"),
        ("1 0 a 1 1\n1 0 b 1\n", "line 2: 4 columns; the lines before have 5"),
        ("1 0 a 1 yes\n", "line 1: the judgment 'yes'"),
        ("1 0 a 1 -2\n", "line 1: the judgment '-2'"),
        ("1 0 a 1 1_0\n", "line 1: the judgment '1_0'"),
        ("1 0 a 1 12345678901\n", "line 1: the judgment '12345678901'"),
        ("1 0 a 1 1\n1 0 a 2 0\n", "line 2: a is judged a second time for topic 1"),
        ("\n", "no line at all"),
    ],
)
def test_bad_qrels_lines_are_refused_with_file_and_line(tmp_path, text, message):
    with pytest.raises(MatchcutError, match=message):
        read_qrels(write(tmp_path, text))


def test_topics_get_the_prefix_of_runs_and_lose_the_official_opening(tmp_path):
    path = write(tmp_path, "611  Find shots of a drone flying \n1612 a truck\n")
    assert read_topics(path) == {"1611": "a drone flying", "1612": "a truck"}
    assert topic_number(topic_id("611")) == "611"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a drone\n", "line 1: 'a' is no topic number"),
        ("611\n", "line 1: topic 611 has no text"),
        ("611 a\n1611 b\n", "line 2: topic 1611 is given a second time"),
        ("", "no line at all"),
    ],
)
def test_bad_topic_lines(tmp_path, text, message):
    with pytest.raises(MatchcutError, match=message):
        read_topics(write(tmp_path, text))


def test_every_shared_topic_file_reads_and_meets_the_judgments(shared_data):
    files = sorted((shared_data / "avs" / "topics").glob("*.txt"))
    assert [len(read_topics(f)) for f in files if f.name == "tv19.avs.txt"] == [30]
    topics = read_topics(shared_data / "avs" / "topics" / "tv21.avs.txt")
    assert list(topics) == [str(t) for t in range(1661, 1681)]
    assert set(read_qrels(shared_data / "avs" / "avs.qrels.main.tv21")) == set(topics)
    assert all(read_topics(f) for f in files)


def test_the_shared_run_and_qrels_read_completely(shared_data):
    assert sum(map(len, read_run(shared_data / "avs" / "test_run").values())) == 20_000
    assert sum(map(len, read_qrels(shared_data / "avs" / "avs.qrels.main.tv21").values())) == 124_431


def test_score_files_read_back(tmp_path):
    run = Run.of({"1": {"a": 0.25, "b": 0.1 + 0.2}, "2": {"c": -1.0}})
    write_score_file(tmp_path / "scores", run)
    assert (tmp_path / "scores").read_text().splitlines()[0] == "1 b 0.30000000000000004 a 0.25"
    assert read_score_file(tmp_path / "scores") == run


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("1 a 0.5 b\n", "line 1: 3 fields after the topic"),
        ("1 a b\n", "line 1: the score 'b' is not a finite number"),
        ("1 a nan\n", "line 1: the score 'nan' is not a finite number"),
        ("1 a 1_0\n", "line 1: the score '1_0' is not a finite number"),
        ("1 a 1\n1 b 1\n", "line 2: topic 1 is given a second time"),
        ("", "no line at all"),
    ],
)
def test_bad_score_files(tmp_path, text, message):
    with pytest.raises(MatchcutError, match=message):
        read_score_file(write(tmp_path, text))


@pytest.mark.parametrize("run", [{"1": ["a b"]}, {"1 2": ["a"]}, {"1": [""]}, {"1": ["a\n"]}])
@pytest.mark.parametrize("write_file", [write_run, write_score_file])
def test_ids_that_a_file_of_columns_cannot_hold_are_refused(tmp_path, run, write_file):
    with pytest.raises(MatchcutError, match="has spaces or is empty"):
        write_file(tmp_path / "r", run)
    assert not (tmp_path / "r").exists()
