"""Parameters of CLIP4Clip and DRL, which share a layout, for `ClipVideo` and `TokenClipVideo`."""

from collections.abc import Mapping

from torch import Tensor

from matchcut.models.convert import openai_clip
from matchcut.models.convert.rename import whole

_BLOCK = {
    "attn": "attention",
    "attn.out_proj": "attention.out_proj",
    "ln_1": "norm_1",
    "ln_2": "norm_2",
    "mlp.c_fc": "widen",
    "mlp.c_proj": "narrow",
}


def convert(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Rename the tensors of a CLIP4Clip checkpoint (mean or `seqTransf`) or of a DRL one (`dp`, `ti`, `wti`).

    The result fits a network with `towers` and `dim = 0`. A checkpoint's CLIP may be absent.

    Raises:
        ValueError: for a key that is not part of that layout, such as the cross encoder of `tightTransf`.

    >>> import torch
    >>> list(convert({"module.text_weight_fc.bias": torch.zeros(1)}))
    ['word_weights.score.0.bias']
    """
    out, rest = towers(state)
    return out | {temporal_or_weights(key): value for key, value in rest.items()}


def towers(state: Mapping[str, Tensor]) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
    """The tensors of a checkpoint's CLIP by their names here, and all others by their own."""
    state = whole(state)
    clip = {key.removeprefix("clip."): value for key, value in state.items() if key.startswith("clip.")}
    out = {f"trunk.towers.clip.{key}": value for key, value in openai_clip.convert(clip).items()}
    return out, {key: value for key, value in state.items() if not key.startswith("clip.")}


def temporal_or_weights(key: str) -> str:
    """The name of a parameter of the temporal transformer or of the learned token weights."""
    if key == "frame_position_embeddings.weight":
        return "trunk.temporal.positions.weight"
    if key.startswith("transformerClip.resblocks."):
        number, _, part = key.removeprefix("transformerClip.resblocks.").partition(".")
        name, _, kind = part.rpartition(".")
        if name in _BLOCK:
            return f"trunk.temporal.blocks.{number}.{_BLOCK[name]}.{kind}"
    for old, new in (("text_weight_fc.", "word_weights.score."), ("video_weight_fc.", "frame_weights.score.")):
        if key.startswith(old):
            part = key.removeprefix(old)
            return new + (part if "." in part else f"0.{part}")
    raise ValueError(f"{key!r} is no parameter of a CLIP4Clip or DRL network that compares without a cross encoder")
