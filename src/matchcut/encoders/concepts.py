"""Concepts of captions: the frequent words that the hybrid space learns to predict."""

from collections import Counter
from collections.abc import Callable, Iterable, Sequence

import numpy as np
from numpy.typing import NDArray

Lemma = Callable[[str], str | None]
"""The concept a word stands for, such as its lemma, or none for stop words and words of other kinds."""


def frequent_concepts(captions: Iterable[Sequence[str]], lemma: Lemma, *, size: int = 512) -> tuple[str, ...]:
    """The most frequent concepts of the training captions, equals by the alphabet.

    Source: Dong et al., TPAMI 2021, reference code `danieljf24/hybrid_space`: the 512 most frequent lemmatised nouns,
    verbs and adjectives that are no stop words.

    captions: each as a list of words.

    >>> frequent_concepts([["two", "dogs"], ["a", "dog", "runs"]], {"dogs": "dog", "dog": "dog", "runs": "run"}.get)
    ('dog', 'run')
    """
    if size < 1:
        raise ValueError(f"size must be at least 1, got {size}")
    counts = Counter(concept for caption in captions for concept in map(lemma, caption) if concept is not None)
    return tuple(sorted(counts, key=lambda concept: (-counts[concept], concept))[:size])


def concept_labels(
    items: Iterable[Iterable[Sequence[str]]], concepts: Sequence[str], lemma: Lemma, *, threshold: int = 1
) -> NDArray[np.float32]:
    """How strongly each item shows each concept, float32 [items, concepts] in [0, 1].

    Formula: count over the item's captions / largest such count of the item, for concepts that occur more than
    `threshold` times. Source: as `frequent_concepts`; the source sets the threshold to 0 for TGIF.

    items: for each item its captions, each as a list of words.

    >>> captions = [["dog", "runs"], ["dog", "dog", "runs"], ["cat"]]
    >>> concept_labels([captions], ("dog", "runs", "cat"), str)
    array([[1.       , 0.6666667, 0.       ]], dtype=float32)
    """
    if threshold < 0:
        raise ValueError(f"threshold must be 0 or more, got {threshold}")
    column = {concept: i for i, concept in enumerate(concepts)}
    rows = []
    for captions in items:
        row = np.zeros(len(column), dtype=np.float32)
        counts = Counter(concept for caption in captions for concept in map(lemma, caption) if concept in column)
        for concept, count in counts.items():
            if count > threshold and concept is not None:
                row[column[concept]] = count / max(counts.values())
        rows.append(row)
    return np.stack(rows) if rows else np.zeros((0, len(column)), dtype=np.float32)
