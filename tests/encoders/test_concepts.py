import pytest

from matchcut.encoders.concepts import concept_labels, frequent_concepts

LEMMAS = {"dogs": "dog", "dog": "dog", "runs": "run", "run": "run", "red": "red"}.get
ITEMS = [[["a", "dog", "runs"], ["dogs", "run"], ["red", "dog"]], [["a", "cat"]], []]


def test_concepts_are_the_most_frequent_lemmas():
    captions = [caption for item in ITEMS for caption in item]
    assert frequent_concepts(captions, LEMMAS) == ("dog", "run", "red")
    assert frequent_concepts(captions, LEMMAS, size=1) == ("dog",)


def test_labels_are_shares_of_the_largest_count():
    labels = concept_labels(ITEMS, ("run", "dog", "red"), LEMMAS)
    assert labels[0].tolist() == pytest.approx([2 / 3, 1, 0])
    assert not labels[1:].any()
    assert concept_labels(ITEMS, ("red",), LEMMAS, threshold=0)[0].tolist() == [1]
    assert concept_labels(ITEMS, ("run", "dog", "red"), LEMMAS, threshold=0)[0].tolist() == pytest.approx(
        [2 / 3, 1, 1 / 3]
    )
    assert concept_labels([], ("a",), LEMMAS).shape == (0, 1)


def test_wrong_numbers_are_named():
    with pytest.raises(ValueError, match="at least 1, got 0"):
        frequent_concepts([], LEMMAS, size=0)
    with pytest.raises(ValueError, match="0 or more, got -1"):
        concept_labels([], (), LEMMAS, threshold=-1)
