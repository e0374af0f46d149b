"""Multi-modal transformer: several kinds of video features see each other, and a text weighs what each has to say."""

from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from matchcut.models.base import Inputs, RetrievalModel, Rows, Shapes, stream_width
from matchcut.models.inputs import Padded
from matchcut.models.normalise import dot_products, l2_normalise
from matchcut.models.options import require_positive, require_rate
from matchcut.models.pooling import flatten_grid
from matchcut.models.token_interaction import start_small


@dataclass(frozen=True, kw_only=True)
class MultimodalTransformerConfig:
    """Options of `MultimodalTransformer`; the numbers are those of MMT's published configurations.

    text: stream of sentence vectors. experts: item streams, one a kind of features; an item without rows in one of
    them lacks that expert. times: for each expert the stream of its rows' seconds, or none: then rows count in order.
    dim, layers, heads, feed_forward, dropout: of the transformer. max_tokens: rows an expert may give; longer sequences
    are thinned evenly. positions: number of position embeddings.
    missing: "renormalise" spreads the weight of experts that an item lacks over the others; "keep" scores what the
    transformer makes of nothing, as the published configurations do; the score is then a dot product.
    normalise: scale projected rows over their "features", or over "tokens" (time): a defect of the released code.
    """

    text: str = "minilm"
    experts: tuple[str, ...] = ("efficientnet-lite0",)
    times: tuple[str, ...] = ()
    dim: int = 512
    layers: int = 4
    heads: int = 4
    feed_forward: int = 3072
    dropout: float = 0.1
    max_tokens: int = 30
    positions: int = 32
    batch_norm: bool = True
    missing: Literal["renormalise", "keep"] = "renormalise"
    normalise: Literal["features", "tokens"] = "features"

    @property
    def text_streams(self) -> tuple[str, ...]:
        """Names of the text streams that the network reads."""
        return (self.text,)

    @property
    def item_streams(self) -> tuple[str, ...]:
        """Names of the item streams that the network reads."""
        return (*self.experts, *(name for name in self.times if name))

    def __post_init__(self) -> None:
        if not self.experts:
            raise ValueError("experts must name at least one item stream, got none")
        if self.times and len(self.times) != len(self.experts):
            raise ValueError(f"times must name one stream an expert, got {len(self.times)} for {len(self.experts)}")
        require_positive(self, "dim", "layers", "heads", "feed_forward", "max_tokens")
        if self.dim % self.heads:
            raise ValueError(f"heads must divide dim = {self.dim}, got {self.heads}")
        if self.positions <= self.max_tokens:
            raise ValueError(f"positions must be above max_tokens = {self.max_tokens}, got {self.positions}")
        require_rate(self, "dropout")
        if self.missing not in ("renormalise", "keep"):
            raise ValueError(f"missing must be renormalise or keep, got {self.missing!r}")
        if self.normalise not in ("features", "tokens"):
            raise ValueError(f"normalise must be features or tokens, got {self.normalise!r}")

    def build(self, text_shapes: Shapes, item_shapes: Shapes) -> "MultimodalTransformer | FlatMultimodalTransformer":
        """Make the network for streams of these row shapes."""
        kind = FlatMultimodalTransformer if self.missing == "keep" else MultimodalTransformer
        return kind(self, text_shapes, item_shapes)


_ECCV20 = ("face", "ocr", "rgb", "s3d", "scene", "speech", "vggish")

PRESETS = {
    "default": MultimodalTransformerConfig(),
    "eccv20": MultimodalTransformerConfig(text="bert", experts=_ECCV20),
    "eccv20_released": MultimodalTransformerConfig(text="bert", experts=_ECCV20, missing="keep", normalise="tokens"),
}


@dataclass(frozen=True)
class ExpertRows(Rows):
    """One unit vector an expert, [N, E, D], and its weight, [N, E]: of a text, summing to 1; of an item, 1 or 0."""

    vectors: Tensor
    weights: Tensor


