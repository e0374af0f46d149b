import numpy as np
import pytest

from matchcut.encoders.svd import svd_vectors

TEXTS = ["A dog runs!", "the dogs are running", "two boats sail", "a boat is sailing away", "he is the of"]


def test_dot_products_at_full_rank_are_those_of_tfidf():
    """Stems run, dog, boat, sail, away: with all components the SVD loses nothing."""
    vectors = svd_vectors([*TEXTS, "red tulips", "green grass grows"])
    assert vectors.dtype == np.float32
    similarity = vectors @ vectors.T
    assert similarity[0, 1] == pytest.approx(1.0, abs=1e-5)  # the same two stems
    assert similarity[0, 2] == pytest.approx(0.0, abs=1e-5)
    # boat and sail are in 2 of 7 documents: idf = ln(8 / 3) + 1; away in 1: ln(8 / 2) + 1
    common, rare = np.log(8 / 3) + 1, np.log(8 / 2) + 1
    expected = 2 * common**2 / (np.sqrt(2) * common * np.sqrt(2 * common**2 + rare**2))
    assert similarity[2, 3] == pytest.approx(expected, abs=1e-4)


def test_a_caption_without_content_words_is_zero():
    assert not svd_vectors(TEXTS)[4].any()


def test_the_seed_does_not_matter_for_dot_products():
    first, second = svd_vectors(TEXTS, components=4), svd_vectors(TEXTS, components=4, seed=1)
    np.testing.assert_allclose(first @ first.T, second @ second.T, atol=1e-4)


@pytest.mark.parametrize("texts", [[], ["one dog"], ["of the", "is a"], ["dog", "dog"]])
def test_too_little_is_said(texts):
    with pytest.raises(ValueError, match="LSEH need"):
        svd_vectors(texts)
