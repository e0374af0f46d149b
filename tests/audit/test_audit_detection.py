import numpy as np
import pytest
from sklearn.metrics import average_precision_score, roc_auc_score

from matchcut.audit.detection import area_under_roc, auc_interval, detect
from matchcut.audit.detector import combine


def noisy(count=600, items=30, seed=0, levels=20):
    """Labels, and similarities with ties that say something about them."""
    rng = np.random.default_rng(seed)
    relevant = rng.random(count) < 0.2
    values = np.round((relevant + rng.normal(size=count)) * levels / 4) / levels
    return values, relevant, rng.integers(items, size=count)


def test_area_is_that_of_two_loops_with_ties_and_weights():
    values, relevant, _ = noisy(80)
    weights = np.random.default_rng(1).integers(0, 4, size=80).astype(float)
    won = total = 0.0
    for r in np.flatnonzero(relevant):
        for n in np.flatnonzero(~relevant):
            w = weights[r] * weights[n]
            won += w * ((values[r] > values[n]) + 0.5 * (values[r] == values[n]))
            total += w
    assert area_under_roc(values, relevant, weights) == pytest.approx(won / total, abs=1e-12)
    assert area_under_roc(values, relevant) == pytest.approx(roc_auc_score(relevant, values), abs=1e-12)
    with pytest.raises(ValueError, match="0 relevant and 3 irrelevant"):
        area_under_roc(np.zeros(3), np.zeros(3, bool))


def test_the_bootstrap_draws_items_with_all_their_pairs():
    values, relevant, _ = noisy()
    single = auc_interval(values, relevant, np.arange(len(values)), samples=300)
    thrice = auc_interval(np.tile(values, 3), np.tile(relevant, 3), np.tile(np.arange(len(values)), 3), samples=300)
    assert thrice.low == pytest.approx(single.low, abs=0.01)  # copies of an item are no new evidence
    assert thrice.high == pytest.approx(single.high, abs=0.01)
    assert single.low < single.value < single.high


def test_the_threshold_is_chosen_on_one_half_and_reported_on_the_other():
    values, relevant, items = noisy()
    fit = items < 15
    found = detect("x", values, relevant, items, fit, samples=50)
    best = (-1.0, 0.0)
    for threshold in np.unique(values[fit]):
        hit = values[fit] >= threshold
        f1 = 2 * (hit & relevant[fit]).sum() / (hit.sum() + relevant[fit].sum())
        best = max(best, (f1, threshold))
    assert found.threshold == best[1]
    hit = values[~fit] >= best[1]
    assert found.precision == pytest.approx((hit & relevant[~fit]).sum() / hit.sum())
    assert found.recall == pytest.approx((hit & relevant[~fit]).sum() / relevant[~fit].sum())
    assert found.percent == pytest.approx(100 * (values[fit] >= best[1]).mean())
    assert found.average_precision == pytest.approx(average_precision_score(relevant[~fit], values[~fit]))
    other = np.where(fit, relevant, ~relevant)  # the labels of the reported half move neither threshold nor percentage
    again = detect("x", values, other, items, fit, samples=50)
    assert (again.threshold, again.percent) == (found.threshold, found.percent)


def test_the_combination_beats_its_parts_and_never_sees_the_other_half():
    values, relevant, items = noisy(2000, 60)
    rng = np.random.default_rng(5)
    evidence = {"a": values, "b": relevant + rng.normal(size=2000), "noise": rng.normal(size=2000)}
    fit = items < 30
    found = combine(evidence, relevant, items, fit)
    report = [area_under_roc(e[~fit], relevant[~fit]) for e in (found.values, evidence["a"], evidence["b"])]
    assert report[0] > max(report[1:])
    assert abs(found.weights["noise"]) < 0.3 * min(found.weights["a"], found.weights["b"])
    again = combine(evidence, np.where(fit, relevant, ~relevant), items, fit)
    assert again.values == pytest.approx(found.values)


def test_the_curve_is_fine_where_few_pairs_are_taken():
    rng = np.random.default_rng(0)
    relevant = rng.random(20_000) < 0.05
    found = detect(
        "x", relevant + rng.normal(size=20_000), relevant, np.arange(20_000), np.arange(20_000) < 10_000, samples=2
    )
    recalls = [recall for recall, _ in found.curve]
    assert recalls[-1] == 1
    assert max(np.diff(recalls)) < 0.011
