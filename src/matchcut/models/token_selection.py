"""Choose the few image patches of a frame that matter, so that the choice can be learned."""

import torch
from torch import Tensor, nn

from matchcut.models.token_interaction import start_small


class TokenSelection(nn.Module):
    """A frame's class token and its `keep` best patches, after the token selection of TS2-Net (Liu et al. 2022).

    Formula: patches are scored by an MLP, `y = gelu(W1 norm(x))`, `s = tanh(w3 . gelu(W2 [y ; y_class]))`. In training
    the choice is the mean of the top patches under noise, `E[top(s + sigma n)]`, with the gradient
    `E[top(s + sigma n) * n] / sigma`, entry by entry. Source: released code. There the noise stays on in evaluation;
    here the best patches themselves are taken then, so that a video's embedding is always the same.

    x: tokens of N frames, class token first, [N, 1 + P, D]. Returns [N, 1 + keep, D]; chosen patches keep their order.

    >>> TokenSelection(8, keep=3).eval()(torch.randn(2, 10, 8)).shape
    torch.Size([2, 4, 8])
    """

    def __init__(self, dim: int, *, keep: int = 3, samples: int = 500, sigma: float = 0.05) -> None:
        super().__init__()
        if keep < 1 or samples < 1 or sigma <= 0:
            raise ValueError(f"keep, samples and sigma must be above 0, got {keep}, {samples} and {sigma}")
        self.keep, self.samples, self.sigma = keep, samples, sigma
        self.local = nn.Sequential(nn.LayerNorm(dim), nn.Linear(dim, dim // 2, bias=False), nn.GELU())
        self.score = nn.Sequential(
            nn.Linear(2 * (dim // 2), dim // 2, bias=False), nn.GELU(), nn.Linear(dim // 2, 1, bias=False), nn.Tanh()
        )
        self.apply(start_small)

    def forward(self, x: Tensor) -> Tensor:
        y = self.local(x)
        scores = self.score(torch.cat([y, y[:, :1].expand_as(y)], -1))[:, 1:, 0]  # [N, P]
        if self.keep > scores.shape[1]:
            raise ValueError(f"keep must be at most the {scores.shape[1]} patches of a frame, got {self.keep}")
        chosen = self._under_noise(scores) if self.training else self._best(scores)
        return torch.cat([x[:, :1], chosen @ x[:, 1:]], 1)

    def _best(self, scores: Tensor) -> Tensor:
        """[N, keep, P], ones at the best patches."""
        index = scores.topk(self.keep).indices.sort().values
        return scores.new_zeros(len(scores), self.keep, scores.shape[1]).scatter(2, index[..., None], 1.0)

    def _under_noise(self, scores: Tensor) -> Tensor:
        """[N, keep, P], how often each patch takes each place; its gradient reaches the scores."""
        with torch.no_grad():
            noise = torch.randn(len(scores), self.samples, scores.shape[1], dtype=scores.dtype, device=scores.device)
            index = (scores[:, None] + self.sigma * noise).topk(self.keep).indices.sort().values  # [N, samples, keep]
            places = index.mT
            nothing = scores.new_zeros(len(scores), self.keep, scores.shape[1])
            often = nothing.scatter_add(2, places, torch.ones_like(places, dtype=scores.dtype))
            slope = nothing.scatter_add(2, places, noise.gather(2, index).mT)
        # Adds zero to the value, and `slope` to the gradient.
        moved = (scores - scores.detach())[:, None]
        return (often + slope / self.sigma * moved) / self.samples