class MultimodalTransformer(RetrievalModel[ExpertRows, ExpertRows]):
    """MMT (Gabeur et al. 2020): the likely backbone of the adaptive-margin experiments (He et al. 2021).

    Formula, over experts k: `score = sum_k w_k a_k <phi_k, psi_k> / sum_k w_k a_k`, w the text's weights (softmax), a
    whether the item has the expert, phi the text's gated units, psi the transformer's outputs, all of unit length.
    Source: released code; the sentence vector comes from a text encoder beside it (there: BERT's first token).
    The score is no dot product of two vectors unless every item has every expert.

    >>> config = MultimodalTransformerConfig(dim=8, layers=1, heads=2, feed_forward=16)
    >>> model = config.build({"minilm": (384,)}, {"efficientnet-lite0": (1280,)}).eval()
    >>> frames = Padded(torch.randn(2, 4, 1280), torch.tensor([4, 2]))
    >>> text = model.encode_text({"minilm": Padded(torch.randn(3, 1, 384), torch.ones(3, dtype=torch.int64))})
    >>> model.score(text, model.encode_item({"efficientnet-lite0": frames})).shape
    torch.Size([3, 2])
    """

    factorises = False

    def __init__(self, config: MultimodalTransformerConfig, text_shapes: Shapes, item_shapes: Shapes) -> None:
        super().__init__()
        self.config = config
        self.text = GatedText(config, text_shapes)
        self.video = ExpertTransformer(config, item_shapes)

    def encode_text(self, inputs: Inputs) -> ExpertRows:
        """Vectors [T, E, D] and weights [T, E]."""
        return ExpertRows(*self.text(inputs))

    def encode_item(self, inputs: Inputs) -> ExpertRows:
        """Vectors [V, E, D] and weights [V, E]."""
        return ExpertRows(*self.video(inputs))

    def scores(self, text: ExpertRows, item: ExpertRows) -> dict[str, Tensor]:
        """The one matrix, [T, V]; 0 for an item without any expert."""
        x = (text.vectors * text.weights[..., None]).flatten(1)
        y = (item.vectors * item.weights[..., None]).flatten(1)
        return {"score": dot_products(x, y) / dot_products(text.weights, item.weights).clamp(min=1e-5)}


class FlatMultimodalTransformer(RetrievalModel[Tensor, Tensor]):
    """The same network where every item counts as having every expert: `score = sum_k <w_k phi_k, psi_k>`."""

    def __init__(self, config: MultimodalTransformerConfig, text_shapes: Shapes, item_shapes: Shapes) -> None:
        super().__init__()
        self.config = config
        self.text = GatedText(config, text_shapes)
        self.video = ExpertTransformer(config, item_shapes)

    def encode_text(self, inputs: Inputs) -> Tensor:
        """The weighted vectors of all experts side by side, [T, E * D]."""
        vectors, weights = self.text(inputs)
        out: Tensor = (vectors * weights[..., None]).flatten(1)
        return out

    def encode_item(self, inputs: Inputs) -> Tensor:
        """The vectors of all experts side by side, [V, E * D]."""
        out: Tensor = self.video(inputs)[0].flatten(1)
        return out


class GatedText(nn.Module):
    """A sentence vector to one unit vector an expert, [T, E, D], and the experts' weights, [T, E]."""

    def __init__(self, config: MultimodalTransformerConfig, shapes: Shapes) -> None:
        super().__init__()
        self.stream = config.text
        width = stream_width(shapes, config.text, "text")
        self.units = nn.ModuleList(GatedUnit(width, config.dim, config.batch_norm) for _ in config.experts)
        self.weigh = nn.Linear(width, len(config.experts))
        self.dropout = nn.Dropout(config.dropout)

    def forward(self, inputs: Inputs) -> tuple[Tensor, Tensor]:
        x = inputs[self.stream].values[:, 0]
        return torch.stack([unit(x) for unit in self.units], 1), self.weigh(self.dropout(x)).softmax(-1)


class GatedUnit(nn.Module):
    """Gated embedding unit (Miech et al. 2018; MMT's released code): `y = Wx + b; unit(y * sigmoid(norm(Uy + c)))`."""

    def __init__(self, width: int, dim: int, batch_norm: bool) -> None:
        super().__init__()
        self.linear = nn.Linear(width, dim)
        self.gate = nn.Linear(dim, dim)
        self.norm = nn.BatchNorm1d(dim) if batch_norm else nn.Identity()

    def forward(self, x: Tensor) -> Tensor:
        y = self.linear(x)
        return l2_normalise(y * torch.sigmoid(self.norm(self.gate(y))))


