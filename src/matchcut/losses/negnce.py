"""NegNCE: InfoNCE, and a term on the negatives that beat a positive."""

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from matchcut.losses.loss import Report, Side, wide
from matchcut.losses.scaled import ScaledLoss
from matchcut.negatives import Evidence, PairTable


@dataclass(eq=False, repr=False, kw_only=True)
class NegNCE(ScaledLoss):
    """Cross entropy plus, for each negative that outranks a positive, -log of the share it does not have.

    With P the softmax of scale * s over the candidates of each row, clamped to [1e-6, 1 - 1e-6]:

        hard(i, j):  s_ij > (positive of row i) - slack   or   s_ij > (positive of column j) - slack
        L(s) = positive_weight * mean_i(-log P_ii) + negative_weight * mean over hard pairs(-log(1 - P_ij))
        loss = (L(s) + L(s transposed)) / 2

    C. Jiang et al., ACM MM 2023 (formula and constants of the released code). Without a hard pair the second term is
    absent. With several positives (this project's extension): the first term averages over an anchor's positives,
    and a negative is hard if it beats the lowest of them. Margins are added to the negatives' scores and weights to
    their share, as in `InfoNCE`; the hard pairs are chosen by the plain scores.

    Args:
        scale, learned, max_scale: the inverse temperature, see `ScaledLoss`; a constant in the released code.
        positive_weight: of the first term.
        negative_weight: of the second term.
        slack: at least 0, how close below the positive a negative is hard already.

    >>> scores = torch.tensor([[0.30, 0.31, 0.10], [0.20, 0.32, 0.25], [0.28, 0.15, 0.27]])
    >>> NegNCE()(scores, PairTable.from_ids(text_items=torch.arange(3), items=torch.arange(3)))
    tensor(0.9158)
    """

    name: ClassVar[str] = "negnce"
    positive_weight: float = 1.0
    negative_weight: float = 0.5
    slack: float = 0.0

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.slack < 0:
            raise ValueError(f"slack must be at least 0, got {self.slack}")

    def forward(
        self, scores: Tensor, table: PairTable, evidence: Evidence | None = None, *, report: Report | None = None
    ) -> Tensor:
        scores = wide(scores, table)
        text, item = Side.of(scores, table, "t2i"), Side.of(scores, table, "i2t")
        with torch.no_grad():
            beaten = (scores > text.lowest_positive()[:, None] - self.slack) | (
                scores > item.lowest_positive()[None, :] - self.slack
            )
            hard = beaten & table.negative, (beaten & table.items_see.negative).T
        if report is not None:
            report["hard"] = hard[0].sum() / table.negative.sum().clamp(min=1)
        scale = self.current_scale(report)
        return (self._one_way(text, hard[0], scale) + self._one_way(item, hard[1], scale)) / 2

    def _one_way(self, side: Side, hard: Tensor, scale: Tensor | float) -> Tensor:
        share = _softmax(side.logits(scale)).clamp(1e-6, 1 - 1e-6)
        positive = side.over_anchors(-share[side.anchors, side.columns].log(), reduction="mean")
        negative = torch.where(hard, -torch.log1p(-share), 0.0).sum() / hard.sum().clamp(min=1)
        return self.positive_weight * positive + self.negative_weight * negative


def _softmax(logits: Tensor) -> Tensor:
    """`softmax(1)`, 0 where a whole row is -inf."""
    share = logits.softmax(1)
    if logits.shape[1] == 0:
        return share
    nothing = logits.detach().amax(1, keepdim=True).isneginf()
    if not nothing.is_cuda and not nothing.any():
        return share  # a look is cheaper than a copy; on a GPU it would wait
    return share.masked_fill(nothing, 0.0)
