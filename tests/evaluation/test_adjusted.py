import numpy as np
import pytest

from matchcut.evaluation import retrieval_metrics
from matchcut.evaluation.adjusted import dsl, qb_norm

RNG = np.random.default_rng(0)


def order(matrix):
    return np.argsort(-matrix, axis=1, kind="stable").tolist()


def naive_dsl(scores, scale, axis):
    share = np.exp(scale * scores)
    return scores * share / share.sum(axis=axis, keepdims=True)


@pytest.mark.parametrize("scale", [1.0, 20.0])
def test_dsl_orders_as_the_product_does(scale):
    scores = RNG.uniform(-1, 1, size=(12, 9))
    adjusted = dsl(scores, scale=scale)
    assert order(adjusted.text_to_item) == order(naive_dsl(scores, scale, 0))
    assert order(adjusted.item_to_text.T) == order(naive_dsl(scores, scale, 1).T)


def test_dsl_does_not_underflow():
    # softmax shares of exp(-2000) are 0 in every float, and zeros would tie
    scores = np.array([[20.0, 1.0, 2.0], [40.0, 21.0, 22.0]])
    adjusted = dsl(scores, scale=100.0).text_to_item
    assert len(np.unique(adjusted[0])) == 3
    assert np.isfinite(adjusted).all()
    assert np.abs(adjusted).max() <= 1


def test_dsl_keeps_zero_between_negative_and_positive():
    adjusted = dsl(np.array([[-0.5, 0.0, 0.5]])).text_to_item[0]
    assert adjusted[0] < adjusted[1] == 0 < adjusted[2]
    assert not dsl(np.zeros((2, 2))).text_to_item.any()


def test_dsl_on_the_shared_matrix_in_place_of_the_underflowing_number(shared_data):
    scores = np.load(shared_data / "similarity" / "msrvtt_1ka_clip_vitb16_text_by_video.npy")
    ids = np.arange(1000)
    m = retrieval_metrics(dsl(scores, scale=100), ids, ids)
    wide = 100 * scores.astype(np.longdouble)  # 80-bit floats have the range that float32 lacks
    product = scores * (np.exp(wide - wide.max(axis=0)) / np.exp(wide - wide.max(axis=0)).sum(axis=0))
    ranks = 1 + (product > np.diag(product)[:, None]).sum(axis=1)
    assert m.text_to_item.recall == pytest.approx({k: 100 * np.mean(ranks <= k) for k in (1, 5, 10)})
    assert m.text_to_item.recall[1] == pytest.approx(49.4)
    assert "all test queries" in m.text_to_item.adjusted
    assert "all test queries" in m.item_to_text.adjusted


def naive_qb_norm(scores, bank, scale, k):
    hubs = {v for row in bank for v in np.argsort(-row)[:k]}
    out = scores.copy()
    for t, row in enumerate(scores):
        if np.argmax(row) in hubs:
            out[t] = [np.exp(scale * s) / np.exp(scale * bank[:, v]).sum() for v, s in enumerate(row)]
    return out


@pytest.mark.parametrize("k", [1, 3])
def test_qb_norm_orders_as_the_formula_does(k):
    scores, bank = RNG.uniform(-1, 1, size=(15, 8)), RNG.uniform(-1, 1, size=(4, 8))
    adjusted = qb_norm(scores, bank, k=k)
    assert order(adjusted.text_to_item) == order(naive_qb_norm(scores, bank, 20.0, k))


def test_qb_norm_marks_only_the_direction_it_changes():
    scores = RNG.normal(size=(6, 6))
    m = retrieval_metrics(qb_norm(scores, RNG.normal(size=(3, 6))), range(6), range(6))
    assert m.text_to_item.adjusted == "QB-Norm, needs a query bank"
    assert m.item_to_text.adjusted == ""
    assert m.item_to_text == retrieval_metrics(scores, range(6), range(6)).item_to_text


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: dsl(np.array([[0.0, np.nan]])), "row 0, column 1"),
        (lambda: dsl(np.array([[0.0, np.inf]])), "infinity"),
        (lambda: dsl(np.zeros((1, 1)), scale=0), "above 0, got 0"),
        (lambda: qb_norm(np.zeros((1, 1)), np.zeros((1, 1)), scale=-1), "above 0, got -1"),
        (lambda: qb_norm(np.zeros((1, 2)), np.zeros((1, 3))), r"\(1, 3\)"),
        (lambda: qb_norm(np.zeros((1, 2)), np.zeros((1, 2)), k=3), "between 1 and the 2 items, got 3"),
    ],
)
def test_wrong_arguments_are_named(call, message):
    with pytest.raises(ValueError, match=message):
        call()
