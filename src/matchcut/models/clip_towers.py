"""CLIP's text and image encoders as trainable parts of a network."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Literal

import torch
from torch import Tensor, nn

from matchcut.models.base import Inputs
from matchcut.models.inputs import Padded
from matchcut.models.temporal_transformer import TemporalTransformer
from matchcut.models.token_selection import TokenSelection
from matchcut.models.token_shift import token_shift


@dataclass(frozen=True, kw_only=True)
class TowersConfig:
    """CLIP's encoders, fine-tuned from frames.

    path: a name on the Hugging Face hub or a local folder. token_ids: text stream of token ids, ending with the
    end-of-text token. pixels: item stream of frames [3, H, W], prepared as CLIP wants them. trained: or frozen.
    start: "random" makes the architecture of `path` without its weights, to be filled or trained from nothing.
    patches: how many patches of a frame `TokenSelection` keeps behind its class token; 3 in TS2-Net, 0 turns it off.
    shift: let the attention of the image tower's last two blocks read patches of the frames before and after, see
    `token_shift`; on in TS2-Net.
    """

    path: str
    token_ids: str = "clip-token-ids"
    pixels: str = "clip-pixels"
    trained: bool = True
    start: Literal["pretrained", "random"] = "pretrained"
    patches: int = 0
    shift: bool = False

    def __post_init__(self) -> None:
        if self.start not in ("pretrained", "random"):
            raise ValueError(f"start must be pretrained or random, got {self.start!r}")


PATCH = {"openai/clip-vit-base-patch32": 32, "openai/clip-vit-base-patch16": 16}
"""Checkpoints whose architecture is known without a look at the hub: that of `CLIPConfig`, with this patch size."""


def architecture(path: str) -> Any:
    """The transformers `CLIPConfig` of a checkpoint.

    Raises:
        ValueError: if it is of another kind, of which transformers would make a CLIP that knows nothing.

    >>> architecture("openai/clip-vit-base-patch16").vision_config.patch_size
    16
    """
    from transformers import CLIPConfig

    if path in PATCH:
        return CLIPConfig(vision_config={"patch_size": PATCH[path]})
    kind = CLIPConfig.get_config_dict(path)[0].get("model_type")
    if kind != "clip":
        raise ValueError(
            f"{path}: {f'a {kind} checkpoint' if kind else 'no checkpoint'}; CLIP's towers need one of CLIP"
        )
    return CLIPConfig.from_pretrained(path)


class ClipTowers(nn.Module):
    """The two encoders of a transformers `CLIPModel`.

    The sentence is the projected hidden state of the last token of a caption (end-of-text); the words are the
    projected hidden states of all its tokens (CLIP4Clip and TS2-Net, released code). Needs the transformers package
    and weights on the hub or in a folder; only a built network reads them, later loads go through its state dict.
    A checkpoint of another kind, or with weights missing, is a ValueError.
    """

    def __init__(self, config: TowersConfig) -> None:
        super().__init__()
        from transformers import CLIPModel

        sizes = architecture(config.path)
        if config.start == "random":
            self.clip = CLIPModel(sizes)
        else:
            # In 32 bits, whatever it is stored in: the steps of fine-tuning are lost in 16.
            loaded: Any = CLIPModel.from_pretrained(config.path, dtype=torch.float32, output_loading_info=True)
            self.clip, found = loaded
            if missing := sorted(found["missing_keys"]):
                raise ValueError(f"{config.path}: the checkpoint lacks {len(missing)} weights, such as {missing[0]}")
        self.clip.requires_grad_(config.trained)
        self.clip.logit_scale.requires_grad_(False)  # the loss has its own temperature
        self.config = config
        self.width = int(self.clip.config.projection_dim or 0)
        self.selection = TokenSelection(self.width, keep=config.patches) if config.patches else None

    def text(self, inputs: Inputs) -> tuple[Tensor, Padded]:
        """Sentence vectors [T, D] and words, values [T, L, D], from token ids [T, L] of any number type.

        Attention is causal, so that no token sees the padding after the end of its caption.
        """
        token_ids = inputs[self.config.token_ids]
        hidden = self.clip.text_model(input_ids=token_ids.values.flatten(1).long()).last_hidden_state
        words = Padded(self.clip.text_projection(hidden) * token_ids.mask[..., None], token_ids.lengths)
        rows = torch.arange(len(words), device=words.lengths.device)
        return words.values[rows, words.lengths - 1], words

    def frames(self, inputs: Inputs) -> Padded:
        """One vector a frame, values [V, K, D], from pixels [V, K, 3, H, W]; with patches [V, K, 1 + patches, D].

        Padding is not encoded.
        """
        pixels = inputs[self.config.pixels]
        mask = pixels.mask
        vision = self.clip.vision_model
        with self._shifted(pixels.lengths):
            tokens = vision(pixel_values=pixels.values[mask]).last_hidden_state  # [frames, 1 + patches, width]
        tokens = tokens[:, 0] if self.selection is None else tokens
        encoded: Tensor = self.clip.visual_projection(vision.post_layernorm(tokens))
        encoded = encoded if self.selection is None else self.selection(encoded)
        values = encoded.new_zeros(*mask.shape, *encoded.shape[1:])
        values[mask] = encoded
        return Padded(values, pixels.lengths)

    @contextmanager
    def _shifted(self, lengths: Tensor) -> Iterator[None]:
        """While it lasts, frames of videos of these lengths see their neighbours, if the options say so."""

        def shift(
            _: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]
        ) -> tuple[tuple[Any, ...], dict[str, Any]]:
            return args, {**kwargs, "hidden_states": token_shift(kwargs["hidden_states"], lengths)}

        blocks = self.clip.vision_model.encoder.layers[-2:] if self.config.shift else ()
        hooks = [block.self_attn.register_forward_pre_hook(shift, with_kwargs=True) for block in blocks]
        try:
            yield
        finally:
            for hook in hooks:
                hook.remove()

    def start(self, temporal: TemporalTransformer) -> None:
        """Start a temporal transformer from CLIP's text encoder: its positions and its first blocks.

        Released code of CLIP4Clip and TS2-Net. Done where the widths agree; else the transformer keeps its own start.
        """
        text = self.clip.text_model
        positions = text.embeddings.position_embedding.weight
        if positions.shape[1] != temporal.positions.embedding_dim:
            return
        shared = min(len(positions), temporal.positions.num_embeddings)
        with torch.no_grad():
            temporal.positions.weight[:shared] = positions[:shared]
        for block, layer in zip(temporal.blocks, text.encoder.layers, strict=False):
            attention = layer.self_attn
            parts = [attention.q_proj, attention.k_proj, attention.v_proj]
            block.load_state_dict(
                {
                    "attention.in_proj_weight": torch.cat([part.weight for part in parts]),
                    "attention.in_proj_bias": torch.cat([part.bias for part in parts]),
                    "attention.out_proj.weight": attention.out_proj.weight,
                    "attention.out_proj.bias": attention.out_proj.bias,
                    "norm_1.weight": layer.layer_norm1.weight,
                    "norm_1.bias": layer.layer_norm1.bias,
                    "norm_2.weight": layer.layer_norm2.weight,
                    "norm_2.bias": layer.layer_norm2.bias,
                    "widen.weight": layer.mlp.fc1.weight,
                    "widen.bias": layer.mlp.fc1.bias,
                    "narrow.weight": layer.mlp.fc2.weight,
                    "narrow.bias": layer.mlp.fc2.bias,
                }
            )
