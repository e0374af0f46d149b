"""The item embeddings of earlier steps, as further negatives of a step."""

from dataclasses import dataclass, field

import torch
from torch import Tensor

from matchcut.negatives import Memory, PairTable


@dataclass
class CaptionQueue:
    """A `Memory` of items in which each entry also knows the caption that it came with, for evidence.

    memory: the embeddings, under the items' positions. captions: int64, the captions' positions in the same order.

    >>> queue = CaptionQueue(Memory(size=2))
    >>> queue.add(torch.ones(3, 4), items=torch.tensor([5, 6, 7]), captions=torch.tensor([50, 60, 70]))
    >>> queue.columns(torch.tensor([6]), torch.tensor([61]))
    (tensor([6, 5, 6]), tensor([61, 50, 60]))
    """

    memory: Memory
    captions: Tensor = field(default_factory=lambda: torch.empty(0, dtype=torch.int64))

    def columns(self, items: Tensor, captions: Tensor) -> tuple[Tensor, Tensor]:
        """The batch's items and captions [B], followed by those of the queue, on the CPU."""
        return torch.cat([items, self.memory.ids.cpu()]), torch.cat([captions, self.captions])

    def extend(self, vectors: Tensor, items: Tensor) -> Tensor:
        """The batch's embeddings [B, d], followed by those of the queue."""
        return self.memory.extend(vectors, items)[0]

    def table(self, items: Tensor) -> PairTable:
        """The table of the batch's captions with its items [B] and the queue's."""
        return self.memory.table(text_items=items, items=items)

    def add(self, vectors: Tensor, *, items: Tensor, captions: Tensor) -> None:
        """Put the batch into the queue."""
        self.memory.add(vectors, items)
        self.captions = torch.cat([captions, self.captions])[: self.memory.size]

    def state(self) -> dict[str, Tensor]:
        """The tensors it consists of."""
        if self.memory.vectors is None:
            return {}
        return {"vectors": self.memory.vectors, "items": self.memory.ids, "captions": self.captions}

    def load(self, state: dict[str, Tensor]) -> None:
        """Take over what `state` gave."""
        if state:
            self.memory.vectors, self.memory.ids, self.captions = (state[k] for k in ("vectors", "items", "captions"))