class ExpertTransformer(nn.Module):
    """Rows of all experts to one unit vector an expert, [V, E, D], and which experts there are, [V, E].

    Sequence: a start token, then for each expert its summary token (the projected maximum of its rows) and its rows.
    Position 0 is for summaries, row r has position r + 1; with times, second t has 2 + floor(t) (reconstructed from
    the released code's comments). The outputs at the summary tokens are the result.
    """

    def __init__(self, config: MultimodalTransformerConfig, shapes: Shapes) -> None:
        super().__init__()
        self.config = config
        self.reduce = nn.ModuleList(nn.Linear(stream_width(shapes, e, "item"), config.dim) for e in config.experts)
        self.position = nn.Embedding(config.positions, config.dim)
        self.kind = nn.Embedding(len(config.experts) + 1, config.dim)
        self.norm = nn.LayerNorm(config.dim, eps=1e-12)
        self.dropout = nn.Dropout(config.dropout)
        self.layers = nn.ModuleList(
            Layer(config.dim, config.heads, config.feed_forward, config.dropout) for _ in range(config.layers)
        )
        for part in (self.position, self.kind, self.layers):
            part.apply(start_small)

    def forward(self, inputs: Inputs) -> tuple[Tensor, Tensor]:
        rows = [thin(flatten_grid(inputs[name]), self.config.max_tokens) for name in self.config.experts]
        n = len(rows[0])
        start = self.kind.weight[0] + self.position.weight[0]
        tokens, masks = [start.expand(n, 1, -1)], [rows[0].mask.new_ones(n, 1)]
        summaries, here = [], 1
        for k, (x, linear) in enumerate(zip(rows, self.reduce, strict=True)):
            highest = (
                x.values.masked_fill(~x.mask[..., None], -torch.inf).amax(1).masked_fill(x.lengths[:, None] == 0, 0)
            )
            summary = l2_normalise(linear(highest)) + self.position.weight[0]
            projected = self._scale(linear, x) + self.position(self._positions(inputs, k, x))
            tokens += [summary[:, None] + self.kind.weight[k + 1], projected + self.kind.weight[k + 1]]
            masks += [x.lengths[:, None] > 0, x.mask]
            summaries.append(here)
            here += 1 + x.mask.shape[1]
        y = self.dropout(self.norm(torch.cat(tokens, 1)))
        padding = ~torch.cat(masks, 1)
        for layer in self.layers:
            y = layer(y, padding)
        available = torch.stack([x.lengths > 0 for x in rows], 1).to(y.dtype)
        return l2_normalise(y[:, summaries]), available

    def _scale(self, linear: nn.Module, x: Padded) -> Tensor:
        y: Tensor = linear(x.values)
        if self.config.normalise == "features":
            return l2_normalise(y)
        # The released code pads every sequence to max_tokens zero rows, which the projection turns into its bias.
        bias: Tensor = linear.bias  # type: ignore[assignment]
        padded = (self.config.max_tokens - x.lengths)[:, None] * bias**2
        length = ((y**2 * x.mask[..., None]).sum(1) + padded).sqrt().clamp(min=1e-12)
        return y / length[:, None]

    def _positions(self, inputs: Inputs, expert: int, x: Padded) -> Tensor:
        last = self.config.positions - 1
        if not self.config.times:
            return torch.arange(1, x.mask.shape[1] + 1, device=x.values.device)
        times = thin(inputs[self.config.times[expert]], self.config.max_tokens).values.reshape(x.mask.shape)
        return (2 + times.floor().long()).clamp(2, last)


class Layer(nn.Module):
    """A BERT layer: `x = norm(x + attention(x)); x = norm(x + W2 gelu(W1 x))`. padding: bool [N, L], true for none."""

    def __init__(self, dim: int, heads: int, feed_forward: int, dropout: float) -> None:
        super().__init__()
        self.attention = nn.MultiheadAttention(dim, heads, dropout=dropout, batch_first=True)
        nn.init.normal_(self.attention.in_proj_weight, std=0.02)
        self.norm_1 = nn.LayerNorm(dim, eps=1e-12)
        self.norm_2 = nn.LayerNorm(dim, eps=1e-12)
        self.widen = nn.Linear(dim, feed_forward)
        self.narrow = nn.Linear(feed_forward, dim)
        self.dropout = nn.Dropout(dropout)

    def forward(self, x: Tensor, padding: Tensor) -> Tensor:
        seen = self.attention(x, x, x, key_padding_mask=padding, need_weights=False)[0]
        x = self.norm_1(x + self.dropout(seen))
        out: Tensor = self.norm_2(x + self.dropout(self.narrow(F.gelu(self.widen(x)))))
        return out


def thin(x: Padded, most: int) -> Padded:
    """At most `most` rows of each sequence, evenly spaced.

    >>> thin(Padded(torch.arange(5.0)[None, :, None], torch.tensor([5])), 3).values.flatten()
    tensor([0., 1., 3.])
    """
    if x.mask.shape[1] <= most:
        return x
    lengths = x.lengths.clamp(max=most)
    step = torch.arange(most, device=lengths.device)[None, :].expand(len(lengths), -1)
    index = (step * x.lengths[:, None]).div(lengths.clamp(min=1)[:, None], rounding_mode="floor")
    index = index.where(step < lengths[:, None], torch.zeros_like(index))
    values = x.values[torch.arange(len(lengths), device=lengths.device)[:, None], index]
    inside = (step < lengths[:, None]).reshape(*step.shape, *[1] * (values.ndim - 2))
    return Padded(values * inside, lengths)
