"""Dual encoding: video and text, each at three levels, into one space."""

from dataclasses import dataclass, replace
from typing import Literal

import torch
from torch import Tensor, nn

from matchcut.models.base import Inputs, RetrievalModel, Shapes, stream_shape, stream_width
from matchcut.models.inputs import Padded
from matchcut.models.linear import xavier_linear
from matchcut.models.multi_level import Attention, Level2, MultiLevel
from matchcut.models.normalise import l2_normalise
from matchcut.models.options import require_positive, require_rate
from matchcut.models.pooling import masked_mean
from matchcut.models.words import WordEmbedding


@dataclass(frozen=True, kw_only=True)
class LevelsConfig:
    """Options of the encoders that dual encoding and the hybrid space share.

    frames: the item stream. words: the stream of word numbers ("" for none); tokens: the stream of token vectors,
    such as BERT's ("" for none); with both, token and word vectors of a position are put side by side. bag_of_words:
    the stream of word counts ("" for levels 2 and 3 alone). vocabulary: the number of words of the `words` stream.
    item_hidden, text_hidden: biGRU states per direction. item_kernels, text_kernels, filters: the convolutions.
    attention_in: which side's biGRU states are weighted; attention, level2: how, and how the states are then pooled.
    max_frames: frames that levels 2 and 3 read; level 1 reads all. frame_norm: scale frames to unit length first.
    legacy_padding: let the video biGRU and both maxima run over the batch's padding, as public code does.
    bag_by_piece: the bag of words counts a word beside tokens once for each of its pieces, as that code does.
    """

    frames: str = "efficientnet-lite0"
    words: str = "words"
    tokens: str = ""
    bag_of_words: str = "bow"
    vocabulary: int = 0
    word_dim: int = 500
    item_hidden: int = 1024
    text_hidden: int = 1024
    item_kernels: tuple[int, ...] = (2, 3, 4, 5)
    text_kernels: tuple[int, ...] = (2, 3, 4)
    filters: int = 512
    attention_in: Literal["text", "item"] = "text"
    attention: Attention = "softmax_time"
    level2: Level2 = "mean"
    max_frames: int = 64
    frame_norm: bool = True
    dropout: float = 0.2
    legacy_padding: bool = False
    bag_by_piece: bool = False

    @property
    def text_streams(self) -> tuple[str, ...]:
        """Names of the text streams that the network reads."""
        return tuple(name for name in (self.words, self.tokens, self.bag_of_words) if name)

    @property
    def item_streams(self) -> tuple[str, ...]:
        """Names of the item streams that the network reads."""
        return (self.frames,)

    def __post_init__(self) -> None:
        if not self.words and not self.tokens:
            raise ValueError("the text side needs a stream: words and tokens are both empty")
        if self.attention_in not in ("text", "item"):
            raise ValueError(f"attention_in must be text or item, got {self.attention_in!r}")
        require_positive(self, "word_dim", "item_hidden", "text_hidden", "filters", "max_frames")
        require_rate(self, "dropout")

    def levels(self, side: Literal["text", "item"], width: int) -> MultiLevel:
        """Levels 2 and 3 of one side, for rows of this width."""
        here = side == self.attention_in
        return MultiLevel(
            width,
            hidden=self.item_hidden if side == "item" else self.text_hidden,
            kernels=self.item_kernels if side == "item" else self.text_kernels,
            filters=self.filters,
            attention=self.attention if here else "none",
            level2=self.level2 if here else "mean",
            dropout=self.dropout,
            pack=side == "text" or not self.legacy_padding,
            legacy_padding=self.legacy_padding,
        )


@dataclass(frozen=True, kw_only=True)
class DualEncodingConfig(LevelsConfig):
    """Options of `DualEncoding`: those of its encoders, and dim, the size of the common space."""

    dim: int = 2048

    def __post_init__(self) -> None:
        super().__post_init__()
        require_positive(self, "dim")

    def build(self, text_shapes: Shapes, item_shapes: Shapes) -> "DualEncoding":
        """Make the network for streams of these row shapes."""
        return DualEncoding(self, text_shapes, item_shapes)


_EXCLUSION = DualEncodingConfig(tokens="bert")
_CVPR = DualEncodingConfig(text_hidden=512, attention="none", frame_norm=False)

PRESETS = {
    "default": _EXCLUSION,
    "cvpr2019": _CVPR,
    "cvpr2019_released": replace(_CVPR, legacy_padding=True),
    "icmr2020_released": replace(_EXCLUSION, attention="identity", legacy_padding=True, bag_by_piece=True),
    "icmr2020_intended": _EXCLUSION,
    "exclusion_2021": _EXCLUSION,
    "exclusion_2021_att_bert": replace(_EXCLUSION, words=""),
    "exclusion_2021_atv": replace(_EXCLUSION, attention_in="item"),
    "exclusion_2021_atv_bert": replace(_EXCLUSION, attention_in="item", words=""),
}
"""Published settings, with known defects of public code corrected unless the name ends in `released`."""


