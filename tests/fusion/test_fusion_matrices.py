import numpy as np
import pytest
import torch

import matchcut.fusion.matrices as matrices
from matchcut.fusion import fuse, fuse_matrices
from matchcut.fusion.matrices import rank_rows

RNG = np.random.default_rng(0)
SCORES = [np.round(RNG.normal(size=(6, 11)), 1) for _ in range(5)]  # rounded: with ties


def naive_ranks(row):
    return np.array([1 + sum(row > s) + (sum(row == s) - 1) / 2 for s in row])


def order(matrix):
    return np.argsort(-matrix, axis=1, kind="stable")


def test_ranks_equal_the_naive_loops():
    special = np.array([[0.0, -0.0, -np.inf, np.inf, -1e-45, 1e-45, -3.0]], dtype=np.float32)
    for block in (SCORES[0], SCORES[0].astype(np.float32), SCORES[1].astype(np.float16), np.zeros((2, 4)), special):
        np.testing.assert_array_equal(rank_rows(block), [naive_ranks(row) for row in block])


@pytest.mark.parametrize(
    ("method", "top"), [("avg", 9), ("max", 9), ("worst", 9), ("hybrid", 1), ("hybrid", 2), ("hybrid", 5)]
)
def test_rank_methods_equal_the_naive_loops(method, top):
    ranks = np.stack([[naive_ranks(row) for row in m] for m in SCORES])
    best = {"avg": 5, "max": 1}.get(method, top)
    first = ranks.max(axis=0) if method == "worst" else np.sort(ranks, axis=0)[:best].mean(axis=0)
    second = ranks.mean(axis=0)
    np.testing.assert_allclose(fuse(SCORES, method, top=top, tie_break="id"), -first)
    fused = fuse(SCORES, method, top=top)
    for row in range(6):
        expected = [(a, b) for a, b in sorted(zip(first[row], second[row], strict=True))]
        by_score = np.argsort(-fused[row], kind="stable")
        got = [(first[row, i], second[row, i]) for i in by_score]
        np.testing.assert_allclose(got, expected)
        # equal only where both fused rank and mean rank are equal
        pairs = {(round(a, 9), round(b, 9)) for a, b in zip(first[row], second[row], strict=True)}
        assert len(np.unique(fused[row])) == len(pairs)


def test_score_methods_equal_numpy():
    def zscore(m):
        return (m - m.mean(axis=1, keepdims=True)) / m.std(axis=1, keepdims=True)

    def minmax(m):
        low, high = m.min(axis=1, keepdims=True), m.max(axis=1, keepdims=True)
        return (m - low) / (high - low)

    weights = [1, 2, 0, 1, 4]
    np.testing.assert_allclose(fuse(SCORES, "mean"), np.mean(SCORES, axis=0))
    np.testing.assert_allclose(fuse(SCORES, "minmax"), np.mean([minmax(m) for m in SCORES], axis=0))
    np.testing.assert_allclose(
        fuse(SCORES, "weighted", weights=weights), np.average([zscore(m) for m in SCORES], axis=0, weights=weights)
    )
    rrf = sum(w / (60 + rank_rows(m)) for w, m in zip(weights, SCORES, strict=True))
    np.testing.assert_allclose(fuse(SCORES, "rrf", weights=weights), rrf)
    np.testing.assert_array_equal(order(fuse(SCORES, "borda")), order(-sum(map(rank_rows, SCORES))))
    np.testing.assert_allclose(
        fuse([np.ones((1, 3)), SCORES[0][:1, :3]], "zscore")[0], zscore(SCORES[0][:1, :3])[0] / 2
    )


def test_matrices_agree_with_full_lists():
    distinct = [RNG.normal(size=(3, 8)) for _ in range(4)]
    runs = [{str(t): {f"s{i}": float(s) for i, s in enumerate(row)} for t, row in enumerate(m)} for m in distinct]
    for method in ("avg", "hybrid", "rrf", "borda", "minmax", "zscore", "dbsf"):
        fused = fuse(distinct, method, top=2)
        listed = fuse(runs, method, top=2, missing="full")
        for t in range(3):
            scores = [fused[t, int(i[1:])] for i in listed[str(t)]]
            assert (np.diff(scores) <= 1e-12).all(), method


@pytest.mark.parametrize("method", ["avg", "hybrid", "zscore", "rrf"])
def test_blocks_equal_the_whole(monkeypatch, method):
    whole = fuse_matrices(SCORES, method=method, top=2)
    monkeypatch.setattr(matrices, "BLOCK_CELLS", 25)
    np.testing.assert_array_equal(fuse_matrices(SCORES, method=method, top=2), whole)


def test_torch_memory_maps_and_dtypes(tmp_path):
    np.save(tmp_path / "m.npy", SCORES[1])
    given = [torch.from_numpy(SCORES[0]), np.load(tmp_path / "m.npy", mmap_mode="r"), (10 * SCORES[2]).astype(int)]
    np.testing.assert_array_equal(fuse(given, "avg"), fuse(SCORES[:3], "avg"))


@pytest.mark.parametrize(
    ("scores", "message"),
    [
        ([np.zeros((2, 2)), np.zeros((2, 3))], r"matrix 1 has shape \(2, 3\)"),
        ([np.zeros(3)], "matrix 0 must have two dimensions"),
        ([np.zeros((2, 2)), np.array([[0.0, 0.0], [0.0, np.nan]])], "matrix 1: .*row 1, column 1"),
        ([np.array([["a", "b"]])], "matrix 0 must be real numbers"),
    ],
)
def test_wrong_matrices_are_named(scores, message):
    with pytest.raises(ValueError, match=message):
        fuse(scores)


def test_no_items_at_all():
    for method in ("avg", "hybrid", "zscore", "minmax"):
        assert fuse([np.zeros((3, 0))] * 4, method, top=2).shape == (3, 0)


def test_infinities_have_a_rank_but_no_mean():
    scores = [np.array([[1.0, -np.inf, 0.0]])] * 2
    assert fuse(scores, "avg")[0].argsort().tolist() == [1, 2, 0]
    for method in ("mean", "minmax", "zscore", "dbsf"):
        with pytest.raises(ValueError, match="matrix 0 holds an infinity"):
            fuse(scores, method)
