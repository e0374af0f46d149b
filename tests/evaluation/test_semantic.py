import numpy as np
import pytest

from matchcut.evaluation.semantic import (
    bag_of_words_relevance,
    parts_of_speech_relevance,
    semantic_ndcg,
    set_relevance,
)

RNG = np.random.default_rng(0)


def naive(a, b):
    return len(a & b) / len(a | b) if a | b else 0.0


def test_set_relevance_equals_the_naive_loops():
    words = list("abcdef")
    sets = [set(RNG.choice(words, size=n)) for n in (0, 1, 2, 4, 6)]
    others = [set(RNG.choice(words, size=n)) for n in (3, 0, 2)]
    expected = [[naive(a, b) for b in others] for a in sets]
    np.testing.assert_allclose(set_relevance(sets, others), expected)
    np.testing.assert_allclose(set_relevance(others, sets), np.transpose(expected))


def test_bag_of_words_keeps_case_and_punctuation_and_drops_stop_words():
    found = bag_of_words_relevance(["the Dog runs.", "a dog"], ["dog runs"], stop_words={"the", "a"})
    np.testing.assert_allclose(found, [[0], [1 / 2]])
    assert bag_of_words_relevance(["the"], ["and"])[0, 0] == 0  # nothing is left of either


def test_parts_of_speech_by_hand():
    found = parts_of_speech_relevance([{"cut"}], [{"onion", "knife"}], [{"cut"}], [{"onion", "board"}])
    assert found[0, 0] == pytest.approx(2 / 3)


def test_semantic_ndcg_looks_only_at_as_many_ranks_as_are_relevant():
    # Both texts have one relevant item; it stands second for the first text.
    scores, relevance = np.array([[0.9, 0.8], [0.1, 0.2]]), np.array([[0.0, 1.0], [0.0, 0.5]])
    text_to_item, item_to_text, mean = semantic_ndcg(scores, relevance)
    assert text_to_item == pytest.approx(50)
    assert item_to_text == pytest.approx(50)  # item 0 has nothing relevant and counts 0; item 1 is in order
    assert mean == pytest.approx(50)


def test_semantic_ndcg_of_the_relevance_itself_is_perfect():
    relevance = RNG.random((6, 6))
    assert semantic_ndcg(relevance, relevance) == pytest.approx((100, 100, 100))
