import numpy as np
import pytest

import matchcut.evaluation.arrays as arrays
from matchcut.evaluation.plausible import hamming, pmrp

RNG = np.random.default_rng(0)
QUERIES, ITEMS = RNG.integers(0, 2, size=(9, 4)), RNG.integers(0, 2, size=(15, 4))
SCORES = RNG.normal(size=(9, 15))


def naive(zeta):
    values = []
    for row, labels in zip(SCORES, QUERIES, strict=True):
        right = {i for i, other in enumerate(ITEMS) if sum(a != b for a, b in zip(labels, other, strict=True)) <= zeta}
        if right:
            values.append(len(right & set(np.argsort(-row)[: len(right)])) / len(right))
    return np.mean(values)


def test_equals_the_naive_loops(monkeypatch):
    found = pmrp(SCORES, QUERIES, ITEMS)
    assert found.per_threshold == pytest.approx({z: naive(z) for z in (0, 1, 2)})
    assert found.value == pytest.approx(np.mean([naive(z) for z in (0, 1, 2)]))
    monkeypatch.setattr(arrays, "BLOCK_CELLS", 15)
    assert pmrp(SCORES, QUERIES, ITEMS) == found


def test_everything_matches_at_a_large_distance():
    assert pmrp(SCORES, QUERIES, ITEMS, thresholds=(4,)).value == 1


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: hamming([[2]], [[1]]), "0 or 1"),
        (lambda: pmrp(SCORES, QUERIES[:3], ITEMS), "3 query_labels"),
        (lambda: pmrp([[1.0]], [[0, 0]], [[1, 1]], thresholds=(1,)), "within Hamming distance 1"),
    ],
)
def test_wrong_arguments_are_named(call, message):
    with pytest.raises(ValueError, match=message):
        call()
