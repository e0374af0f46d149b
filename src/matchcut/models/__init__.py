"""Networks from features to scores. Plain PyTorch: tensors in, tensors out."""

from importlib import import_module
from typing import Any

MODELS: dict[str, str] = {
    "projection": "matchcut.models.projection:ProjectionConfig",
    "dual_encoding": "matchcut.models.dual_encoding:DualEncodingConfig",
    "hybrid_space": "matchcut.models.hybrid_space:HybridSpaceConfig",
    "vsepp": "matchcut.models.vsepp:VSEPPConfig",
    "vsrn": "matchcut.models.vsrn:VSRNConfig",
    "sgraf": "matchcut.models.sgraf:SGRAFConfig",
    "vse_infinity": "matchcut.models.vse_infinity:VSEInfinityConfig",
    "clip_video": "matchcut.models.clip_video:ClipVideoConfig",
    "dmae": "matchcut.models.dmae:DMAEConfig",
    "multimodal_transformer": "matchcut.models.multimodal_transformer:MultimodalTransformerConfig",
}
"""Name in a recipe -> module and class of the network's options. The module also holds `PRESETS`."""


def config_class(name: str) -> type[Any]:
    """The dataclass of a network's options, by its name in `MODELS`.

    >>> config_class("projection").__name__
    'ProjectionConfig'
    """
    module, cls = _locate(name)
    found: type[Any] = getattr(import_module(module), cls)
    return found


def presets(name: str) -> dict[str, Any]:
    """The named settings of a network: preset name -> options.

    >>> sorted(presets("projection"))
    ['default', 'linear']
    """
    found: dict[str, Any] = import_module(_locate(name)[0]).PRESETS
    return found


def _locate(name: str) -> tuple[str, str]:
    if name not in MODELS:
        raise ValueError(f"no network is called {name!r}; there are {', '.join(MODELS)}")
    module, _, cls = MODELS[name].partition(":")
    return module, cls
