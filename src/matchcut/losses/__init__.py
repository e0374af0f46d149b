"""Losses over a table of pairs, and the objective that sums them. Plain PyTorch."""

from matchcut.losses import presets
from matchcut.losses.chunked import chunked
from matchcut.losses.hinge import HingeLoss
from matchcut.losses.infonce import InfoNCE
from matchcut.losses.ladder import LadderLoss
from matchcut.losses.loss import Loss
from matchcut.losses.negnce import NegNCE
from matchcut.losses.objective import Expert, Objective, Term
from matchcut.losses.partial_order import PartialOrder
from matchcut.losses.polynomial import PolynomialLoss
from matchcut.losses.ramp import Ramp
from matchcut.losses.scaled import ScaledLoss
from matchcut.losses.sigmoid import SigmoidLoss
from matchcut.losses.soft_targets import SoftTargets
from matchcut.losses.unit import unit

LOSSES: dict[str, type[Loss]] = {
    loss.name: loss
    for loss in (HingeLoss, PolynomialLoss, InfoNCE, NegNCE, SigmoidLoss, LadderLoss, SoftTargets, PartialOrder)
}
"""The losses by the name that recipes use."""

__all__ = [
    "LOSSES",
    "Expert",
    "HingeLoss",
    "InfoNCE",
    "LadderLoss",
    "Loss",
    "NegNCE",
    "Objective",
    "PartialOrder",
    "PolynomialLoss",
    "Ramp",
    "ScaledLoss",
    "SigmoidLoss",
    "SoftTargets",
    "Term",
    "chunked",
    "presets",
    "unit",
]