class VideoLevels(nn.Module):
    """Frames to [level 2, level 3, level 1]; level 1 is the mean of all frames.

    frames: values [N, L, D]. Returns [N, width].
    """

    def __init__(self, config: LevelsConfig, frame_width: int) -> None:
        super().__init__()
        self.max_frames, self.frame_norm = config.max_frames, config.frame_norm
        self.levels = config.levels("item", frame_width)
        self.width = self.levels.width + frame_width

    def forward(self, frames: Padded) -> Tensor:
        values = l2_normalise(frames.values) if self.frame_norm else frames.values
        first = Padded(values[:, : self.max_frames], frames.lengths.clamp(max=self.max_frames))
        return torch.cat([self.levels(first), masked_mean(Padded(values, frames.lengths))], 1)


class TextLevels(nn.Module):
    """Words, token vectors or both to [level 2, level 3, level 1]; level 1 is the bag of words.

    inputs: the streams. Returns [N, width].
    """

    def __init__(self, config: LevelsConfig, shapes: Shapes) -> None:
        super().__init__()
        self.config = config
        if config.words:
            stream_shape(shapes, config.words, "text")
        self.embedding = WordEmbedding(config.vocabulary, config.word_dim) if config.words else None
        token_width = stream_width(shapes, config.tokens, "text") if config.tokens else 0
        self.levels = config.levels("text", token_width + (config.word_dim if config.words else 0))
        bag = stream_width(shapes, config.bag_of_words, "text") if config.bag_of_words else 0
        self.width = self.levels.width + bag

    def forward(self, inputs: Inputs) -> Tensor:
        out: Tensor = self.levels(self._sequence(inputs))
        if self.config.bag_of_words:
            out = torch.cat([out, inputs[self.config.bag_of_words].values[:, 0]], 1)
        return out

    def _sequence(self, inputs: Inputs) -> Padded:
        if self.embedding is None:
            return inputs[self.config.tokens]
        words: Padded = self.embedding(inputs[self.config.words])
        if not self.config.tokens:
            return words
        tokens = inputs[self.config.tokens]
        if not torch.equal(tokens.lengths, words.lengths):
            raise ValueError(
                f"words and token vectors must be aligned: the first caption has {int(words.lengths[0])} words "
                f"and {int(tokens.lengths[0])} tokens; repeat a word for each of its pieces"
            )
        return Padded(torch.cat([words.values, tokens.values], 2), words.lengths)


class LatentSpace(nn.Module):
    """Linear -> BatchNorm -> Dropout -> unit length, [N, width] to [N, dim]."""

    def __init__(self, width: int, dim: int, *, dropout: float) -> None:
        super().__init__()
        self.linear, self.norm, self.dropout = xavier_linear(width, dim), nn.BatchNorm1d(dim), nn.Dropout(dropout)

    def forward(self, x: Tensor) -> Tensor:
        return l2_normalise(self.dropout(self.norm(self.linear(x))))


class DualEncoding(RetrievalModel[Tensor, Tensor]):
    """Three levels on each side, concatenated as [level 2, level 3, level 1] and mapped into one space; cosine score.

    Source: Dong et al., CVPR 2019, with the attention and text input of Galanopoulos and Mezaris, ICMR 2020 and
    ICCV Workshops 2021; dimensions and order of operations from the reference codes `danieljf24/dual_encoding` and
    `bmezaris/AVS_dual_encoding_attention_network`.

    >>> config = DualEncodingConfig(vocabulary=9, word_dim=4, item_hidden=3, text_hidden=3, filters=2, dim=8)
    >>> model = config.build({"words": (), "bow": (7,)}, {"efficientnet-lite0": (5,)}).eval()
    >>> words = Padded(torch.ones(2, 4, dtype=torch.long), torch.tensor([4, 2]))
    >>> bow = Padded(torch.ones(2, 1, 7), torch.ones(2, dtype=torch.long))
    >>> frames = Padded(torch.randn(3, 6, 5), torch.tensor([6, 1, 3]))
    >>> text = model.encode_text({"words": words, "bow": bow})
    >>> model.score(text, model.encode_item({"efficientnet-lite0": frames})).shape
    torch.Size([2, 3])
    """

    def __init__(self, config: DualEncodingConfig, text_shapes: Shapes, item_shapes: Shapes) -> None:
        super().__init__()
        self.config = config
        self.item = VideoLevels(config, stream_width(item_shapes, config.frames, "item"))
        self.text = TextLevels(config, text_shapes)
        self.item_space = LatentSpace(self.item.width, config.dim, dropout=config.dropout)
        self.text_space = LatentSpace(self.text.width, config.dim, dropout=config.dropout)

    def encode_text(self, inputs: Inputs) -> Tensor:
        """Unit vectors [T, dim]."""
        out: Tensor = self.text_space(self.text(inputs))
        return out

    def encode_item(self, inputs: Inputs) -> Tensor:
        """Unit vectors [V, dim]."""
        out: Tensor = self.item_space(self.item(inputs[self.config.frames]))
        return out
