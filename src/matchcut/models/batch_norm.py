"""Batch normalisation of ragged rows, without the padding."""

import torch
from torch import Tensor, nn

from matchcut.models.inputs import Padded


def masked_batch_norm(norm: nn.BatchNorm1d, x: Padded) -> Tensor:
    """Normalise the features of the valid rows, values [N, L, D]; padding takes no part and stays zero.

    >>> x = Padded(torch.tensor([[[1.0], [2.0]], [[6.0], [99.0]]]), torch.tensor([2, 1]))
    >>> [round(v, 2) for v in masked_batch_norm(nn.BatchNorm1d(1), x).flatten().tolist()]
    [-0.93, -0.46, 1.39, 0.0]
    """
    mask = x.mask
    out = torch.zeros_like(x.values)
    out[mask] = norm(x.values[mask]).to(out.dtype)
    return out
