import json
import re
from dataclasses import replace

import numpy as np
import pytest
from report_systems import ITEMS, RIGHT, pictures, system

from matchcut.errors import MatchcutError
from matchcut.evaluation import retrieval_metrics
from matchcut.evaluation.matrices import ScoreMatrix
from matchcut.evaluation.resampling import bootstrap
from matchcut.evaluation.statistics import paired_permutation
from matchcut.report import report_matrices, write_report
from matchcut.report.plots import curves


@pytest.fixture(scope="module")
def three():
    return {"good": system(0.3), "fair": system(0.45, 1), "bad": system(2.0, 2)}


@pytest.fixture(scope="module")
def found(three):
    return report_matrices(three, texts={"0.png#0": "a < b"}, samples=300)


def test_the_numbers_are_those_of_the_measures(three, found):
    forward, backward = found.tables
    assert (forward.title, forward.queries, backward.title, backward.queries) == (
        "text to item",
        60,
        "item to text",
        30,
    )
    for name, matrix in three.items():
        metrics = retrieval_metrics(matrix.scores, RIGHT, ITEMS)
        for table, way in ((forward, metrics.text_to_item), (backward, metrics.item_to_text)):
            assert {k: i.value for k, i in table.rows[name].items()} == pytest.approx(way.values())
    curve = found.curves[0]
    assert curve.x[-1] == 30
    assert [i.value for i in curve.lines["good"]][-1] == 100
    assert curve.lines["fair"][0].value == pytest.approx(forward.rows["fair"]["R@1"].value)


def test_captions_of_one_item_are_resampled_and_flipped_together(three, found):
    hits = {n: retrieval_metrics(m.scores, RIGHT, ITEMS).text_to_item.per_query()["R@1"] for n, m in three.items()}
    alone = paired_permutation(hits["good"], hits["fair"], clusters=RIGHT)
    assert found.tables[0].comparisons[0].comparison.p == alone.p
    assert found.tables[0].comparisons[0].comparison.units == 30
    span = found.tables[0].rows["fair"]["R@1"]
    expected = bootstrap(hits["fair"], clusters=RIGHT, samples=300)
    assert (span.low, span.high) == pytest.approx((expected.low, expected.high))
    assert found.curves[0].lines["fair"][0].low == pytest.approx(expected.low)


def test_fusions_keep_the_captions_of_an_item_together_too(found):
    assert found.ensemble.sweep[0].value.units == 30
    assert {c.gain.units for c in found.ensemble.contributions} == {30}


def test_long_names_stay_inside_the_plot(three):
    names = {f"exclusion_small-ATT-W2V+BERT-rmsprop-{n}-{k}": m for n, m in three.items() for k in (1, 2)}
    svg = curves(report_matrices(names, samples=20).curves)
    width = float(re.search(r'viewBox="0 0 (\S+)', svg)[1])
    starts = {n: float(re.search(rf'x="([^"]+)"[^>]*>{re.escape(n)}<', svg)[1]) for n in names}
    assert all(0 < start < width - 4 * len(n) for n, start in starts.items())  # 8 points high, some 4 wide a letter


def test_only_differences_that_stand_are_called_wins(found):
    assert "good beats bad on R@1, R@5, R@10 (text to item)" in found.verdicts()
    same = report_matrices({"a": system(0.5), "b": system(0.5, 7)}, samples=100)
    assert same.verdicts() == []


def test_a_model_without_use_contributes_nothing(found):
    gains = {c.name: c.gain.difference for c in found.ensemble.contributions}
    assert min(gains, key=lambda n: gains[n]) == "bad"
    assert [p.top for p in found.ensemble.sweep] == [1, 2, 3]
    assert found.ensemble.greedy[0][0] == "good"


def test_examples_are_where_ranks_differ_most(three, found):
    first = found.differences[0]
    assert first.title == "good and fair"
    ranks = {n: retrieval_metrics(m.scores, RIGHT, ITEMS).text_to_item.ranks for n, m in three.items()}
    gap = np.log(ranks["good"]) - np.log(ranks["fair"])
    shown = [three["good"].texts.tolist().index(e.query) for e in first.examples]
    assert gap[shown[0]] == gap.min()
    assert gap.max() in gap[shown] or gap.max() <= 0
    example = first.examples[0]
    best = [ITEMS[c] for c in np.argsort(-three["good"].scores[shown[0]])[:5]]
    assert [key for key, _ in example.found[0].keys] == best
    assert {key for key, right in example.found[0].keys if right} <= set(example.right)
    every = np.min(list(ranks.values()), axis=0)
    hardest = three["good"].texts.tolist().index(found.hardest.examples[0].query)
    assert every[hardest] == every.max()


def test_the_page_holds_everything_it_shows(found, tmp_path):
    page, numbers = write_report(found, tmp_path / "r.html", collection=pictures(tmp_path))
    html = page.read_text()
    assert json.loads(numbers.read_text()) == json.loads(json.dumps(found.to_json()))
    assert not re.findall(r"(?:src|href)=\"(?!data:|#)[^\"]*\"", html)
    assert html.count("<svg") == 2
    assert html.count("<img") == html.count('src="data:image/jpeg;base64,')
    assert all('alt="' in tag for tag in re.findall(r"<img[^>]*>", html))
    ids = re.findall(r"<g id=", html)
    assert not ids
    assert "good beats bad" in html
    assert "prefers-color-scheme: dark" in html
    plain = write_report(found, tmp_path / "p.html")[0].read_text()
    assert "<img" not in plain


def test_texts_are_shown_as_text(found):
    only = report_matrices({"a": system(0.4)}, texts={t: f"<b>{t}" for t in system(0.4).texts.tolist()}, samples=50)
    from matchcut.report.page import page

    assert "&lt;b&gt;" in page(only)
    assert "<b>0.png#0" not in page(only)
    assert only.ensemble is None


def test_a_matrix_with_a_hole_is_refused_by_name(three):
    holes = np.where(np.arange(len(ITEMS)) == 2, np.nan, three["bad"].scores)
    with pytest.raises(MatchcutError, match=r"worse: scores\[0, 2\] is NaN"):
        report_matrices({"good": three["good"], "worse": replace(three["bad"], scores=holes)})


def test_a_text_without_its_item_is_refused_by_name():
    one = system(0.3)
    with pytest.raises(MatchcutError, match="no right item in the gallery"):
        report_matrices({"a": ScoreMatrix(one.scores[:, 1:], one.texts, one.items[1:], one.text_items)})
    with pytest.raises(MatchcutError, match="a: a report needs texts, items and text_items"):
        report_matrices({"a": ScoreMatrix(one.scores, one.texts, one.items)})
    with pytest.raises(MatchcutError, match="nothing to report on"):
        report_matrices({})


def test_judged_relevance_has_its_own_tables():
    one = system(0.8)
    relevant = one.text_items[:, None] == one.items[None, :]
    relevant[0, 3] = relevant[5, 9] = True
    found = report_matrices({"a": one}, relevance={"exact": relevant}, samples=50)
    metrics = retrieval_metrics(one.scores, relevance=relevant, unanswerable="skip")
    assert found.tables[2].title == "text to item, by exact relevance"
    assert found.tables[2].rows["a"]["R@1"].value == pytest.approx(metrics.text_to_item.recall[1])
    assert found.tables[3].rows["a"]["MnR"].value == pytest.approx(metrics.item_to_text.mean_rank)
    for example in found.hardest.examples:
        row = one.texts.tolist().index(example.query)
        for key, right in example.found[0].keys:
            assert right == relevant[row, ITEMS.index(key)]
