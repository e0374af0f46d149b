"""The universal weighting of positive and hardest negative by two polynomials of their scores."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar, Literal

import torch
from torch import Tensor

from matchcut.losses.hardest import argmax
from matchcut.losses.loss import DIRECTIONS, Direction, Loss, Report, Side, directions, pick, wide
from matchcut.negatives import Evidence, PairTable
from matchcut.negatives.treatment import one_of


@dataclass(eq=False, repr=False, kw_only=True)
class PolynomialLoss(Loss):
    """A polynomial of the positive's score and one of the hardest negative's, where that comes within the margin.

    For anchor a with positives P(a), negatives N(a), margins M (the table's, or the constant m), weights w:

        n = argmax over N(a) of M_an + s_an
        L_a = mean over p in P(a) of  [G(s_ap)]_+ + w_an [H(s_an)]_+    if M_an + s_an > s_ap and s_ap < ceiling, else 0
        G(s) = 0.2 s^2 - 0.7 s + 0.5,   H(s) = 0.9 s^2 - 0.4 s + 0.03

    the mean over the anchors that have a positive (B of a paired batch), both directions added. LUWM, "PolyLoss" (arXiv
    2010.03403), as the comparison of Y. Gong and G. Cosma 2023 had it (reference code, since removed). What a skipped
    positive does to its anchor, and the margin of 0.2, are reconstructed.

    An anchor without a negative within the margin contributes 0: its positive is not pulled either. Margins only decide
    which negative is the hardest and whether it counts; they are no part of the polynomials. A weight multiplies the
    negative's share alone, and a negative of weight 0 is none. The table's `rank_by`, if there is one, picks n instead.

    Args:
        margin: m, where the table has no margins.
        positive: coefficients of G, that of the highest power first.
        negative: coefficients of H, likewise.
        ceiling: a positive of this score or more is skipped.
        direction: "both", "t2i" (texts are the anchors) or "i2t".
        reduction: "mean" over the anchors that have a positive, per direction, directions added; or "sum".

    >>> scores = torch.tensor([[0.5, 0.4], [0.6, 0.7]])
    >>> table = PairTable.from_ids(text_items=torch.arange(2), items=torch.arange(2))
    >>> loss = PolynomialLoss()(scores, table)  # (G(.5) + H(.4) + G(.7) + H(.6) + G(.5) + H(.6) + 0) / 2
    >>> round(loss.item(), 4)
    0.375
    """

    name: ClassVar[str] = "polynomial"
    margin: float = 0.2
    positive: Sequence[float] = (0.2, -0.7, 0.5)
    negative: Sequence[float] = (0.9, -0.4, 0.03)
    ceiling: float = 1 - 1e-5
    direction: Direction = "both"
    reduction: Literal["mean", "sum"] = "mean"

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.margin < 0:
            raise ValueError(f"margin must be at least 0, got {self.margin}; 0.2 suits cosine scores")
        for name in ("positive", "negative"):
            if not getattr(self, name):
                raise ValueError(f"{name} needs at least one coefficient, the one of the highest power first")
            setattr(self, name, tuple(getattr(self, name)))
        one_of("direction", self.direction, DIRECTIONS)
        one_of("reduction", self.reduction, ("mean", "sum"))

    @property
    def few_pairs(self) -> bool:
        return True

    def forward(
        self, scores: Tensor, table: PairTable, evidence: Evidence | None = None, *, report: Report | None = None
    ) -> Tensor:
        return self.of_pairs(scores, table, report=report)

    def of_pairs(
        self,
        scores: Tensor,
        table: PairTable,
        *,
        embeddings: tuple[Tensor, Tensor] | None = None,
        report: Report | None = None,
    ) -> Tensor:
        """The loss; with `embeddings`, [T, d] and [V, d], of which the scores are the dot products without a graph, the
        gradient goes to those."""
        scores = wide(scores, table)
        if 0 in scores.shape:
            if report is not None:
                report["active"] = scores.new_zeros(())
            return scores.sum() * 0.0
        sides = [Side.of(scores, table, way) for way in directions(self.direction)]
        found = [self._hardest(side) for side in sides]
        pairs: list[tuple[Tensor, Tensor]] = []
        for side, (index, _) in zip(sides, found, strict=True):
            for candidates in (side.columns, index[side.anchors]):
                pairs.append((candidates, side.anchors) if side.turned else (side.anchors, candidates))
        picked = pick(scores, pairs, embeddings=embeddings)
        total, active = scores.new_zeros(()), []
        for k, (side, (index, there)) in enumerate(zip(sides, found, strict=True)):
            at = (side.anchors, index[side.anchors])
            margin = self.margin if side.table.margin is None else side.table.margin[at]
            weight = 1.0 if side.table.weight is None else side.table.weight[at]
            positive, negative = picked[2 * k : 2 * k + 2]
            cost = self.cost(positive, negative, margin, weight, there[side.anchors])
            total = total + side.over_anchors(cost, reduction=self.reduction)
            active.append(cost.detach() > 0)
        if report is not None:
            seen = torch.cat(active)
            report["active"] = seen.float().mean() if len(seen) else scores.new_zeros(())
        return total

    def cost(
        self, positive: Tensor, negative: Tensor, margin: Tensor | float, weight: Tensor | float, there: Tensor
    ) -> Tensor:
        """What each positive pair costs, float [P]: its score, that of its anchor's hardest negative, the margin and
        the weight of that pair, and whether there is one."""
        kept = there & (negative + margin > positive) & (positive < self.ceiling)
        both = _at(self.positive, positive).relu() + weight * _at(self.negative, negative).relu()
        return torch.where(kept, both, 0.0)

    @torch.no_grad()
    def _hardest(self, side: Side) -> tuple[Tensor, Tensor]:
        """For each anchor its hardest negative, int64 [A], and whether there is one."""
        table = side.table
        key = side.scores if table.margin is None else side.scores + table.margin
        key = key if table.rank_by is None else table.rank_by.to(key.dtype)
        allowed = table.negative if table.weight is None else table.negative & (table.weight > 0)
        index = argmax(torch.where(allowed, key, -torch.inf))
        return index, allowed.gather(1, index[:, None]).squeeze(1)


def _at(coefficients: Sequence[float], x: Tensor) -> Tensor:
    """The polynomial at x, by Horner's rule."""
    value = torch.zeros_like(x)
    for coefficient in coefficients:
        value = value * x + coefficient
    return value
