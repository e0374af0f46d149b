"""Semantically enhanced margins (LSEH): the more similar the captions, the larger the margin."""

from dataclasses import KW_ONLY, dataclass
from typing import ClassVar, Literal

import torch
from torch import Tensor

from matchcut.negatives.evidence import Captions, Evidence, Of
from matchcut.negatives.pairs import PairTable
from matchcut.negatives.treatment import Treatment, one_of


@dataclass(frozen=True, repr=False)
class SemanticMargin(Treatment):
    """M_tv = base + scale * S_tv, with S the similarity of the caption vectors of t and of item v's own caption.

        rowmax:  C_tv = D_t . D_v,   S_tv = C_tv / max over texts k of C_kv   (1 where that is 0)
        cosine:  S_tv = cos(D_t, D_v);     dot:  S_tv = D_t . D_v

    Y. Gong and G. Cosma, Pattern Recognition 137 (2023) 109272 (formulas of the reference code), with D rows of a
    400-dimensional truncated SVD of TF-IDF, base 0.185, scale 0.025. Margins are constants for the gradient. The
    reference code lets other captions of the same item compete at margin 0: `SameItem(role="margin_zero")` after this.

    Args:
        evidence: name of the caption vectors.
        base: margin of a pair without any similarity.
        scale: what the similarity adds; 0: constant margins. A negative scale gives similar pairs a smaller margin.
        similarity: "rowmax", "cosine" or "dot".
        divide_by: for "rowmax", the maximum of the "item"'s caption in both directions (reference code), or of the
            "anchor" (the transposed margins for texts).
        of: where the evidence is; None: wherever the name is.
        captions: with several captions an item: "best" or "mean".

    >>> table = PairTable.from_ids(text_items=torch.arange(2), items=torch.arange(2))
    >>> evidence = Evidence(text={"svd": torch.tensor([[0.8, 0.1], [0.6, 0.3]])})
    >>> SemanticMargin("svd")(table, evidence, torch.zeros(2, 2)).margin
    tensor([[0.2100, 0.2100],
            [0.2046, 0.2071]])
    """

    name: ClassVar[str] = "semantic_margin"
    evidence: str
    _: KW_ONLY
    base: float = 0.185
    scale: float = 0.025
    similarity: Literal["rowmax", "cosine", "dot"] = "rowmax"
    divide_by: Literal["item", "anchor"] = "item"
    of: Of | None = None
    captions: Captions = "best"

    def __post_init__(self) -> None:
        one_of("similarity", self.similarity, ("rowmax", "cosine", "dot"))
        one_of("divide_by", self.divide_by, ("item", "anchor"))

    @property
    def pairwise(self) -> bool:
        return self.similarity != "rowmax"

    @torch.no_grad()
    def __call__(self, table: PairTable, evidence: Evidence, scores: Tensor) -> PairTable:
        kind: Literal["cosine", "dot"] = "cosine" if self.similarity == "cosine" else "dot"
        similarity = evidence.similarity(self.evidence, kind, of=self.of, captions=self.captions)
        if self.similarity != "rowmax" or 0 in similarity.shape:
            return table.with_margin(self.base + self.scale * similarity)
        by_item = self._margin(similarity, 0)
        if self.divide_by == "item":
            return table.with_margin(by_item)
        return table.with_margin(self._margin(similarity, 1), item=by_item)

    def _margin(self, similarity: Tensor, over: int) -> Tensor:
        largest = similarity.amax(over, keepdim=True)
        return (similarity * (self.scale / torch.where(largest > 0, largest, 1.0))).add_(self.base)
