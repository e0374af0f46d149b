"""Captions and items of a split through a trained network."""

from typing import Any

import torch
from torch import Tensor

from matchcut.models.base import RetrievalModel, Rows, concat, score_all
from matchcut.training.data import PairData
from matchcut.training.pixels import AT_ONCE, PIXELS

Network = RetrievalModel[Any, Any]


@torch.no_grad()
def encode_texts(
    model: Network, data: PairData, *, batch: int = 1024, device: torch.device | str = "cpu"
) -> Tensor | Rows:
    """Embeddings of all captions, T rows, on the CPU."""
    return _encode(model, model.encode_text, data.text_batch, len(data.captions), batch, device)


@torch.no_grad()
def encode_items(
    model: Network, data: PairData, *, batch: int = 256, device: torch.device | str = "cpu"
) -> Tensor | Rows:
    """Embeddings of all items, N rows, on the CPU; of pixels no more than `AT_ONCE` items a batch."""
    batch = min(batch, AT_ONCE) if PIXELS in data.item else batch
    return _encode(model, model.encode_item, data.item_batch, len(data.items), batch, device)


def score_split(model: Network, data: PairData, *, device: torch.device | str = "cpu") -> Tensor:
    """Scores of all captions with all items of a split, float32 [T, N] on the CPU."""
    texts, items = encode_texts(model, data, device=device), encode_items(model, data, device=device)
    return score_all(model, texts, items, device=device)


def _encode(
    model: Network, encode: Any, take: Any, count: int, batch: int, device: torch.device | str
) -> Tensor | Rows:
    model.eval()
    parts: list[Any] = []
    for start in range(0, count, batch):
        rows = take(torch.arange(start, min(start + batch, count)))
        parts.append(encode({name: padded.to(device) for name, padded in rows.items()}).to("cpu"))
    joined: Tensor | Rows = concat(parts)
    return joined
