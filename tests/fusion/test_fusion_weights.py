import json

import numpy as np
import pytest
from scipy.special import log_softmax

from matchcut.evaluation import retrieval_metrics
from matchcut.fusion import fuse, learn_weights
from matchcut.fusion.weights import _Data, _fit

RNG = np.random.default_rng(0)
TEXTS, ITEMS = np.arange(120) // 2, np.arange(60)


def model(noise):
    return (TEXTS[:, None] == ITEMS) + noise * RNG.normal(size=(120, 60))


GOOD, FAIR, NOISE = model(0.4), model(0.8), RNG.normal(size=(120, 60))


def random_data():
    x = RNG.normal(size=(30, 3))
    relevant = RNG.random(30) < 0.3
    relevant[[0, 10, 20]] = True
    return _Data.of(iter([(q, x[q * 10 : q * 10 + 10], relevant[q * 10 : q * 10 + 10]) for q in range(3)])), x, relevant


def test_loss_and_gradient_equal_the_naive_formula():
    data, x, relevant = random_data()
    w = RNG.random(3)

    def naive(w):
        losses = []
        for q in range(3):
            rows = slice(q * 10, q * 10 + 10)
            losses.append(-log_softmax(x[rows] @ w)[relevant[rows]].mean())
        return np.array(losses)

    losses, gradient = data.loss(w)
    np.testing.assert_allclose(losses, naive(w))
    for m in range(3):
        step = 1e-6 * np.eye(3)[m]
        numeric = (naive(w + step).mean() - naive(w - step).mean()) / 2e-6
        assert gradient[m] == pytest.approx(numeric, abs=1e-6)


def test_shrinkage_pulls_towards_equal_weights():
    data = random_data()[0]
    spread = [np.ptp(_fit(data, s)) for s in (0.0, 0.1, 10.0, float("inf"))]
    assert spread == sorted(spread, reverse=True)
    assert spread[-1] == 0 < spread[0]


def test_better_models_weigh_more_and_fused_scores_get_better():
    found = learn_weights([GOOD, FAIR, NOISE], text_items=TEXTS, items=ITEMS)
    assert found.weights[0] > found.weights[1] > found.weights[2]
    assert sum(found.weights) == pytest.approx(1)
    assert found.losses[found.shrinkage] == min(found.losses.values())
    learned = retrieval_metrics(fuse([GOOD, FAIR, NOISE], "weighted", weights=found.weights), TEXTS, ITEMS)
    equal = retrieval_metrics(fuse([GOOD, FAIR, NOISE], "zscore"), TEXTS, ITEMS)
    assert learned.rsum > equal.rsum
    assert json.loads(json.dumps(found.to_json()))["queries"] == 120


def test_where_nothing_can_be_learned_weights_stay_equal():
    same = model(0.5)
    found = learn_weights([same, same, same], text_items=TEXTS, items=ITEMS)
    assert found.weights == pytest.approx([1 / 3] * 3, abs=1e-6)
    assert found.shrinkage == float("inf")
    assert found.to_json()["shrinkage"] == "inf"


def test_many_models():
    models = [model(n) for n in np.linspace(0.5, 1.5, 24)]
    found = learn_weights(models, text_items=TEXTS, items=ITEMS, shrinkages=(0.01, float("inf")))
    assert len(found.weights) == 24
    assert min(found.weights) >= 0


def test_runs_with_judgments_learn_the_same_as_matrices():
    runs = [
        {f"{t:03d}": {f"v{i:02d}": float(s) for i, s in enumerate(row)} for t, row in enumerate(m)}
        for m in (GOOD, FAIR)
    ]
    qrels = {f"{t:03d}": {f"v{item:02d}": 1} for t, item in enumerate(TEXTS)}
    by_run = learn_weights(runs, qrels, shrinkages=(0.0,))
    by_matrix = learn_weights([GOOD, FAIR], text_items=TEXTS, items=ITEMS, shrinkages=(0.0,))
    assert by_run.weights == pytest.approx(by_matrix.weights, abs=1e-4)
    assert (by_run.queries, by_run.dropped) == (120, 0)


def test_queries_without_a_relevant_candidate_are_dropped_and_counted():
    runs = [{str(t): {"a": 1.0 + t, "b": 0.5} for t in range(6)}] * 2
    qrels = {str(t): {"a": 1} for t in range(5)} | {"5": {"z": 1}, "6": {"a": 1}}
    found = learn_weights(runs, qrels, folds=2)
    assert (found.queries, found.dropped) == (5, 1)


def test_topics_with_many_relevant_shots_learn_too():
    names = [f"s{i:03d}" for i in range(300)]
    qrels = {str(t): dict(zip(names, (RNG.random(300) < 0.4).astype(int).tolist(), strict=True)) for t in range(10)}
    runs = [
        {t: {s: g + noise * float(RNG.normal()) for s, g in judged.items()} for t, judged in qrels.items()}
        for noise in (0.5, 3.0)
    ]
    weights = learn_weights(runs, qrels).weights
    assert weights[0] > 0.8


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: learn_weights([GOOD], text_items=TEXTS, items=ITEMS, folds=1), "at least 2, got 1"),
        (lambda: learn_weights([GOOD]), "give judgments"),
        (lambda: learn_weights([], text_items=TEXTS, items=ITEMS), "at least one ranking"),
        (
            lambda: learn_weights([GOOD, GOOD * np.inf], text_items=TEXTS, items=ITEMS),
            "matrix 1 holds a score in row 0",
        ),
        (lambda: learn_weights([GOOD[:4]], text_items=TEXTS[:4], items=ITEMS), "2 queries .* too few for 5 folds"),
        (lambda: learn_weights([GOOD[:, :5]], text_items=TEXTS, items=ITEMS), "do not match 120 texts, 60 items"),
        (lambda: learn_weights([{"1": ["a"]}], {"1": {"b": 1}}), "no query has a relevant candidate"),
    ],
)
def test_wrong_arguments_are_named(call, message):
    with pytest.raises(ValueError, match=message):
        call()
