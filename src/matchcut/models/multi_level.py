"""Sequences seen at several levels: recurrent states, attention over time, convolutions over states."""

from collections.abc import Sequence
from typing import Literal

import torch
from torch import Tensor, nn

from matchcut.models.bigru import packed, unpacked
from matchcut.models.inputs import Padded
from matchcut.models.linear import xavier_linear
from matchcut.models.pooling import masked_mean

Attention = Literal["none", "identity", "softmax_time", "linear", "sigmoid"]
Level2 = Literal["mean", "sum"]


class TemporalAttention(nn.Module):
    """A weight for each state of a sequence, `e_t = w2 . tanh(W1 h_t + b1) + b2`, normalised in one of four ways.

    softmax_time: `a = softmax over the valid t of e_t`, the evident intention (reconstructed). identity: `a_t = 1`,
    which is what the released code of Galanopoulos and Mezaris (ICMR 2020) computes, by a softmax over an axis of
    length 1; its parameters get zero gradient. linear: `a_t = e_t`, reference code of their T x V system (2022).
    sigmoid: `a_t = sigmoid(e_t)` (reconstructed).

    states: [N, L, width], zero beyond each length. Returns the weighted states, the same.

    >>> sum(p.numel() for p in TemporalAttention(2048, "identity").parameters())
    4198401
    """

    def __init__(self, width: int, how: Attention) -> None:
        super().__init__()
        if how not in ("identity", "softmax_time", "linear", "sigmoid"):
            raise ValueError(f"attention must be identity, softmax_time, linear or sigmoid, got {how!r}")
        self.how = how
        self.hidden, self.weigh = xavier_linear(width, width), xavier_linear(width, 1)

    def forward(self, states: Padded) -> Padded:
        found: Tensor = self.weigh(self.hidden(states.values[states.mask]).tanh())  # padding costs nothing
        scores = found.new_zeros(*states.mask.shape, 1)
        scores[states.mask] = found
        if self.how == "softmax_time":
            weights = scores.masked_fill(~states.mask[..., None], -torch.inf).softmax(1)
        elif self.how == "identity":
            weights = scores.softmax(-1)
        else:
            weights = scores.sigmoid() if self.how == "sigmoid" else scores
        return Padded(states.values * weights, states.lengths)


class ConvolutionLevel(nn.Module):
    """Convolutions over time with several kernel lengths, ReLU, and the maximum over time.

    For kernel k the sequence gets k - 1 zeros at both ends, so n steps give n + k - 1 responses. Sequences lie one
    after the other with those zeros between them, so that padding costs nothing. With `legacy_padding` the
    convolutions run over the batch's padding and responses that lie wholly in it take part in the maximum, as in public
    code; a sequence that is not the longest of its batch then never falls below ReLU(bias).

    states: [N, L, width], zero beyond each length. Returns [N, filters * number of kernels].
    """

    def __init__(self, width: int, *, kernels: Sequence[int], filters: int, legacy_padding: bool = False) -> None:
        super().__init__()
        if not kernels or min(kernels) < 1:
            raise ValueError(f"kernels must be lengths of at least 1, got {tuple(kernels)}")
        self.convs = nn.ModuleList(nn.Conv1d(width, filters, k, padding=k - 1) for k in kernels)
        self.legacy_padding = legacy_padding

    def forward(self, states: Padded) -> Tensor:
        if self.legacy_padding:
            x = states.values.transpose(1, 2)
            return torch.cat([conv(x).relu().amax(2) for conv in self.convs], 1)
        x = states.values[states.mask]
        return torch.cat([_peak(conv, x, states.lengths) for conv in self.convs if isinstance(conv, nn.Conv1d)], 1)


def _peak(conv: nn.Conv1d, x: Tensor, lengths: Tensor) -> Tensor:
    """The largest response of each sequence, at least 0, [N, filters]; x: steps of all sequences, [sum of n, width]."""
    if not len(lengths):  # segment_reduce refuses it
        return x.new_zeros(0, conv.out_channels)
    gap = conv.kernel_size[0] - 1
    total = len(x) + gap * len(lengths)
    owner = torch.arange(len(lengths), device=x.device).repeat_interleave(lengths, output_size=len(x))
    places = torch.arange(len(x), device=x.device) + gap * (owner + 1)
    spread = x.new_zeros(total + gap, x.shape[1]).index_copy(0, places, x)
    assert conv.bias is not None
    responses: Tensor = conv.bias
    for step in range(gap + 1):
        responses = torch.addmm(responses, spread[step : step + total], conv.weight[:, :, step].T)
    return torch.segment_reduce(responses, "max", lengths=lengths + gap, axis=0).relu()


class MultiLevel(nn.Module):
    """Level 2 (states of a biGRU, pooled) and level 3 (convolutions over the states) of a sequence, side by side.

    Source: Dong et al., CVPR 2019 ("Dual Encoding"), reference code `danieljf24/dual_encoding`; attention between the
    biGRU and both levels: Galanopoulos and Mezaris, ICMR 2020, reference code.

    pack: read each sequence to its end only; otherwise the biGRU runs over the padding, as public code does for video.
    x: values [N, L, width]. Returns [N, 2 * hidden + filters * number of kernels]: [level 2, level 3].
    """

    def __init__(
        self,
        width: int,
        *,
        hidden: int,
        kernels: Sequence[int],
        filters: int,
        attention: Attention = "none",
        level2: Level2 = "mean",
        dropout: float = 0.2,
        pack: bool = True,
        legacy_padding: bool = False,
    ) -> None:
        super().__init__()
        if level2 not in ("mean", "sum"):
            raise ValueError(f"level2 must be mean or sum, got {level2!r}")
        self.level2, self.pack = level2, pack
        self.gru = nn.GRU(width, hidden, batch_first=True, bidirectional=True)
        self.attention = None if attention == "none" else TemporalAttention(2 * hidden, attention)
        self.convolutions = ConvolutionLevel(
            2 * hidden, kernels=kernels, filters=filters, legacy_padding=legacy_padding
        )
        self.dropout = nn.Dropout(dropout)
        self.width = 2 * hidden + filters * len(kernels)

    def forward(self, x: Padded) -> Tensor:
        states = Padded((packed if self.pack else unpacked)(self.gru, x), x.lengths)
        if self.attention is not None:
            states = self.attention(states)
        pooled = masked_mean(states) if self.level2 == "mean" else states.values.sum(1)
        return torch.cat([self.dropout(pooled), self.dropout(self.convolutions(states))], 1)
