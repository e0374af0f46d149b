"""Rank and score fusion of lists against plain loops written from the formulas."""

import statistics
from fractions import Fraction

import numpy as np
import pytest

from matchcut.evaluation import Run
from matchcut.evaluation.trec import Ranking
from matchcut.fusion import Stacked, fuse, fuse_lists
from matchcut.fusion.entries import stable_order
from matchcut.fusion.lists import normalise_lists


def make(seed, lists=4, ragged=True, n=9, pool=14):
    rng = np.random.default_rng(seed)
    sizes = rng.integers(1, n + 1, size=lists) if ragged else [n] * lists
    names = [f"s{i:02d}" for i in range(pool)]
    scores = [np.sort(rng.normal(size=k))[::-1] for k in sizes]
    return [
        dict(zip(rng.permutation(names)[:k].tolist(), s.tolist(), strict=True))
        for k, s in zip(sizes, scores, strict=True)
    ]


def ranks_of(lists, missing):
    """{item: its ranks}, a missing one being n + 1 or left out."""
    items = sorted({i for held in lists for i in held})
    ranks = [{i: r for r, i in enumerate(held, 1)} for held in lists]
    fill = [None if missing == "ignore" else len(r) + 1 for r in ranks]
    return {i: [r.get(i, f) for r, f in zip(ranks, fill, strict=True) if r.get(i, f) is not None] for i in items}


def mean_of_best(ranks, top):
    best = sorted(ranks)[:top]
    return Fraction(sum(best), len(best))


def naive_ranked(lists, method, top=10, missing="last", tie_break="rank"):
    top = {"avg": len(lists), "max": 1}.get(method, top)
    held, full = ranks_of(lists, missing), ranks_of(lists, "last")

    def key(i):
        value = max(held[i]) if method == "worst" else mean_of_best(held[i], top)
        return (value, mean_of_best(full[i], len(lists)) if tie_break == "rank" else 0, i)

    return sorted(held, key=key)


def naive_scored(lists, method, missing="last", weights=None, k=60.0):
    weights = weights or [1.0] * len(lists)
    items = sorted({i for held in lists for i in held})
    total = {}
    for item in items:
        terms, norm = [], []
        for weight, held in zip(weights, lists, strict=True):
            values = list(held.values())
            if method == "rrf":
                terms.append(weight / (k + 1 + list(held).index(item)) if item in held else 0)
            elif method == "borda":
                left = len(items) - len(held)
                points = len(items) - list(held).index(item) if item in held else sum(range(1, left + 1)) / left
                terms.append(points)
            else:
                mean, dev = np.mean(values), np.std(values)
                scaled = {
                    "mean": lambda s: s,
                    "minmax": lambda s, v=values: (s - min(v)) / (max(v) - min(v)) if max(v) > min(v) else 0,
                    "zscore": lambda s, m=mean, d=dev: (s - m) / d if d > 0 else 0,
                    "dbsf": lambda s, v=values, m=mean: (
                        0.5 + (s - m) / (6 * np.std(v, ddof=1) if len(set(v)) > 1 else 1)
                    ),
                }["zscore" if method == "weighted" else method]
                if item in held:
                    terms.append(weight * scaled(held[item]))
                    norm.append(weight)
                elif missing == "last" and method != "dbsf":
                    terms.append(weight * min(map(scaled, values)))
                    norm.append(weight)
        total[item] = sum(terms) / (sum(norm) if norm and method != "dbsf" else 1)
    full = ranks_of(lists, "last")
    return sorted(items, key=lambda i: (-round(total[i], 9), mean_of_best(full[i], len(lists)), i))


@pytest.mark.parametrize("seed", range(6))
@pytest.mark.parametrize("ragged", [True, False])
@pytest.mark.parametrize("missing", ["last", "ignore"])
@pytest.mark.parametrize("tie_break", ["rank", "id"])
@pytest.mark.parametrize(
    ("method", "top"), [("avg", 10), ("max", 10), ("worst", 10), ("hybrid", 1), ("hybrid", 2), ("hybrid", 3)]
)
def test_rank_methods_equal_the_naive_loops(seed, ragged, missing, tie_break, method, top):
    lists = make(seed, ragged=ragged)
    fused = fuse([{"1": x} for x in lists], method, top=top, missing=missing, tie_break=tie_break)
    assert list(fused["1"]) == naive_ranked(lists, method, top, missing, tie_break)


