import json

import numpy as np
import pytest

from matchcut.encoders.vocabulary import Vocabulary
from matchcut.encoders.words import aligned_words, bag_of_words, clean, join_pieces, word_numbers
from matchcut.errors import MatchcutError

CAPTIONS = [clean(c) for c in ("A dog runs.", "A dog; a cat!", "the dog runs")]


def test_cleaning_keeps_letters_and_digits():
    assert clean("  Über 2 dogs-run_fast\n") == ["ber", "2", "dogs", "run", "fast"]
    assert clean("...") == []


def test_the_vocabulary_is_ordered_by_count_then_alphabet():
    vocabulary = Vocabulary.build(CAPTIONS, threshold=1)
    assert vocabulary.words == ("<pad>", "<start>", "<end>", "<unk>", "a", "dog", "runs", "cat", "the")
    assert Vocabulary.build(CAPTIONS, threshold=2, special=False).words == ("a", "dog", "runs")
    assert Vocabulary.build(reversed(CAPTIONS), threshold=1) == vocabulary


def test_numbers_of_unknown_words():
    assert Vocabulary.build(CAPTIONS, threshold=2).numbers(["a", "cat"]) == [4, 3]
    assert Vocabulary.build(CAPTIONS, threshold=2, special=False).numbers(["a", "cat"]) == [0]


def test_sequences_begin_and_end():
    vocabulary = Vocabulary.build(CAPTIONS, threshold=2)
    values, lengths = word_numbers(CAPTIONS, vocabulary)
    assert lengths.tolist() == [5, 6, 5]
    assert values[:5].tolist() == [1, *vocabulary.numbers(CAPTIONS[0]), 2]
    assert values.dtype == lengths.dtype == np.int64
    with pytest.raises(ValueError, match="begins with <start>"):
        word_numbers(CAPTIONS, Vocabulary.build(CAPTIONS, special=False))


def test_bags_count_words():
    vocabulary = Vocabulary.build(CAPTIONS, threshold=1, special=False)
    bags = bag_of_words(CAPTIONS, vocabulary)
    naive = [[caption.count(word) for word in vocabulary.words] for caption in CAPTIONS]
    assert bags.tolist() == naive
    with_special = bag_of_words([["zebra"]], Vocabulary.build(CAPTIONS, threshold=1))
    assert not with_special.any()


def test_words_are_written_once_for_each_piece():
    pieces = ["a", "snow", "##board", "##ing", "dog", "##s"]
    assert join_pieces(pieces) == ["a", *["snowboarding"] * 3, *["dogs"] * 2]
    assert len(join_pieces(pieces)) == len(pieces)
    assert join_pieces(["##s"]) == ["##s"]
    assert join_pieces([]) == []
    split = {"a snowboarding dogs": pieces}.__getitem__
    assert aligned_words("A snowboarding, dogs!", split) == join_pieces(pieces)


def test_a_vocabulary_comes_back_from_its_file(tmp_path):
    vocabulary = Vocabulary(("<pad>", "é", "dog"))
    path = tmp_path / "words.json"
    vocabulary.save(path)
    assert Vocabulary.load(path) == vocabulary
    assert not vocabulary.special
    assert json.loads(path.read_text(encoding="utf-8")) == {"words": ["<pad>", "é", "dog"]}


@pytest.mark.parametrize(
    ("content", "message"),
    [("{", "no JSON"), ("[]", "no list of words"), ('{"words": [1]}', "no list"), ('{"words": ["a", "a"]}', "2 times")],
)
def test_a_bad_file_is_named(tmp_path, content, message):
    path = tmp_path / "words.json"
    path.write_text(content, encoding="utf-8")
    with pytest.raises(MatchcutError, match=rf"words\.json: .*{message}"):
        Vocabulary.load(path)
    with pytest.raises(MatchcutError, match=r"no\.json: there is no such file"):
        Vocabulary.load(tmp_path / "no.json")


def test_wrong_threshold_is_named():
    with pytest.raises(ValueError, match="at least 1, got 0"):
        Vocabulary.build(CAPTIONS, threshold=0)
