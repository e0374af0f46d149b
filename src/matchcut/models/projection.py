"""Heads on frozen features: the everyday default."""

import math
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor, nn

from matchcut.models.base import Inputs, RetrievalModel, Shapes, stream_width
from matchcut.models.inputs import Padded
from matchcut.models.normalise import l2_normalise
from matchcut.models.options import require_positive, require_rate
from matchcut.models.pooling import Pool, Pooling, flatten_grid

Norm = Literal["none", "layer", "batch"]
InputNorm = Literal["none", "l2", "layer"]


@dataclass(frozen=True, kw_only=True)
class ProjectionConfig:
    """Options of `ProjectionModel`.

    text, item: names of the streams each side reads; several are concatenated after pooling.
    dim: size of the common space. pooling, text_pooling: from rows (frames, grid cells; tokens) to one vector.
    heads: groups of features with their own weights, in attention pooling.
    hidden_layers: 0 for a linear head, else the number of hidden layers of the branch added to it. hidden: their width.
    dropout: on the hidden layers; input_dropout: on the pooled features.
    input_norm: what is done to each row before pooling. norm: in the hidden layers.
    """

    text: tuple[str, ...] = ("minilm",)
    item: tuple[str, ...] = ("efficientnet-lite0",)
    dim: int = 512
    pooling: Pooling = "attention"
    text_pooling: Pooling = "attention"
    heads: int = 8
    hidden_layers: int = 1
    hidden: int = 1024
    dropout: float = 0.4
    input_dropout: float = 0.3
    input_norm: InputNorm = "l2"
    norm: Norm = "layer"

    def __post_init__(self) -> None:
        require_positive(self, "dim", "heads", "hidden")
        require_rate(self, "dropout", "input_dropout")
        if self.hidden_layers < 0:
            raise ValueError(f"hidden_layers must be 0 or more, got {self.hidden_layers}")
        if not self.text or not self.item:
            raise ValueError(f"each side needs at least one stream, got text={self.text} and item={self.item}")

    @property
    def text_streams(self) -> tuple[str, ...]:
        """Names of the text streams that the network reads."""
        return self.text

    @property
    def item_streams(self) -> tuple[str, ...]:
        """Names of the item streams that the network reads."""
        return self.item

    def build(self, text_shapes: Shapes, item_shapes: Shapes) -> "ProjectionModel":
        """Make the network for streams of these row shapes."""
        return ProjectionModel(self, text_shapes, item_shapes)


PRESETS = {"default": ProjectionConfig(), "linear": ProjectionConfig(hidden_layers=0)}


class ProjectionModel(RetrievalModel[Tensor, Tensor]):
    """Pooled frozen features of texts and items, each projected into a common space; the score is the cosine.

    Formula, on each side: x = concatenation of the pooled streams; `z = Linear(x) + MLP(x)`; embedding `z / |z|`.
    A choice of this project: the linear path keeps what the frozen features know, the branch starts at zero.

    >>> model = ProjectionConfig(dim=16).build({"minilm": (384,)}, {"efficientnet-lite0": (1280,)})
    >>> text = model.encode_text({"minilm": Padded(torch.randn(3, 1, 384), torch.ones(3, dtype=torch.long))})
    >>> frames = Padded(torch.randn(2, 4, 1280), torch.tensor([4, 2]))
    >>> model.score(text, model.encode_item({"efficientnet-lite0": frames})).shape
    torch.Size([3, 2])
    """

    def __init__(self, config: ProjectionConfig, text_shapes: Shapes, item_shapes: Shapes) -> None:
        super().__init__()
        self.config = config
        text_widths = {name: stream_width(text_shapes, name, "text") for name in config.text}
        item_widths = {name: stream_width(item_shapes, name, "item") for name in config.item}
        self.text = _Side(text_widths, config, config.text_pooling)
        self.item = _Side(item_widths, config, config.pooling)

    def encode_text(self, inputs: Inputs) -> Tensor:
        """Unit vectors [T, dim]."""
        out: Tensor = self.text(inputs)
        return out

    def encode_item(self, inputs: Inputs) -> Tensor:
        """Unit vectors [V, dim]."""
        out: Tensor = self.item(inputs)
        return out


class _Side(nn.Module):
    """Streams of one side to unit vectors."""

    def __init__(self, widths: dict[str, int], config: ProjectionConfig, pooling: Pooling) -> None:
        super().__init__()
        self.names = tuple(widths)
        self.norms = nn.ModuleList(_input_norm(config.input_norm, w) for w in widths.values())
        self.pools = nn.ModuleList(Pool(w, pooling, heads=config.heads) for w in widths.values())
        width = sum(widths.values())
        self.dropout = nn.Dropout(config.input_dropout)
        self.linear = nn.Linear(width, config.dim)
        nn.init.xavier_uniform_(self.linear.weight)
        nn.init.zeros_(self.linear.bias)
        self.branch = _mlp(width, config) if config.hidden_layers else None

    def forward(self, inputs: Inputs) -> Tensor:
        pooled = []
        for name, norm, pool in zip(self.names, self.norms, self.pools, strict=True):
            rows = flatten_grid(inputs[name])
            pooled.append(pool(Padded(norm(rows.values), rows.lengths)))
        x: Tensor = self.dropout(torch.cat(pooled, 1))
        z: Tensor = self.linear(x)
        if self.branch is not None:
            z = z + self.branch(x)
        return l2_normalise(z)


class _Unit(nn.Module):
    """Each row scaled to the length sqrt(width), so that features have a variance of about one."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.length = math.sqrt(width)

    def forward(self, x: Tensor) -> Tensor:
        return l2_normalise(x) * self.length


def _input_norm(how: InputNorm, width: int) -> nn.Module:
    if how == "l2":
        return _Unit(width)
    if how == "layer":
        return nn.LayerNorm(width)
    if how == "none":
        return nn.Identity()
    raise ValueError(f"input_norm must be none, l2 or layer, got {how!r}")


def _norm(how: Norm, width: int) -> nn.Module:
    if how == "layer":
        return nn.LayerNorm(width)
    if how == "batch":
        return nn.BatchNorm1d(width)
    if how == "none":
        return nn.Identity()
    raise ValueError(f"norm must be none, layer or batch, got {how!r}")


def _mlp(width: int, config: ProjectionConfig) -> nn.Sequential:
    layers: list[nn.Module] = []
    for _ in range(config.hidden_layers):
        layers += [nn.Linear(width, config.hidden), _norm(config.norm, config.hidden), nn.GELU()]
        layers += [nn.Dropout(config.dropout)]
        width = config.hidden
    last = nn.Linear(width, config.dim)
    nn.init.zeros_(last.weight)
    nn.init.zeros_(last.bias)
    return nn.Sequential(*layers, last)
