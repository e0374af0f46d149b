"""From the similarity vectors of a pair's words to one: by graph reasoning (SGR) or by filtering (SAF)."""

import torch
from torch import Tensor, nn

from matchcut.models.linear import xavier_linear
from matchcut.models.normalise import l2_normalise


class GraphStep(nn.Module):
    """One step between similarity vectors: `X <- ReLU(Linear(softmax(Q K^T) X))`, without 1 / sqrt(d).

    `Q K^T` is computed as `(X A + u) X^T` with `A = Wq^T Wk`, `u = Wk^T bq`: what is missing is constant in each row
    of the softmax and cancels. One matrix product instead of two.
    """

    def __init__(self, dim: int) -> None:
        super().__init__()
        self.query, self.key, self.out = xavier_linear(dim, dim), xavier_linear(dim, dim), xavier_linear(dim, dim)

    def forward(self, nodes: Tensor, mask: Tensor, *, first_only: bool = False) -> Tensor:
        """nodes: [..., N, dim]; mask: bool, like [..., N]. first_only: give node 0 alone, [..., 1, dim]."""
        both = self.query.weight.T @ self.key.weight
        asking = (nodes[..., :1, :] if first_only else nodes) @ both + self.query.bias @ self.key.weight
        edges = asking @ nodes.transpose(-1, -2)
        weights = edges.masked_fill(~mask[..., None, :], -torch.inf).softmax(-1)
        out: Tensor = self.out(weights @ nodes).relu()
        return out


class SimilarityGraph(nn.Module):
    """SGR: graph steps over the pair's nodes (the global one first), then node 0.

    Source: Diao et al., AAAI 2021 (SGRAF), reference code `Paranioar/SGRAF`. The last step computes node 0 alone.

    nodes: [V, T, N, dim]; mask: bool [T, N]. Returns [V, T, dim].
    """

    def __init__(self, dim: int, *, steps: int = 3) -> None:
        super().__init__()
        if steps < 1:
            raise ValueError(f"steps must be at least 1, got {steps}")
        self.steps = nn.ModuleList(GraphStep(dim) for _ in range(steps))

    def forward(self, nodes: Tensor, mask: Tensor) -> Tensor:
        for i, step in enumerate(self.steps, 1):
            nodes = step(nodes, mask, first_only=i == len(self.steps))
        return nodes[..., 0, :]


class SimilarityFilter(nn.Module):
    """SAF: `a = sigmoid(BN(Linear(x)))`, divided by its sum over the nodes; then `unit(sum a x)`.

    Source: Diao et al., AAAI 2021 (SGRAF), reference code `Paranioar/SGRAF`. In training the BatchNorm of one
    feature normalises each caption's nodes over all items on its own, because the reference code scores caption by
    caption; the running statistics move as if the captions of a call had come one after the other, unless `follows`
    is off.

    nodes: [V, T, N, dim]; mask: bool [T, N]. Returns [V, T, dim].
    """

    def __init__(self, dim: int) -> None:
        super().__init__()
        self.weigh, self.norm = xavier_linear(dim, 1), nn.BatchNorm1d(1)
        self.follows = True

    def forward(self, nodes: Tensor, mask: Tensor) -> Tensor:
        gates = self._normalise(self.weigh(nodes).squeeze(-1), mask).sigmoid() * mask
        weights = gates / gates.sum(-1, keepdim=True).clamp(min=1e-8)
        return l2_normalise((weights[..., None, :] @ nodes).squeeze(-2))

    def _normalise(self, x: Tensor, mask: Tensor) -> Tensor:
        """x: [V, T, N]."""
        norm = self.norm
        if not self.training:
            assert norm.running_mean is not None
            assert norm.running_var is not None
            mean, variance = norm.running_mean, norm.running_var
        else:
            count = mask.sum(-1) * len(x)
            mean = (x * mask).sum((0, 2)) / count
            variance = ((x - mean[:, None]).square() * mask).sum((0, 2)) / count
            if self.follows:
                self._follow(mean, variance, count)
            mean, variance = mean[:, None], variance[:, None]
        return (x - mean) / (variance + norm.eps).sqrt() * norm.weight + norm.bias

    @torch.no_grad()
    def _follow(self, mean: Tensor, variance: Tensor, count: Tensor) -> None:
        variance = variance * count / (count - 1).clamp(min=1)
        kept = (1 - (self.norm.momentum or 0.1)) ** len(mean)
        assert self.norm.running_mean is not None
        assert self.norm.running_var is not None
        self.norm.running_mean.mul_(kept).add_((1 - kept) * mean.mean())
        self.norm.running_var.mul_(kept).add_((1 - kept) * variance.mean())
