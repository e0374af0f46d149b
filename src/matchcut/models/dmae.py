"""Dual-modal attention-enhanced text-video retrieval (DMAE), with the masked partners of TPM-CL."""

from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

from matchcut.models.base import Inputs, RetrievalModel, Rows, Shapes, Step, stream_shape
from matchcut.models.clip_trunk import ClipTrunk, TrunkConfig
from matchcut.models.inputs import Padded
from matchcut.models.normalise import l2_normalise
from matchcut.models.partners import (
    CrossModalWeights,
    PartnersConfig,
    most_important,
    partial_order,
    sentence_scores,
)
from matchcut.models.token_interaction import (
    FrameNeighbours,
    TokenRows,
    TokenWeights,
    equal_weights,
    token_scores,
    unit,
)


@dataclass(frozen=True, kw_only=True)
class DMAEConfig(TrunkConfig):
    """Options of `DMAE`, beside those of the trunk.

    interaction: "ti" and "wti" compare the sentence with the frames; "att_ti" and "att_wti" add the words. In the
    "wti" ones what a token counts is learned, by a linear layer (weight_depth 1) or an MLP (2, 3).
    salience: text stream of one number a word token, 2 for salient words and 1 for others: textual attention; none
    or "" turns it off. visual_attention: share of the nearest other frame's score; 0 turns it off.
    partners: options of TPM-CL, which adds the auxiliary loss "partial_order".
    padding_scores_zero: let padding take part in a max with score 0, as in the released code.
    unit_after_transformer: scale frames to unit length after the temporal transformer too; not in the released code.
    """

    interaction: Literal["ti", "wti", "att_ti", "att_wti"] = "att_ti"
    weight_depth: int = 1
    salience: str | None = None
    visual_attention: float = 0.5
    partners: PartnersConfig | None = None
    padding_scores_zero: bool = False
    unit_after_transformer: bool = True

    @property
    def text_streams(self) -> tuple[str, ...]:
        """Names of the text streams that the network reads."""
        return (*super().text_streams, *([self.salience] if self.salience else []))

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.interaction not in ("ti", "wti", "att_ti", "att_wti"):
            raise ValueError(f"interaction must be ti, wti, att_ti or att_wti, got {self.interaction!r}")

    def build(self, text_shapes: Shapes, item_shapes: Shapes) -> "DMAE":
        """Make the network for streams of these row shapes."""
        return DMAE(self, text_shapes, item_shapes)


_RELEASED_PARTNERS = PartnersConfig(predictor_sees_padding=True, encode_masked_only=True)

PRESETS = {
    "default": DMAEConfig(temporal="transformer", partners=PartnersConfig()),
    "textual_attention": DMAEConfig(
        temporal="transformer", salience="minilm-tokens-salience", partners=PartnersConfig()
    ),
    "base": DMAEConfig(temporal="transformer", interaction="ti", visual_attention=0.0),
    "att_wti": DMAEConfig(temporal="transformer", interaction="att_wti", partners=PartnersConfig()),
    "released": DMAEConfig(
        salience="minilm-tokens-salience",
        partners=_RELEASED_PARTNERS,
        padding_scores_zero=True,
        unit_after_transformer=False,
    ),
}


@dataclass(frozen=True)
class DualText(Rows):
    """sentence: [T, D], unit vectors. words: values [T, L, D], unit vectors; weights: values [T, L]."""

    sentence: Tensor
    words: Padded
    weights: Padded


@dataclass(frozen=True)
class AttendedFrames(Rows):
    """frames: values [V, K, D], unit vectors; weights, and the nearest other frame with its strength: values [V, K]."""

    frames: Padded
    weights: Padded
    near: Padded
    strength: Padded


