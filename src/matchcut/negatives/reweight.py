"""The soft way: the more similar a negative, the less it counts."""

from dataclasses import KW_ONLY, dataclass
from typing import ClassVar

import torch
from torch import Tensor

from matchcut.negatives.evidence import Captions, Evidence, Kind, Of
from matchcut.negatives.pairs import PairTable
from matchcut.negatives.treatment import Treatment


@dataclass(frozen=True, repr=False)
class Reweight(Treatment):
    """w_tv = floor + (1 - floor) * (1 - S_tv)^power, with S the similarity, clamped to [0, 1].

    This project's own. Weights of several treatments multiply. A pair of weight 0 is never a hardest negative, and
    has no part in a softmax.

    Args:
        evidence: name of the vectors or scores.
        power: above 0; the larger, the more a moderate similarity already takes away.
        floor: what a pair of similarity 1 still counts, 0 to 1.
        kind, of, captions: how the similarity is taken, see `Evidence.similarity`.

    >>> table = PairTable.from_ids(text_items=torch.arange(1), items=torch.arange(1, 2))
    >>> evidence = Evidence(scores={"overlap": torch.tensor([[0.75]])})
    >>> Reweight("overlap", power=2)(table, evidence, torch.zeros(1, 1)).weight
    tensor([[0.0625]])
    """

    name: ClassVar[str] = "reweight"
    evidence: str
    _: KW_ONLY
    power: float = 1.0
    floor: float = 0.0
    kind: Kind = "cosine"
    of: Of | None = None
    captions: Captions = "best"

    def __post_init__(self) -> None:
        if self.power <= 0:
            raise ValueError(f"power must be above 0, got {self.power}")
        if not 0 <= self.floor <= 1:
            raise ValueError(f"floor must be from 0 to 1, got {self.floor}")

    @property
    def pairwise(self) -> bool:
        return True

    @torch.no_grad()
    def __call__(self, table: PairTable, evidence: Evidence, scores: Tensor) -> PairTable:
        similarity = evidence.similarity(self.evidence, self.kind, of=self.of, captions=self.captions)
        left = (1 - similarity).clamp_(0, 1)
        if self.power != 1:
            left = left**self.power
        return table.with_weight(left if self.floor == 0 else self.floor + (1 - self.floor) * left)
