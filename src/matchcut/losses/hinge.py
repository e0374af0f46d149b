"""The margin ranking loss: a positive must win by a margin against the hardest negative, or against all."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import ClassVar, Literal

import torch
from torch import Tensor

from matchcut.losses.hardest import Found, Index, hardest
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
        experts: what several tables of a term share: "costs", a hinge for each, added; "margins", one hinge with the
            weighted mean of their margins, for pairs that are negatives of all of them.

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
    experts: Literal["costs", "margins"] = "costs"

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.margin < 0:
            raise ValueError(f"margin must be at least 0, got {self.margin}; 0.2 suits cosine scores")
        one_of("negatives", self.negatives, ("hardest", "semi_hard", "all"))
        one_of("positives", self.positives, ("mean", "hardest", "pair"))
        one_of("direction", self.direction, DIRECTIONS)
        one_of("reduction", self.reduction, ("sum", "mean", "mean_terms"))
        one_of("experts", self.experts, ("costs", "margins"))

    @property
    def few_pairs(self) -> bool:
        return self.negatives != "all"

    def forward(
        self, scores: Tensor, table: PairTable, evidence: Evidence | None = None, *, report: Report | None = None
    ) -> Tensor:
        return self.summed(scores, [(1.0, table)], report=report)

    def summed(
        self,
        scores: Tensor,
        tables: Sequence[tuple[float, PairTable]],
        *,
        embeddings: tuple[Tensor, Tensor] | None = None,
        report: Report | None = None,
    ) -> Tensor:
        """The loss of several weighted tables that share one reduction: their costs are added, then the hardest is
        taken.

        The tables must have the same positives; each has its own negatives.

        Args:
            embeddings: [T, d] and [V, d], of which the scores are the dot products, without a graph: then the
                gradient goes to the embeddings, by way of the few pairs that have one. Not for negatives "all".
        """
        scores = wide(scores, tables[0][1])
        if self.experts == "margins" and len(tables) > 1:
            tables = [(1.0, self._mean_margin(tables))]
        sides = [[(w, self._side(scores, table, way)) for w, table in tables] for way in directions(self.direction)]
        if 0 in scores.shape:
            costs = [(scores.sum() * scores.new_zeros(0), scores.new_zeros(())) for _ in sides]
        elif self.few_pairs:
            costs = self._hardest(scores, sides, embeddings)
        else:
            costs = [self._all(side) for side in sides]
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

    def _mean_margin(self, tables: Sequence[tuple[float, PairTable]]) -> PairTable:
        """One table with the weighted mean of the margins; weights that are all 0 count alike."""
        whole = sum(weight for weight, _ in tables)
        shares = [weight / whole if whole else 1 / len(tables) for weight, _ in tables]
        seen = [table for _, table in tables]
        item = None
        if any(table.item_side is not None for table in seen):
            item = self._weighted(shares, [table.items_see for table in seen])
        mean = seen[0].with_margin(self._weighted(shares, seen), item=item)
        for table in seen[1:]:
            if table.negative is not seen[0].negative or table.item_side is not None:
                mean = mean.with_sides(text=~table.negative, item=~table.items_see.negative)
        return mean

    def _weighted(self, shares: Sequence[float], tables: Sequence[PairTable]) -> Tensor:
        margins = torch.zeros(tables[0].shape, device=tables[0].device)
        for share, table in zip(shares, tables, strict=True):
            margins = margins + share * (self.margin if table.margin is None else table.margin)
        return margins

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

    def _hardest(
        self,
        scores: Tensor,
        sides: Sequence[Sequence[tuple[float, Side]]],
        embeddings: tuple[Tensor, Tensor] | None,
    ) -> list[tuple[Tensor, Tensor]]:
        """For each side, the cost of each positive pair and the number of hinges in them.

        The hardest are found without a graph and then looked up: gradients touch those pairs alone.
        """
        found = self._search(sides)
        pairs: list[tuple[Tensor, Tensor]] = []
        for ((_, side), *_), (index, _) in zip(sides, found, strict=True):
            for candidates in (side.columns, index):
                pairs.append((candidates, side.anchors) if side.turned else (side.anchors, candidates))
        picked = pick(scores, pairs, embeddings=embeddings)
        costs = []
        for k, (weighted, (index, there)) in enumerate(zip(sides, found, strict=True)):
            positive, negative = picked[2 * k : 2 * k + 2]
            cost = torch.zeros_like(positive)
            for share, side in weighted:
                at = (side.anchors, index)
                margin = self.margin if side.table.margin is None else side.table.margin[at]
                weight = 1.0 if side.table.weight is None else side.table.weight[at]
                competes = there if len(weighted) == 1 else there & side.table.negative[at]
                cost = cost + share * self.cost(positive, negative, margin, weight, competes)
            costs.append((cost, there.sum()))
        return costs

    def cost(
        self, positive: Tensor, negative: Tensor, margin: Tensor | float, weight: Tensor | float, there: Tensor
    ) -> Tensor:
        """The hinge of each positive pair, float [P]: its score, that of its anchor's hardest negative, the margin and
        the weight of that pair, and whether there is one."""
        return torch.where(there, negative + margin - positive, -1.0).relu() * weight

    @torch.no_grad()
    def _search(self, sides: Sequence[Sequence[tuple[float, Side]]]) -> list[Found]:
        """For each side, the hardest negative of each positive pair's anchor, int64 [P], and whether there is one."""
        if len(sides[0]) > 1:
            return [self._search_several(weighted) for weighted in sides]
        seen = [side for ((_, side),) in sides]
        if len(seen) == 2 and seen[0].table.item_side is None and self.negatives == "hardest":
            found = self._search_one(seen[0], texts=True, items=True)
        else:
            found = [self._search_one(side, texts=not side.turned, items=side.turned)[0] for side in seen]
        return [(index[side.anchors], there[side.anchors]) for side, (index, there) in zip(seen, found, strict=True)]

    def _search_one(self, side: Side, *, texts: bool, items: bool) -> list[Found]:
        table = side.table
        scores, negative, margin, weight, rank_by = (
            x.T if side.turned and x is not None else x
            for x in (side.scores, table.negative, table.margin, table.weight, table.rank_by)
        )
        assert scores is not None
        assert negative is not None
        lowest = None
        if self.negatives == "semi_hard":
            lowest = side.lowest_positive().unsqueeze(0 if side.turned else 1).expand_as(scores)

        def key(at: Index) -> Tensor:
            hard = scores[at] if rank_by is None else rank_by[at]
            if margin is not None and rank_by is None:
                hard = hard + margin[at]
            fits = negative[at] if weight is None else negative[at] & (weight[at] > 0)
            if lowest is not None:
                fits = fits & (scores[at] < lowest[at])
            return torch.where(fits, hard, -torch.inf)

        return hardest(key, (scores.shape[0], scores.shape[1]), scores.device, texts=texts, items=items)

    def _search_several(self, sides: Sequence[tuple[float, Side]]) -> Found:
        side, allowed = sides[0][1], self._allowed(sides)
        there = allowed.any(1)[side.anchors]
        if side.table.rank_by is not None:
            return side.table.rank_by.masked_fill(~allowed, -torch.inf).argmax(1)[side.anchors], there
        index = self._every_cost(sides, allowed).argmax(1)
        return index, there & allowed[side.anchors, index]

    def _all(self, sides: Sequence[tuple[float, Side]]) -> tuple[Tensor, Tensor]:
        """The same as `_hardest` for one side and all negatives."""
        allowed = self._allowed(sides)
        return self._every_cost(sides, allowed).sum(1), allowed.sum(1)[sides[0][1].anchors].sum()

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


def _is_range(index: Tensor, n: int) -> bool:
    return len(index) == n and bool((index == torch.arange(n, device=index.device)).all())
