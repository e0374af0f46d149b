"""Batches of an epoch: random, each caption once, and on demand without two captions of one item."""

import itertools
from collections import Counter

import pytest
import torch

from matchcut.errors import MatchcutError
from matchcut.training.batches import Batches


def owners(*counts):
    return torch.tensor([item for item, count in enumerate(counts) for _ in range(count)], dtype=torch.int64)


def test_plain_batches_are_slices_of_one_random_order():
    owner = owners(3, 3, 3, 2)
    found = Batches(owner, count=9, size=4, seed=2).epoch(3)
    order = torch.randperm(11, generator=torch.Generator().manual_seed(2 * 1_000_003 + 3))
    assert [batch.tolist() for batch in found] == [order[:4].tolist(), order[4:8].tolist()]


@pytest.mark.parametrize(
    ("counts", "size"),
    [((5,) * 40, 7), ((5,) * 40, 40), ((1,) * 9, 3), ((2,) * 3, 3), ((20, *(1,) * 60), 8), ((9, 1, 4, 4, 2, 2), 4)],
)
def test_no_batch_holds_two_captions_of_one_item(counts, size):
    owner = owners(*counts)
    batches = Batches(owner, count=len(owner), size=size, distinct_items=True)
    for epoch in range(5):
        found = batches.epoch(epoch)
        assert len(found) == batches.steps
        assert [len(batch) for batch in found] == [size] * len(found)
        taken = torch.cat(found)
        assert len(taken.unique()) == len(taken)
        for batch in found:
            assert len(owner[batch].unique()) == size


def test_as_many_batches_as_the_captions_allow():
    """All ways to spread captions over a few items, against a count by trial; refused where items are too few."""
    for counts in itertools.product(range(1, 5), repeat=4):
        owner = owners(*counts)
        for size in (2, 3, 4):
            fits = [n for n in range(1, len(owner) // size + 1) if sum(min(c, n) for c in counts) >= n * size]
            batches = Batches(owner, count=len(owner), size=size, distinct_items=True)
            assert len(batches.epoch(0)) == max(fits) == batches.steps
            for batch in batches.epoch(0):
                assert len(owner[batch].unique()) == len(batch) == size
    with pytest.raises(MatchcutError, match=r"training.distinct_items: 4 items are too few for batches of 5"):
        Batches(owners(5, 5, 5, 5), count=20, size=5, distinct_items=True)


def test_the_same_seed_and_epoch_give_the_same_batches():
    def made(seed, epoch):
        batches = Batches(owners(*(5,) * 20), count=60, size=8, seed=seed, distinct_items=True)
        return [batch.tolist() for batch in batches.epoch(epoch)]

    assert made(1, 2) == made(1, 2)
    assert made(1, 2) != made(1, 3)
    assert made(1, 2) != made(2, 2)


def test_captions_and_companions_are_random():
    """Which captions are taken, and with which items an item shares a batch, follow no pattern."""
    owner = owners(*(4,) * 30)
    taken, together = Counter(), Counter()
    batches = Batches(owner, count=60, size=6, distinct_items=True)
    for epoch in range(300):
        found = batches.epoch(epoch)
        taken.update(torch.cat(found).tolist())
        for batch in found:
            together.update(itertools.combinations(sorted(owner[batch].tolist()), 2))
    assert len(taken) == 120
    assert max(abs(count - 150) for count in taken.values()) < 50
    expected = 300 * 10 * 15 / (30 * 29 / 2)  # pairs a batch over all pairs of items
    assert len(together) == 30 * 29 // 2
    assert max(abs(count - expected) for count in together.values()) < 50
