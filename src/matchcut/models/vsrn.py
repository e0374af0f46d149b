"""VSRN: regions that reason about each other, and a caption task beside retrieval."""

from dataclasses import dataclass, replace
from typing import Any, Literal

from torch import Tensor, nn

from matchcut.models.base import Inputs, RetrievalModel, Shapes, Step, stream_shape, stream_width
from matchcut.models.batch_norm import masked_batch_norm
from matchcut.models.bigru import last_state
from matchcut.models.caption_decoder import CaptionDecoder, RegionReader
from matchcut.models.inputs import Padded
from matchcut.models.linear import xavier_linear
from matchcut.models.normalise import l2_normalise
from matchcut.models.options import require_positive
from matchcut.models.pooling import flatten_grid
from matchcut.models.words import WordGRU


@dataclass(frozen=True, kw_only=True)
class VSRNConfig:
    """Options of `VSRN`.

    item, words: the streams. vocabulary: number of words. dim: size of the common space. blocks: graph convolutions.
    norm_first: unit length after the first linear layer (the MS-COCO variant). norm_last: BatchNorm after the GRU
    (the Flickr30K variant). norm_axis: what the two unit lengths inside the image encoder are taken over: "regions",
    as the released code does (each feature has unit length over the regions), or "features".
    captions: learn to write captions too. caption_hidden, longest: size of that task's states, words it reads.
    """

    item: str = "efficientnet-lite0-grid"
    words: str = "words"
    vocabulary: int = 0
    word_dim: int = 300
    dim: int = 2048
    blocks: int = 4
    norm_first: bool = False
    norm_last: bool = True
    norm_axis: Literal["regions", "features"] = "regions"
    captions: bool = True
    caption_hidden: int = 512
    longest: int = 60

    @property
    def text_streams(self) -> tuple[str, ...]:
        """Names of the text streams that the network reads."""
        return (self.words,)

    @property
    def item_streams(self) -> tuple[str, ...]:
        """Names of the item streams that the network reads."""
        return (self.item,)

    def __post_init__(self) -> None:
        if self.norm_axis not in ("regions", "features"):
            raise ValueError(f"norm_axis must be regions or features, got {self.norm_axis!r}")
        if self.blocks < 0:
            raise ValueError(f"blocks must be 0 or more, got {self.blocks}")
        require_positive(self, "dim", "word_dim", "caption_hidden")

    def build(self, text_shapes: Shapes, item_shapes: Shapes) -> "VSRN":
        """Make the network for streams of these row shapes."""
        stream_shape(text_shapes, self.words, "text")
        return VSRN(self, item_shapes)


_FLICKR = VSRNConfig()
PRESETS = {
    "default": _FLICKR,
    "flickr30k": _FLICKR,
    "coco": replace(_FLICKR, norm_first=True, norm_last=False),
}
"""The two variants of the released code; IAPR TC-12 was run with the Flickr30K one."""


class GraphConvolution(nn.Module):
    """A residual step of reasoning between regions: `v + BN(W (R g))`, `R = theta^T phi / n` over the n regions.

    No softmax. The BatchNorm starts at zero, so the block starts as the identity. Source: Li et al., ICCV 2019,
    reference code.

    x: values [V, n, dim]. Returns the same.
    """

    def __init__(self, dim: int) -> None:
        super().__init__()
        self.theta, self.phi, self.g = nn.Linear(dim, dim), nn.Linear(dim, dim), nn.Linear(dim, dim)
        self.out, self.norm = nn.Linear(dim, dim), nn.BatchNorm1d(dim)
        nn.init.zeros_(self.norm.weight)

    def forward(self, x: Padded) -> Padded:
        relations = self.theta(x.values) @ self.phi(x.values).transpose(1, 2) / x.lengths[:, None, None]
        moved = (relations * x.mask[:, None, :]) @ self.g(x.values)
        return Padded(x.values + masked_batch_norm(self.norm, Padded(self.out(moved), x.lengths)), x.lengths)


class RegionReasoning(nn.Module):
    """Regions [V, R, width] to regions that know of each other, values [V, R, dim], zero beyond each length."""

    def __init__(self, width: int, config: VSRNConfig) -> None:
        super().__init__()
        self.axis = 1 if config.norm_axis == "regions" else 2
        self.norm_first = config.norm_first
        self.linear = xavier_linear(width, config.dim)
        self.blocks = nn.ModuleList(GraphConvolution(config.dim) for _ in range(config.blocks))

    def forward(self, regions: Padded) -> Padded:
        x = Padded(self.linear(regions.values) * regions.mask[..., None], regions.lengths)
        if self.norm_first:
            x = Padded(l2_normalise(x.values, dim=self.axis), x.lengths)
        for block in self.blocks:
            x = block(x)
        return Padded(l2_normalise(x.values, dim=self.axis), x.lengths)


class VSRN(RetrievalModel[Tensor, Tensor]):
    """Image: reasoning between regions, then a GRU over them, its final state. Text: `WordGRU`. Score: cosine.

    Source: Li et al., ICCV 2019, reference code `KunpengLi1994/VSRN`. Auxiliary loss `captions`: `CaptionDecoder` on
    the regions after reasoning, weight 1 in the source. Published numbers are means over two trained models.
    """

    def __init__(self, config: VSRNConfig, item_shapes: Shapes) -> None:
        super().__init__()
        self.config = config
        self.reasoning = RegionReasoning(stream_width(item_shapes, config.item, "item"), config)
        self.gru = nn.GRU(config.dim, config.dim, batch_first=True)
        self.norm = nn.BatchNorm1d(config.dim) if config.norm_last else None
        self.text = WordGRU(config.vocabulary, word_dim=config.word_dim, dim=config.dim)
        self.reader: RegionReader | None = None
        self.decoder: CaptionDecoder | None = None
        if config.captions:
            self.auxiliary_names = ("captions",)
            self.reader = RegionReader(config.dim, config.caption_hidden)
            self.decoder = CaptionDecoder(
                config.vocabulary, hidden=config.caption_hidden, word_dim=config.word_dim, longest=config.longest
            )

    def encode_text(self, inputs: Inputs) -> Tensor:
        """Unit vectors [T, dim]."""
        out: Tensor = self.text(inputs[self.config.words])
        return out

    def encode_item(self, inputs: Inputs) -> Tensor:
        """Unit vectors [V, dim]."""
        return self.train_item(inputs)[0]

    def train_item(self, inputs: Inputs) -> tuple[Tensor, Any]:
        """Unit vectors [V, dim], and the regions after reasoning, which the caption task reads."""
        regions: Padded = self.reasoning(flatten_grid(inputs[self.config.item]))
        vector = last_state(self.gru, regions)
        if self.norm is not None:
            vector = self.norm(vector)
        return l2_normalise(vector), regions

    def auxiliary(self, step: Step) -> dict[str, Tensor]:
        """`captions`, unless the options leave it out."""
        if self.reader is None or self.decoder is None:
            return {}
        regions = step.item_extra if step.item_extra is not None else self.train_item(step.item_inputs)[1]
        states, final = self.reader(regions)
        ids = step.text_inputs[self.config.words]
        loss: Tensor = self.decoder(states.select(step.pairs), final[step.pairs], ids)
        return {"captions": loss}
