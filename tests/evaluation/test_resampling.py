import numpy as np
import pytest

import matchcut.evaluation.resampling as resampling
from matchcut.evaluation.resampling import bootstrap, bootstrap_means, intervals

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
    tail = 0.0086  # Phi(-2.262 sqrt(10 / 9)): ten units
    assert [found.low, found.high] == pytest.approx(np.quantile(draws, [tail, 1 - tail]), abs=0.8)
    assert found.units == 10


@pytest.mark.parametrize(("units", "at_least"), [(6, 0.9), (20, 0.92)])
def test_intervals_of_few_units_hold_the_truth(units, at_least):
    rng = np.random.default_rng(3)
    found = [bootstrap(rng.normal(size=units), samples=400, seed=k) for k in range(400)]
    assert at_least < np.mean([i.low <= 0 <= i.high for i in found]) < 0.98


def test_one_unit_has_no_width():
    assert (bootstrap([3.0]).low, bootstrap([3.0]).high) == (3.0, 3.0)


def test_clusters_widen_the_interval_of_values_that_agree_within_them():
    items = np.repeat(np.arange(50), 5)
    values = np.repeat(RNG.random(50), 5)
    plain, grouped = bootstrap(values), bootstrap(values, clusters=items)
    assert grouped.high - grouped.low > 1.8 * (plain.high - plain.low)


def test_blocks_equal_the_whole(monkeypatch):
    values = RNG.random(30)
    monkeypatch.setattr(resampling, "CELLS", 1 << 40)
    whole = bootstrap(values, samples=500)
    monkeypatch.setattr(resampling, "CELLS", 100)
    parts = bootstrap(values, samples=500)
    assert (parts.low, parts.high) == pytest.approx((whole.low, whole.high))


def test_intervals_take_the_median_of_ranks():
    ranks = [1.0, 1.0, 50.0]
    found = intervals({"t2v MdR": ranks, "MnR": ranks}, samples=50)
    assert (found["t2v MdR"].value, found["MnR"].value) == (1.0, pytest.approx(52 / 3))


def test_intervals_of_many_columns_equal_the_single_ones():
    values = np.random.default_rng(0).random((30, 3))
    many = bootstrap_means(values, clusters=np.arange(30) // 3, samples=200)
    for k, one in enumerate(many):
        alone = bootstrap(values[:, k], clusters=np.arange(30) // 3, samples=200)
        assert (one.value, one.low, one.high) == pytest.approx((alone.value, alone.low, alone.high))


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: bootstrap([]), "non-empty"),
        (lambda: bootstrap([1.0, np.nan]), r"values\[1\]"),
        (lambda: bootstrap([1.0], level=95), "between 0 and 1, got 95"),
        (lambda: bootstrap([1.0], samples=0), "at least 1, got 0"),
        (lambda: bootstrap([1.0], clusters=[1, 2]), "2 clusters for 1 values"),
        (lambda: bootstrap([1.0], statistic="mode"), "mean or median, got 'mode'"),
        (lambda: bootstrap_means(np.zeros((0, 2))), "not empty"),
        (lambda: bootstrap_means(np.zeros((3, 2)), samples=0), "at least 1, got 0"),
    ],
)
def test_wrong_arguments_are_named(call, message):
    with pytest.raises(ValueError, match=message):
        call()
