"""Captions as words: cleaning, numbers, bags of words, and words aligned with word pieces."""

import re
from collections.abc import Callable, Iterable, Sequence

import numpy as np
from numpy.typing import NDArray

from matchcut.encoders.vocabulary import END, START, Vocabulary

_OTHER = re.compile("[^A-Za-z0-9]")


def clean(caption: str) -> list[str]:
    """Words of a caption: every character outside A-Z, a-z, 0-9 becomes a space, then lower case.

    Source: reference code `danieljf24/dual_encoding`.

    >>> clean("A dog's ball, 2nd throw!")
    ['a', 'dog', 's', 'ball', '2nd', 'throw']
    """
    return _OTHER.sub(" ", caption).lower().split()


def join_pieces(pieces: Sequence[str]) -> list[str]:
    """Whole words from word pieces, each written once for each of its pieces, so that both sequences are as long.

    Source: reference code `bmezaris/AVS_dual_encoding_attention_network`. A piece that continues a word begins "##".

    >>> join_pieces(["he", "snow", "##board", "##s"])
    ['he', 'snowboards', 'snowboards', 'snowboards']
    """
    words: list[list[str]] = []
    for piece in pieces:
        if piece.startswith("##") and words:
            words[-1].append(piece[2:])
        else:
            words.append([piece])
    return [word for parts in words for word in ["".join(parts)] * len(parts)]


def aligned_words(caption: str, split: Callable[[str], Sequence[str]]) -> list[str]:
    """Words of a cleaned caption, one for each of its word pieces.

    split: the tokenizer's word pieces of a text, without [CLS] and [SEP]; with them, the pieces are as many as the
    numbers of `word_numbers`, whose `<start>` and `<end>` stand beside them.

    >>> aligned_words("Snowboards!", lambda text: ["snow", "##board", "##s"])
    ['snowboards', 'snowboards', 'snowboards']
    """
    return join_pieces(split(" ".join(clean(caption))))


def word_numbers(
    captions: Iterable[Sequence[str]], vocabulary: Vocabulary
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Captions as `<start> words <end>` by number: all values one after the other, and the length of each.

    captions: each as a list of words. vocabulary: one with the special words.

    >>> values, lengths = word_numbers([["a", "dog"], []], Vocabulary.build([["a"]], threshold=1))
    >>> values.tolist(), lengths.tolist()
    ([1, 4, 3, 2, 1, 2], [4, 2])
    """
    if not vocabulary.special:
        raise ValueError(
            f"sequences need a vocabulary that begins with {START} and the like, got {len(vocabulary)} words"
        )
    numbers = [vocabulary.numbers([START, *words, END]) for words in captions]
    lengths = np.array([len(n) for n in numbers], dtype=np.int64)
    return np.array([n for caption in numbers for n in caption], dtype=np.int64), lengths


def bag_of_words(captions: Sequence[Sequence[str]], vocabulary: Vocabulary) -> NDArray[np.float32]:
    """How often each word of the vocabulary occurs in each caption, float32 [captions, words]; no norm, no weights.

    captions: each as a list of words. Public code counts a word once for each of its pieces where it aligns words
    with pieces; give the lists of `aligned_words` for that, those of `clean` otherwise.

    >>> bag_of_words([["a", "a", "dog"]], Vocabulary.build([["a", "dog"]], threshold=1, special=False))
    array([[2., 1.]], dtype=float32)
    """
    bags = np.zeros((len(captions), len(vocabulary)), dtype=np.float32)
    for bag, words in zip(bags, captions, strict=True):
        np.add.at(bag, [n for word in words if word in vocabulary for n in vocabulary.numbers([word])], 1)
    return bags
