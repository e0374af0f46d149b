"""The margin ranking loss: a positive must win by a margin against the hardest negative, or against all."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import ClassVar, Literal

import torch
from torch import Tensor

from matchcut.losses.loss import DIRECTIONS, Direction, Loss, Report, Side, directions, pick, wide
from matchcut.negatives import Evidence, PairTable
from matchcut.negatives.treatment import one_of


@dataclass(eq=False, repr=False, kw_only=True)
class HingeLoss(Loss):
    """[m + s_negative - s_positive]_+ for every anchor, texts and items.

    For anchor a with positives P(a), negatives N(a), margins M (the table's, or the constant m), weights w:

        hardest:  L_a = mean over p in P(a) of  w_an [M_an + s_an - s_ap]_+,   n = argmax over N(a) of M_an + s_an
        all:      L_a = mean over p in P(a) of  sum over n in N(a) of  w_an [M_an + s_an - s_ap]_+

    summed over the anchors, and over both directions. The table's `rank_by`, if there is one, picks n instead. In a
    paired batch without duplicates this is the max-of-hinges (sum-of-hinges) loss of VSE++ (Faghri et al. 2018;
    reference code). An anchor without a positive or without a negative contributes 0. Several positives of an anchor
    share it (this project's choice; the reference code knows one positive).

    Args:
        margin: m, where the table has no margins.
        negatives: "hardest"; "semi_hard", the hardest among those that score below the anchor's lowest positive; "all".
        positives: "mean" over an anchor's positives; "hardest", the one of the lowest score; "pair", only row i with
            column i of a paired batch.
        direction: "both", "t2i" (texts are the anchors) or "i2t".
        reduction: "sum" over anchors; "mean" over the anchors that have a positive, per direction, directions added;
            "mean_terms", over every hinge of both directions together (MMT, collaborative experts; reference code).

    >>> scores = torch.tensor([[0.5, 0.4], [0.6, 0.7]])
    >>> table = PairTable.from_ids(text_items=torch.arange(2), items=torch.arange(2))
    >>> HingeLoss(margin=0.2, reduction="mean")(scores, table)
    tensor(0.2500)
    >>> HingeLoss(margin=0.2, negatives="all", reduction="mean_terms")(scores, table)
    tensor(0.1250)
    """

    name: ClassVar[str] = "hinge"
    margin: float = 0.2
    negatives: Literal["hardest", "semi_hard", "all"] = "hardest"
    positives: Literal["mean", "hardest", "pair"] = "mean"
    direction: Direction = "both"
    reduction: Literal["sum", "mean", "mean_terms"] = "sum"

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.margin < 0:
            raise ValueError(f"margin must be at least 0, got {self.margin}; 0.2 suits cosine scores")
        one_of("negatives", self.negatives, ("hardest", "semi_hard", "all"))
        one_of("positives", self.positives, ("mean", "hardest", "pair"))
        one_of("direction", self.direction, DIRECTIONS)
        one_of("reduction", self.reduction, ("sum", "mean", "mean_terms"))

    def forward(
        self, scores: Tensor, table: PairTable, evidence: Evidence | None = None, *, report: Report | None = None
    ) -> Tensor:
        return self.summed(scores, [(1.0, table)], report=report)

    def summed(
        self, scores: Tensor, tables: Sequence[tuple[float, PairTable]], *, report: Report | None = None
    ) -> Tensor:
        """The loss of several weighted tables that share one reduction: their costs are added, then the hardest is
        taken.

        The tables must have the same positives; each has its own negatives.
        """
        scores = wide(scores, tables[0][1])
        sides = [[(w, self._side(scores, table, way)) for w, table in tables] for way in directions(self.direction)]
        if self.negatives != "all" and len(tables) == 1:
            costs = self._hardest(scores, [side for ((_, side),) in sides])
        else:
            costs = [self._costs(side) for side in sides]
        if report is not None:
            active = torch.cat([cost.detach() > 0 for cost, _ in costs])
            report["active"] = active.float().mean() if len(active) else scores.new_zeros(())
        if self.reduction == "mean_terms":
            terms = sum((n for _, n in costs), scores.new_zeros(()))
            return sum((cost.sum() for cost, _ in costs), scores.new_zeros(())) / terms.clamp(min=1)
        total = scores.new_zeros(())
        for (cost, _), weighted in zip(costs, sides, strict=True):
            total = total + weighted[0][1].over_anchors(cost, reduction=self.reduction)
        return total

    def _side(self, scores: Tensor, table: PairTable, way: Literal["t2i", "i2t"]) -> Side:
        if self.positives == "pair":
            table = table.with_positive(table.own())
        side = Side.of(scores, table, way)
        if self.positives == "hardest":
            kept = side.positive_scores() == side.lowest_positive()[side.anchors]
            side = replace(side, anchors=side.anchors[kept], columns=side.columns[kept])
            side = replace(
                side,
                count=torch.zeros_like(side.count).index_add_(0, side.anchors, side.count.new_ones(len(side.anchors))),
            )
        return side

    def _allowed(self, sides: Sequence[tuple[float, Side]]) -> Tensor:
        """The negatives of any of the tables, bool [A, C]."""
        side = sides[0][1]
        allowed = side.table.negative
        for _, other in sides[1:]:
            allowed = allowed | other.table.negative
        if self.negatives == "semi_hard":
            allowed = allowed & (side.scores.detach() < side.lowest_positive()[:, None])
        return allowed

    def _hardest(self, scores: Tensor, sides: Sequence[Side]) -> list[tuple[Tensor, Tensor]]:
        """For each side, the cost of each positive pair and the number of hinges in them.

        The hardest are found without a graph and then looked up: gradients touch those pairs alone.
        """
        if 0 in scores.shape:
            return [(scores.sum() * scores.new_zeros(0), scores.new_zeros(())) for _ in sides]
        found = [_hardest_negative(side, self._allowed([(1.0, side)])) for side in sides]
        pairs = []
        for side, (index, _) in zip(sides, found, strict=True):
            anchors = torch.arange(len(index), device=index.device)
            pairs += [(side.anchors, side.columns), (anchors, index)]
        turned = [
            (columns, rows) if sides[k // 2].turned else (rows, columns) for k, (rows, columns) in enumerate(pairs)
        ]
        picked = pick(scores, turned)
        costs = []
        for k, (side, (index, there)) in enumerate(zip(sides, found, strict=True)):
            anchors, (positive, negative) = pairs[2 * k + 1][0], picked[2 * k : 2 * k + 2]
            margin, weight = side.table.margin, side.table.weight
            limit = negative + (self.margin if margin is None else margin[anchors, index])
            cost = torch.where(there[side.anchors], limit[side.anchors] - positive, -1.0).relu()
            costs.append(
                (cost if weight is None else cost * weight[anchors, index][side.anchors], there[side.anchors].sum())
            )
        return costs

    def _costs(self, sides: Sequence[tuple[float, Side]]) -> tuple[Tensor, Tensor]:
        """The same for all negatives, or for several tables."""
        side, allowed = sides[0][1], self._allowed(sides)
        cost = self._every_cost(sides, allowed)
        if self.negatives == "all":
            return cost.sum(1), allowed.sum(1)[side.anchors].sum()
        found = allowed.any(1)[side.anchors]
        if side.table.rank_by is None:
            return (cost.amax(1) if cost.shape[1] else cost.sum(1)), found.sum()
        key = side.table.rank_by.masked_fill(~allowed, -torch.inf)[side.anchors]
        return cost.gather(1, key.argmax(1, keepdim=True)).squeeze(1) * found, found.sum()

    def _every_cost(self, sides: Sequence[tuple[float, Side]], allowed: Tensor) -> Tensor:
        """The weighted sum of hinges of each positive pair against each negative, [P, C]; 0 where there is no
        negative."""
        side = sides[0][1]
        anchors, positive = side.anchors, side.positive_scores()[:, None]
        rows = slice(None) if _is_range(anchors, len(side.scores)) else anchors
        difference = side.scores[rows] - positive
        total = torch.zeros_like(difference)
        for weight, seen in sides:
            margin = self.margin if seen.table.margin is None else seen.table.margin[rows]
            cost = (difference + margin).relu().masked_fill(~(seen.table.negative & allowed)[rows], 0.0)
            total = total + weight * (cost if seen.table.weight is None else cost * seen.table.weight[rows])
        return total


@torch.no_grad()
def _hardest_negative(side: Side, allowed: Tensor) -> tuple[Tensor, Tensor]:
    """Each anchor's hardest negative, int64 [A], and whether it has one, bool [A]."""
    table = side.table
    key = side.scores if table.margin is None else side.scores + table.margin
    key = key if table.rank_by is None else table.rank_by
    if table.weight is not None:
        allowed = allowed & (table.weight > 0)
    index = argmax(torch.where(allowed, key, -torch.inf))
    return index, allowed[torch.arange(len(index), device=index.device), index]


def argmax(values: Tensor) -> Tensor:
    """`values.argmax(1)`; of a transposed matrix on a CPU in two steps, maxima of blocks first: much faster."""
    rows, columns = values.shape
    blocks = 32
    if values.is_cuda or values.stride(0) != 1 or columns % blocks or columns < 8 * blocks:
        return values.argmax(1)
    split = values.T.view(blocks, columns // blocks, rows)
    block = split.amax(1).argmax(0)
    within = split[block, :, torch.arange(rows, device=values.device)].argmax(1)
    return block * (columns // blocks) + within


def _is_range(index: Tensor, n: int) -> bool:
    return len(index) == n and bool((index == torch.arange(n, device=index.device)).all())