class DMAE(RetrievalModel[DualText, AttendedFrames]):
    """Sentence against frames and words against frames, with textual and visual attention.

    Formula: `score = (token_scores(sentence, frames) + token_scores(words, frames)) / 2`, see there for the visual
    attention. Textual attention: a word weighs `q_l / sum q`, q = 2 for salient words (nouns, adjectives and verbs
    that are no stop words), 1 for the rest; with learned weights `q_l * alpha_l`. Scores can exceed 1.

    Source: Jiang et al., ACM MM 2023, from the released code, which is a port, not the code behind the paper's numbers;
    what is reconstructed stands in docs/networks_clip.md. The score is computed in blocks, it is no dot product.

    With `partners`, `auxiliary` gives "partial_order": see `partners`.

    >>> config = DMAEConfig(dim=8)
    >>> model = config.build({"minilm": (384,), "minilm-tokens": (384,)}, {"efficientnet-lite0": (1280,)})
    >>> item = model.encode_item({"efficientnet-lite0": Padded(torch.randn(2, 4, 1280), torch.tensor([4, 2]))})
    >>> words = Padded(torch.randn(3, 5, 384), torch.tensor([5, 3, 1]))
    >>> sentence = Padded(words.values[:, :1], torch.ones(3, dtype=torch.int64))
    >>> text = model.encode_text({"minilm": sentence, "minilm-tokens": words})
    >>> model.score(text, item).shape
    torch.Size([3, 2])
    """

    factorises = False

    def __init__(self, config: DMAEConfig, text_shapes: Shapes, item_shapes: Shapes) -> None:
        super().__init__()
        self.config = config
        self.trunk = ClipTrunk(config, text_shapes, item_shapes, reads="both")
        width = self.trunk.width
        if config.salience:
            stream_shape(text_shapes, config.salience, "text")
        self.word_weights: TokenWeights | None = None
        self.frame_weights: TokenWeights | None = None
        if config.interaction.endswith("wti"):
            self.word_weights = TokenWeights(width, depth=config.weight_depth)
            self.frame_weights = TokenWeights(width, depth=config.weight_depth)
        self.word_importance: CrossModalWeights | None = None
        self.visual_importance: CrossModalWeights | None = None
        if (options := config.partners) is not None:
            self.auxiliary_names = ("partial_order",)
            pads = options.predictor_sees_padding
            self.word_importance = CrossModalWeights(
                condition=options.max_visual, tokens=options.max_words, dim=width, sees_padding=pads
            )
            self.visual_importance = CrossModalWeights(
                condition=1, tokens=options.max_visual, dim=width, sees_padding=pads
            )
            # Its weights only choose what is masked, and a choice has no gradient: it stays as it starts.
            self.visual_importance.requires_grad_(False)

    def encode_text(self, inputs: Inputs) -> DualText:
        """Sentence and words of T captions."""
        sentence, words = self.trunk.text(inputs)
        words = unit(words)
        salience = words.mask.to(words.values.dtype)
        if self.config.salience:
            found = inputs[self.config.salience]
            if not torch.equal(found.lengths, words.lengths):
                raise ValueError(
                    f"the salience must be that of the words: the first caption has {int(words.lengths[0])} tokens and "
                    f"{int(found.lengths[0])} numbers in {self.config.salience!r}; make it for the tokens that are read"
                )
            salience = salience * found.values[:, : words.mask.shape[1]].reshape(words.mask.shape)
        if self.word_weights is None:
            weights = salience / salience.sum(1, keepdim=True)
        else:
            weights = salience * self.word_weights(words)
        return DualText(l2_normalise(sentence), words, Padded(weights, words.lengths))

    def encode_item(self, inputs: Inputs) -> AttendedFrames:
        """Frames of V items."""
        return self.train_item(inputs)[0]

    def train_item(self, inputs: Inputs) -> tuple[AttendedFrames, Padded]:
        """Frames of V items, and all their tokens before the temporal transformer, values [V, K * tokens, D]."""
        tokens = unit(self.trunk.frames(inputs))
        frames = self._along_time(tokens)
        near = FrameNeighbours.of(frames)
        weights = Padded(self._frame_weights(frames), frames.lengths)
        return AttendedFrames(frames, weights, near.index, near.strength), tokens

    def _along_time(self, tokens: Padded) -> Padded:
        frames = self.trunk.along_time(tokens)
        return unit(frames) if self.config.unit_after_transformer else frames

    def _frame_weights(self, frames: Padded) -> Tensor:
        return equal_weights(frames) if self.frame_weights is None else self.frame_weights(frames)

    def scores(self, text: DualText, item: AttendedFrames) -> dict[str, Tensor]:
        """The one matrix, [T, V]."""
        frames = TokenRows(item.frames, item.weights)
        attention = self.config.visual_attention
        near = FrameNeighbours(item.near, item.strength) if attention else None

        zero = self.config.padding_scores_zero
        one = torch.ones(len(text), dtype=torch.int64, device=text.sentence.device)
        sentence = TokenRows(Padded(text.sentence[:, None], one), Padded(text.sentence.new_ones(len(text), 1), one))
        score = token_scores(sentence, frames, neighbours=near, coefficient=attention, padded_frames=zero)
        if self.config.interaction.startswith("att_"):
            words = TokenRows(text.words, text.weights)
            score = score + token_scores(
                words, frames, neighbours=near, coefficient=attention, padded_words=zero, padded_frames=zero
            )
            score = score / 2
        return {"score": score}

    def auxiliary(self, step: Step) -> dict[str, Tensor]:
        """The partial order of TPM-CL, weight 1 in the released code."""
        if self.config.partners is None:
            return {}
        return {"partial_order": partial_order(self.partners(step), self.config.partners.margin)}

    def partners(self, step: Step) -> dict[str, tuple[Tensor, Tensor]]:
        """For each text and its item, scores of the whole pair and of its masked partner, each [T].

        With x the words, f the frames, w the cross-modal weights, and ' for what is left without the most important
        tokens: `t_g = unit(sum w x)`, `t_g' = sum w x'`, `f'` the frames of the masked video.

            sentence_video: (sentence, f) over (sentence, f')     margin 1
            words_video:    (t_g, f) over (t_g, f')               margin 2
            words_text:     (t_g, f) over (t_g', f)               margin 3

        Source: Jiang et al. 2023, released code. Only matched pairs are computed, which gives the same loss.
        """
        options = self.config.partners
        if options is None or self.word_importance is None or self.visual_importance is None:
            raise ValueError("the network was built without partners; set partners in its options")
        all_tokens = step.item_extra if step.item_extra is not None else self.train_item(step.item_inputs)[1]
        text, frames = step.text, step.item.frames.select(step.pairs)
        tokens = all_tokens.select(step.pairs)
        most = options.max_words
        words = Padded(text.words.values[:, :most], text.words.lengths.clamp(max=most))
        whole = tokens if options.encode_masked_only else frames
        one = torch.ones_like(words.lengths)
        zero = self.config.padding_scores_zero
        pairs = {}

        def score(sentence: Tensor, video: Padded) -> Tensor:
            return sentence_scores(sentence, video, self._frame_weights(video), padded=zero)

        # Weights of all slots, as padding may count in the choice of what is masked; then of those that are in use.
        word_weights = self.word_importance(tokens, words)
        important = most_important(word_weights, options.threshold)[:, : words.mask.shape[1]]
        word_weights = word_weights[:, : words.mask.shape[1]]
        summary = l2_normalise(torch.einsum("bl,bld->bd", word_weights, words.values))
        against_whole = score(summary, whole)
        if options.terms != "textual":
            visual_weights = self.visual_importance(Padded(text.sentence[:, None], one), tokens)
            removed = most_important(visual_weights, options.threshold)[:, : tokens.mask.shape[1]]
            masked = self._along_time(Padded(tokens.values.masked_fill(removed[..., None], 0.0), tokens.lengths))
            pairs["sentence_video"] = (score(text.sentence, whole), score(text.sentence, masked))
            pairs["words_video"] = (against_whole, score(summary, masked))
        if options.terms != "visual":
            rest = torch.einsum("bl,bld->bd", word_weights.masked_fill(important, 0.0), words.values)
            rest = l2_normalise(rest) if options.normalise_text else rest
            pairs["words_text"] = (against_whole, score(rest, whole))
        return pairs