@pytest.mark.parametrize("seed", range(6))
@pytest.mark.parametrize("method", ["rrf", "borda", "mean", "minmax", "zscore", "dbsf", "weighted"])
def test_score_methods_equal_the_naive_loops(seed, method):
    lists = make(seed)
    weights = [1.0, 0.5, 2.0, 0.0] if method == "weighted" else None
    fused = fuse([{"1": x} for x in lists], method, weights=weights)
    assert list(fused["1"]) == naive_scored(lists, method, weights=weights)
    if method in ("mean", "minmax", "zscore"):
        fused = fuse([{"1": x} for x in lists], method, missing="ignore", weights=[1, 2, 3, 4])
        assert list(fused["1"]) == naive_scored(lists, method, "ignore", weights=[1, 2, 3, 4])


def test_by_hand():
    a, b = {"1": ["x", "y", "z"]}, {"1": ["z", "x", "w"]}
    assert list(fuse([a, b], "avg")["1"]) == ["x", "z", "y", "w"]  # 1.5, 2, 3, 3.5
    assert list(fuse([a, b], "max")["1"]) == ["x", "z", "y", "w"]  # 1, 1, 2, 3; x before z by mean rank
    assert list(fuse([a, b], "rrf", k=0)["1"]) == ["x", "z", "y", "w"]  # 3/2, 4/3, 1/2, 1/3


def test_hybrid_ends_are_max_and_avg():
    lists = [{"1": x} for x in make(3)]
    assert list(fuse(lists, "hybrid", top=1)["1"]) == list(fuse(lists, "max")["1"])
    assert list(fuse(lists, "hybrid", top=4)["1"]) == list(fuse(lists, "avg")["1"])
    assert list(fuse(lists, "hybrid", top=99)["1"]) == list(fuse(lists, "avg")["1"])


@pytest.mark.parametrize("method", ["avg", "max", "hybrid", "rrf", "borda", "mean", "minmax", "zscore", "dbsf"])
def test_one_list_many_times_is_that_list(method):
    (one,) = make(1, lists=1, ragged=False)
    fused = fuse([{"1": one}] * 5, method)
    assert list(fused["1"]) == list(one)
    scores = fused["1"].scores
    assert (np.diff(scores) < 0).all()


@pytest.mark.parametrize("method", ["avg", "max", "rrf", "borda", "zscore", "dbsf"])
def test_order_of_the_lists_does_not_matter(method):
    lists = [{"1": x} for x in make(5)]
    assert list(fuse(lists, method)["1"]) == list(fuse(lists[::-1], method)["1"])


def test_depth_cuts_after_fusing():
    lists = [{"1": x} for x in make(2)]
    assert list(fuse(lists, "avg", depth=3)["1"]) == list(fuse(lists, "avg", depth=None)["1"])[:3]


def test_topics_of_some_runs_only_are_fused_too():
    fused = fuse([{"1": ["a", "b"], "2": ["c"]}, {"1": ["b", "a"]}], "avg", tag="both")
    assert list(fused["2"]) == ["c"]
    assert fused.tag == "both"
    assert fused.topics == ("1", "2")
    assert list(fuse([{"1": []}, {"1": []}])["1"]) == []


def test_stacked_runs_fuse_as_runs_do():
    runs = [{"1": x, "2": list(x)} for x in make(4)] + [{"3": ["only", "here"]}]
    stacked = Stacked.of(runs)
    for method in ("avg", "max", "hybrid", "zscore", "rrf"):
        assert fuse(stacked, method, top=2) == fuse(runs, method, top=2)
        assert fuse(stacked.pick([2, 0]), method, top=2) == fuse([runs[2], runs[0]], method, top=2)
    assert len(stacked.pick([1])) == 1


def test_ties_are_broken_by_name_and_not_by_first_sight():
    lists = [{"1": ["z", "y"]}, {"1": ["y", "z"]}, {"1": ["b", "a"]}, {"1": ["a", "b"]}]
    assert list(fuse(lists, "max")["1"]) == ["a", "b", "y", "z"]
    assert list(fuse(lists, "max", depth=3)["1"]) == ["a", "b", "y"]


