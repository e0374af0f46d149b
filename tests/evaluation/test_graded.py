"""Average precision, R-Precision and nDCG against all orders, hand-made numbers and trec_eval."""

from itertools import pairwise, permutations
from math import log2

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import matchcut.evaluation.arrays as arrays
from matchcut.evaluation.graded import average_precision, ndcg, precision, r_precision


def naive_ap(gains, cutoff):
    relevant = sum(g > 0 for g in gains)
    limit = {"R": relevant, None: len(gains)}.get(cutoff, cutoff)
    hits = [g > 0 for g in gains][:limit]
    return sum(h * sum(hits[: r + 1]) / (r + 1) for r, h in enumerate(hits)) / relevant


def naive_ndcg(gains, cutoff):
    limit = {"R": sum(g > 0 for g in gains), None: len(gains)}.get(cutoff, cutoff)

    def dcg(order):
        return sum(g / log2(r + 2) for r, g in enumerate(order[:limit]))

    return dcg(gains) / dcg(sorted(gains, reverse=True))


def naive_precision(gains, cutoff):
    limit = sum(g > 0 for g in gains) if cutoff == "R" else cutoff
    return sum(g > 0 for g in gains[:limit]) / limit


MEASURES = [(average_precision, naive_ap), (ndcg, naive_ndcg), (precision, naive_precision)]


@st.composite
def queries(draw):
    scores = draw(st.lists(st.integers(0, 2), min_size=1, max_size=5))
    size = {"min_size": len(scores), "max_size": len(scores)}
    return scores, draw(st.lists(st.sampled_from([0, 0, 1, 3]), **size).filter(any))


@settings(max_examples=60, deadline=None)
@given(queries(), st.sampled_from([None, "R", 1, 2, 4]))
def test_expected_values_are_means_over_all_orders(query, cutoff):
    scores, gains = query
    orders = [o for o in permutations(range(len(scores))) if all(scores[a] >= scores[b] for a, b in pairwise(o))]
    for measure, naive in MEASURES:
        if naive is naive_precision and cutoff is None:
            continue
        every = [naive([gains[i] for i in order], cutoff) for order in orders]
        found = measure(np.array([scores], float), np.array([gains]), cutoff=cutoff)[0]
        assert found == pytest.approx(np.mean(every))
        low, high = (
            measure(np.array([scores], float), [gains], cutoff=cutoff, ties=t)[0] for t in ("pessimistic", "optimistic")
        )
        assert low == pytest.approx(min(every))
        assert high == pytest.approx(max(every))


def test_by_hand():
    assert ndcg([[4.0, 3, 2, 1]], [[0.5, 0, 1, 0.5]], cutoff="R")[0] == pytest.approx(0.638788, abs=5e-7)
    assert average_precision([[3.0, 2, 1, 0]], [[1, 0, 1, 1]], cutoff="R")[0] == pytest.approx(0.555556, abs=5e-7)
    assert r_precision([[3.0, 2, 1, 0]], [[1, 0, 1, 1]])[0] == pytest.approx(2 / 3)
    # two tied items, one right: 1 or 1/2
    assert average_precision([[1.0, 1.0]], [[1, 0]])[0] == pytest.approx(3 / 4)


def test_invariants():
    rng = np.random.default_rng(0)
    scores, gains = rng.normal(size=(20, 9)), rng.integers(0, 3, size=(20, 9))
    gains[:, 0] = 1
    assert ndcg(gains.astype(float), gains) == pytest.approx(1)
    map_at_r = average_precision(scores, gains, cutoff="R")
    assert (map_at_r <= r_precision(scores, gains) + 1e-12).all()
    order = rng.permutation(9)
    assert ndcg(scores[:, order], gains[:, order]) == pytest.approx(ndcg(scores, gains))
    single = np.eye(9)[rng.integers(0, 9, size=20)]
    assert r_precision(scores, single) == pytest.approx(precision(scores, single, cutoff=1))


def test_index_order_and_queries_without_relevance():
    assert average_precision([[1.0, 1.0]], [[0, 1]], ties="index")[0] == 0.5
    assert np.isnan(ndcg([[1.0, 2.0]], [[0, 0]])[0])
    assert np.isnan(r_precision([[1.0, 2.0]], [[0, 0]])[0])


def test_blocks_equal_the_whole(monkeypatch):
    rng = np.random.default_rng(0)
    scores, gains = rng.normal(size=(30, 8)), rng.integers(0, 2, size=(30, 8))
    whole = average_precision(scores, gains)
    monkeypatch.setattr(arrays, "BLOCK_CELLS", 20)
    np.testing.assert_array_equal(average_precision(scores, gains), whole)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: ndcg([[1.0]], [[-1]]), "0 or more"),
        (lambda: ndcg([[1.0, 2.0]], [[1]]), r"\(1, 2\), relevance \(1, 1\)"),
        (lambda: ndcg([[np.nan]], [[1]]), "row 0, column 0"),
        (lambda: ndcg([[1.0]], [[1]], ties="none"), "'none'"),
    ],
)
def test_wrong_arguments_are_named(call, message):
    with pytest.raises(ValueError, match=message):
        call()


def test_agrees_with_trec_eval():
    ir_measures = pytest.importorskip("ir_measures")
    rng = np.random.default_rng(1)
    scores, gains = rng.permutation(12 * 40).reshape(12, 40).astype(float), rng.integers(0, 3, size=(12, 40))
    run = {str(q): {str(i): float(s) for i, s in enumerate(row)} for q, row in enumerate(scores)}
    qrels = {str(q): {str(i): int(g) for i, g in enumerate(row)} for q, row in enumerate(gains)}
    ours = {
        "AP": average_precision(scores, gains),
        "AP@10": average_precision(scores, gains, cutoff=10),
        "nDCG": ndcg(scores, gains),
        "nDCG@5": ndcg(scores, gains, cutoff=5),
        "P@10": precision(scores, gains, cutoff=10),
        "Rprec": r_precision(scores, gains),
    }
    wanted = {name: ir_measures.parse_measure(name) for name in ours}
    theirs = ir_measures.pytrec_eval.calc_aggregate(wanted.values(), qrels, run)
    for name, values in ours.items():
        assert values.mean() == pytest.approx(theirs[wanted[name]]), name
