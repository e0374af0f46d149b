import numpy as np
import pytest
from audit_content import random_content

from matchcut.audit.content import Content
from matchcut.audit.distribution import Pairs, batch, left_out, random_pairs
from matchcut.audit.duplicates import exact_duplicates


def all_pairs(content):
    """The chance of each similarity of two captions of different items, by loops: (similarity, weight)."""
    rows = []
    for i, a in enumerate(content.vectors):
        for j, b in enumerate(content.vectors):
            if content.owner[i] != content.owner[j]:
                weight = 1 / content.counts[content.owner[i]] / content.counts[content.owner[j]]
                rows.append((float(a @ b), weight))
    return np.array(rows)


def test_random_pairs_are_of_different_items_and_follow_the_distribution():
    content = random_content(pictures=False)
    pairs = random_pairs(content, count=100_000)
    assert (content.owner[pairs.left] != content.owner[pairs.right]).all()
    similarity = (content.vectors[pairs.left] * content.vectors[pairs.right]).sum(axis=1)
    assert pairs.similarity == pytest.approx(similarity, abs=1e-6)
    assert (np.diff(pairs.similarity) >= 0).all()
    exact = all_pairs(content)
    for threshold in (0.0, 0.4, 0.7):
        share = exact[exact[:, 0] > threshold, 1].sum() / exact[:, 1].sum()
        assert pairs.share_above(threshold) == pytest.approx(share, abs=0.01)


def test_a_percentage_and_its_threshold_agree():
    pairs = Pairs(np.arange(1000), np.arange(1000), np.arange(1000, dtype=np.float32))
    assert pairs.share_above(pairs.threshold(5.0)) == pytest.approx(0.05)
    assert pairs.near(500.0, 2) == [(499, 499, 499.0), (500, 500, 500.0)]
    rows = left_out(pairs, percents=(1.0,), thresholds=(899.0,), size=101)
    assert [(row["setting"], round(row["share"], 6)) for row in rows] == [("1 %", 0.01), ("above 899", 0.1)]
    assert rows[1]["per_caption"] == pytest.approx(10.0)


def test_a_batch_of_all_items_with_one_caption_each_holds_exactly_its_pairs():
    several = random_content(8)
    vectors = several.vectors[several.first[:-1]]
    texts = ["same", "same", "same", *"abcde"]
    content = Content(several.items, texts, several.items, np.arange(8), vectors)
    above = sum(float(vectors[i] @ vectors[j]) > 0.3 for i in range(8) for j in range(i + 1, 8))
    assert above > 0
    pairs = random_pairs(content, count=200_000)
    found = batch(content, exact_duplicates(content), pairs, 8, threshold=0.3, batches=3)
    assert (found.pairs, found.exact, found.above, found.low, found.high) == (28, 3, above, above, above)
    assert found.expected == pytest.approx(above, rel=0.05)
    assert batch(content, exact_duplicates(content), pairs, 9, threshold=0.3) is None
