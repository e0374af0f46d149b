import re

import pytest

from matchcut.errors import MatchcutError
from matchcut.evaluation import Run
from matchcut.evaluation.submission import (
    Submission,
    filter_dropped,
    problems,
    read_shots,
    read_single,
    read_submission,
    write_submission,
)

RUN = Run.of({"1661": ["shot1_1", "shot1_2"], "1662": ["shot2_1"]})
GOOD = Submission(RUN, team="TEAM", description='a "quoted" <text> & more', elapsed={"1661": 1.5})


def test_a_submission_reads_back(tmp_path):
    write_submission(tmp_path / "s.xml", GOOD)
    text = (tmp_path / "s.xml").read_text()
    assert '<videoAdhocSearchTopicResult tNum="661" elapsedTime="1.5">' in text
    assert '<item seqNum="2" shotId="shot1_2"/>' in text
    (back,) = read_submission(tmp_path / "s.xml")
    assert {t: list(r) for t, r in back.run.items()} == {t: list(r) for t, r in RUN.items()}
    assert (back.team, back.description, back.elapsed["1661"]) == ("TEAM", GOOD.description, 1.5)
    assert back.run["1661"]["shot1_1"] == 9999
    assert back.name == "F_M_C_D_TEAM.21_1"


@pytest.mark.parametrize(
    ("changes", "checks", "message"),
    [
        ({"team": ""}, {}, "pid is empty"),
        ({"training": "X"}, {}, "trType='X'"),
        ({"processing": "FM"}, {}, "class='FM'"),
        ({"priority": 0}, {}, "priority must be 1 or more"),
        ({}, {"topics": ["1661", "1663"]}, "topic 1663: no result"),
        ({}, {"topics": ["1661"]}, "topic 1662: not a topic of this year"),
        ({}, {"known": {"shot1_1", "shot1_2"}}, "topic 1662: 1 shots are not in the collection, for example shot2_1"),
        ({}, {"dropped": {"shot2_1"}}, "topic 1662: 1 shots are on the list of dropped shots"),
        ({"run": Run.of({"1661": [str(i) for i in range(1001)]})}, {}, "1001 shots; between 1 and 1000"),
        ({"run": Run.of({"1661": []})}, {}, "0 shots"),
        ({"run": Run.of({})}, {}, "no topic at all"),
        ({"run": Run.of({"drone": ["a"]})}, {}, "topic drone: not a number"),
        ({"run": Run.of({"661": ["a"], "1661": ["b"]})}, {}, "topics 661 and 1661 are one topic"),
        ({"elapsed": {"1663": 1.0}}, {}, "topic 1663: elapsedTime, but no result"),
        ({"elapsed": {"1661": float("nan")}}, {}, "topic 1661: elapsedTime must be seconds, got nan"),
        ({"year": 21}, {}, "year must have four digits"),
        ({"description": "bell \x07"}, {}, "has a character that XML cannot hold"),
        ({"run": Run.of({"1661": ["shot\x001"]})}, {}, "has a character that XML cannot hold"),
    ],
)
def test_every_problem_is_found_and_nothing_is_written(tmp_path, changes, checks, message):
    submission = Submission(**({"run": RUN, "team": "TEAM"} | changes))
    assert any(message in p for p in problems(submission, **checks))
    with pytest.raises(MatchcutError, match="not written"):
        write_submission(tmp_path / "s.xml", submission, **checks)
    assert not list(tmp_path.iterdir())


def test_a_good_one_has_no_problem():
    assert problems(GOOD, topics=["1661", "1662"], known={"shot1_1", "shot1_2", "shot2_1"}, dropped={"x"}) == []
    assert problems(Submission(Run.of({"661": ["a"]}), team="T"), topics=["1661"]) == []  # the same number in the XML


def test_task_and_novelty_are_of_2019(tmp_path):
    for year, written in ((2018, False), (2019, True)):
        write_submission(tmp_path / "s.xml", Submission(RUN, team="T", year=year))
        text = (tmp_path / "s.xml").read_text()
        assert ("task=" in text, "novelty=" in text) == (written, written)
        assert read_submission(tmp_path / "s.xml")[0].task == "M"


def test_only_one_run_is_read_as_a_run(tmp_path):
    path = tmp_path / "s.xml"
    write_submission(path, GOOD)
    assert list(read_single(path)["1661"]) == ["shot1_1", "shot1_2"]
    head, start, rest = path.read_text().partition("  <videoAdhocSearchRunResult")
    one = (start + rest).removesuffix("</videoAdhocSearchResults>\n")
    path.write_text(head + one + one.replace('priority="1"', 'priority="2"') + "</videoAdhocSearchResults>\n")
    assert [s.priority for s in read_submission(path)] == [1, 2]
    with pytest.raises(MatchcutError, match=r"s\.xml: 2 runs \(TEAM priority 1, TEAM priority 2\); leave the"):
        read_single(path)


def test_dropped_shots_leave_from_2020_on(tmp_path):
    (tmp_path / "dropped").write_text("shot1_1\n\nshot9_9\n")
    dropped = read_shots(tmp_path / "dropped")
    assert list(filter_dropped(RUN, dropped, year=2021)["1661"]) == ["shot1_2"]
    assert filter_dropped(RUN, dropped, year=2019) == RUN
    assert problems(Submission(RUN, team="T", year=2019), dropped=dropped) == []


def edit(old, new):
    return lambda text: text.replace(old, new)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (edit("</videoAdhocSearchResults>", ""), "not XML"),
        (edit("videoAdhocSearchResults", "results"), "the root is <results>"),
        (edit("videoAdhocSearchRunResult", "run"), "no <videoAdhocSearchRunResult>"),
        (edit('seqNum="2"', 'seqNum="3"'), "topic 1661: item 2 has seqNum '3'"),
        (edit("shot1_2", "shot1_1"), "topic 1661: 1 shots are listed twice"),
        (edit('tNum="662"', 'tNum="661"'), "topic 1661 is given twice"),
        (edit('tNum="662" ', ""), "has no tNum"),
        (
            lambda text: re.sub(r" *<videoAdhocSearchTopicResult.*TopicResult>\n", "", text, flags=re.DOTALL),
            "without a",
        ),
        (edit('priority="1"', 'priority="inf"'), "priority='inf', which is not a whole number"),
        (edit('elapsedTime="1.5"', 'elapsedTime="fast"'), "elapsedTime='fast', which is not a number"),
    ],
)
def test_bad_xml_is_refused(tmp_path, change, message):
    write_submission(tmp_path / "s.xml", GOOD)
    (tmp_path / "bad.xml").write_text(change((tmp_path / "s.xml").read_text()))
    with pytest.raises(MatchcutError, match=message):
        read_submission(tmp_path / "bad.xml")


def test_a_missing_file(tmp_path):
    with pytest.raises(MatchcutError, match="cannot be read"):
        read_submission(tmp_path / "absent.xml")
