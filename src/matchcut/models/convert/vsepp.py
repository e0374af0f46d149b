"""Parameters of `fartashf/vsepp` on precomputed features, for `VSEPP`."""

from collections.abc import Sequence

from torch import Tensor

from matchcut.models.convert.rename import State, parts, rename

WORD_GRU = {"embed.": "text.embedding.table.", "rnn.": "text.gru."}


def convert(states: Sequence[State]) -> dict[str, Tensor]:
    """Rename the tensors of a checkpoint's "model": [image encoder, text encoder].

    Raises:
        ValueError: for a key that is not part of that layout, such as those of a CNN.
    """
    image, text = parts(states, ("image encoder", "text encoder"))
    return rename(image, {"fc.": "item."}) | rename(text, WORD_GRU)
