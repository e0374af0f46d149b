import numpy as np
import pytest

from matchcut.evaluation import retrieval_metrics
from matchcut.fusion import contributions, fuse, greedy_selection, leave_one_out
from matchcut.fusion.selection import contribution_table

RNG = np.random.default_rng(3)
IDS = np.arange(40)
MODELS = [np.eye(40) + n * RNG.normal(size=(40, 40)) for n in (0.4, 0.5, 2.0, 0.45)]
MODELS[2] = -MODELS[2]  # worse than chance


def per_query(scores):
    return 100 * retrieval_metrics(scores, IDS, IDS).text_to_item.hits[1]


def value(members):
    return per_query(fuse([MODELS[i] for i in members], "zscore")).mean()


def test_greedy_takes_the_best_at_every_step():
    found = greedy_selection(MODELS, per_query, "zscore")
    assert 2 not in found.members
    taken = []
    for member, got in zip(found.members, found.values, strict=True):
        options = {i: value([*taken, i]) for i in range(4) if i not in taken}
        assert got == options[member] == max(options.values())
        taken.append(member)
    assert list(found.values) == sorted(set(found.values))
    assert len(greedy_selection(MODELS, per_query, "zscore", most=1).members) == 1


def test_leave_one_out_drops_the_harmful_model_first():
    found = leave_one_out(MODELS, per_query, "zscore")
    assert 2 not in found.members
    assert found.values[0] == value([0, 1, 2, 3])
    assert found.values[1] == value([0, 1, 3])
    assert len(leave_one_out(MODELS, per_query, "zscore", least=4).members) == 4


def test_contributions_are_the_ensemble_minus_the_ensemble_without():
    rows = contributions(MODELS, per_query, "zscore", names=list("abcd"), samples=300)
    everyone = value([0, 1, 2, 3])
    for i, row in enumerate(rows):
        rest = value([m for m in range(4) if m != i])
        assert row.alone.value == pytest.approx(value([i]))
        assert row.without == pytest.approx(rest)
        assert row.gain.difference == pytest.approx(everyone - rest)
        assert row.gain.p_adjusted >= row.gain.p
    assert rows[2].gain.difference < 0
    assert contribution_table(rows).row_count == 4


def test_queries_of_one_cluster_are_flipped_together():
    queries = len(per_query(MODELS[0]))
    clusters = np.arange(queries) // 4
    rows = contributions(MODELS, per_query, "zscore", clusters=clusters, samples=300)
    assert {row.alone.units for row in rows} == {row.gain.units for row in rows} == {len(np.unique(clusters))}


def test_weights_follow_their_models():
    rows = contributions(MODELS[:3], per_query, "weighted", weights=[1, 2, 3], samples=50)
    expected = per_query(fuse(MODELS[1:3], "weighted", weights=[2, 3])).mean()
    assert rows[0].without == pytest.approx(expected)


def test_models_of_weight_zero_are_not_taken_but_are_worth_something_alone():
    weights = np.array([0.0, 1.0, 1.0, 0.0])
    assert greedy_selection(MODELS, per_query, "weighted", weights=weights).members == (1,)
    assert leave_one_out(MODELS, per_query, "weighted", weights=weights).members == (1,)
    rows = contributions(MODELS[:2], per_query, "weighted", weights=weights[:2], samples=50)
    assert rows[0].alone.value == pytest.approx(value([0]))
    assert rows[1].without == pytest.approx(value([0]))


def test_wrong_arguments_are_named():
    with pytest.raises(ValueError, match="at least two models, got 1"):
        contributions(MODELS[:1], per_query)
    with pytest.raises(ValueError, match="1 names for 2 models"):
        contributions(MODELS[:2], per_query, names=["a"])
