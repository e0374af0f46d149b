"""Recurrent networks over padded sequences: packed, so that padding is never seen."""

from collections.abc import Callable
from copy import deepcopy
from typing import Any

import torch
from torch import Tensor, nn
from torch.func import functional_call
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence

from matchcut.models.inputs import Padded


def packed(gru: "nn.GRU | StackedGRU", x: Padded) -> Tensor:
    """States of a batch-first GRU over the valid steps, [N, L, hidden * directions], zero beyond each end.

    >>> states = packed(nn.GRU(3, 4, batch_first=True), Padded(torch.ones(2, 5, 3), torch.tensor([5, 2])))
    >>> states.shape, states[1, 2:].abs().sum().item()
    (torch.Size([2, 5, 4]), 0.0)
    """
    if isinstance(gru, StackedGRU):
        return gru.states(packed, x)
    if not len(x):  # packing refuses it
        return x.values.new_zeros(*x.values.shape[:2], gru.hidden_size * (1 + gru.bidirectional))
    sequence = pack_padded_sequence(x.values, x.lengths.cpu(), batch_first=True, enforce_sorted=False)
    states, _ = gru(sequence)
    out: Tensor = pad_packed_sequence(states, batch_first=True, total_length=x.values.shape[1])[0]
    return out


def unpacked(gru: "nn.GRU | StackedGRU", x: Padded) -> Tensor:
    """States as public code computes them: over the padding too, then set to zero there.

    The backward direction first reads the zeros of the padding, so a sequence's states depend on the longest of its
    batch. Only for comparison with models trained that way.
    """
    if isinstance(gru, StackedGRU):
        return gru.states(unpacked, x)
    states: Tensor = gru(x.values)[0]
    return states * x.mask[..., None]


def last_state(gru: "nn.GRU | StackedGRU", x: Padded) -> Tensor:
    """The output of a one-direction GRU at each sequence's last valid step, [N, hidden]."""
    if isinstance(gru, StackedGRU):
        return gru.states(last_state, x)
    if not len(x):
        return x.values.new_zeros(0, gru.hidden_size)
    sequence = pack_padded_sequence(x.values, x.lengths.cpu(), batch_first=True, enforce_sorted=False)
    final: Tensor = gru(sequence)[1]
    return final[-1]


def mean_of_directions(states: Tensor) -> Tensor:
    """Average the two directions of a bidirectional GRU's states [..., 2 * hidden] to [..., hidden]."""
    return torch.stack(states.chunk(2, dim=-1)).mean(0)


class StackedGRU(nn.Module):
    """Stands for the GRUs of several models under `torch.vmap`, where the states of each are computed by themselves.

    Packing and recurrence have no batching rule; all other layers of the models run as one.
    """

    def __init__(self, gru: nn.GRU) -> None:
        super().__init__()
        for name, parameter in gru.named_parameters():
            self.register_parameter(name, parameter)
        self.alone = (_Alone(gru),)  # in a tuple, so that its parameters are none of this module

    def states(self, compute: "Compute", x: Padded) -> Tensor:
        """What `compute` makes of the GRU and x, with the weights that this module has now."""
        found: Tensor = _EachAlone.apply(self.alone[0], compute, x.values, x.lengths, *self.parameters())  # type: ignore[no-untyped-call]
        return found


Compute = Callable[[nn.GRU | StackedGRU, Padded], Tensor]


class _Alone(nn.Module):
    """A GRU without weights of its own, and what is computed with it."""

    def __init__(self, gru: nn.GRU) -> None:
        super().__init__()
        self.gru = deepcopy(gru).to("meta")

    def forward(self, compute: Compute, x: Padded) -> Tensor:
        return compute(self.gru, x)


class _EachAlone(torch.autograd.Function):
    """A function of a GRU, called for one model after the other."""

    @staticmethod
    def forward(*inputs: Any) -> Tensor:
        raise RuntimeError("a StackedGRU runs under torch.vmap only")

    @staticmethod
    def setup_context(ctx: Any, inputs: Any, output: Any) -> None:
        """Nothing is kept: the operations of the rule below carry the gradient."""

    @staticmethod
    def vmap(info: Any, in_dims: Any, alone: _Alone, compute: Compute, *tensors: Tensor) -> tuple[Tensor, int]:
        names = [f"gru.{name}" for name, _ in alone.gru.named_parameters()]
        each = []
        for model in range(info.batch_size):
            values, lengths, *weights = (
                tensor if dim is None else tensor.select(dim, model)
                for tensor, dim in zip(tensors, in_dims[2:], strict=True)
            )
            own = dict(zip(names, weights, strict=True))
            each.append(functional_call(alone, own, (compute, Padded(values, lengths))))
        return torch.stack(each), 0
