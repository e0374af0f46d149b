from itertools import product

import numpy as np
import pytest

from matchcut.evaluation.statistics import compare, compare_all, holm, paired_permutation

RNG = np.random.default_rng(0)


def test_permutation_test_enumerates_small_samples():
    a, b = RNG.random(7), RNG.random(7)
    d = a - b
    extreme = [abs(np.dot(s, d)) >= abs(d.sum()) - 1e-12 for s in product((1, -1), repeat=7)]
    found = paired_permutation(a, b)
    assert found.p == pytest.approx(np.mean(extreme))
    assert found.exact
    assert found.difference == pytest.approx(d.mean())


def test_permutation_test_samples_large_ones():
    a = RNG.random(200)
    assert paired_permutation(a + 0.1 + 0.01 * RNG.random(200), a).p == pytest.approx(1 / 10_001)
    assert paired_permutation(a, a).p == 1
    assert paired_permutation(a, RNG.permutation(a)).p > 0.05


def test_clusters_are_flipped_together():
    a, b = np.ones(12), np.zeros(12)
    assert paired_permutation(a, b, clusters=np.repeat([0, 1, 2], 4)).p == 2 / 2**3
    assert paired_permutation(a, b).p == 2 / 2**12


def test_the_level_of_the_test_is_kept():
    rejected = [paired_permutation(RNG.normal(size=12), RNG.normal(size=12), samples=50).p < 0.1 for _ in range(200)]
    assert np.mean(rejected) == pytest.approx(0.1, abs=0.07)


def test_holm_by_hand():
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert holm([0.9, 0.8]) == [1.0, 1.0]
    assert holm([]) == []


def test_a_winner_is_named_only_when_the_corrected_test_says_so():
    a, b = np.tile([1.0, 0.0, 1.0, 1.0], 3), np.zeros(12)
    one = compare({"R@1": a}, {"R@1": b})[0]
    assert one.verdict("x", "y") == "x beats y"
    assert one.verdict("x", "y", higher_is_better=False) == "y beats x"
    many = compare({str(i): a for i in range(20)}, {str(i): b for i in range(20)})[0]
    assert many.p == one.p
    assert many.verdict("x", "y") == "no difference shown"


def test_the_median_rank_is_not_compared_query_by_query():
    found = compare({"R@1": [1.0], "t2v MdR": [1.0]}, {"R@1": [0.0], "t2v MdR": [2.0]})
    assert [c.name for c in found] == ["R@1"]


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: paired_permutation([1.0], [1.0, 2.0]), "same queries"),
        (lambda: holm([1.5]), "between 0 and 1"),
        (lambda: holm([np.nan, 0.5]), "between 0 and 1"),
        (lambda: compare({"a": [1.0]}, {"b": [1.0]}), "different measures"),
    ],
)
def test_wrong_arguments_are_named(call, message):
    with pytest.raises(ValueError, match=message):
        call()


@pytest.mark.parametrize("units", [7, 40])
def test_many_comparisons_equal_the_single_ones(units):
    rng = np.random.default_rng(0)
    systems = {n: {"R@1": rng.random(2 * units), "R@5": rng.random(2 * units)} for n in "abc"}
    clusters = np.repeat(np.arange(units), 2)
    found = compare_all(systems, clusters=clusters, samples=500)
    assert [(f.a, f.b, f.comparison.name) for f in found][:3] == [
        ("a", "b", "R@1"),
        ("a", "b", "R@5"),
        ("a", "c", "R@1"),
    ]
    for one in found:
        a, b = systems[one.a][one.comparison.name], systems[one.b][one.comparison.name]
        alone = paired_permutation(a, b, clusters=clusters, samples=500)
        assert one.comparison.p == alone.p
        assert one.comparison.low == pytest.approx(alone.low)
        assert one.comparison.high == pytest.approx(alone.high)
    assert [f.comparison.p_adjusted for f in found] == holm([f.comparison.p for f in found])


def test_systems_that_do_not_match_are_refused():
    with pytest.raises(ValueError, match="different measures"):
        compare_all({"a": {"R@1": [1.0]}, "b": {"R@5": [1.0]}})
    with pytest.raises(ValueError, match="of the same queries"):
        compare_all({"a": {"R@1": [1.0]}, "b": {"R@1": [1.0, 0.0]}})
    assert compare_all({"a": {"R@1": [1.0]}}) == []
