"""Every network and preset of the room at tiny sizes, with inputs to match."""

from collections.abc import Mapping
from dataclasses import fields, replace
from typing import Any

import torch
from torch import Tensor

from matchcut.models import config_class, presets
from matchcut.models.base import RetrievalModel
from matchcut.models.inputs import Padded

SIZES = {
    "vocabulary": 12, "word_dim": 6, "dim": 8, "item_hidden": 5, "text_hidden": 4, "filters": 3, "similarity_dim": 6,
    "caption_hidden": 5, "regions": 4, "hidden": 16, "heads": 2, "concepts": 5, "max_frames": 5,
}  # fmt: skip
NETWORKS = ("projection", "dual_encoding", "hybrid_space", "vsepp", "vsrn", "sgraf", "vse_infinity")
ALL = [(name, preset) for name in NETWORKS for preset in presets(name)]
TEXT_SHAPES = {"words": (), "bow": (9,), "bert": (7,), "minilm": (7,), "minilm-tokens": (7,)}
ITEM_SHAPES = {"efficientnet-lite0": (6,), "efficientnet-lite0-grid": (4, 6)}


def tiny(name: str, preset: str = "default", **options: Any) -> RetrievalModel[Any, Any]:
    """A network from a preset, made small, with seeded weights."""
    config = presets(name)[preset]
    known = {f.name for f in fields(config_class(name))}
    config = replace(config, **{**{k: v for k, v in SIZES.items() if k in known}, **options})
    torch.manual_seed(0)
    model: RetrievalModel[Any, Any] = config.build(TEXT_SHAPES, ITEM_SHAPES)
    return model


def inputs(count: int = 6, *, seed: int = 1) -> tuple[dict[str, Padded], dict[str, Padded]]:
    """Streams of texts and items of different lengths."""
    g = torch.Generator().manual_seed(seed)
    lengths = torch.tensor([3 + i % 4 for i in range(count)])
    ids = torch.randint(4, 12, (count, 6), generator=g)
    ids[:, 0] = 1
    ids[torch.arange(count), lengths - 1] = 2
    ones = torch.ones(count, dtype=torch.long)

    def rows(*shape: int, lengths: Tensor) -> Padded:
        padded = Padded(torch.randn(count, *shape, generator=g), lengths)
        padded.values[~padded.mask] = 0
        return padded

    ids = ids * Padded(ids, lengths).mask
    text = {
        "words": Padded(ids, lengths),
        "bow": rows(1, 9, lengths=ones),
        "bert": rows(6, 7, lengths=lengths),
        "minilm": rows(1, 7, lengths=ones),
        "minilm-tokens": rows(6, 7, lengths=lengths),
    }
    frames = torch.tensor([7 - i % 5 for i in range(count)])
    item = {
        "efficientnet-lite0": rows(7, 6, lengths=frames),
        "efficientnet-lite0-grid": rows(1, 4, 6, lengths=ones),
    }
    return text, item


def select(streams: Mapping[str, Padded], index: list[int]) -> dict[str, Padded]:
    """Some sequences of each stream."""
    return {name: stream.select(torch.tensor(index, dtype=torch.int64)) for name, stream in streams.items()}


def spoil(streams: Mapping[str, Padded]) -> dict[str, Padded]:
    """The same streams with two positions more and garbage in all padding."""
    out = {}
    for name, x in streams.items():
        if x.values.shape[1] == 1:
            out[name] = x
            continue
        values = torch.cat([x.values, x.values[:, :2]], 1).clone()
        spoiled = Padded(values, x.lengths)
        values[~spoiled.mask] = 3 if values.dtype == torch.long else 50.0
        out[name] = spoiled
    return out


def tensors(embedding: Any) -> list[Tensor]:
    """The tensors of an embedding, padding cut off."""
    if isinstance(embedding, Tensor):
        return [embedding]
    found = []
    for f in fields(embedding):
        value = getattr(embedding, f.name)
        found += (
            [v[:n] for v, n in zip(value.values, value.lengths, strict=True)] if isinstance(value, Padded) else [value]
        )
    return found


def naive_gru(gru: torch.nn.GRU, rows: list[Tensor], *, reverse: bool = False) -> list[Tensor]:
    """States of one direction of a GRU, step by step from its equations."""
    end = "_reverse" if reverse else ""
    w_in, w_hid = getattr(gru, f"weight_ih_l0{end}"), getattr(gru, f"weight_hh_l0{end}")
    b_in, b_hid = getattr(gru, f"bias_ih_l0{end}"), getattr(gru, f"bias_hh_l0{end}")
    h, states = torch.zeros(gru.hidden_size), []
    for x in reversed(rows) if reverse else rows:
        a, b = (w_in @ x + b_in).chunk(3), (w_hid @ h + b_hid).chunk(3)
        r, z = torch.sigmoid(a[0] + b[0]), torch.sigmoid(a[1] + b[1])
        h = (1 - z) * torch.tanh(a[2] + r * b[2]) + z * h
        states.append(h)
    return states[::-1] if reverse else states


def naive_bigru(gru: torch.nn.GRU, rows: list[Tensor]) -> list[Tensor]:
    """States of both directions, side by side."""
    pairs = zip(naive_gru(gru, rows), naive_gru(gru, rows, reverse=True), strict=True)
    return [torch.cat(pair) for pair in pairs]


def rows_of(x: Padded, n: int) -> list[Tensor]:
    """The valid rows of sequence n."""
    return list(x.values[n, : x.lengths[n]])


def count(module: torch.nn.Module | None) -> int:
    """Number of parameters."""
    return sum(p.numel() for p in module.parameters()) if module is not None else 0


def randomise(model: torch.nn.Module) -> Any:
    """The model with random biases and BatchNorms, which start at zero or one and would hide mistakes."""
    torch.manual_seed(3)
    for parameter in model.parameters():
        torch.nn.init.normal_(parameter, std=0.4)
    for name, buffer in model.named_buffers():
        if name.endswith("running_mean"):
            buffer.normal_(std=0.3)
        elif name.endswith("running_var"):
            buffer.uniform_(0.5, 2)
    return model
