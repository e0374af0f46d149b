"""Scaling to unit length."""

from torch import Tensor
from torch.nn import functional as F


def l2_normalise(x: Tensor, dim: int = -1) -> Tensor:
    """`x / max(|x|, 1e-12)` along one dimension; public code often lacks the floor and gives NaN for zero vectors."""
    out: Tensor = F.normalize(x, dim=dim, eps=1e-12)
    return out
