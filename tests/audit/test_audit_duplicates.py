from dataclasses import replace

import numpy as np
import pytest
from audit_content import random_content

from matchcut.audit import duplicates
from matchcut.audit.duplicates import exact_duplicates, near_duplicates


def naive(content, threshold):
    """Best caption of another item by two loops, and how many are above the threshold."""
    found = []
    for i, a in enumerate(content.vectors):
        scores = [(float(a @ b), j) for j, b in enumerate(content.vectors) if content.owner[i] != content.owner[j]]
        best = max(scores)
        found.append((best[0], best[1], sum(s >= threshold for s, _ in scores)))
    return [list(column) for column in zip(*found, strict=True)]


@pytest.mark.parametrize("block", [(512, 16_384), (3, 5), (1, 1)])
def test_near_duplicates_are_those_of_two_loops_in_any_blocks(monkeypatch, block):
    monkeypatch.setattr(duplicates, "ROWS", block[0])
    monkeypatch.setattr(duplicates, "COLUMNS", block[1])
    content = random_content()
    similarity, nearest, above = naive(content, 0.5)
    found = near_duplicates(content, threshold=0.5)
    assert found.similarity == pytest.approx(similarity, abs=1e-6)
    assert found.nearest.tolist() == nearest
    assert found.above.tolist() == above
    assert sum(above) > 0


def test_a_sample_of_queries_is_compared_with_all():
    content = random_content()
    whole, some = near_duplicates(content), near_duplicates(content, queries=5, seed=3)
    assert len(set(some.queries.tolist())) == 5
    assert some.nearest.tolist() == whole.nearest[some.queries].tolist()
    with pytest.raises(ValueError, match="queries must be at least 1, got 0"):
        near_duplicates(content, queries=0)


def test_the_same_words_at_other_items_count_and_at_the_same_item_do_not():
    content = random_content(4)
    texts = [f"unlike {n}" for n in range(len(content.texts))]
    several = int(np.flatnonzero(content.counts > 1)[0])
    mine = content.first[several]
    texts[mine] = texts[mine + 1] = "A dog, running ."
    assert exact_duplicates(replace(content, texts=texts)).groups == []
    other = content.first[(several + 1) % 4]
    texts[other] = "a  DOG running"
    found = exact_duplicates(replace(content, texts=texts))
    assert [sorted(group) for group in found.groups] == [sorted([mine, other])]
    assert (found.captions, found.items) == (3, 2)