def test_what_only_lists_of_weight_zero_hold_comes_last():
    lists = [{"1": {"a": 3.0, "z": 2.0, "b": 0.0}}, {"1": {"b": 2.0, "c": 1.0}}]
    fused = fuse(lists, "weighted", weights=[0, 1], missing="ignore")
    assert list(fused["1"]) == ["b", "c", "a", "z"]
    assert list(fuse(lists, "weighted", weights=[0, 1], missing="ignore", depth=3)["1"]) == ["b", "c", "a"]


def test_missing_full_refuses_holes():
    with pytest.raises(ValueError, match="topic 1: 2 of 3 items are not in every list"):
        fuse([{"1": ["a", "b"]}, {"1": ["b", "c"]}], "avg", missing="full")
    assert list(fuse([{"1": ["a", "b"]}, {"1": ["b", "a"]}], "avg", missing="full")["1"]) == ["a", "b"]


def test_arrays_and_runs_agree():
    rng = np.random.default_rng(0)
    items = np.stack([[rng.permutation(30)[:12] for _ in range(3)] for _ in range(5)])
    items[2, 1, 7:] = -1
    scores = -np.sort(-rng.normal(size=items.shape), axis=2)
    runs = [
        Run.of(
            {
                str(t): {f"s{i:02d}": float(s) for i, s in zip(items[q, t], scores[q, t], strict=True) if i >= 0}
                for t in range(3)
            }
        )
        for q in range(5)
    ]
    for method in ("avg", "hybrid", "rrf", "minmax", "dbsf"):
        out = fuse_lists(items, scores, method=method, top=2, depth=8)
        fused = fuse(runs, method, top=2, depth=8)
        for t in range(3):
            assert [f"s{i:02d}" for i in out.items[t]] == list(fused[str(t)])
    assert out.items.shape == (3, 8)


def test_shorter_results_are_padded():
    out = fuse_lists(np.array([[[3, 1], [2, -1]]]))
    assert out.items.tolist() == [[3, 1], [2, -1]]
    assert out.values[0].tolist() == [1, 2]
    assert np.isneginf(out.scores[1, 1])


EVERY = ["avg", "max", "hybrid", "rrf", "borda", "mean", "minmax", "zscore", "dbsf"]


@pytest.mark.parametrize("method", EVERY)
def test_a_topic_that_a_list_lacks_is_an_empty_list(method):
    lists = [*make(2, lists=2), {}]
    arrays, scores = np.full((3, 1, 9), -1), np.zeros((3, 1, 9))
    for q, held in enumerate(lists):
        arrays[q, 0, : len(held)] = [int(name[1:]) for name in held]
        scores[q, 0, : len(held)] = list(held.values())
    fused = fuse([{"1": x} if x else {} for x in lists], method, top=2)
    assert fused == fuse([{"1": x} for x in lists], method, top=2)
    assert [f"s{i:02d}" for i in fuse_lists(arrays, scores, method=method, top=2).items[0]] == list(fused["1"])
    nothing = fuse_lists(np.full((2, 1, 3), -1), np.zeros((2, 1, 3)), method=method)
    assert nothing.items.shape == (1, 0)


