"""Ladder loss: relevant pairs above less relevant ones, step by step."""

from collections.abc import Sequence
from dataclasses import KW_ONLY, dataclass
from typing import ClassVar

import torch
from torch import Tensor

from matchcut.losses.hinge import HingeLoss
from matchcut.losses.loss import Loss, Report, Side, wide
from matchcut.negatives import Evidence, PairTable
from matchcut.negatives.evidence import Captions, Of


@dataclass(eq=False, repr=False)
class LadderLoss(Loss):
    """The hinge on the hardest negative, and one more hinge for every step of relevance R.

    For anchor a and step l with threshold t_l, both directions, summed over the anchors:

        L_a = [m - s_positive + max over negatives of s]_+
            + sum_l weight_l * [m_l - min{s_ac: R_ac >= t_l} + max{s_ac: R_ac < t_l}]_+

    over the anchor's positives (whose R counts as 1) and negatives c. Cumulative: s_positive in place of the
    minimum, and m_1 + ... + m_l in place of m_l. M. Zhou et al., "Ladder Loss for Coherent Visual-Semantic
    Embedding", AAAI 2020 (reference code: one step, threshold 0.63, margin 0.01, weight 0.25).

    Args:
        evidence: name of the relevance: similarities of captions, or a stored matrix.
        thresholds: falling.
        margins: one for each threshold.
        weights: one for each threshold.
        margin: m of the first hinge.
        cumulative: the cumulative form.
        of: where the evidence is; None: wherever the name is.
        captions: with several captions an item: "best" or "mean".

    >>> table = PairTable.from_ids(text_items=torch.arange(2), items=torch.arange(2))
    >>> evidence = Evidence(text={"bert": torch.eye(2)})
    >>> scores = torch.tensor([[0.5, 0.4], [0.6, 0.7]])
    >>> loss = LadderLoss("bert")(scores, table, evidence)  # 0.5 of the hinges (0.1 + 0.1 + 0.3 + 0) + 0.25 * 0.11
    >>> round(loss.item(), 4)
    0.5275
    """

    name: ClassVar[str] = "ladder"
    evidence: str
    _: KW_ONLY
    thresholds: Sequence[float] = (0.63,)
    margins: Sequence[float] = (0.01,)
    weights: Sequence[float] = (0.25,)
    margin: float = 0.2
    cumulative: bool = False
    of: Of | None = None
    captions: Captions = "best"

    def __post_init__(self) -> None:
        super().__post_init__()
        if not len(self.thresholds) == len(self.margins) == len(self.weights):
            counts = f"{len(self.thresholds)}, {len(self.margins)} and {len(self.weights)}"
            raise ValueError(f"thresholds, margins and weights must be as many, got {counts}")
        if list(self.thresholds) != sorted(self.thresholds, reverse=True):
            raise ValueError(f"thresholds must fall, got {list(self.thresholds)}")

    @property
    def uses(self) -> tuple[str, ...]:
        return (self.evidence,)

    def forward(
        self, scores: Tensor, table: PairTable, evidence: Evidence | None = None, *, report: Report | None = None
    ) -> Tensor:
        scores = wide(scores, table)
        relevance = (evidence or Evidence()).similarity(self.evidence, of=self.of, captions=self.captions).detach()
        total: Tensor = HingeLoss(margin=self.margin)(scores, table, report=report)
        for side, relevant in (
            (Side.of(scores, table, "t2i"), relevance),
            (Side.of(scores, table, "i2t"), relevance.T),
        ):
            total = total + self._steps(side, relevant)
        return total

    def _steps(self, side: Side, relevance: Tensor) -> Tensor:
        total = side.scores.new_zeros(())
        if 0 in side.scores.shape:
            return total
        taking_part = side.table.positive | side.table.negative
        reached, lowest_positive = 0.0, side.scores.masked_fill(~side.table.positive, torch.inf).amin(1)
        for threshold, margin, weight in zip(self.thresholds, self.margins, self.weights, strict=True):
            above = side.table.positive | ((relevance >= threshold) & side.table.negative)
            below = taking_part & ~above
            reached += margin
            low = lowest_positive if self.cumulative else side.scores.masked_fill(~above, torch.inf).amin(1)
            high = side.scores.masked_fill(~below, -torch.inf).amax(1)
            there = ~(low.isinf() | high.isinf())
            gap = torch.where(there, high, 0.0) - torch.where(there, low, 0.0)
            step = (gap + (reached if self.cumulative else margin)).relu()
            total = total + weight * torch.where(there, step, 0.0).sum()
        return total
