import numpy as np
import pytest

from matchcut.fusion import fuse, rescore_union

RUNS = [{"1": ["a", "b"], "2": ["x"]}, {"1": ["c", "a"]}]
TABLE = [{"a": 0.1, "b": 0.9, "c": 0.5, "x": 1.0}, {"a": 0.3, "b": 0.2, "c": 0.8, "x": 0.0}]
SCORERS = [lambda topic, ids, t=t: np.array([t[i] for i in ids]) for t in TABLE]


@pytest.mark.parametrize("method", ["avg", "max", "zscore", "rrf"])
def test_every_model_scores_the_union_of_all_candidates(method):
    full = [{"1": {i: t[i] for i in "abc"}, "2": {"x": t["x"]}} for t in TABLE]
    expected = fuse(full, method)
    found = rescore_union(RUNS, SCORERS, method)
    assert {t: list(r) for t, r in found.items()} == {t: list(r) for t, r in expected.items()}


def test_scorers_are_asked_once_a_topic_for_all_candidates():
    asked = []

    def scorer(topic, ids):
        asked.append((topic, list(ids)))
        return np.zeros(len(ids))

    rescore_union(RUNS, [scorer])
    assert asked == [("1", ["a", "b", "c"]), ("2", ["x"])]


@pytest.mark.parametrize(
    ("scorer", "message"),
    [
        (lambda topic, ids: [1.0], r"scorer 0, topic 1: \(1,\) scores for 3 candidates"),
        (lambda topic, ids: [np.nan] * len(ids), "scorer 0, topic 1: the score of a is not finite"),
    ],
)
def test_bad_scores_are_named(scorer, message):
    with pytest.raises(ValueError, match=message):
        rescore_union(RUNS, [scorer])
    with pytest.raises(ValueError, match="at least one scorer"):
        rescore_union(RUNS, [])
