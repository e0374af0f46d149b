"""Every call of training that crosses processes."""

from collections.abc import Iterable
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor, nn

from matchcut.negatives import Evidence
from matchcut.negatives.evidence import Vectors


def rank() -> int:
    """The number of this process, 0 if it is alone."""
    return dist.get_rank() if dist.is_available() and dist.is_initialized() else 0


def world_size() -> int:
    """How many processes train together."""
    return dist.get_world_size() if dist.is_available() and dist.is_initialized() else 1


def gather(x: Tensor) -> Tensor:
    """Stack the rows of all processes, [n, ...] -> [sum of n, ...]; gradients flow back to the process that owns a row.

    Three processes with two rows each; afterwards every process holds the same six rows in the same order:

        process 0  a b | . . | . .      a b c d e f
        process 1  . . | c d | . .  ->  a b c d e f
        process 2  . . | . . | e f      a b c d e f

    Every process then computes the loss of the whole batch: statistics, percentiles and hardest negatives are those
    of one process with all rows. The gradient of a row is the sum of what all processes say about it, that is
    world_size times the true one; `DistributedDataParallel` and `average_gradients` take the mean over the
    processes, which makes it exact.

    Args:
        x: the rows of this process; their number may differ between processes.

    >>> gather(torch.ones(2, 3)).shape
    torch.Size([2, 3])
    """
    return _Gather.apply(x) if world_size() > 1 else x  # type: ignore[no-untyped-call]


def gather_evidence(evidence: Evidence) -> Evidence:
    """The evidence of the gathered batch.

    Raises:
        ValueError: there are stored scores: the block [T, V] of each process is not the matrix of the whole batch.
            Look it up for the gathered ids.
    """
    if world_size() == 1:
        return evidence
    if evidence.scores:
        name = next(iter(evidence.scores))
        raise ValueError(f"evidence {name!r} holds the scores of one process; look them up for the gathered batch")
    return Evidence(
        text={name: gather(x) for name, x in evidence.text.items()},
        item_text={name: _gather_vectors(x) for name, x in evidence.item_text.items()},
        item={name: gather(x) for name, x in evidence.item.items()},
        text_item={name: gather(x) for name, x in evidence.text_item.items()},
        partners={name: (gather(a), gather(b)) for name, (a, b) in evidence.partners.items()},
    )


def average_gradients(parameters: Iterable[nn.Parameter]) -> None:
    """Replace each gradient by the mean over the processes, for models that are not in `DistributedDataParallel`.

    A parameter without a gradient on one process counts as zero there; all processes must list the same parameters.
    """
    if world_size() == 1:
        return
    for parameter in parameters:
        if parameter.requires_grad:
            if parameter.grad is None:
                parameter.grad = torch.zeros_like(parameter)
            dist.all_reduce(parameter.grad)
            parameter.grad /= world_size()


def _gather_vectors(x: Vectors) -> Vectors:
    return gather(x) if isinstance(x, Tensor) else (gather(x[0]), gather(x[1]))


class _Gather(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        ctx.sizes = _sizes(x)
        longest = max(ctx.sizes)
        padded = x.contiguous()
        if len(x) < longest:
            padded = torch.cat([padded, padded.new_zeros(longest - len(x), *x.shape[1:])])
        parts = [torch.empty_like(padded) for _ in ctx.sizes]
        dist.all_gather(parts, padded)
        return torch.cat([part[:size] for part, size in zip(parts, ctx.sizes, strict=True)])

    @staticmethod
    def backward(ctx: Any, *gradients: Any) -> Any:
        total = gradients[0].contiguous().clone()
        dist.all_reduce(total)  # what every process's loss says about every row
        return total.split(ctx.sizes)[rank()]  # the part about my rows


def _sizes(x: Tensor) -> list[int]:
    sizes = [torch.zeros(1, dtype=torch.int64, device=x.device) for _ in range(world_size())]
    dist.all_gather(sizes, torch.tensor([len(x)], device=x.device))
    return [int(size) for size in sizes]
