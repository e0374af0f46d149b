"""Every pair on its own: is it right or wrong?"""

import math
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor, nn
from torch.nn import functional

from matchcut.losses.loss import Loss, Report, wide
from matchcut.negatives import Evidence, PairTable


@dataclass(eq=False, repr=False, kw_only=True)
class SigmoidLoss(Loss):
    """Binary cross entropy of every pair, positives against negatives, without a softmax.

        L = 1/T * ( sum over positives of softplus(-(scale * s + bias))
                  + sum over negatives of w * softplus(scale * (s + M) + bias) )

    X. Zhai et al., "Sigmoid Loss for Language Image Pre-Training", ICCV 2023 (paper, eq. 1), where T = V = B, and w
    = 1 and M = 0 (margins and weights: this project's extension). Texts and items share each pair, so there are no
    directions; the negatives are those that the texts see.

    Args:
        scale: the inverse temperature, or where a learned one starts.
        bias: or where a learned one starts; -10 makes the many negatives right at the start.
        learned: scale (by its logarithm) and bias are parameters.

    >>> table = PairTable.from_ids(text_items=torch.arange(1), items=torch.arange(1))
    >>> SigmoidLoss(scale=10.0, bias=-10.0, learned=False)(torch.ones(1, 1), table)
    tensor(0.6931)
    """

    name: ClassVar[str] = "sigmoid"
    scale: float = 10.0
    bias: float = -10.0
    learned: bool = True

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.scale <= 0:
            raise ValueError(f"scale must be above 0, got {self.scale}; 10 is the published start")
        if self.learned:
            self.log_scale = nn.Parameter(torch.tensor(math.log(self.scale)))
            self.learned_bias = nn.Parameter(torch.tensor(float(self.bias)))

    def forward(
        self, scores: Tensor, table: PairTable, evidence: Evidence | None = None, *, report: Report | None = None
    ) -> Tensor:
        scores = wide(scores, table)
        scale, bias = (self.log_scale.exp(), self.learned_bias) if self.learned else (self.scale, self.bias)
        if report is not None and self.learned:
            report |= {"scale": torch.as_tensor(scale).detach(), "bias": torch.as_tensor(bias).detach()}
        rows, columns = table.positives
        positive = functional.softplus(-(scale * scores[rows, columns] + bias)).sum()
        pushed = scores if table.margin is None else scores + table.margin
        negative = functional.softplus(scale * pushed + bias).masked_fill(~table.negative, 0.0)
        if table.weight is not None:
            negative = negative * table.weight
        return (positive + negative.sum()) / max(1, len(scores))
