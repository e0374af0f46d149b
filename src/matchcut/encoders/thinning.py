"""Captions without some of their least telling words: an augmentation of the training captions."""

import random
import re
from collections import Counter
from collections.abc import Sequence

KEYWORDS = 200  # of a video (code)
LIGHT = 0.1  # words that weigh less may go (code)
MOST = 5  # of them (code)
IDF = 12.0  # of every word (reconstructed)


def thin(captions: Sequence[str], owner: Sequence[int], *, seed: int = 0) -> list[str]:
    """Leave out of each caption a random number of the words that say least of its video.

    The weight of a word is its share among the words of all captions of the video, stop words and single letters
    aside, times an inverse document frequency; it counts for the 200 heaviest words of a video, any other word weighs
    0. Of the five lightest words of a caption those below 0.1 are looked at, and a random number of them goes, from
    none to all, but no more than half of the words. The same seed thins alike.

    Source: the released port of DMAE (Jiang et al. 2023); whether the paper's authors did it is unknown. Its weights
    are those of jieba, which has no document frequencies of English words: here they are all 12 (reconstructed), as
    are scikit-learn's stop words. The port joins what is left without spaces, a mistake that is not repeated.

    Args:
        captions: n texts. owner: the video of each, n numbers.

    >>> thin(["a dog runs on the grass", "the dog barks"], [0, 0], seed=3)
    ['a dog runs on grass', 'the dog barks']
    """
    from sklearn.feature_extraction.text import ENGLISH_STOP_WORDS

    spoken: dict[int, Counter[str]] = {}
    for caption, video in zip(captions, owner, strict=True):
        counts = spoken.setdefault(video, Counter())
        counts.update(w for w in map(_plain, caption.split()) if len(w) > 1 and w not in ENGLISH_STOP_WORDS)
    weights = {
        video: {word: IDF * count / counts.total() for word, count in counts.most_common(KEYWORDS)}
        for video, counts in spoken.items()
    }
    drawn = random.Random(seed)
    return [_thinned(caption, weights[video], drawn) for caption, video in zip(captions, owner, strict=True)]


def _thinned(caption: str, weights: dict[str, float], drawn: random.Random) -> str:
    words = caption.split()
    heavy = [weights.get(_plain(word), 0.0) for word in words]
    lightest = sorted(range(len(words)), key=heavy.__getitem__)[:MOST]
    light = [position for position in lightest if heavy[position] < LIGHT]
    gone = drawn.sample(light, drawn.randint(0, min(len(light), len(words) // 2)))
    return " ".join(word for position, word in enumerate(words) if position not in gone)


def _plain(word: str) -> str:
    return re.sub(r"^\W+|\W+$", "", word).lower()
