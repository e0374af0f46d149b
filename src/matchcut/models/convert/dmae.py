"""Parameters of a CLIP4Clip network with DMAE's released modules (Ant-Multi-Modal-Framework), for `DMAE`."""

from collections.abc import Mapping

from torch import Tensor

from matchcut.models.convert.clip_video import temporal_or_weights, towers

_PREDICTORS = {"v2t_linear_xwp.": "word_importance.", "t2v_linear_xwp.": "visual_importance."}
_PARTS = {"qk_proj": "mix", "attn_proj.0": "norm", "attn_proj.1": "hidden", "attn_proj.3": "out"}
_UNUSED = ("q_proj.weight", "k_proj.weight")
"""Projections for two widths; the released network has one width and never calls them."""


def convert(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Rename the tensors of CLIP and the temporal transformer as CLIP4Clip names them, and of the released `DmaeUtils`
    module: temporal transformer, token weights, weight predictors. Any of them may be absent.

    The trunk of the released code (BERT with PVT or Video-Swin) is not the CLIP one of this project and has no place
    here.

    Raises:
        ValueError: for a key that is part of neither.

    >>> import torch
    >>> list(convert({"v2t_linear_xwp.qk_proj.weight": torch.zeros(32, 48), "tis_selector.thresh": torch.zeros(1)}))
    ['word_importance.mix.weight']
    """
    out, rest = towers(state)
    for key, value in rest.items():
        prefix = next((p for p in _PREDICTORS if key.startswith(p)), None)
        if key == "tis_selector.thresh":
            continue
        if prefix is None:
            out[temporal_or_weights(key)] = value
            continue
        name = key.removeprefix(prefix)
        part, _, kind = name.rpartition(".")
        if name in _UNUSED:
            continue
        if part not in _PARTS:
            raise ValueError(f"{key!r} is no parameter of DMAE's released weight predictors")
        out[f"{_PREDICTORS[prefix]}{_PARTS[part]}.{kind}"] = value
    return out
