import pytest
from report_systems import pictures

from matchcut.errors import MatchcutError
from matchcut.evaluation import xinfap
from matchcut.report import report_runs, write_report

QRELS = {str(t): {f"{t}-{i}": int(i < 3) for i in range(8)} for t in range(12)}
GOOD = {t: [f"{t}-{i}" for i in range(6)] for t in list(QRELS)[:-1]} | {"11": ["11-6", "new", "11-7", "11-5", "11-0"]}
BAD = {t: [f"{t}-{i}" for i in range(7, 0, -1)] for t in list(QRELS)[:-1]} | {"11": ["new", "11-0"]}


@pytest.fixture(scope="module")
def found():
    return report_runs({"good": GOOD, "bad": BAD}, QRELS, topics={"11": "a dog & a cat"}, samples=200)


def test_the_numbers_are_those_of_the_evaluator(found):
    (table,) = found.tables
    for name, run in (("good", GOOD), ("bad", BAD)):
        assert table.rows[name]["xinfAP"].value == pytest.approx(xinfap(run, QRELS).mean)
        assert table.rows[name]["infNDCG"].value == pytest.approx(xinfap(run, QRELS).infndcg)
    assert found.verdicts() == ["good beats bad on xinfAP, infNDCG (runs)"]
    assert found.curves[0].lines["good"][0].value > found.curves[0].lines["bad"][0].value
    assert len(found.ensemble.contributions) == 2
    assert found.ensemble.sweep == ()


def test_topics_without_text_are_told(found):
    assert [str(w) for w in found.warnings] == ["11 of 12 judged topics have no text (for example 0, 1, 2)"]
    assert not report_runs({"good": GOOD}, QRELS, samples=50).warnings


def test_shots_are_right_wrong_or_unjudged(found):
    example = next(e for e in found.hardest.examples if e.query == "11")
    bad = next(f for f in example.found if f.system == "bad")
    assert bad.keys == (("new", None), ("11-0", True))


def test_a_topic_that_a_run_lacks_is_shown_and_told(tmp_path):
    found = report_runs({"good": GOOD, "part": {"1": ["1-0"]}}, QRELS, samples=100)
    assert "part: 11 topics without a list counted as 0" in found.tables[0].notes[0]
    html = write_report(found, tmp_path / "r.html")[0].read_text()
    assert "no list" in html
    with pytest.raises(MatchcutError, match="x: run and qrels share no topic"):
        report_runs({"x": {"99": ["a"]}}, QRELS)
    with pytest.raises(MatchcutError, match="nothing to report on"):
        report_runs({}, QRELS)


def test_shots_that_a_collection_lacks_have_no_picture_and_are_named(found, tmp_path):
    html = write_report(found, tmp_path / "r.html", collection=pictures(tmp_path))[0].read_text()
    assert "a dog &amp; a cat" in html
    assert "no frames in the collection" in html
