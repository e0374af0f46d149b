"""VSE++: one linear layer for the image, one GRU for the caption."""

from dataclasses import dataclass
from typing import Literal

from torch import Tensor

from matchcut.models.base import Inputs, RetrievalModel, Shapes, stream_rows, stream_shape, stream_width
from matchcut.models.linear import xavier_linear
from matchcut.models.normalise import l2_normalise
from matchcut.models.options import require_positive
from matchcut.models.pooling import flatten_grid, masked_mean
from matchcut.models.words import WordGRU


@dataclass(frozen=True, kw_only=True)
class VSEPPConfig:
    """Options of `VSEPP`.

    item, words: the streams. vocabulary: number of words. regions: how many rows an item has, needed for flattening
    when the stream's rows are single regions; rows that are grids say it themselves.
    image: "flatten" puts the regions side by side, as used with LSEH; "mean" averages them, or takes the one vector.
    """

    item: str = "efficientnet-lite0-grid"
    words: str = "words"
    vocabulary: int = 0
    word_dim: int = 300
    dim: int = 1024
    image: Literal["flatten", "mean"] = "flatten"
    regions: int = 36

    @property
    def text_streams(self) -> tuple[str, ...]:
        """Names of the text streams that the network reads."""
        return (self.words,)

    @property
    def item_streams(self) -> tuple[str, ...]:
        """Names of the item streams that the network reads."""
        return (self.item,)

    def __post_init__(self) -> None:
        if self.image not in ("flatten", "mean"):
            raise ValueError(f"image must be flatten or mean, got {self.image!r}")
        require_positive(self, "dim", "word_dim", "regions")

    def build(self, text_shapes: Shapes, item_shapes: Shapes) -> "VSEPP":
        """Make the network for streams of these row shapes."""
        stream_shape(text_shapes, self.words, "text")
        return VSEPP(self, item_shapes)


PRESETS = {"default": VSEPPConfig(image="mean"), "lseh": VSEPPConfig(), "pooled": VSEPPConfig(image="mean")}
"""`lseh`: flattened regions, as in the comparison of Gong and Cosma (2023). `pooled`: as in VSE++ itself."""


class VSEPP(RetrievalModel[Tensor, Tensor]):
    """Image: `unit(Linear(x))`, x the regions side by side or their mean. Text: `WordGRU`. Score: cosine.

    Source: Faghri et al., BMVC 2018; the flattened regions: reference code `yangong23/VSEnetworksLSEH`. The upstream
    norm has no epsilon; here it has.

    >>> model = VSEPPConfig(item="regions", vocabulary=8481).build({"words": ()}, {"regions": (2048,)})
    >>> sum(p.numel() for p in model.parameters())
    82116268
    """

    def __init__(self, config: VSEPPConfig, item_shapes: Shapes) -> None:
        super().__init__()
        self.config = config
        width = stream_width(item_shapes, config.item, "item")
        self.regions = stream_rows(item_shapes, config.item, config.regions)
        self.item = xavier_linear(width * self.regions if config.image == "flatten" else width, config.dim)
        self.text = WordGRU(config.vocabulary, word_dim=config.word_dim, dim=config.dim)

    def encode_text(self, inputs: Inputs) -> Tensor:
        """Unit vectors [T, dim]."""
        out: Tensor = self.text(inputs[self.config.words])
        return out

    def encode_item(self, inputs: Inputs) -> Tensor:
        """Unit vectors [V, dim]."""
        rows = flatten_grid(inputs[self.config.item])
        if self.config.image == "mean":
            return l2_normalise(self.item(masked_mean(rows)))
        if rows.values.shape[1] != self.regions:
            raise ValueError(f"flattening needs {self.regions} regions an item, got {rows.values.shape[1]}")
        return l2_normalise(self.item(rows.values.flatten(1)))
