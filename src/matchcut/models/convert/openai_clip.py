"""CLIP in the layout of OpenAI's release, to that of transformers' `CLIPModel`."""

from collections.abc import Mapping

import torch
from torch import Tensor

_EXACT = {
    "logit_scale": "logit_scale",
    "token_embedding.weight": "text_model.embeddings.token_embedding.weight",
    "positional_embedding": "text_model.embeddings.position_embedding.weight",
    "ln_final.weight": "text_model.final_layer_norm.weight",
    "ln_final.bias": "text_model.final_layer_norm.bias",
    "visual.class_embedding": "vision_model.embeddings.class_embedding",
    "visual.positional_embedding": "vision_model.embeddings.position_embedding.weight",
    "visual.conv1.weight": "vision_model.embeddings.patch_embedding.weight",
    "visual.ln_pre.weight": "vision_model.pre_layrnorm.weight",
    "visual.ln_pre.bias": "vision_model.pre_layrnorm.bias",
    "visual.ln_post.weight": "vision_model.post_layernorm.weight",
    "visual.ln_post.bias": "vision_model.post_layernorm.bias",
}
_TRANSPOSED = {"text_projection": "text_projection.weight", "visual.proj": "visual_projection.weight"}
_BLOCKS = {"transformer.resblocks.": "text_model.encoder.layers."}
_BLOCKS["visual.transformer.resblocks."] = "vision_model.encoder.layers."
_LAYER = {
    "attn.out_proj": "self_attn.out_proj",
    "ln_1": "layer_norm1",
    "ln_2": "layer_norm2",
    "mlp.c_fc": "mlp.fc1",
    "mlp.c_proj": "mlp.fc2",
}
_SIZES = ("input_resolution", "context_length", "vocab_size")


def convert(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Rename the tensors of an OpenAI CLIP with a vision transformer.

    Raises:
        ValueError: for a key that is not part of that layout.

    >>> list(convert({"visual.proj": torch.zeros(768, 512)}))
    ['visual_projection.weight']
    """
    out: dict[str, Tensor] = {}
    for key, value in state.items():
        if key in _SIZES:
            continue
        if key in _EXACT:
            out[_EXACT[key]] = value
        elif key in _TRANSPOSED:
            out[_TRANSPOSED[key]] = value.T.contiguous()
        else:
            out.update(_layer(key, value))
    return out


def _layer(key: str, value: Tensor) -> dict[str, Tensor]:
    for old, new in _BLOCKS.items():
        if key.startswith(old):
            number, _, part = key.removeprefix(old).partition(".")
            name, _, kind = part.rpartition(".")
            if name == "attn":  # in_proj_weight, in_proj_bias: query, key and value in one
                kind = kind.removeprefix("in_proj_")
                parts = zip("qkv", torch.chunk(value, 3), strict=True)
                return {f"{new}{number}.self_attn.{p}_proj.{kind}": chunk.contiguous() for p, chunk in parts}
            if name in _LAYER:
                return {f"{new}{number}.{_LAYER[name]}.{kind}": value}
    raise ValueError(f"{key!r} is no parameter of a CLIP with a vision transformer in OpenAI's layout")
