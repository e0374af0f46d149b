"""Negatives that come close to the positive without passing it."""

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from matchcut.negatives.evidence import Evidence
from matchcut.negatives.pairs import PairTable
from matchcut.negatives.treatment import Treatment


@dataclass(frozen=True, repr=False, kw_only=True)
class SemiHard(Treatment):
    """Keeps the negatives n of an anchor with  s_p - band < s_n < s_p,  p its positive of the lowest learned score.

    F. Schroff et al., FaceNet, 2015 (paper, section 3.2, in scores instead of distances). Texts and items are
    anchors in turn. An anchor without a positive keeps none.

    Args:
        band: above 0; None: however far below.

    >>> table = PairTable.from_ids(text_items=torch.arange(3), items=torch.arange(3))
    >>> scores = torch.tensor([[0.5, 0.6, 0.4], [0.0, 0.9, 0.0], [0.0, 0.0, 0.9]])
    >>> SemiHard(band=0.2)(table, Evidence(), scores).negative[0]
    tensor([False, False,  True])
    """

    name: ClassVar[str] = "semi_hard"
    band: float | None = None

    def __post_init__(self) -> None:
        if self.band is not None and self.band <= 0:
            raise ValueError(f"band must be above 0, got {self.band}; 0.1 to 0.3 suits cosine scores")

    @torch.no_grad()
    def __call__(self, table: PairTable, evidence: Evidence, scores: Tensor) -> PairTable:
        if 0 in table.shape:
            return table
        seen = table.items_see
        return table.with_sides(
            text=self._outside(scores, _lowest(scores, table.positives, 0)[:, None]),
            item=self._outside(scores, _lowest(scores, seen.positives, 1)[None, :]),
        )

    def _outside(self, scores: Tensor, lowest: Tensor) -> Tensor:
        outside = scores >= lowest
        return outside if self.band is None else outside | (scores <= lowest - self.band)


def _lowest(scores: Tensor, positives: tuple[Tensor, Tensor], of: int) -> Tensor:
    """The lowest score of the positives of each text (0) or item (1); -inf where there is none: all is outside."""
    lowest = scores.new_full((scores.shape[of],), torch.inf)
    lowest.scatter_reduce_(0, positives[of], scores[positives], "amin")
    return lowest.masked_fill(lowest.isposinf(), -torch.inf)
