"""Parameters of `KunpengLi1994/VSRN`, for `VSRN`."""

from collections.abc import Sequence

from torch import Tensor

from matchcut.models.convert.rename import State, parts, rename
from matchcut.models.convert.vsepp import WORD_GRU

_BLOCK = {"theta.": "theta.", "phi.": "phi.", "g.": "g.", "W.0.": "out.", "W.1.": "norm."}
_IMAGE = {
    "fc.": "reasoning.linear.",
    "img_rnn.": "gru.",
    "bn.": "norm.",
    **{f"Rs_GCN_{n + 1}.{old}": f"reasoning.blocks.{n}.{new}" for n in range(4) for old, new in _BLOCK.items()},
}


def convert(states: Sequence[State]) -> dict[str, Tensor]:
    """Rename the tensors of a checkpoint's "model": [image encoder, text encoder].

    The caption task is not part of that checkpoint: build the network with `captions=False`.

    Raises:
        ValueError: for a key that is not part of that layout.
    """
    image, text = parts(states, ("image encoder", "text encoder"))
    out = rename(image, _IMAGE) | rename(text, WORD_GRU)
    # Convolutions of kernel 1, [out, in, 1], are linear layers.
    return {key: value.squeeze(2) if value.ndim == 3 else value for key, value in out.items()}
