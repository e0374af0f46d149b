"""Dot products of a few pairs, whose gradient never becomes a matrix of all pairs."""

from typing import Any

import torch
from torch import Tensor

BLOCK = 2**20  # numbers multiplied at a time


def dots(text: Tensor, item: Tensor, rows: Tensor, columns: Tensor, *, values: Tensor | None = None) -> Tensor:
    """s_n = text[rows_n] . item[columns_n], float [P].

    The gradient of T texts and V items is the product of a sparse matrix, the P pairs' gradients, with the vectors of
    the other side: P x d multiplications in place of T x V x d, and no copy of the vectors pair by pair.

    Args:
        text: float [T, d].
        item: float [V, d].
        rows, columns: int64 [P]; a pair may stand there several times.
        values: s, if known already, as from `text @ item.T`; it is taken as it is.

    >>> text = torch.eye(2, requires_grad=True)
    >>> s = dots(text, torch.tensor([[3.0, 4.0]]), torch.tensor([1, 1]), torch.tensor([0, 0]))
    >>> s.sum().backward()
    >>> s.tolist(), text.grad.tolist()
    ([4.0, 4.0], [[0.0, 0.0], [6.0, 8.0]])
    """
    if values is None:
        with torch.no_grad():
            step = max(1, BLOCK // max(1, text.shape[1]))
            parts = [slice(start, start + step) for start in range(0, len(rows), step)]
            each = [(text[rows[part]] * item[columns[part]]).sum(1) for part in parts]
            values = torch.cat([*each, text.new_empty(0)])
    return _Dots.apply(text, item, rows, columns, values)  # type: ignore[no-untyped-call,no-any-return]


class _Dots(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, text: Tensor, item: Tensor, rows: Tensor, columns: Tensor, values: Tensor) -> Tensor:
        ctx.save_for_backward(text, item, rows, columns)
        return values.clone()

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx: Any, *gradients: Any) -> Any:
        text, item, rows, columns = ctx.saved_tensors
        kept = gradients[0].nonzero().squeeze(1)  # a hinge that is satisfied has no gradient
        gradient, rows, columns = gradients[0][kept], rows[kept], columns[kept]
        to_text = _product(rows, columns, gradient, item, len(text)) if ctx.needs_input_grad[0] else None
        to_item = _product(columns, rows, gradient, text, len(item)) if ctx.needs_input_grad[1] else None
        return to_text, to_item, None, None, None


def _product(rows: Tensor, columns: Tensor, values: Tensor, vectors: Tensor, size: int) -> Tensor:
    """[size, d]: the sum over n with rows_n = i of values_n * vectors[columns_n]."""
    where = torch.stack([rows, columns])
    matrix = torch.sparse_coo_tensor(where, values, (size, len(vectors)), check_invariants=False)
    product: Tensor = torch.sparse.mm(matrix, vectors)
    return product