@pytest.mark.parametrize("method", EVERY)
@pytest.mark.parametrize("step", [70_000, 2**40])
def test_how_large_item_numbers_are_does_not_matter(method, step):
    rng = np.random.default_rng(5)
    items = np.stack([[rng.permutation(20)[:8] for _ in range(2)] for _ in range(3)])
    items[1, 0, 5:] = -1
    scores = -np.sort(-rng.normal(size=items.shape), axis=2)
    small = fuse_lists(items, scores, method=method, top=2)
    large = fuse_lists(np.where(items < 0, -1, items * step), scores, method=method, top=2)
    assert np.where(large.items < 0, -1, large.items // step).tolist() == small.items.tolist()
    np.testing.assert_array_equal(large.values, small.values)


def test_ties_beyond_the_depth_are_broken_before_it_cuts():
    items = np.array([[[9, 8, 7]], [[3, 2, 1]]])
    assert fuse_lists(items, method="max", depth=3).items.tolist() == [[3, 9, 2]]
    assert fuse_lists(items, method="rrf", depth=5).items.tolist() == [[3, 9, 2, 8, 1]]


def test_a_list_that_holds_an_item_twice_is_refused_wherever():
    for large in (4, 2**40):
        with pytest.raises(ValueError, match="topic 1: a list holds an item twice"):
            fuse_lists(np.array([[[1, 2, 3], [large, 5, large]], [[1, 2, 3], [6, -1, -1]]]))
        with pytest.raises(ValueError, match="topic 0: a list holds an item twice"):
            fuse_lists(np.array([[[large, 5, large]], [[6, 7, 8]]]))
    with pytest.raises(ValueError, match="topic a: a list holds a shot twice"):
        fuse([{"a": ["x", "y", "x"]}])
    unchecked = Run({"a": Ranking.of_order(["x", "y", "x"])})
    with pytest.raises(ValueError, match="topic a: a list holds an item twice"):
        fuse([unchecked])


def test_large_item_numbers_sort_as_small_ones():
    values = np.random.default_rng(0).integers(0, 2**62, size=500)
    np.testing.assert_array_equal(stable_order(values), np.argsort(values, kind="stable"))
    few = np.random.default_rng(0).integers(0, 5, size=500) * 70_000
    np.testing.assert_array_equal(stable_order(few), np.argsort(few, kind="stable"))


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: fuse([]), "nothing to fuse"),
        (lambda: fuse([{"1": ["a"]}], "best"), "no fusion method 'best'; there are avg"),
        (lambda: fuse([{"1": ["a"]}], "hybrid", top=0), "at least 1, got 0"),
        (lambda: fuse([{"1": ["a"]}], "hybrid", top=1.5), "a whole number of at least 1, got 1.5"),
        (lambda: fuse([{"1": ["a"]}], "rrf", k=-1), "0 or more, got -1"),
        (lambda: fuse([{"1": ["a"]}], "rrf", k=float("nan")), "a finite number of 0 or more, got nan"),
        (lambda: fuse([{"1": ["a"]}], depth=2.5), "depth must be a whole number of at least 1, got 2.5"),
        (lambda: fuse_lists(np.array([[[1, 2]]]), depth=0), "depth must be a whole number of at least 1, got 0"),
        (lambda: fuse([{"1": ["a"]}], tie_break="score"), "must be one of rank, id; got 'score'"),
        (lambda: fuse([{"1": ["a"]}], "rrf", missing="last"), "it takes zero, full"),
        (lambda: fuse([{"1": ["a"]}], "weighted"), "needs weights"),
        (lambda: fuse([{"1": ["a"]}], "zscore", weights=[1, 2]), "2 weights for 1 lists"),
        (lambda: fuse([{"1": ["a"]}], "zscore", weights=[-1]), "0 or more and not all 0, got -1"),
        (lambda: fuse([{"1": ["a"]}], "avg", weights=[1]), "takes no weights"),
        (lambda: fuse_lists(np.zeros((2, 2))), "whole numbers of shape"),
        (lambda: fuse_lists(np.zeros((1, 1, 2), int)), "holds an item twice"),
        (lambda: fuse_lists(np.array([[[-1, 2]]])), "stands before an item"),
        (lambda: fuse_lists(np.array([[[1, 2]]]), method="minmax"), "reads scores"),
        (lambda: fuse_lists(np.array([[[1, 2]]]), np.zeros((1, 1, 1)), method="minmax"), "must be the same"),
    ],
)
def test_wrong_arguments_are_named(call, message):
    with pytest.raises(ValueError, match=message):
        call()


@pytest.mark.parametrize(("method", "expected"), [("dbsf", 0.5), ("zscore", 0.0), ("minmax", 0.0)])
def test_equal_scores_say_nothing_whatever_their_mean_rounds_to(method, expected):
    scores = np.array([[0.1, 0.1, 0.1, 9.0], [0.7, 0.7, 0.7, 0.7]])
    held = np.array([[True, True, True, False], [True, True, True, True]])
    assert normalise_lists(scores, held, method)[held].tolist() == [expected] * 7


def test_dbsf_is_that_of_the_formula_and_does_not_clip():
    scores = np.append(np.zeros(19), 1.0)[None]
    found = normalise_lists(scores, np.ones(scores.shape, dtype=bool), "dbsf")[0]
    mean, deviation = 0.05, statistics.stdev([0.0] * 19 + [1.0])
    assert found[-1] == pytest.approx((1.0 - (mean - 3 * deviation)) / (6 * deviation))
    assert found[-1] > 1  # more than three deviations from the mean
    assert normalise_lists(np.array([[4.0]]), np.array([[True]]), "dbsf").tolist() == [[0.5]]
