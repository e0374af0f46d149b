"""Losses with an inverse temperature, fixed or learned."""

import math
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from matchcut.losses.loss import Loss, Report


@dataclass(eq=False, repr=False, kw_only=True)
class ScaledLoss(Loss):
    """Scores are multiplied by a scale before their softmax.

    Args:
        scale: the inverse temperature, 100 = temperature 0.01.
        learned: the scale is a parameter (its logarithm, as CLIP has it) that starts at `scale`.
        max_scale: where a learned scale is stopped: the parameter is set back to it, as in CLIP, and can fall again.
    """

    scale: float = 100.0
    learned: bool = False
    max_scale: float = 100.0

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.scale <= 0:
            raise ValueError(f"scale must be above 0, got {self.scale}; 100 is temperature 0.01")
        if self.learned and self.max_scale < self.scale:
            raise ValueError(f"max_scale must be at least the scale {self.scale}, got {self.max_scale}")
        if self.learned:
            self.log_scale = nn.Parameter(torch.tensor(self.scale).log())

    def current_scale(self, report: Report | None = None) -> Tensor | float:
        """The scale in use, learned or fixed; a learned one is worth a line in the report."""
        if not self.learned:
            return self.scale
        with torch.no_grad():  # a clamp of the scale alone would have no gradient above: stuck there for good
            self.log_scale.clamp_(max=math.log(self.max_scale))
        scale = self.log_scale.exp()
        if report is not None:
            report["scale"] = scale.detach()
        return scale
