"""What the CLIP video networks share: from feature sets, or from CLIP's towers, to a sentence, words and frames."""

from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor, nn

from matchcut.models.base import Inputs, Shapes, stream_shape, stream_width
from matchcut.models.clip_towers import ClipTowers, TowersConfig
from matchcut.models.inputs import Padded
from matchcut.models.options import require_positive
from matchcut.models.pooling import flatten_grid
from matchcut.models.temporal_transformer import TemporalTransformer


@dataclass(frozen=True, kw_only=True)
class TrunkConfig:
    """Options of `ClipTrunk`.

    sentence, words, frames: names of the streams of sentence vectors, token vectors and frame vectors.
    frame_tokens: for frames that hold several tokens each, [tokens, D]: the "first" stands for the frame (a class
    token with patches behind it, as in TS2-Net), or "all" count (the cells of a grid).
    dim: width of a linear projection of texts and of frames; 0 for features that share a space already (CLIP's).
    temporal: "mean" leaves frames as they are, "transformer" lets them see each other; with its layers, heads and
    positions. towers: if set, CLIP's towers replace the three streams.
    """

    sentence: str = "minilm"
    words: str = "minilm-tokens"
    frames: str = "efficientnet-lite0"
    frame_tokens: Literal["first", "all"] = "first"
    dim: int = 512
    temporal: Literal["mean", "transformer"] = "mean"
    layers: int = 4
    heads: int = 8
    positions: int = 77
    towers: TowersConfig | None = None

    @property
    def text_streams(self) -> tuple[str, ...]:
        """Names of the text streams that the network may read."""
        return (self.sentence, self.words) if self.towers is None else (self.towers.token_ids,)

    @property
    def item_streams(self) -> tuple[str, ...]:
        """Names of the item streams that the network reads."""
        return (self.frames,) if self.towers is None else (self.towers.pixels,)

    def __post_init__(self) -> None:
        if self.dim < 0:
            raise ValueError(f"dim must be 0 (no projection) or more, got {self.dim}")
        if self.frame_tokens not in ("first", "all"):
            raise ValueError(f"frame_tokens must be first or all, got {self.frame_tokens!r}")
        if self.temporal not in ("mean", "transformer"):
            raise ValueError(f"temporal must be mean or transformer, got {self.temporal!r}")
        require_positive(self, "layers", "heads", "positions")


class ClipTrunk(nn.Module):
    """Sentence, words and frames in one space, not yet of unit length.

    reads: what of a caption the network reads; `sentence`, `words` or `text` gives it. width: size D of the space.
    """

    def __init__(
        self,
        config: TrunkConfig,
        text_shapes: Shapes,
        item_shapes: Shapes,
        *,
        reads: Literal["sentence", "words", "both"],
    ) -> None:
        super().__init__()
        self.config = config
        self.towers: ClipTowers | None = None
        self.step = 1
        if config.towers is not None:
            self.towers = ClipTowers(config.towers)
            stream_shape(text_shapes, config.towers.token_ids, "text")
            stream_shape(item_shapes, config.towers.pixels, "item")
            text_width = frame_width = self.towers.width
            self.step = 1 + config.towers.patches if config.frame_tokens == "first" else 1
        else:
            text_width = _text_width(config, text_shapes, reads)
            frame_width = stream_width(item_shapes, config.frames, "item")
            if config.frame_tokens == "first":
                self.step = torch.Size(stream_shape(item_shapes, config.frames, "item")[:-1]).numel()
        if not config.dim and text_width != frame_width:
            raise ValueError(f"dim = 0 needs features of one space; texts have {text_width}, frames {frame_width}")
        self.width: int = config.dim or text_width
        self.text_projection = _projection(text_width, config.dim)
        self.frame_projection = _projection(frame_width, config.dim)
        self.temporal: TemporalTransformer | None = None
        if config.temporal == "transformer":
            self.temporal = TemporalTransformer(
                self.width, layers=config.layers, heads=config.heads, positions=config.positions
            )
            if self.towers is not None:
                self.towers.start(self.temporal)

    def sentence(self, inputs: Inputs) -> Tensor:
        """Sentence vectors, [T, D]."""
        if self.towers is not None:
            return self.text(inputs)[0]
        out: Tensor = self.text_projection(inputs[self.config.sentence].values[:, 0])
        return out

    def words(self, inputs: Inputs) -> Padded:
        """Words, values [T, L, D]."""
        if self.towers is not None:
            return self.text(inputs)[1]
        return _map(self.text_projection, inputs[self.config.words])

    def text(self, inputs: Inputs) -> tuple[Tensor, Padded]:
        """Sentence vectors [T, D] and words, values [T, L, D]."""
        if self.towers is None:
            return self.sentence(inputs), self.words(inputs)
        sentence, words = self.towers.text(inputs)
        return self.text_projection(sentence), _map(self.text_projection, words)

    def frames(self, inputs: Inputs) -> Padded:
        """Tokens of the frames before `along_time`, frame by frame: values [V, K * tokens, D]."""
        frames = inputs[self.config.frames] if self.towers is None else self.towers.frames(inputs)
        return _map(self.frame_projection, flatten_grid(frames))

    def along_time(self, frames: Padded) -> Padded:
        """Let tokens see each other, then keep those that count: [V, K * tokens, D] to [V, K, D], or all."""
        if self.temporal is not None:
            frames = self.temporal(frames)
        return Padded(frames.values[:, :: self.step], frames.lengths // self.step)


def _text_width(config: TrunkConfig, shapes: Shapes, reads: Literal["sentence", "words", "both"]) -> int:
    names = {"sentence": [config.sentence], "words": [config.words], "both": [config.sentence, config.words]}[reads]
    widths = {name: stream_width(shapes, name, "text") for name in names}
    if len(set(widths.values())) > 1:
        raise ValueError(f"sentence and words share one projection, so they need one width; got {widths}")
    return widths[names[0]]


def _projection(width: int, dim: int) -> nn.Module:
    if not dim:
        return nn.Identity()
    layer = nn.Linear(width, dim)
    nn.init.xavier_uniform_(layer.weight)
    nn.init.zeros_(layer.bias)
    return layer


def _map(layer: nn.Module, x: Padded) -> Padded:
    """A layer on every token; padding stays zero, so that nothing that follows can depend on it."""
    return Padded(layer(x.values) * x.mask[..., None], x.lengths)
