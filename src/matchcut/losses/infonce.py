"""InfoNCE: the positive against all negatives, as a softmax."""

from dataclasses import dataclass
from typing import ClassVar, Literal

import torch
from torch import Tensor

from matchcut.losses.loss import DIRECTIONS, Direction, Report, Side, directions, wide
from matchcut.losses.scaled import ScaledLoss
from matchcut.negatives import Evidence, PairTable
from matchcut.negatives.treatment import one_of


@dataclass(eq=False, repr=False, kw_only=True)
class InfoNCE(ScaledLoss):
    """-log of the share that the positive has among the anchor's candidates; the mean of both directions.

    For anchor a with positives P(a), negatives N(a), margins M (0 where the table has none), weights w, z = scale * s:

        e_an = w_an * h_an * exp(scale * (s_an + M_an)),   E_a = sum over n in N(a) of e_an
        mean:      L_a = mean over p in P(a) of  -log( exp(z_ap) / (sum over P(a) of exp(z) + E_a) )
        sum:       L_a = -log( sum over P(a) of exp(z) / (sum over P(a) of exp(z) + E_a) )
        separate:  L_a = mean over p in P(a) of  -log( exp(z_ap) / (exp(z_ap) + E_a) )

    "mean" is SupCon's L_out (Khosla et al. 2020, eq. 2), "sum" is MIL-NCE (Miech et al. 2020, eq. 1); with one
    positive all are InfoNCE (van den Oord et al. 2018) as CLIP uses it. h is the hardness weighting of Robinson et
    al. 2021 (eq. 4), h_an = exp(b s_an) / mean over N(a) of exp(b s), 1 at b = 0. The additive margin in the softmax
    is reconstructed as the analogue of the adaptive margin in the hinge. An anchor without a positive does not count.

    Args:
        scale, learned, max_scale: the inverse temperature, see `ScaledLoss`.
        positives: "mean", "sum" or "separate".
        hardness: b, at least 0.
        direction: "both" (their mean), "t2i" or "i2t".
        reduction: "mean" over anchors that have a positive, or "sum".

    >>> table = PairTable.from_ids(text_items=torch.arange(2), items=torch.arange(2))
    >>> InfoNCE(scale=1.0)(torch.zeros(2, 2), table)
    tensor(0.6931)
    """

    name: ClassVar[str] = "infonce"
    positives: Literal["mean", "sum", "separate"] = "mean"
    hardness: float = 0.0
    direction: Direction = "both"
    reduction: Literal["mean", "sum"] = "mean"

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.hardness < 0:
            raise ValueError(f"hardness must be at least 0, got {self.hardness}")
        one_of("positives", self.positives, ("mean", "sum", "separate"))
        one_of("direction", self.direction, DIRECTIONS)
        one_of("reduction", self.reduction, ("mean", "sum"))

    def forward(
        self, scores: Tensor, table: PairTable, evidence: Evidence | None = None, *, report: Report | None = None
    ) -> Tensor:
        scores, scale = wide(scores, table), self.current_scale(report)
        ways = directions(self.direction)
        total = scores.new_zeros(())
        for way in ways:
            side = Side.of(scores, table, way)
            total = total + side.over_anchors(self._each(side, scale), reduction=self.reduction)
        return total / len(ways)

    def _each(self, side: Side, scale: Tensor | float) -> Tensor:
        """The loss of every positive pair, [P]."""
        positive = scale * side.positive_scores()
        if self.positives == "mean" and side.table.margin is None and side.table.weight is None and not self.hardness:
            return side.logits(scale).logsumexp(1)[side.anchors] - positive
        negative = self.negative_logsumexp(side, scale)
        if self.positives == "separate":
            return torch.logaddexp(positive, negative[side.anchors]) - positive
        own = (scale * side.scores).masked_fill(~side.table.positive, -torch.inf)
        own = _logsumexp(own)
        everything = torch.logaddexp(own, negative)[side.anchors]
        return everything - (positive if self.positives == "mean" else own[side.anchors])

    def negative_logsumexp(self, side: Side, scale: Tensor | float) -> Tensor:
        """log E_a, [A]; -inf where an anchor has no negative."""
        scores, table = side.scores, side.table
        logits = scale * (scores if table.margin is None else scores + table.margin)
        if table.weight is not None:
            logits = logits + table.weight.log()
        if self.hardness:
            raised = (self.hardness * scores).masked_fill(~table.negative, -torch.inf)
            mean = _logsumexp(raised) - table.negative.sum(1, dtype=scores.dtype).clamp(min=1).log()
            logits = logits + self.hardness * scores - torch.where(mean.isinf(), 0.0, mean)[:, None]
        return _logsumexp(logits.masked_fill(~table.negative, -torch.inf))


def _logsumexp(logits: Tensor) -> Tensor:
    """`logsumexp(1)` whose gradient is 0, not NaN, where a whole row is -inf."""
    empty = (
        logits.detach().amax(1, keepdim=True).isneginf() if logits.shape[1] else logits.new_ones(len(logits), 1).bool()
    )
    return logits.masked_fill(empty, 0.0).logsumexp(1).masked_fill(empty.squeeze(1), -torch.inf)
