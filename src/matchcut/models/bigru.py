"""Recurrent networks over padded sequences: packed, so that padding is never seen."""

import torch
from torch import Tensor, nn
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence

from matchcut.models.inputs import Padded


def packed(gru: nn.GRU, x: Padded) -> Tensor:
    """States of a batch-first GRU over the valid steps, [N, L, hidden * directions], zero beyond each end.

    >>> states = packed(nn.GRU(3, 4, batch_first=True), Padded(torch.ones(2, 5, 3), torch.tensor([5, 2])))
    >>> states.shape, states[1, 2:].abs().sum().item()
    (torch.Size([2, 5, 4]), 0.0)
    """
    sequence = pack_padded_sequence(x.values, x.lengths.cpu(), batch_first=True, enforce_sorted=False)
    states, _ = gru(sequence)
    out: Tensor = pad_packed_sequence(states, batch_first=True, total_length=x.values.shape[1])[0]
    return out


def unpacked(gru: nn.GRU, x: Padded) -> Tensor:
    """States as public code computes them: over the padding too, then set to zero there.

    The backward direction first reads the zeros of the padding, so a sequence's states depend on the longest of its
    batch. Only for comparison with models trained that way.
    """
    states: Tensor = gru(x.values)[0]
    return states * x.mask[..., None]


def last_state(gru: nn.GRU, x: Padded) -> Tensor:
    """The output of a one-direction GRU at each sequence's last valid step, [N, hidden]."""
    sequence = pack_padded_sequence(x.values, x.lengths.cpu(), batch_first=True, enforce_sorted=False)
    final: Tensor = gru(sequence)[1]
    return final[-1]


def mean_of_directions(states: Tensor) -> Tensor:
    """Average the two directions of a bidirectional GRU's states [..., 2 * hidden] to [..., hidden]."""
    return torch.stack(states.chunk(2, dim=-1)).mean(0)
