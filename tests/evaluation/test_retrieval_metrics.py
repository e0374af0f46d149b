import json

import numpy as np
import pytest
import torch

import matchcut.evaluation.arrays as arrays
from matchcut.evaluation import retrieval_metrics
from matchcut.evaluation.tables import comparison_table, retrieval_table

RNG = np.random.default_rng(0)
TEXT_ITEMS = np.array(["a", "b", "a", "c", "b", "a", "c"])
ITEMS = np.array(["c", "a", "b", "distractor", "a"])  # "a" twice, one item without a text
SCORES = RNG.normal(size=(7, 5))


def naive(scores, right):
    """Ranks of the rows' best right column by counting, rows without one left out."""
    ranks = []
    for row, answers in zip(scores, right, strict=True):
        if answers.any():
            best = max(s for s, r in zip(row, answers, strict=True) if r)
            ranks.append(1 + sum(s > best for s in row))
    return np.array(ranks)


def check(direction, ranks):
    assert direction.recall == pytest.approx({k: 100 * np.mean(ranks <= k) for k in (1, 5, 10)})
    assert direction.median_rank == np.median(ranks)
    assert direction.mean_rank == pytest.approx(np.mean(ranks))
    assert direction.queries == len(ranks)


def test_unknown_choices_are_refused():
    with pytest.raises(ValueError, match="item_to_text must be one of captions, groups; got 'group'"):
        retrieval_metrics([[1.0]], ["a"], ["a"], item_to_text="group")
    with pytest.raises(ValueError, match="unanswerable must be one of error, skip; got 'ignore'"):
        retrieval_metrics([[1.0]], ["a"], ["a"], unanswerable="ignore")
    with pytest.raises(ValueError, match="scores must be real numbers, got complex128"):
        retrieval_metrics([[1j]], ["a"], ["a"])


def test_equals_the_naive_loops_in_both_directions():
    right = TEXT_ITEMS[:, None] == ITEMS[None, :]
    m = retrieval_metrics(SCORES, TEXT_ITEMS, ITEMS)
    check(m.text_to_item, naive(SCORES, right))
    check(m.item_to_text, naive(SCORES.T, right.T))
    assert m.item_to_text.unanswerable == 1
    assert m.rsum == pytest.approx(sum(m.text_to_item.recall.values()) + sum(m.item_to_text.recall.values()))
    assert retrieval_metrics(SCORES, relevance=right) == m


def test_by_hand():
    scores = np.array([[0.9, 0.8, 0.1], [0.3, 0.2, 0.4], [0.5, 0.6, 0.7]])
    m = retrieval_metrics(scores, [0, 1, 2], [0, 1, 2], ks=(1, 2))
    assert m.text_to_item.ranks.tolist() == [1, 3, 1]
    assert m.item_to_text.ranks.tolist() == [1, 3, 1]
    assert m.text_to_item.recall == pytest.approx({1: 200 / 3, 2: 200 / 3})
    assert m.text_to_item.mean_rank == pytest.approx(5 / 3)


def test_order_of_texts_and_items_does_not_matter():
    rows, columns = RNG.permutation(7), RNG.permutation(5)
    scores = np.round(SCORES)  # with ties
    shuffled = retrieval_metrics(scores[rows][:, columns], TEXT_ITEMS[rows], ITEMS[columns])
    assert shuffled.values() == pytest.approx(retrieval_metrics(scores, TEXT_ITEMS, ITEMS).values())


def test_repeating_every_item_keeps_text_ranks_among_distinct_scores():
    twice = retrieval_metrics(np.repeat(SCORES, 2, axis=1), TEXT_ITEMS, np.repeat(ITEMS, 2), ks=(1,))
    once = retrieval_metrics(SCORES, TEXT_ITEMS, ITEMS, ks=(1,))
    np.testing.assert_allclose(twice.text_to_item.ranks, 2 * once.text_to_item.ranks - 1)


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32, torch.float16, torch.bfloat16, torch.int64])
def test_dtypes_and_torch(dtype):
    whole = torch.from_numpy(RNG.permutation(35).reshape(7, 5)).to(dtype).requires_grad_(dtype.is_floating_point)
    assert retrieval_metrics(whole, TEXT_ITEMS, ITEMS) == retrieval_metrics(
        whole.detach().double().numpy(), TEXT_ITEMS, ITEMS
    )


