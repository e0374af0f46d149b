"""Parameters of `danieljf24/dual_encoding` and `bmezaris/AVS_dual_encoding_attention_network`, for `DualEncoding`."""

from collections.abc import Sequence

from torch import Tensor

from matchcut.models.convert.rename import State, parts, rename

BERT = ("embed_bert.",)
"""BERT lies inside the text module there; here its token vectors are an input."""


def levels(side: str) -> dict[str, str]:
    """Beginnings of the keys of one side's levels 2 and 3."""
    return {
        "rnn.": f"{side}.levels.gru.",
        "convs1.": f"{side}.levels.convolutions.convs.",
        "atten.fc1.": f"{side}.levels.attention.hidden.",
        "atten.fc2.": f"{side}.levels.attention.weigh.",
    }


WORDS = {"embed.": "text.embedding.table.", "embed_w2v.": "text.embedding.table."}
_ITEM_SPACE = {"visual_mapping.fc1.": "item_space.linear.", "visual_mapping.bn_1.": "item_space.norm."}
_TEXT_SPACE = {"text_mapping.fc1.": "text_space.linear.", "text_mapping.bn_1.": "text_space.norm."}


def convert(states: Sequence[State]) -> dict[str, Tensor]:
    """Rename the tensors of a checkpoint's "model": [video encoder, text encoder].

    The released attention is the one called "identity" here; bag and word numbers must be those of the released
    vocabularies.

    Raises:
        ValueError: for a key that is not part of that layout.
    """
    video, text = parts(states, ("video encoder", "text encoder"))
    out = rename(video, {**levels("item"), **_ITEM_SPACE})
    out |= rename(text, {**WORDS, **levels("text"), **_TEXT_SPACE}, leave_out=BERT)
    return flat_convolutions(out)


def flat_convolutions(state: dict[str, Tensor]) -> dict[str, Tensor]:
    """Two-dimensional kernels [filters, 1, k, width] over one channel as one-dimensional [filters, width, k]."""
    return {
        key: value.squeeze(1).transpose(1, 2).contiguous() if ".convs." in key and value.ndim == 4 else value
        for key, value in state.items()
    }
