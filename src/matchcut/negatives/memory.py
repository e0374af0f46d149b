"""A queue of earlier embeddings: more negatives than the batch holds."""

import torch
from torch import Tensor

from matchcut.negatives.pairs import PairTable


class Memory:
    """The embeddings of earlier batches, as further columns whose pairs are negatives, never of the same item.

    X. Wang et al., "Cross-Batch Memory for Embedding Learning", CVPR 2020 (paper), with ids: an entry of the same
    item as a text is left out, being neither a fresh positive nor a negative. Of the embeddings no gradient is kept.

    A memory has a state, so it is no treatment in an objective; it stands in the training loop. For a queue of texts
    swap the roles and use `table.T`.

    Args:
        size: how many entries it holds, the oldest leave first.

    >>> memory = Memory(size=4)
    >>> memory.add(torch.ones(2, 8), torch.tensor([1, 2]))
    >>> items, ids = memory.extend(torch.zeros(2, 8), torch.tensor([1, 5]))
    >>> items.shape, ids.tolist()
    (torch.Size([4, 8]), [1, 5, 1, 2])
    >>> table = memory.table(text_items=torch.tensor([1, 5]), items=torch.tensor([1, 5]))
    >>> table.positive.int().tolist(), table.negative.int().tolist()
    ([[1, 0, 0, 0], [0, 1, 0, 0]], [[0, 1, 0, 1], [1, 0, 1, 1]])
    """

    def __init__(self, *, size: int) -> None:
        if size < 1:
            raise ValueError(f"size must be at least 1, got {size}; some thousands are usual")
        self.size = size
        self.vectors: Tensor | None = None
        self.ids = torch.empty(0, dtype=torch.int64)

    def __len__(self) -> int:
        return len(self.ids)

    def __repr__(self) -> str:
        return f"Memory(size={self.size})"

    def add(self, vectors: Tensor, ids: Tensor) -> None:
        """Put embeddings [N, d] with their item ids [N] into the queue."""
        vectors, ids = self.extend(vectors.detach(), ids)
        self.vectors, self.ids = vectors[: self.size].clone(), ids[: self.size].clone()

    def extend(self, vectors: Tensor, ids: Tensor) -> tuple[Tensor, Tensor]:
        """The batch's embeddings [N, d] and ids [N], followed by those of the queue, newest first."""
        if len(vectors) != len(ids):
            raise ValueError(f"there are {len(vectors)} embeddings and {len(ids)} ids")
        if self.vectors is None:
            return vectors, ids
        return torch.cat([vectors, self.vectors.to(vectors)]), torch.cat([ids, self.ids.to(ids.device)])

    def table(self, *, text_items: Tensor, items: Tensor) -> PairTable:
        """The table of the batch's texts [T] with the batch's items [V] and the queue: [T, V + len(memory)]."""
        queue = self.ids.to(items.device)
        paired = torch.equal(text_items, items)
        table = PairTable.from_ids(text_items=text_items, items=torch.cat([items, queue]), paired=paired)
        earlier = torch.arange(len(items) + len(queue), device=items.device) >= len(items)
        return table.assign(table.positive & earlier, "left_out")
