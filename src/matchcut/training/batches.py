"""Which captions make the batches of an epoch."""

from bisect import bisect_left
from dataclasses import dataclass

import torch
from torch import Tensor

from matchcut.errors import MatchcutError


@dataclass(frozen=True)
class Batches:
    """Captions in random order, cut into batches; each at most once an epoch. What does not fill a batch is left over.

    With `distinct_items` no batch holds two captions of one item: such pairs are negatives of each other in most
    losses, and a comment in the reference code of LSEH says that it is sensitive to them. Items are taken in random
    order and their captions dealt to the batches that have the most room, chance deciding between equals.

    Args:
        owner: int64 [T], the item of each caption.
        count: captions an epoch, at most T; where they are fewer, others are drawn for each.
        size: of a batch.

    Raises:
        MatchcutError: with `distinct_items`, if there are fewer items than a batch holds.

    >>> batches = Batches(torch.tensor([0, 0, 1, 1, 2, 2]), count=6, size=3, distinct_items=True)
    >>> [batches.owner[index].sort().values.tolist() for index in batches.epoch(0)]
    [[0, 1, 2], [0, 1, 2]]
    """

    owner: Tensor
    count: int
    size: int
    seed: int = 0
    distinct_items: bool = False

    def __post_init__(self) -> None:
        items = int((torch.bincount(self.owner) > 0).sum())
        if self.distinct_items and items < self.size:
            raise MatchcutError(
                f"training.distinct_items: {items:,} items are too few for batches of {self.size} without two captions "
                f"of one item; give a smaller training.batch_size"
            )

    @property
    def steps(self) -> int:
        """How many batches an epoch has. With distinct items not all captions may fit: an item gives one to each batch.

        >>> owner = torch.tensor([0, 0, 0, 0, 1, 2])
        >>> [Batches(owner, count=6, size=2, distinct_items=distinct).steps for distinct in (False, True)]
        [3, 2]
        """
        most = self.count // self.size
        if not self.distinct_items:
            return most
        captions = torch.bincount(self.owner)
        # What n batches can take falls behind n * size for good once it does.
        return bisect_left(range(1, most + 1), True, key=lambda n: int(captions.clamp(max=n).sum()) < n * self.size)

    def epoch(self, epoch: int) -> list[Tensor]:
        """The batches of an epoch, int64 [size] each; the same for the same seed."""
        generator = torch.Generator().manual_seed(1_000_003 * self.seed + epoch)
        order = torch.randperm(len(self.owner), generator=generator)
        steps = self.steps
        if not self.distinct_items:
            return [order[k * self.size : (k + 1) * self.size] for k in range(steps)]
        dealt: list[list[int]] = [[] for _ in range(steps)]
        deck: list[int] = []  # batches whose turn is still to come in this round
        for captions in self._by_item(order, steps):
            hand = [deck.pop() for _ in range(min(len(captions), len(deck)))]
            if len(hand) < len(captions):  # each batch has had its turn
                deck = torch.randperm(steps, generator=generator).tolist()
                more = [batch for batch in deck if batch not in hand][: len(captions) - len(hand)]
                deck = [batch for batch in deck if batch not in more]
                hand += more
            for batch, caption in zip(hand, captions, strict=True):
                dealt[batch].append(caption)
        return [torch.tensor(batch) for batch in dealt]

    def _by_item(self, order: Tensor, steps: int) -> list[list[int]]:
        """The first captions that fill all batches, item by item, without those that an item has beyond one a batch."""
        owner, found, taken = self.owner.tolist(), dict[int, list[int]](), 0
        for caption in order.tolist():
            mine = found.setdefault(owner[caption], [])
            if taken < steps * self.size and len(mine) < steps:
                mine.append(caption)
                taken += 1
        return list(found.values())