def test_blocks_equal_the_whole(monkeypatch):
    scores = np.round(RNG.normal(size=(40, 30)), 1)
    texts, items = RNG.integers(0, 25, size=40), np.arange(30)
    whole = retrieval_metrics(scores, texts, items)
    monkeypatch.setattr(arrays, "BLOCK_CELLS", 64)
    assert retrieval_metrics(scores, texts, items).values() == whole.values()


@pytest.mark.parametrize("shape", [(1, 1), (1, 3), (3, 1)])
def test_tiny_matrices(shape):
    m = retrieval_metrics(np.zeros(shape), np.zeros(shape[0], int), np.zeros(shape[1], int))
    assert m.text_to_item.recall[1] == m.item_to_text.recall[1] == 100


def test_constant_scores_are_worth_chance():
    m = retrieval_metrics(np.zeros((20, 20)), np.arange(20), np.arange(20))
    assert m.text_to_item.recall == pytest.approx({1: 5, 5: 25, 10: 50})
    assert m.text_to_item.tied == 1


def test_groups_rank_items_and_captions_rank_captions():
    # Both captions of item 1 stand before those of item 0: two wrong captions, but one wrong group.
    scores = np.array([[0.5], [0.6], [0.9], [0.8]])
    texts, items = np.array([0, 0, 1, 1]), np.array([0])
    with pytest.raises(ValueError, match="2 of 4 texts"):
        retrieval_metrics(scores, texts, items)
    captions = retrieval_metrics(scores, texts, items, unanswerable="skip")
    groups = retrieval_metrics(scores, texts, items, unanswerable="skip", item_to_text="groups")
    assert captions.item_to_text.ranks.tolist() == [3]
    assert groups.item_to_text.ranks.tolist() == [2]


def test_groups_have_the_same_recall_at_one():
    scores, texts, items = RNG.normal(size=(60, 12)), RNG.integers(0, 12, size=60), np.arange(12)
    a = retrieval_metrics(scores, texts, items)
    b = retrieval_metrics(scores, texts, items, item_to_text="groups")
    assert a.item_to_text.recall[1] == b.item_to_text.recall[1]
    assert a.text_to_item == b.text_to_item


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"scores": np.where(np.arange(35).reshape(7, 5) == 13, np.nan, 1.0)}, "row 2, column 3"),
        ({"items": ITEMS[:4]}, "do not match 7 text_items and 4 items"),
        ({"scores": SCORES[0]}, "two dimensions"),
        ({"items": np.array(list("vwxyz"))}, "7 of 7 texts have no right item"),
        ({"ties": "random"}, "'random'"),
        ({"ks": (0,)}, "at least 1, got 0"),
        ({"items": None}, "either text_items and items, or relevance"),
        ({"text_items": None, "items": None, "relevance": np.ones((2, 2), bool)}, r"relevance has shape \(2, 2\)"),
    ],
)
def test_wrong_input_is_named(settings, message):
    with pytest.raises(ValueError, match=message):
        retrieval_metrics(**({"scores": SCORES, "text_items": TEXT_ITEMS, "items": ITEMS} | settings))


def test_nothing_to_measure():
    with pytest.raises(ValueError, match="no text has a right item"):
        retrieval_metrics(np.zeros((1, 1)), ["a"], ["b"], unanswerable="skip")


def test_results_become_json_and_tables():
    m = retrieval_metrics(np.zeros((3, 3)), [0, 1, 2], [0, 1, 2])
    assert json.loads(json.dumps(m.to_json()))["text_to_item"]["MdR"] == 2
    assert "tied" in retrieval_table({"model": m}).caption
    assert len(comparison_table([]).columns) == 5


def test_the_shared_clip_matrix(shared_data):
    scores = np.load(shared_data / "similarity" / "msrvtt_1ka_clip_vitb16_text_by_video.npy")
    ids = np.arange(1000)
    m = {t: retrieval_metrics(scores, ids, ids, ties=t) for t in ("expected", "optimistic", "pessimistic")}
    for rule in m:
        assert m[rule].text_to_item.recall == pytest.approx({1: 48.0, 5: 71.3, 10: 81.4})
        assert m[rule].text_to_item.median_rank == 2
    assert m["optimistic"].item_to_text.recall == pytest.approx({1: 46.9, 5: 74.9, 10: 83.7})
    assert m["pessimistic"].item_to_text.recall[1] == pytest.approx(46.5)
    assert m["expected"].item_to_text.recall[1] == pytest.approx(46.7)
