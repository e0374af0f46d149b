import json

import numpy as np
import pytest

from matchcut.evaluation import retrieval_metrics, xinfap
from matchcut.evaluation.measures import Measure, measure_run, measure_scores


@pytest.mark.parametrize(
    "text", ["R@1", "nDCG@10", "nDCG", "mAP", "mAP@R", "R-Precision", "MRR", "MdR", "MnR", "P@5", "xinfAP", "iP@10"]
)
def test_measures_print_as_they_parse(text):
    measure = Measure.parse(text)
    assert str(measure) == text
    assert Measure.parse(measure) is measure
    assert len({measure, Measure.parse(text)}) == 1


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("Recall@1", "no measure 'Recall'"),
        ("R", "its cutoff can be K"),
        ("R@0", "at least 1"),
        ("R@R", "its cutoff can be K"),
        ("R@one", "whole number or R"),
        ("MdR@5", "its cutoff can be none"),
        ("iP@7", "K of 5, 10"),
    ],
)
def test_what_is_no_measure_is_refused(text, message):
    with pytest.raises(ValueError, match=message):
        Measure.parse(text)


def test_lower_is_better_for_ranks_only():
    assert not Measure.parse("MdR").higher_is_better
    assert Measure.parse("mAP").higher_is_better


def test_agrees_with_retrieval_metrics():
    rng = np.random.default_rng(0)
    scores, texts, items = np.round(rng.normal(size=(30, 10)), 1), rng.integers(0, 10, size=30), np.arange(10)
    m = retrieval_metrics(scores, texts, items).text_to_item
    found = measure_scores(["R@1", "R@5", "MdR", "MnR"], scores, texts[:, None] == items)
    assert {str(k): r.value for k, r in found.items()} == pytest.approx(
        {k: v for k, v in m.values().items() if k != "R@10"}
    )


def test_values_by_hand_and_undefined_queries():
    scores, gains = np.array([[3.0, 2.0, 1.0]] * 2), np.array([[0, 2, 1], [0, 0, 0]])
    found = measure_scores(["MRR", "mAP", "mAP@R", "R-Precision", "nDCG@1", "P@2"], scores, gains)
    values = {str(k): r.value for k, r in found.items()}
    assert values == pytest.approx(
        {"MRR": 1 / 2, "mAP": (1 / 2 + 2 / 3) / 2, "mAP@R": 1 / 4, "R-Precision": 1 / 2, "nDCG@1": 0, "P@2": 1 / 2}
    )
    assert {(r.queries, r.undefined) for r in found.values()} == {(1, 1)}
    assert json.loads(json.dumps(found[Measure("MRR")].to_json()))["undefined"] == 1


def test_run_measures_are_those_of_xinfap():
    run, qrels = {"1": ["a", "b"], "2": ["c"]}, {"1": {"a": 0, "b": 1}, "2": {"c": 1}}
    found = measure_run(["xinfAP", "infNDCG", "iP@5"], run, qrels)
    result = xinfap(run, qrels)
    assert [r.value for r in found.values()] == pytest.approx([result.mean, result.infndcg, result.ip_at[5]])


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: measure_scores(["xinfAP"], [[1.0]], [[1]]), "use measure_run"),
        (lambda: measure_run(["R@1"], {"1": ["a"]}, {"1": {"a": 1}}), "use measure_scores"),
        (lambda: measure_scores(["R@1"], [[1.0]], [[1, 0]]), "must be the same"),
        (lambda: measure_scores(["mAP"], [[1.0]], [[0]]), "no query has anything relevant"),
    ],
)
def test_wrong_arguments_are_named(call, message):
    with pytest.raises(ValueError, match=message):
        call()
