"""Frames and captions in CLIP's space: mean pooling, a temporal transformer, and token interaction."""

from dataclasses import dataclass
from typing import Literal

from torch import Tensor

from matchcut.models.base import Inputs, RetrievalModel, Shapes
from matchcut.models.clip_trunk import ClipTrunk, TrunkConfig
from matchcut.models.inputs import Padded
from matchcut.models.normalise import l2_normalise
from matchcut.models.pooling import masked_mean
from matchcut.models.token_interaction import TokenRows, TokenWeights, equal_weights, token_scores, unit


@dataclass(frozen=True, kw_only=True)
class ClipVideoConfig(TrunkConfig):
    """Options of `ClipVideo` and `TokenClipVideo`, beside those of the trunk.

    interaction: "pooled" compares the sentence with the mean frame; "ti" compares words with frames, all of which
    count alike; "wti" learns how much each counts, by a linear layer (weight_depth 1) or an MLP (2, 3).
    padding_scores_zero: let padding take part in a max with score 0, as in the released code of DRL.
    """

    interaction: Literal["pooled", "ti", "wti"] = "pooled"
    weight_depth: int = 1
    padding_scores_zero: bool = False

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.interaction not in ("pooled", "ti", "wti"):
            raise ValueError(f"interaction must be pooled, ti or wti, got {self.interaction!r}")

    def build(self, text_shapes: Shapes, item_shapes: Shapes) -> "ClipVideo | TokenClipVideo":
        """Make the network for streams of these row shapes."""
        kind = ClipVideo if self.interaction == "pooled" else TokenClipVideo
        return kind(self, text_shapes, item_shapes)


PRESETS = {
    "mean": ClipVideoConfig(),
    "transformer": ClipVideoConfig(temporal="transformer"),
    "ti": ClipVideoConfig(temporal="transformer", interaction="ti"),
    "wti": ClipVideoConfig(temporal="transformer", interaction="wti"),
    "drl_released": ClipVideoConfig(temporal="transformer", interaction="wti", padding_scores_zero=True),
}


class ClipVideo(RetrievalModel[Tensor, Tensor]):
    """CLIP4Clip (Luo et al. 2021, released code): cosine of the sentence and the mean of the unit frame vectors.

    Formula: `item = unit(mean_k unit(f_k))`, f the frames, after the temporal transformer if there is one.

    >>> import torch
    >>> config = ClipVideoConfig(dim=8)
    >>> model = config.build({"minilm": (384,)}, {"efficientnet-lite0": (1280,)})
    >>> frames = Padded(torch.randn(2, 4, 1280), torch.tensor([4, 2]))
    >>> model.encode_item({"efficientnet-lite0": frames}).shape
    torch.Size([2, 8])
    """

    def __init__(self, config: ClipVideoConfig, text_shapes: Shapes, item_shapes: Shapes) -> None:
        super().__init__()
        self.config = config
        self.trunk = ClipTrunk(config, text_shapes, item_shapes, reads="sentence")

    def encode_text(self, inputs: Inputs) -> Tensor:
        """Unit vectors [T, D]."""
        return l2_normalise(self.trunk.sentence(inputs))

    def encode_item(self, inputs: Inputs) -> Tensor:
        """Unit vectors [V, D]."""
        return l2_normalise(masked_mean(unit(self.trunk.along_time(self.trunk.frames(inputs)))))


class TokenClipVideo(RetrievalModel[TokenRows, TokenRows]):
    """Token interaction of words and frames, TI and WTI (DRL, Wang et al. 2022, released code).

    The formula stands at `token_scores`; the weights are 1 / length (TI) or learned from the tokens before they are
    scaled to unit length (WTI). The score is no dot product of two vectors: it is computed in blocks.
    """

    factorises = False

    def __init__(self, config: ClipVideoConfig, text_shapes: Shapes, item_shapes: Shapes) -> None:
        super().__init__()
        self.config = config
        self.trunk = ClipTrunk(config, text_shapes, item_shapes, reads="words")
        self.word_weights: TokenWeights | None = None
        self.frame_weights: TokenWeights | None = None
        if config.interaction == "wti":
            self.word_weights = TokenWeights(self.trunk.width, depth=config.weight_depth)
            self.frame_weights = TokenWeights(self.trunk.width, depth=config.weight_depth)

    def encode_text(self, inputs: Inputs) -> TokenRows:
        """Words, values [T, L, D], and their weights [T, L]."""
        return _weighted(self.trunk.words(inputs), self.word_weights)

    def encode_item(self, inputs: Inputs) -> TokenRows:
        """Frames, values [V, K, D], and their weights [V, K]."""
        return _weighted(self.trunk.along_time(self.trunk.frames(inputs)), self.frame_weights)

    def scores(self, text: TokenRows, item: TokenRows) -> dict[str, Tensor]:
        """The one matrix, [T, V]."""
        zero = self.config.padding_scores_zero
        return {"score": token_scores(text, item, padded_words=zero, padded_frames=zero)}


def _weighted(tokens: Padded, learned: TokenWeights | None) -> TokenRows:
    weights = equal_weights(tokens) if learned is None else learned(tokens)
    return TokenRows(unit(tokens), Padded(weights, tokens.lengths))
