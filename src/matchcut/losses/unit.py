"""Vectors of length 1."""

from typing import Any

import torch
from torch import Tensor

SHORTEST = 1e-12


def unit(x: Tensor) -> Tensor:
    """x / max(|x|, 1e-12) along the last dimension: `torch.nn.functional.normalize` with a leaner gradient.

    With y = x / |x| and g the gradient at y, that of x is (g - (g . y) y) / |x|, here in one temporary of the size of
    x. It cannot be differentiated twice.

    Args:
        x: float [..., d].

    >>> unit(torch.tensor([[3.0, 4.0], [0.0, 0.0]]))
    tensor([[0.6000, 0.8000],
            [0.0000, 0.0000]])
    """
    return _Unit.apply(x)  # type: ignore[no-untyped-call,no-any-return]


class _Unit(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        length = torch.linalg.vector_norm(x, dim=-1, keepdim=True)
        y: Tensor = x / length.clamp(min=SHORTEST)
        ctx.save_for_backward(y, length)
        return y

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx: Any, *gradients: Any) -> Any:
        (gradient,) = gradients
        y, length = ctx.saved_tensors
        out: Tensor = gradient * y
        along = torch.where(length > SHORTEST, out.sum(-1, keepdim=True), 0.0)
        return torch.addcmul(gradient, y, along, value=-1, out=out).div_(length.clamp(min=SHORTEST))
