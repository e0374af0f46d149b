"""What every loss is: scores and a table of pairs in, one number out."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor, nn

from matchcut.losses.dots import dots
from matchcut.negatives import Evidence, PairTable
from matchcut.negatives.describe import Described

Direction = Literal["both", "t2i", "i2t"]
DIRECTIONS: tuple[Direction, ...] = ("both", "t2i", "i2t")
Report = dict[str, Tensor]


@dataclass(eq=False, repr=False, kw_only=True)
class Loss(Described, nn.Module):
    """A loss over a table of pairs. Subclasses are dataclasses: their fields are their options.

    A module, so that a learned temperature is a parameter like any other and moves to the device with its objective.
    """

    def __post_init__(self) -> None:
        nn.Module.__init__(self)

    def forward(
        self, scores: Tensor, table: PairTable, evidence: Evidence | None = None, *, report: Report | None = None
    ) -> Tensor:
        """The loss, shape ().

        Args:
            scores: learned scores [T, V], of any floating type; computed in float32 at least.
            table: how the pairs take part.
            evidence: for losses that look at more than the table.
            report: where to leave what is worth logging, by name, as tensors of shape ().
        """
        raise NotImplementedError

    @property
    def few_pairs(self) -> bool:
        """Whether only a few pairs have a gradient, so that `Objective.from_embeddings` need not build it for all."""
        return False

    @property
    def uses(self) -> tuple[str, ...]:
        """The names of the evidence it looks at."""
        return ()

    def __repr__(self) -> str:
        return Described.__repr__(self)

    def __str__(self) -> str:
        return Described.__str__(self)


def wide(scores: Tensor, table: PairTable) -> Tensor:
    """The scores in float32 at least, after a look at their shape."""
    if tuple(scores.shape) != table.shape:
        raise ValueError(f"scores have shape {tuple(scores.shape)}, the table {table.shape}; rows are texts")
    return scores if scores.dtype == torch.float64 else scores.float()


def pick(
    scores: Tensor, pairs: Sequence[tuple[Tensor, Tensor]], *, embeddings: tuple[Tensor, Tensor] | None = None
) -> list[Tensor]:
    """The scores of several lists of pairs (rows, columns), by one lookup: its backward fills a matrix only once.

    With `embeddings` the gradient goes to those instead of the scores, see `dots`.
    """
    rows, columns = (torch.cat(side) for side in zip(*pairs, strict=True))
    values = scores.reshape(-1).index_select(0, rows * scores.shape[1] + columns)
    if embeddings is not None:
        values = dots(*embeddings, rows, columns, values=values)
    return list(values.split_with_sizes([len(rows) for rows, _ in pairs]))


def directions(direction: Direction) -> Sequence[Literal["t2i", "i2t"]]:
    """The two directions, or the one."""
    return ("t2i", "i2t") if direction == "both" else (direction,)


@dataclass(frozen=True)
class Side:
    """A table as one kind of anchor sees it: rows are anchors, columns the candidates.

    `anchors`, `columns`: int64 [P], the positive pairs; `count`: float [A], how many each anchor has; `turned`: whether
    anchors are items.
    """

    scores: Tensor
    table: PairTable
    anchors: Tensor
    columns: Tensor
    count: Tensor
    turned: bool

    @classmethod
    def of(cls, scores: Tensor, table: PairTable, direction: Literal["t2i", "i2t"]) -> "Side":
        """The texts' view of the table ("t2i") or the items' ("i2t", transposed without a copy)."""
        rows, columns = table.positives if direction == "t2i" or table.item_side is None else table.item_side.positives
        if direction == "i2t":
            scores, table, rows, columns = scores.T, table.T, columns, rows
        count = torch.zeros(scores.shape[0], dtype=scores.dtype, device=scores.device)
        count.index_add_(0, rows, count.new_ones(len(rows)))
        return cls(scores, table, rows, columns, count, direction == "i2t")

    def positive_scores(self) -> Tensor:
        """The score of every positive pair, [P]."""
        return self.scores[self.anchors, self.columns]

    def lowest_positive(self) -> Tensor:
        """The lowest score of each anchor's positives, [A], a constant; infinite where there is none."""
        lowest = torch.full_like(self.count, torch.inf)
        return lowest.scatter_reduce_(0, self.anchors, self.positive_scores().detach(), "amin")

    def logits(self, scale: Tensor | float) -> Tensor:
        """scale * score, [A, C]; margins and the logarithm of weights added to negatives; -inf where a pair is left
        out or of weight 0."""
        table, scores = self.table, self.scores
        if table.margin is not None:
            scores = scores + table.margin.masked_fill(~table.negative, 0.0)
        logits = scale * scores
        left_out = ~(table.positive | table.negative)
        if table.weight is not None:
            logits = logits + table.weight.masked_fill(~table.negative, 1.0).log()
            left_out = left_out | (table.negative & (table.weight == 0))  # masked, so that no gradient is NaN
        if not left_out.is_cuda and not left_out.any():
            return logits  # a look is cheaper than a copy, and than its backward; on a GPU it would wait
        return logits.masked_fill(left_out, -torch.inf)

    def over_anchors(self, each: Tensor, *, reduction: Literal["sum", "mean"]) -> Tensor:
        """From a value per positive pair, [P], to one number: the mean over each anchor's positives, then over or
        summed over the anchors that have a positive."""
        share = each / self.count[self.anchors]
        return share.sum() if reduction == "sum" else share.sum() / (self.count > 0).sum().clamp(min=1)
