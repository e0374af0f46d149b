import numpy as np
import pytest
import torch

from matchcut.errors import MatchcutError
from matchcut.evaluation.matrices import ScoreMatrix, align, read_scores, write_scores

SCORES = np.arange(6.0).reshape(2, 3)
IDS = {"texts": ["a#0", "b#0"], "items": ["a", "b", "c"]}


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
def test_scores_and_ids_read_back_exactly(tmp_path, dtype):
    write_scores(tmp_path / "m.npz", SCORES.astype(dtype), **IDS, text_items=["a", "b"])
    back = read_scores(tmp_path / "m.npz")
    assert isinstance(back.scores, np.memmap)
    assert back.scores.dtype == dtype
    assert back.scores.tolist() == SCORES.tolist()
    assert [back.texts.tolist(), back.items.tolist(), back.text_items.tolist()] == [*IDS.values(), ["a", "b"]]
    assert [p.name for p in tmp_path.iterdir()] == ["m.npz"]


def test_tensors_and_files_of_others(tmp_path):
    write_scores(tmp_path / "m.npz", torch.tensor(SCORES.T.copy()).T, **IDS)
    assert read_scores(tmp_path / "m.npz").scores.tolist() == SCORES.tolist()
    assert read_scores(tmp_path / "m.npz").text_items is None
    np.savez_compressed(tmp_path / "small.npz", scores=SCORES, items=np.arange(3))
    assert read_scores(tmp_path / "small.npz").items.tolist() == ["0", "1", "2"]
    np.savez(tmp_path / "f.npz", scores=np.asfortranarray(SCORES))
    assert read_scores(tmp_path / "f.npz").scores.tolist() == SCORES.tolist()
    np.save(tmp_path / "m.npy", SCORES)
    plain = read_scores(tmp_path / "m.npy")
    assert (plain.texts, plain.scores.tolist()) == (None, SCORES.tolist())


@pytest.mark.parametrize(
    ("arrays", "message"),
    [
        ({"values": SCORES}, "no array 'scores'; it holds values"),
        ({"scores": SCORES, "texts": np.array(["a"])}, r"texts have shape \(1,\)"),
        ({"scores": SCORES, "items": np.array(["a", "b", "a"])}, "a stands 2 times among the items"),
        ({"scores": SCORES[0]}, r"scores are float64 \(3,\)"),
        ({"scores": np.array([["x"]])}, "must be numbers"),
    ],
)
def test_files_that_do_not_fit_are_refused(tmp_path, arrays, message):
    np.savez(tmp_path / "m.npz", **arrays)
    with pytest.raises(MatchcutError, match=message):
        read_scores(tmp_path / "m.npz")


def test_what_is_no_matrix_is_refused(tmp_path):
    (tmp_path / "text.npy").write_text("text")
    np.savez(tmp_path / "m.npz", scores=SCORES)
    (tmp_path / "cut.npz").write_bytes((tmp_path / "m.npz").read_bytes()[:-40])
    np.savez(tmp_path / "o.npz", scores=np.array([[None]], dtype=object))
    for name in ("text.npy", "cut.npz", "o.npz", "none.npz"):
        with pytest.raises(MatchcutError, match="not a NumPy file"):
            read_scores(tmp_path / name)
    with pytest.raises(MatchcutError, match=r"items have shape \(1,\)"):
        write_scores(tmp_path / "bad.npz", SCORES, texts=["a", "b"], items=["a"])
    assert not (tmp_path / "bad.npz").exists()


def test_matrices_are_brought_into_one_order():
    def matrix(scores, texts, items, right=None):
        return ScoreMatrix(
            np.array(scores), np.array(texts), np.array(items), right if right is None else np.array(right)
        )

    a = matrix([[1, 2], [3, 4]], ["s", "t"], ["x", "y"])
    b = matrix([[4, 3], [2, 1]], ["t", "s"], ["y", "x"], ["y", "x"])
    with pytest.raises(MatchcutError, match="lacks 1 of the items of a, for example x"):
        align({"a": a, "c": matrix([[1, 2], [3, 4]], ["s", "t"], ["y", "z"])})
    with pytest.raises(MatchcutError, match="p: has no ids of texts, a has"):
        align({"a": a, "p": ScoreMatrix(a.scores)})
    with pytest.raises(MatchcutError, match=r"p: scores \(1, 2\), a has \(2, 2\)"):
        align({"a": a, "p": ScoreMatrix(a.scores[:1])})
    with pytest.raises(MatchcutError, match="c: the right item of text 0 is x, elsewhere y"):
        align({"b": b, "c": matrix([[4, 3], [2, 1]], ["t", "s"], ["y", "x"], ["x", "x"])})
    both = align({"b": b, "a": a})
    assert both["a"].scores.tolist() == b.scores.tolist()
    assert both["a"].text_items.tolist() == ["y", "x"]


def test_the_right_items_follow_the_order_of_the_first_matrix():
    ids = {"items": np.array(["x", "y"])}
    a = ScoreMatrix(np.eye(2), np.array(["s", "t"]), **ids)
    b = ScoreMatrix(np.eye(2), np.array(["t", "s"]), **ids, text_items=np.array(["y", "x"]))
    assert align({"a": a, "b": b})["a"].text_items.tolist() == ["x", "y"]
