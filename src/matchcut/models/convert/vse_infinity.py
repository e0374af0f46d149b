"""Parameters of `woodfrog/vse_infty` on regions with BERT or a biGRU, for `VSEInfinity`."""

from collections.abc import Sequence

from torch import Tensor

from matchcut.models.convert.rename import State, parts, rename

_IMAGE = {
    "fc.": "item.linear.",
    "mlp.layers.0.": "item.first.",
    "mlp.layers.1.": "item.second.",
    "mlp.bns.0.": "item.norm.",
    "mlp.bns.1.": "item.unused.",
    "gpool.": "item_pool.",
}
_TEXT = {"linear.": "text.", "gpool.": "text_pool."}
_WORDS = {"embed.": "text.embedding.table.", "rnn.": "text.gru.", "gpool.": "text_pool."}
"""The text encoder with BERT, and the one with a biGRU."""


def convert(states: Sequence[State], *, unused_norm: bool = False) -> dict[str, Tensor]:
    """Rename the tensors of a checkpoint's "model": [image encoder, text encoder].

    BERT, inside the text encoder there, is left out: its token vectors are this network's input; one that was trained
    along must give them. unused_norm: keep the image MLP's second BatchNorm, for a network with that option.

    Raises:
        ValueError: for a key that is not part of that layout.
    """
    image, text = parts(states, ("image encoder", "text encoder"))
    out = rename(image, _IMAGE, leave_out=() if unused_norm else ("mlp.bns.1.",))
    words = any(key.removeprefix("module.").startswith("embed.") for key in text)
    return out | rename(text, _WORDS if words else _TEXT, leave_out=() if words else ("bert.",))
