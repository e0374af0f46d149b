"""Parameters of public reference implementations, renamed for the networks here: one file a network."""

from matchcut.models.convert import (
    clip_video,
    dmae,
    dual_encoding,
    hybrid_space,
    multimodal_transformer,
    sgraf,
    vse_infinity,
    vsepp,
    vsrn,
)

CONVERTERS = {
    "dual_encoding": dual_encoding.convert,
    "hybrid_space": hybrid_space.convert,
    "vsepp": vsepp.convert,
    "vsrn": vsrn.convert,
    "sgraf": sgraf.convert,
    "vse_infinity": vse_infinity.convert,
    "clip_video": clip_video.convert,
    "dmae": dmae.convert,
    "multimodal_transformer": multimodal_transformer.convert,
}
"""Network -> the function that renames a whole checkpoint of its reference code."""
