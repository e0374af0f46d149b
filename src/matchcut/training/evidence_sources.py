"""Evidence that is more than one vector a caption or an item: all captions of an item, judgments, trained models."""

from dataclasses import dataclass

import torch
from scipy.sparse import csr_array
from torch import Tensor
from torch.nn import functional

from matchcut.collection import Collection
from matchcut.errors import MatchcutError
from matchcut.training.data import PairData
from matchcut.training.streams import ragged


@dataclass(frozen=True)
class CaptionsOfItems:
    """Which captions each of N items has: order int64 [T], the captions item by item; offsets int64 [N + 1]."""

    order: Tensor
    offsets: Tensor

    @classmethod
    def of(cls, owner: Tensor, items: int) -> "CaptionsOfItems":
        """From the position of each caption's item, int64 [T].

        >>> CaptionsOfItems.of(torch.tensor([1, 0, 1]), 3).of_items(torch.tensor([1, 2, 1]))
        (tensor([0, 2, 0, 2]), tensor([2, 0, 2]))
        """
        counts = torch.bincount(owner, minlength=items)
        return cls(owner.argsort(stable=True), functional.pad(counts.cumsum(0), (1, 0)))

    def of_items(self, items: Tensor) -> tuple[Tensor, Tensor]:
        """Captions of these items [V], one item after the other, int64 [sum of n], and how many each has, int64 [V]."""
        rows, lengths = ragged(self.offsets, items)
        return self.order[rows], lengths


@dataclass(frozen=True)
class Judged:
    """Human judgments of T captions with N items as relevances; a pair without a judgment counts 0."""

    relevance: csr_array  # float32 [T, N]

    @classmethod
    def load(cls, collection: Collection, data: PairData, source: str) -> "Judged":
        """Read one source; a caption's own item is relevant.

        Raises:
            MatchcutError: if the collection has no such judgments.
        """
        there = collection.judged()
        if source not in there:
            raise MatchcutError(f"{collection.root}: no judgments {source!r}; there is {', '.join(there) or 'none'}")
        caption = {key: i for i, key in enumerate(data.captions)}
        item = {key: i for i, key in enumerate(data.items)}
        found = {(t, int(v)): 1.0 for t, v in enumerate(data.owner)}
        for judgment in collection.judgments(source):
            if judgment.caption in caption and judgment.item in item:
                found.setdefault((caption[judgment.caption], item[judgment.item]), judgment.relevance)
        rows, columns = zip(*found, strict=True)
        shape = (len(caption), len(item))
        return cls(csr_array((list(found.values()), (rows, columns)), shape=shape, dtype="float32"))

    def batch(self, captions: Tensor, items: Tensor) -> Tensor:
        """Relevances of captions [T'] and items [V'], float32 [T', V']."""
        return torch.from_numpy(self.relevance[captions.numpy()][:, items.numpy()].toarray())


@dataclass(frozen=True)
class Teacher:
    """Scores of trained models as dot products: text [T, d], item [N, d]; of several models the mean score."""

    text: Tensor
    item: Tensor

    @classmethod
    def mean(cls, embeddings: list[tuple[Tensor, Tensor]]) -> "Teacher":
        """From each model's embeddings: a mean of dot products is a dot product of what they are put together to.

        >>> one, two = torch.ones(1, 1), 3 * torch.ones(1, 1)
        >>> mean = Teacher.mean([(one, one), (one, two)]).batch(torch.tensor([0]), torch.tensor([0]))
        >>> round(mean.item(), 4)
        2.0
        """
        share = len(embeddings) ** -0.5
        text = torch.cat([share * text for text, _ in embeddings], 1)
        return cls(text, torch.cat([share * item for _, item in embeddings], 1))

    def batch(self, captions: Tensor, items: Tensor) -> Tensor:
        """Scores of captions [T'] with items [V'], float32 [T', V']."""
        return self.text[captions] @ self.item[items].T
