"""Hybrid space: dual encoding into a latent space and a space of concepts."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import ClassVar

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from matchcut.models.base import Inputs, RetrievalModel, Rows, Shapes, Step, stream_width
from matchcut.models.dual_encoding import LatentSpace, LevelsConfig, TextLevels, VideoLevels
from matchcut.models.multi_level import Attention
from matchcut.models.normalise import dot_products
from matchcut.models.options import require_positive


@dataclass(frozen=True, kw_only=True)
class HybridSpaceConfig(LevelsConfig):
    """Options of `HybridSpace`: those of its encoders, the sizes of its spaces, and how their scores are mixed.

    dim: size of the latent space. concepts: number of concepts. latent_share: share of the latent score in the mix.
    normalise: scale each score matrix to [0, 1] by its smallest and largest entry before mixing, as the source does;
    a score then depends on the texts and items it is computed with. Without it the two scores are mixed as they are.
    """

    item_hidden: int = 512
    text_hidden: int = 512
    attention: Attention = "none"
    frame_norm: bool = False
    dim: int = 1536
    concepts: int = 512
    latent_share: float = 0.6
    normalise: bool = True

    def __post_init__(self) -> None:
        super().__post_init__()
        if not 0 <= self.latent_share <= 1:
            raise ValueError(f"latent_share must be from 0 to 1, got {self.latent_share}")
        require_positive(self, "dim", "concepts")

    def build(self, text_shapes: Shapes, item_shapes: Shapes) -> "HybridSpace":
        """Make the network for streams of these row shapes."""
        return HybridSpace(self, text_shapes, item_shapes)


_HYBRID = HybridSpaceConfig()
PRESETS = {"default": _HYBRID, "hybrid2021": _HYBRID, "hybrid2021_released": replace(_HYBRID, legacy_padding=True)}
"""Published settings; `released` runs over the batch's padding, as public code does."""


@dataclass(frozen=True)
class Hybrid(Rows):
    """An embedding in both spaces: latent [N, dim], unit length; concepts [N, concepts], logits."""

    latent: Tensor
    concepts: Tensor


class HybridSpace(RetrievalModel[Hybrid, Hybrid]):
    """Two score matrices: the cosine of latent vectors, and the generalised Jaccard index of concept probabilities.

    Formula: `jaccard(a, b) = sum_k min(a_k, b_k) / sum_k max(a_k, b_k)`. For ranking, both matrices are scaled to
    [0, 1] over the whole matrix and mixed: `0.6 latent + 0.4 concept`. Auxiliary losses: the binary cross-entropy of
    the concepts on each side, mean over concepts and sum over the batch (the source's "B times BCE"); a text's labels
    are its item's. They need the target "concepts", float [V, concepts] in [0, 1].

    Source: Dong et al., TPAMI 2021, reference code `danieljf24/hybrid_space`. The cross-entropy is computed from
    logits, which is the same and does not overflow.
    """

    factorises: ClassVar[bool] = False
    score_names = ("latent", "concept")
    auxiliary_names = ("item_concepts", "text_concepts")
    target_names = ("concepts",)

    def __init__(self, config: HybridSpaceConfig, text_shapes: Shapes, item_shapes: Shapes) -> None:
        super().__init__()
        self.config = config
        self.item = VideoLevels(config, stream_width(item_shapes, config.frames, "item"))
        self.text = TextLevels(config, text_shapes)
        self.item_spaces, self.text_spaces = _Spaces(self.item.width, config), _Spaces(self.text.width, config)

    def encode_text(self, inputs: Inputs) -> Hybrid:
        out: Hybrid = self.text_spaces(self.text(inputs))
        return out

    def encode_item(self, inputs: Inputs) -> Hybrid:
        out: Hybrid = self.item_spaces(self.item(inputs[self.config.frames]))
        return out

    def scores(self, text: Hybrid, item: Hybrid) -> dict[str, Tensor]:
        """`latent` and `concept`, each [T, V]."""
        concept = generalised_jaccard(text.concepts.sigmoid(), item.concepts.sigmoid())
        return {"latent": dot_products(text.latent, item.latent), "concept": concept}

    def combine(self, scores: Mapping[str, Tensor]) -> Tensor:
        """The two matrices, each scaled to [0, 1] if the options say so, mixed by `latent_share`."""
        latent, concept = scores["latent"], scores["concept"]
        if self.config.normalise:
            latent, concept = _min_max(latent), _min_max(concept)
        return self.config.latent_share * latent + (1 - self.config.latent_share) * concept

    def auxiliary(self, step: Step) -> dict[str, Tensor]:
        """`item_concepts` and `text_concepts`: cross-entropy against the target "concepts"."""
        if "concepts" not in step.targets:
            raise ValueError(f'the hybrid space needs the target "concepts"; there are {sorted(step.targets)}')
        labels = step.targets["concepts"]
        return {
            "item_concepts": _cross_entropy(step.item.concepts, labels),
            "text_concepts": _cross_entropy(step.text.concepts, labels[step.pairs]),
        }


class _Spaces(nn.Module):
    """[N, width] to both spaces; concepts: Linear -> BatchNorm."""

    def __init__(self, width: int, config: HybridSpaceConfig) -> None:
        super().__init__()
        self.latent = LatentSpace(width, config.dim, dropout=config.dropout)
        self.concepts = nn.Sequential(nn.Linear(width, config.concepts), nn.BatchNorm1d(config.concepts))

    def forward(self, x: Tensor) -> Hybrid:
        return Hybrid(self.latent(x), self.concepts(x))


def generalised_jaccard(a: Tensor, b: Tensor) -> Tensor:
    """`sum min / sum max` of every row of a [T, K] with every row of b [V, K], entries at least 0: [T, V].

    From the city-block distance d: `sum min = (|a| + |b| - d) / 2` and `sum max = (|a| + |b| + d) / 2`, so that no
    table of T x V x K is made.

    >>> generalised_jaccard(torch.tensor([[1.0, 0.0, 2.0]]), torch.tensor([[1.0, 1.0, 1.0]]))
    tensor([[0.5000]])
    """
    total = a.sum(1)[:, None] + b.sum(1)[None, :]
    distance = torch.cdist(a, b, p=1)
    return (total - distance) / (total + distance).clamp(min=1e-12)


def _min_max(scores: Tensor) -> Tensor:
    if not scores.numel():
        return scores
    low, high = scores.min(), scores.max()
    return (scores - low) / (high - low).clamp(min=1e-12)


def _cross_entropy(logits: Tensor, labels: Tensor) -> Tensor:
    return F.binary_cross_entropy_with_logits(logits, labels.to(logits.dtype)) * len(logits)
