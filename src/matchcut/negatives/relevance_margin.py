"""The margin is what the pair lacks in relevance."""

from dataclasses import KW_ONLY, dataclass
from typing import ClassVar

import torch
from torch import Tensor

from matchcut.negatives.evidence import Captions, Evidence, Kind, Of
from matchcut.negatives.pairs import PairTable
from matchcut.negatives.treatment import Treatment


@dataclass(frozen=True, repr=False)
class RelevanceMargin(Treatment):
    """M_tv = scale * (1 - R_tv), with R the relevance in [0, 1]: a margin without a hyper-parameter at scale 1.

    A. Falcon et al., "Relevance-based Margin for Contrastively-trained Video Retrieval Models", ICMR 2022 (reference
    code), with R the mean overlap of verb and noun classes.

    Args:
        evidence: name of the relevance.
        scale: 1 suits squared distances of unit vectors; cosine scores want less.
        kind, of, captions: how a similarity is taken, see `Evidence.similarity`.

    >>> table = PairTable.from_ids(text_items=torch.arange(1), items=torch.arange(1, 2))
    >>> evidence = Evidence(scores={"overlap": torch.tensor([[0.75]])})
    >>> RelevanceMargin("overlap")(table, evidence, torch.zeros(1, 1)).margin
    tensor([[0.2500]])
    """

    name: ClassVar[str] = "relevance_margin"
    evidence: str
    _: KW_ONLY
    scale: float = 1.0
    kind: Kind = "cosine"
    of: Of | None = None
    captions: Captions = "best"

    def __post_init__(self) -> None:
        if self.scale <= 0:
            raise ValueError(f"scale must be above 0, got {self.scale}")

    @property
    def pairwise(self) -> bool:
        return True

    @torch.no_grad()
    def __call__(self, table: PairTable, evidence: Evidence, scores: Tensor) -> PairTable:
        relevance = evidence.similarity(self.evidence, self.kind, of=self.of, captions=self.captions)
        return table.with_margin((1 - relevance).clamp_(0, 1).mul_(self.scale))
