"""VSE-infinity: region and word features, pooled by a learned generalised operator."""

from dataclasses import dataclass, replace

from torch import Tensor, nn

from matchcut.models.base import Inputs, RetrievalModel, Shapes, stream_shape, stream_width
from matchcut.models.batch_norm import masked_batch_norm
from matchcut.models.gpo import GPO
from matchcut.models.inputs import Padded
from matchcut.models.linear import xavier_linear
from matchcut.models.normalise import l2_normalise
from matchcut.models.options import require_positive, require_rate
from matchcut.models.pooling import flatten_grid
from matchcut.models.size_augmentation import change_words, drop_rows
from matchcut.models.words import WordBiGRU


@dataclass(frozen=True, kw_only=True)
class VSEInfinityConfig:
    """Options of `VSEInfinity`.

    item: the stream of regions, grid cells or frames. tokens: the stream of token vectors, such as BERT's, or "" to
    read words by a biGRU; words, vocabulary, word_dim: that stream, its number of words, and their size.
    drop: rate at which regions are left out in training. drop_text: the same for token vectors; 0.2 x 40 % is the
    share that the source deletes (its masked and replaced words need BERT in the loop). change: rate at which the
    biGRU's words are touched, unknown: the number of the word that stands for them.
    legacy_padding: let padded rows take part in the BatchNorm of the image MLP. unused_norm: keep the second
    BatchNorm of that MLP, which public code makes and never uses.
    """

    item: str = "efficientnet-lite0-grid"
    tokens: str = "minilm-tokens"
    words: str = "words"
    vocabulary: int = 0
    word_dim: int = 300
    dim: int = 1024
    drop: float = 0.2
    drop_text: float = 0.08
    change: float = 0.2
    unknown: int = 3
    legacy_padding: bool = False
    unused_norm: bool = False

    @property
    def text_streams(self) -> tuple[str, ...]:
        """Names of the text streams that the network reads."""
        return (self.tokens or self.words,)

    @property
    def item_streams(self) -> tuple[str, ...]:
        """Names of the item streams that the network reads."""
        return (self.item,)

    def __post_init__(self) -> None:
        require_rate(self, "drop", "drop_text", "change")
        require_positive(self, "word_dim")
        if self.dim < 2:
            raise ValueError(f"dim must be at least 2, got {self.dim}")

    def build(self, text_shapes: Shapes, item_shapes: Shapes) -> "VSEInfinity":
        """Make the network for streams of these row shapes."""
        return VSEInfinity(self, text_shapes, item_shapes)


_BERT = VSEInfinityConfig()
PRESETS = {
    "default": _BERT,
    "region_bert": replace(_BERT, tokens="bert"),
    "region_bert_released": replace(_BERT, tokens="bert", legacy_padding=True, unused_norm=True),
    "region_bigru": replace(_BERT, tokens=""),
}
"""The variants on regions, with known defects corrected unless the name ends in `released`."""


class RegionHead(nn.Module):
    """Regions to the common space: `Linear(x) + MLP(x)`, MLP = Linear, BatchNorm, ReLU, Linear, half as wide inside.

    x: values [V, R, width]. Returns [V, R, dim].
    """

    def __init__(self, width: int, config: VSEInfinityConfig) -> None:
        super().__init__()
        hidden = config.dim // 2
        self.linear = xavier_linear(width, config.dim)
        self.first, self.norm, self.second = (
            nn.Linear(width, hidden),
            nn.BatchNorm1d(hidden),
            nn.Linear(hidden, config.dim),
        )
        self.unused = nn.BatchNorm1d(config.dim) if config.unused_norm else None
        self.legacy_padding = config.legacy_padding

    def forward(self, x: Padded) -> Padded:
        hidden = self.first(x.values)
        if self.legacy_padding:
            hidden = self.norm(hidden.flatten(0, 1)).view_as(hidden)
        else:
            hidden = masked_batch_norm(self.norm, Padded(hidden, x.lengths))
        return Padded(self.linear(x.values) + self.second(hidden.relu()), x.lengths)


class VSEInfinity(RetrievalModel[Tensor, Tensor]):
    """Image: `unit(GPO(RegionHead(x)))`. Text: `unit(GPO(Linear(tokens)))` or `unit(GPO(WordBiGRU(words)))`. Cosine.

    Source: Chen et al., CVPR 2021, reference code `woodfrog/vse_infty`.

    >>> config = VSEInfinityConfig(item="regions", tokens="bert")
    >>> model = config.build({"bert": (768,)}, {"regions": (2048,)})
    >>> sum(p.numel() for p in [*model.text.parameters(), *model.text_pool.parameters()])
    800160
    """

    def __init__(self, config: VSEInfinityConfig, text_shapes: Shapes, item_shapes: Shapes) -> None:
        super().__init__()
        self.config = config
        self.item = RegionHead(stream_width(item_shapes, config.item, "item"), config)
        self.item_pool, self.text_pool = GPO(), GPO()
        self.text: nn.Linear | WordBiGRU
        if config.tokens:
            self.text = nn.Linear(stream_width(text_shapes, config.tokens, "text"), config.dim)
        else:
            stream_shape(text_shapes, config.words, "text")
            self.text = WordBiGRU(config.vocabulary, word_dim=config.word_dim, dim=config.dim)

    def encode_text(self, inputs: Inputs) -> Tensor:
        """Unit vectors [T, dim]."""
        if isinstance(self.text, WordBiGRU):
            ids = inputs[self.config.words]
            if self.training and self.config.change:
                c = self.config
                ids = change_words(ids, c.change, unknown=c.unknown, vocabulary=c.vocabulary)
            return l2_normalise(self.text_pool(self.text(ids)))
        tokens = inputs[self.config.tokens]
        if self.training and self.config.drop_text:
            tokens = drop_rows(tokens, self.config.drop_text)
        return l2_normalise(self.text_pool(Padded(self.text(tokens.values), tokens.lengths)))

    def encode_item(self, inputs: Inputs) -> Tensor:
        """Unit vectors [V, dim]."""
        rows = flatten_grid(inputs[self.config.item])
        if self.training and self.config.drop:
            rows = drop_rows(rows, self.config.drop)
        return l2_normalise(self.item_pool(self.item(rows)))
