"""From the rows of a sequence (frames, grid cells, tokens) to one vector."""

from typing import Literal

import torch
from torch import Tensor, nn

from matchcut.models.gpo import GPO
from matchcut.models.inputs import Padded

Pooling = Literal["mean", "max", "attention", "gpo"]


def masked_mean(x: Padded) -> Tensor:
    """Mean over the valid rows: [N, L, D] to [N, D].

    >>> masked_mean(Padded(torch.tensor([[[1.0], [3.0], [9.0]]]), torch.tensor([2])))
    tensor([[2.]])
    """
    return (x.values * x.mask[..., None]).sum(1) / x.lengths[:, None]


def masked_max(x: Padded) -> Tensor:
    """Largest value of each feature over the valid rows: [N, L, D] to [N, D]."""
    return x.values.masked_fill(~x.mask[..., None], -torch.inf).amax(1)


class AttentionPool(nn.Module):
    """Weighted mean with learned weights, one set for each of `heads` groups of features.

    Formula, for head h over its D / heads features: `a = softmax_l(w_h . x_l + b_h)`, `out_h = sum_l a_l x_lh`.
    The weights start at zero, so pooling starts as the mean. A choice of this project, after the usual
    self-attentive pooling (Lin et al., ICLR 2017).

    x: values [N, L, D]. Returns [N, D].

    >>> x = Padded(torch.randn(2, 5, 8), torch.tensor([5, 3]))
    >>> torch.allclose(AttentionPool(8, heads=2)(x), masked_mean(x), atol=1e-6)
    True
    """

    def __init__(self, dim: int, *, heads: int = 8) -> None:
        super().__init__()
        if not 1 <= heads <= dim:
            raise ValueError(f"heads must be from 1 to the number of features, {dim}, got {heads}")
        self.group: Tensor
        self.register_buffer("group", torch.arange(dim) * heads // dim, persistent=False)
        self.weigh = nn.Linear(dim, heads)
        nn.init.zeros_(self.weigh.weight)
        nn.init.zeros_(self.weigh.bias)

    def forward(self, x: Padded) -> Tensor:
        weights = self.weigh(x.values).masked_fill(~x.mask[..., None], -torch.inf).softmax(1)
        pooled: Tensor = (weights[..., self.group] * x.values).sum(1)
        return pooled


class Pool(nn.Module):
    """One of the poolings by name."""

    def __init__(self, dim: int, how: Pooling, *, heads: int = 8) -> None:
        super().__init__()
        if how not in ("mean", "max", "attention", "gpo"):
            raise ValueError(f"pooling must be mean, max, attention or gpo, got {how!r}")
        self.how = how
        self.learned = AttentionPool(dim, heads=heads) if how == "attention" else GPO() if how == "gpo" else None

    def forward(self, x: Padded) -> Tensor:
        if x.values.shape[1] == 1:
            return x.values[:, 0]
        if self.learned is not None:
            pooled: Tensor = self.learned(x)
            return pooled
        return masked_mean(x) if self.how == "mean" else masked_max(x)


def flatten_grid(x: Padded) -> Padded:
    """Rows that are themselves grids of cells, [N, L, cells, D], as one sequence of cells, [N, L * cells, D]."""
    if x.values.ndim < 4:
        return x
    cells = x.values.shape[2:-1].numel()
    return Padded(x.values.flatten(1, -2), x.lengths * cells)
