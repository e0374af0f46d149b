"""Ties: every closed formula against all orders of the items that respect the scores."""

from itertools import pairwise, permutations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from matchcut.evaluation.arrays import Positives
from matchcut.evaluation.ranks import first_right


def orders(scores):
    return [
        order for order in permutations(range(len(scores))) if all(scores[a] >= scores[b] for a, b in pairwise(order))
    ]


def first_ranks(scores, right):
    return [1 + min(order.index(i) for i in np.flatnonzero(right)) for order in orders(scores)]


@st.composite
def queries(draw):
    scores = draw(st.lists(st.integers(0, 2), min_size=1, max_size=5))
    right = draw(st.lists(st.booleans(), min_size=len(scores), max_size=len(scores)).filter(any))
    return np.array([scores], dtype=float), np.array([right])


@settings(max_examples=80, deadline=None)
@given(queries())
def test_expected_values_are_means_over_all_orders(query):
    scores, right = query
    ranks = first_ranks(scores[0], right[0])
    found = first_right(scores, Positives.of_matrix(right))
    assert found.rank()[0] == pytest.approx(np.mean(ranks))
    assert found.reciprocal()[0] == pytest.approx(np.mean([1 / r for r in ranks]))
    for k in (1, 2, 3, 9):
        assert found.hit(k)[0] == pytest.approx(np.mean([r <= k for r in ranks]))


@settings(max_examples=80, deadline=None)
@given(queries())
def test_the_other_rules_are_the_extremes_and_the_column_order(query):
    scores, right = query
    ranks = first_ranks(scores[0], right[0])
    found = first_right(scores, Positives.of_matrix(right))
    assert found.rank("optimistic")[0] == min(ranks)
    assert found.rank("pessimistic")[0] == max(ranks)
    order = sorted(range(scores.shape[1]), key=lambda i: (-scores[0, i], i))
    assert found.rank("index")[0] == 1 + min(order.index(i) for i in np.flatnonzero(right[0]))
    assert found.tied[0] == (min(ranks) != max(ranks))


def test_by_hand():
    # One right item shares the first place with two wrong ones.
    found = first_right(np.array([[0.9, 0.9, 0.9, 0.1]]), Positives.of_matrix(np.array([[False, True, False, False]])))
    assert found.rank()[0] == 2
    assert found.hit(1)[0] == pytest.approx(1 / 3)
    assert found.hit(2)[0] == pytest.approx(2 / 3)
    assert found.reciprocal()[0] == pytest.approx((1 + 1 / 2 + 1 / 3) / 3)


def test_minus_infinity_can_be_ranked():
    found = first_right(np.array([[-np.inf, -np.inf, 0.0]]), Positives.of_matrix(np.array([[True, False, False]])))
    assert found.rank()[0] == 2.5


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: first_right(np.zeros((1, 2)), Positives.of_matrix(np.zeros((1, 2), bool))), "row 0 has no right"),
        (lambda: first_right(np.zeros((1, 1)), Positives.of_matrix(np.ones((1, 1), bool))).hit(0), "at least 1, got 0"),
        (lambda: first_right(np.zeros((1, 1)), Positives.of_matrix(np.ones((1, 1), bool))).rank("best"), "'best'"),
        (lambda: Positives.of_matrix(np.ones((1, 1))), "must be bool"),
        (lambda: Positives.of_ids([1, 2], ["1", "2"]), "both as numbers or text"),
    ],
)
def test_wrong_arguments_are_named(call, message):
    with pytest.raises(ValueError, match=message):
        call()
