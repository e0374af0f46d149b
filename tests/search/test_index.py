import numpy as np
import pytest

from matchcut.errors import MatchcutError
from matchcut.search import ExactIndex


def naive(index, query, k):
    scored = sorted(((-float(v @ query), i) for i, v in enumerate(index.vectors)))
    return [index.ids[i] for _, i in scored[:k]]


@pytest.mark.parametrize("k", [1, 3, 50, 200])
def test_equals_sorting_everything(k):
    rng = np.random.default_rng(0)
    index = ExactIndex([f"s{i}" for i in range(100)], rng.normal(size=(100, 8)).astype(np.float32))
    query = rng.normal(size=8).astype(np.float32)
    assert [key for key, _ in index.search(query, k=k)] == naive(index, query, k)


def test_equal_scores_keep_the_order_of_the_index():
    index = ExactIndex(list("abcd"), np.ones((4, 2), np.float32))
    assert [key for key, _ in index.search(np.ones(2, np.float32), k=3)] == ["a", "b", "c"]


def test_an_empty_index_finds_nothing():
    assert ExactIndex([], np.zeros((0, 2), np.float32)).search(np.ones(2, np.float32), k=3) == []


def test_save_and_load(tmp_path):
    index = ExactIndex(["a", "b"], np.eye(2, dtype=np.float32), "state")
    assert ExactIndex.load(tmp_path / "i") is None
    index.save(tmp_path / "i")
    again = ExactIndex.load(tmp_path / "i")
    assert (again.ids, again.made_from) == (["a", "b"], "state")
    np.testing.assert_array_equal(again.vectors, index.vectors)
    (tmp_path / "i" / "vectors.npy").write_bytes(b"\x93NUMPY")
    with pytest.raises(MatchcutError, match="damaged index"):
        ExactIndex.load(tmp_path / "i")
