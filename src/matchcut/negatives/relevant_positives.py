"""Relevant pairs as further positives: judged ones, or estimated from captions."""

from dataclasses import KW_ONLY, dataclass
from typing import ClassVar

import torch
from torch import Tensor

from matchcut.negatives.evidence import Captions, Evidence, Kind, Of
from matchcut.negatives.pairs import PairTable
from matchcut.negatives.treatment import Treatment


@dataclass(frozen=True, repr=False)
class RelevantPositives(Treatment):
    """Turns every pair with relevance R_tv >= threshold into a positive, so that it is no negative either.

    Falcon, Serra and Lanz, RANP (ICIAP 2022; reference code): the hinge on the hardest relevant positive,
    `HingeLoss(positives="hardest")` with `own=False`, is added to the ordinary hinge (`presets.ranp`).

    Args:
        evidence: name of the relevance: judgments in `scores`, or a similarity of captions.
        threshold: published for overlaps of word classes are 0.1 to 0.4.
        own: whether a text's own item stays a positive; False leaves it out of this term: row i with column i of a
            paired batch (another caption of the item stays), else all that belong together by id.
        kind, of, captions: how a similarity is taken, see `Evidence.similarity`.

    >>> table = PairTable.from_ids(text_items=torch.arange(2), items=torch.arange(2))
    >>> evidence = Evidence(scores={"judged": torch.tensor([[1.0, 0.7], [0.0, 1.0]])})
    >>> RelevantPositives("judged", threshold=0.5)(table, evidence, torch.zeros(2, 2)).positive.int().tolist()
    [[1, 1], [0, 1]]
    """

    name: ClassVar[str] = "relevant_positives"
    evidence: str
    _: KW_ONLY
    threshold: float
    own: bool = True
    kind: Kind = "cosine"
    of: Of | None = None
    captions: Captions = "best"

    @property
    def pairwise(self) -> bool:
        return self.own

    @torch.no_grad()
    def __call__(self, table: PairTable, evidence: Evidence, scores: Tensor) -> PairTable:
        relevance = evidence.similarity(self.evidence, self.kind, of=self.of, captions=self.captions)
        own = table.own() if table.paired else table.positive
        table = table.assign(relevance >= self.threshold, "positive")
        return table if self.own else table.assign(own, "left_out")
