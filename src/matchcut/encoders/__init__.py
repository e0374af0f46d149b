"""Frozen towers: packaged (EfficientNet-Lite0, MiniLM) and any CLIP, SigLIP or BERT checkpoint of transformers."""

from importlib import import_module
from typing import TYPE_CHECKING

from matchcut.encoders.spec import Spec
from matchcut.errors import MatchcutError

if TYPE_CHECKING:
    from matchcut.encoders.base import Encoder
    from matchcut.features.manifest import Manifest

# Kind of encoder: the module whose `load(spec)` makes it.
ENCODERS = {
    "efficientnet-lite0": "matchcut.encoders.efficientnet_lite",
    "efficientnet-lite0-grid": "matchcut.encoders.efficientnet_lite",
    "minilm": "matchcut.encoders.minilm",
    "minilm-tokens": "matchcut.encoders.minilm",
    "clip": "matchcut.encoders.clip",
    "bert": "matchcut.encoders.bert",
    "salience": "matchcut.encoders.salience",
}


def load_encoder(spec: str) -> "Encoder":
    """Make an encoder from its specification.

    - `efficientnet-lite0`, `efficientnet-lite0-grid`: packaged, for frames; options flip=true, crop=true
    - `minilm`, `minilm-tokens`: packaged, for captions
    - `clip:SOURCE`: CLIP or SigLIP from the hub or a local folder; options tower=image|text, vector=pooled|tokens
    - `bert:SOURCE`: BERT and its like; option vector=mean|cls|pooler|layer-2|tokens
    - `salience:TOKENS`: a number for each token of another encoder, such as `salience:minilm-tokens`

    >>> load_encoder("minilm").shape
    (384,)

    Raises:
        MatchcutError: if there is no such kind or option, or the checkpoint cannot be loaded.
    """
    parsed = Spec.parse(spec)
    if parsed.kind not in ENCODERS:
        raise MatchcutError(f"encoder {spec!r}: no kind {parsed.kind!r}; known are {', '.join(ENCODERS)}")
    encoder: Encoder = import_module(ENCODERS[parsed.kind]).load(parsed)
    return encoder


def towers(spec: str) -> list[str]:
    """The specifications a short one stands for: both towers of a CLIP unless one is named.

    >>> towers("clip:models/tiny")
    ['clip:models/tiny?tower=image', 'clip:models/tiny?tower=text']
    >>> towers("minilm")
    ['minilm']
    """
    parsed = Spec.parse(spec)
    if parsed.kind != "clip" or "tower" in parsed.options:
        return [spec]
    return [str(Spec("clip", parsed.source, {"tower": tower, **parsed.options})) for tower in ("image", "text")]


def for_manifest(manifest: "Manifest") -> "Encoder":
    """The encoder that made a feature set, to encode queries with.

    Raises:
        MatchcutError: if its weights or preprocessing are not those the set was made with.
    """
    encoder = load_encoder(manifest.encoder)
    for field in ("weights", "preprocessing", "shape"):
        there, here = getattr(manifest, field), getattr(encoder, field)
        if there != here:
            raise MatchcutError(
                f"feature set {manifest.name!r}: made by {manifest.encoder} with {field} {there!r}, "
                f"which now has {here!r}, so its vectors cannot be compared; embed again with --force"
            )
    return encoder
