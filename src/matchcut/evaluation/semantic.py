"""Graded relevance from captions that say the same, and nDCG against it (Wray, Doughty, Damen 2021)."""

from collections.abc import Collection, Sequence
from typing import Any

import numpy as np

from matchcut.evaluation.arrays import to_numpy
from matchcut.evaluation.graded import ndcg
from matchcut.evaluation.ranks import Floats, Ties


def bag_of_words_relevance(
    texts: Sequence[str], others: Sequence[str], *, stop_words: Collection[str] | None = None
) -> Floats:
    """Intersection over union of the captions' word sets, float64 [texts, others].

    Words are what stands between spaces, without lower-casing or punctuation removal (reference code:
    Semantic-Video-Retrieval). Two empty sets have relevance 0.

    Args:
        stop_words: left out of the sets. None takes scikit-learn's English list. The published numbers use spaCy's
            default
            list: pass `spacy.lang.en.stop_words.STOP_WORDS` to compare with them.

    >>> bag_of_words_relevance(["a dog runs"], ["the dog sleeps"])  # {dog, runs} and {dog, sleeps}
    array([[0.33333333]])
    """
    if stop_words is None:
        from sklearn.feature_extraction.text import ENGLISH_STOP_WORDS

        stop_words = ENGLISH_STOP_WORDS
    skip = set(stop_words)
    return set_relevance(*([set(t.split()) - skip for t in side] for side in (texts, others)))


def parts_of_speech_relevance(
    verbs: Sequence[Collection[str]],
    nouns: Sequence[Collection[str]],
    other_verbs: Sequence[Collection[str]],
    other_nouns: Sequence[Collection[str]],
) -> Floats:
    """Mean of the intersections over union of verb sets and of noun sets, float64 [texts, others].

    The sets come from any tagger; the published numbers use spaCy's `en_core_web_lg`, tokens tagged VERB and NOUN,
    surface text, not lemmas (reference code: Semantic-Video-Retrieval).

    >>> parts_of_speech_relevance([{"cut"}], [{"onion", "knife"}], [{"cut"}], [{"onion", "board"}])
    array([[0.66666667]])
    """
    return (set_relevance(verbs, other_verbs) + set_relevance(nouns, other_nouns)) / 2


def set_relevance(sets: Sequence[Collection[str]], others: Sequence[Collection[str]]) -> Floats:
    """Intersection over union of every pair of sets, float64 [sets, others]; 0 for two empty sets.

    >>> set_relevance([{"a", "b"}, set()], [{"b", "c"}, set()])
    array([[0.33333333, 0.        ],
           [0.        , 0.        ]])
    """
    words = sorted({w for side in (sets, others) for s in side for w in s})
    code = {w: i for i, w in enumerate(words)}
    from scipy.sparse import csr_array

    left, right = (
        csr_array(
            (
                np.ones(sum(map(len, map(set, side)))),
                [code[w] for s in side for w in sorted(set(s))],
                np.cumsum([0, *(len(set(s)) for s in side)]),
            ),
            shape=(len(side), max(1, len(words))),
        )
        for side in (sets, others)
    )
    both = (left @ right.T).toarray()
    union = left.sum(axis=1)[:, None] + right.sum(axis=1)[None, :] - both
    return np.asarray(both / np.maximum(union, 1), dtype=np.float64)


def semantic_ndcg(scores: Any, relevance: Any, *, ties: Ties = "expected") -> tuple[float, float, float]:
    """Semantic nDCG: text to item, item to text, and their mean (the number that is published), in percent.

    For every query only the first R ranks count, R = number of items with relevance above 0 (`nDCG@R`). A query to
    which nothing is relevant counts 0, as in the relevance-margin fork; the original gives NaN.

    Args:
        scores, relevance: [texts, items]; relevance in 0 ... 1.

    >>> semantic_ndcg([[0.9, 0.1], [0.2, 0.8]], [[1.0, 0.5], [0.5, 1.0]])
    (100.0, 100.0, 100.0)
    """
    matrix, graded = to_numpy(scores), to_numpy(relevance)
    ways = [
        float(np.nan_to_num(ndcg(s, g, cutoff="R", ties=ties)).mean() * 100)
        for s, g in ((matrix, graded), (matrix.T, graded.T))
    ]
    return ways[0], ways[1], sum(ways) / 2
