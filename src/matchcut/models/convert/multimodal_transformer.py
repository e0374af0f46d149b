"""Parameters of MMT's released code, for `MultimodalTransformer`."""

from collections.abc import Mapping

import torch
from torch import Tensor

from matchcut.models.convert.rename import whole

KINDS = {"s3d": 1, "vggish": 2, "face": 3, "audio": 4, "rgb": 5, "speech": 6, "ocr": 7, "flow": 8, "scene": 9}
"""The row of each expert in the released table of token types (utils/util.py); row 0 is the start token."""

_LAYER = {
    "attention.output.dense": "attention.out_proj",
    "attention.output.layer_norm": "norm_1",
    "intermediate.dense": "widen",
    "output.dense": "narrow",
    "output.layer_norm": "norm_2",
}
_LEFT_OUT = ("txt_bert.", "vid_bert.pooler.")


def convert(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Rename the tensors of the released network; its experts come in alphabetical order.

    The text encoder (`txt_bert.`) is left out: sentence vectors are this network's input. So is the video encoder's
    pooler, which is never used.

    Raises:
        ValueError: for a key that is not part of that layout, or an expert that is not in `KINDS`.
    """
    state = whole(state)
    found = {key.split(".")[1] for key in state if key.startswith("video_dim_reduce.")}
    experts = sorted(found)
    if unknown := found - set(KINDS):
        raise ValueError(f"experts {sorted(unknown)} are not known; known are {', '.join(KINDS)}")
    out: dict[str, Tensor] = {}
    for key, value in state.items():
        if not key.startswith((*_LEFT_OUT, "moe_fc_txt.", "vid_bert.encoder.")):
            out[_name(key, experts)] = _rows(value, experts) if "token_type_embeddings" in key else value
    for kind in ("weight", "bias"):
        if experts and f"moe_fc_txt.{experts[0]}.{kind}" in state:
            out[f"text.weigh.{kind}"] = torch.cat([state[f"moe_fc_txt.{expert}.{kind}"] for expert in experts])
    return out | _encoder(state)


def _rows(types: Tensor, experts: list[str]) -> Tensor:
    return types[[0, *(KINDS[expert] for expert in experts)]]


def _name(key: str, experts: list[str]) -> str:
    head, _, rest = key.partition(".")
    if head == "vid_bert":
        names = {"position_embeddings": "position", "token_type_embeddings": "kind", "layer_norm": "norm"}
        part, _, kind = rest.removeprefix("embeddings.").partition(".")
        if rest.startswith("embeddings.") and part in names:
            return f"video.{names[part]}.{kind}"
    expert, _, part = rest.partition(".")
    if expert in experts:
        place = experts.index(expert)
        if head == "video_dim_reduce":
            return f"video.reduce.{place}.{part.removeprefix('fc.')}"
        if head == "text_gu":
            for old, new in (("fc.", "linear."), ("cg.fc.", "gate."), ("cg.batch_norm.", "norm.")):
                if part.startswith(old):
                    return f"text.units.{place}.{new}{part.removeprefix(old)}"
    raise ValueError(f"{key!r} is no parameter of MMT's released network")


def _encoder(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    out: dict[str, Tensor] = {}
    prefix = "vid_bert.encoder.layer."
    for key, value in state.items():
        if not key.startswith(prefix):
            continue
        number, _, part = key.removeprefix(prefix).partition(".")
        name, _, kind = part.rpartition(".")
        layer = f"video.layers.{number}."
        if name == "attention.self.query":
            parts = [state[f"{prefix}{number}.attention.self.{p}.{kind}"] for p in ("query", "key", "value")]
            out[f"{layer}attention.in_proj_{kind}"] = torch.cat(parts)
        elif name in _LAYER:
            out[f"{layer}{_LAYER[name]}.{kind}"] = value
        elif name not in ("attention.self.key", "attention.self.value"):
            raise ValueError(f"{key!r} is no parameter of MMT's released network")
    return out
