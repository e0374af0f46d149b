from itertools import product

import numpy as np
import pytest

import matchcut.evaluation.statistics as statistics
from matchcut.evaluation.statistics import (
    bootstrap,
    bootstrap_means,
    compare,
    compare_all,
    holm,
    intervals,
    paired_permutation,
)

RNG = np.random.default_rng(0)


def test_bootstrap_of_a_mean_agrees_with_the_normal_interval():
    values = RNG.normal(size=400)
    found = bootstrap(values)
    half = 1.96 * values.std() / 20
    assert found.value == pytest.approx(values.mean())
    assert found.low == pytest.approx(values.mean() - half, abs=0.15 * half)
    assert found.high == pytest.approx(values.mean() + half, abs=0.15 * half)


@pytest.mark.parametrize("statistic", ["mean", "median"])
def test_bootstrap_equals_a_naive_loop(statistic):
    values = RNG.integers(1, 30, size=25).astype(float)
    clusters = np.repeat(np.arange(10), [1, 2, 3, 4, 5, 1, 2, 3, 3, 1])
    found = bootstrap(values, clusters=clusters, statistic=statistic, samples=4000)
    rng = np.random.default_rng(5)
    draws = []
    for _ in range(4000):
        chosen = np.concatenate([values[clusters == c] for c in rng.integers(0, 10, size=10)])
        draws.append(np.mean(chosen) if statistic == "mean" else np.median(chosen))
    assert [found.low, found.high] == pytest.approx(np.quantile(draws, [0.025, 0.975]), abs=0.8)
    assert found.units == 10


def test_clusters_widen_the_interval_of_values_that_agree_within_them():
    items = np.repeat(np.arange(50), 5)
    values = np.repeat(RNG.random(50), 5)
    plain, grouped = bootstrap(values), bootstrap(values, clusters=items)
    assert grouped.high - grouped.low > 1.8 * (plain.high - plain.low)


def test_blocks_equal_the_whole(monkeypatch):
    values = RNG.random(30)
    monkeypatch.setattr(statistics, "CELLS", 1 << 40)
    whole = bootstrap(values, samples=500)
    monkeypatch.setattr(statistics, "CELLS", 100)
    assert bootstrap(values, samples=500) == whole


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


def test_intervals_take_the_median_of_ranks():
    ranks = [1.0, 1.0, 50.0]
    found = intervals({"t2v MdR": ranks, "MnR": ranks}, samples=50)
    assert (found["t2v MdR"].value, found["MnR"].value) == (1.0, pytest.approx(52 / 3))


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: bootstrap([]), "non-empty"),
        (lambda: bootstrap([1.0, np.nan]), r"values\[1\]"),
        (lambda: bootstrap([1.0], level=95), "between 0 and 1, got 95"),
        (lambda: bootstrap([1.0], samples=0), "at least 1, got 0"),
        (lambda: bootstrap([1.0], clusters=[1, 2]), "2 clusters for 1 values"),
        (lambda: paired_permutation([1.0], [1.0, 2.0]), "same queries"),
        (lambda: holm([1.5]), "between 0 and 1"),
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


def test_intervals_of_many_columns_equal_the_single_ones():
    values = np.random.default_rng(0).random((30, 3))
    many = bootstrap_means(values, clusters=np.arange(30) // 3, samples=200)
    for k, one in enumerate(many):
        alone = bootstrap(values[:, k], clusters=np.arange(30) // 3, samples=200)
        assert (one.value, one.low, one.high) == pytest.approx((alone.value, alone.low, alone.high))


def test_systems_that_do_not_match_are_refused():
    with pytest.raises(ValueError, match="different measures"):
        compare_all({"a": {"R@1": [1.0]}, "b": {"R@5": [1.0]}})
    with pytest.raises(ValueError, match="of the same queries"):
        compare_all({"a": {"R@1": [1.0]}, "b": {"R@1": [1.0, 0.0]}})
    with pytest.raises(ValueError, match="not empty"):
        bootstrap_means(np.zeros((0, 2)))
    assert compare_all({"a": {"R@1": [1.0]}}) == []
