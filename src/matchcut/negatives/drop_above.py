"""Leaves out pairs above a fixed similarity."""

from dataclasses import KW_ONLY, dataclass
from typing import ClassVar

import torch
from torch import Tensor

from matchcut.negatives.evidence import Captions, Evidence, Kind, Of
from matchcut.negatives.pairs import PairTable
from matchcut.negatives.treatment import Treatment


@dataclass(frozen=True, repr=False)
class DropAbove(Treatment):
    """A pair (t, v) is no negative if its evidence S_tv is above a threshold: S_tv > threshold.

    Unlike `DropSimilar` it leaves out as many as there are: none in a batch of unrelated items.

    Args:
        evidence: its name.
        threshold: in the units of the similarity; for the cosine from -1 to 1.
        kind: "cosine" or "dot".
        of: where the evidence is: "text", "item", "scores"; None: wherever the name is.
        captions: with several captions an item: "best" or "mean".

    >>> table = PairTable.from_ids(text_items=torch.arange(2), items=torch.arange(2))
    >>> evidence = Evidence(text={"bert": torch.tensor([[1.0, 0.0], [0.9, 0.1]])})
    >>> DropAbove("bert", threshold=0.8)(table, evidence, torch.zeros(2, 2)).negative.any()
    tensor(False)
    """

    name: ClassVar[str] = "drop_above"
    evidence: str
    _: KW_ONLY
    threshold: float
    kind: Kind = "cosine"
    of: Of | None = None
    captions: Captions = "best"

    def __post_init__(self) -> None:
        if self.kind == "cosine" and self.of != "scores" and not -1 <= self.threshold <= 1:
            raise ValueError(
                f"threshold must be from -1 to 1 for a cosine, got {self.threshold}; for stored scores say of='scores'"
            )

    @property
    def pairwise(self) -> bool:
        return True

    @torch.no_grad()
    def __call__(self, table: PairTable, evidence: Evidence, scores: Tensor) -> PairTable:
        similarity = evidence.similarity(self.evidence, self.kind, of=self.of, captions=self.captions)
        return table.leave_out(similarity > self.threshold)
