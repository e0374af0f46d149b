"""Parameters of `danieljf24/hybrid_space`, for `HybridSpace`."""

from collections.abc import Sequence

from torch import Tensor

from matchcut.models.convert.dual_encoding import WORDS, flat_convolutions, levels
from matchcut.models.convert.rename import State, parts, rename


def _spaces(side: str) -> dict[str, str]:
    return {
        "mapping.fc1.": f"{side}_spaces.latent.linear.",
        "mapping.bn_1.": f"{side}_spaces.latent.norm.",
        "tag_fc.": f"{side}_spaces.concepts.0.",
        "tag_fc_batch_norm.": f"{side}_spaces.concepts.1.",
    }


def convert(states: Sequence[State]) -> dict[str, Tensor]:
    """Rename the tensors of a checkpoint's "model": [video encoder, text encoder, video mapping, text mapping].

    Raises:
        ValueError: for a key that is not part of that layout.
    """
    names = ("video encoder", "text encoder", "video mapping", "text mapping")
    video, text, video_mapping, text_mapping = parts(states, names)
    out = rename(video, levels("item")) | rename(text, {**WORDS, **levels("text")})
    out |= rename(video_mapping, _spaces("item")) | rename(text_mapping, _spaces("text"))
    return flat_convolutions(out)
