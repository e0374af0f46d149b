"""Generalised pooling: a learned weight for each rank of a feature's sorted values."""

import math

import torch
from torch import Tensor, nn

from matchcut.models.bigru import packed
from matchcut.models.inputs import Padded


class GPO(nn.Module):
    """Generalised pooling operator: sort each feature over the positions, then weigh by rank.

    Formula, for n valid positions: `out_d = sum_k w_k(n) * sort_desc(x_:d)_k`, with
    `w(n) = softmax(Linear(mean of directions of biGRU(codes(1..n))) / temperature)` and sinusoidal position codes.
    It holds mean pooling (w = 1/n) and max pooling (w = e_1).

    Source: Chen et al., CVPR 2021 (VSE-infinity), reference code `woodfrog/vse_infty`: code and hidden width 32,
    temperature 0.1, 12,704 parameters. The weights depend on n alone, so they are computed once for each length.

    x: values [N, L, D]. Returns [N, D].

    >>> sum(p.numel() for p in GPO().parameters())
    12704
    >>> GPO()(Padded(torch.randn(2, 5, 7), torch.tensor([5, 3]))).shape
    torch.Size([2, 7])
    """

    def __init__(self, *, code: int = 32, hidden: int = 32, temperature: float = 0.1) -> None:
        super().__init__()
        if code < 2 or code % 2:
            raise ValueError(f"code must be an even number of at least 2, got {code}")
        if temperature <= 0:
            raise ValueError(f"temperature must be above 0, got {temperature}")
        self.code, self.temperature = code, temperature
        self.gru = nn.GRU(code, hidden, batch_first=True, bidirectional=True)
        self.linear = nn.Linear(hidden, 1, bias=False)

    def weights(self, lengths: Tensor, longest: int) -> Tensor:
        """Weights of the ranks, [N, longest], zero beyond each length."""
        different, which = torch.unique(lengths, return_inverse=True)
        codes = position_codes(longest, self.code).to(self.linear.weight)
        states = packed(self.gru, Padded(codes.expand(len(different), -1, -1), different))
        forward, backward = states.chunk(2, dim=-1)
        logits = self.linear((forward + backward) / 2).squeeze(-1) / self.temperature
        mask = torch.arange(longest, device=lengths.device)[None] < different[:, None]
        weights: Tensor = logits.masked_fill(~mask, -torch.inf).softmax(1)[which]
        return weights

    def forward(self, x: Padded) -> Tensor:
        absent = ~x.mask[:, None, :]
        # [N, D, L]: on a CPU, sorting neighbours in memory is 2.5 times as fast as sorting along the middle axis.
        features = x.values.transpose(1, 2).contiguous().masked_fill(absent, -torch.inf)
        ranked = features.sort(dim=2, descending=True).values.masked_fill(absent, 0)
        return torch.einsum("nl,ndl->nd", self.weights(x.lengths, x.values.shape[1]), ranked)


def position_codes(length: int, dim: int) -> Tensor:
    """Sinusoidal position codes (Vaswani et al., 2017, section 3.5): sin at even, cos at odd columns, [length, dim]."""
    rates = torch.exp(torch.arange(0, dim, 2) * (-math.log(10_000) / dim))
    angles = torch.arange(length)[:, None] * rates
    return torch.stack((angles.sin(), angles.cos()), dim=2).flatten(1)
