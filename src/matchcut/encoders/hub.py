"""Loading transformers checkpoints, from a local folder or the hub, with clear errors and no chatter."""

import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch

from matchcut.errors import MatchcutError


def load_model(source: str, *, offline: bool = False) -> Any:
    """The network of a checkpoint in float32, in evaluation mode, on the CPU.

    A pooler that the checkpoint has no weights for is taken off.

    Args:
        source: a local folder, or a name on the hub such as "openai/clip-vit-base-patch32".
        offline: read local files only.

    Raises:
        MatchcutError: if there is no such checkpoint, it cannot be reached, or it lacks weights.
    """
    from transformers import AutoModel

    network, found = _load(AutoModel, source, offline, dtype=torch.float32, output_loading_info=True)
    missing = {key for key in found["missing_keys"] if "position_ids" not in key}
    if any(key.startswith("pooler.") for key in missing):
        network.pooler = None
        missing = {key for key in missing if not key.startswith("pooler.")}
    if missing:
        raise MatchcutError(f"{source}: the checkpoint lacks {len(missing)} weights, such as {min(missing)}")
    return network.eval().requires_grad_(False)


def load_tokenizer(source: str, *, offline: bool = False) -> Any:
    """The tokenizer of a checkpoint. Arguments and errors as `load_model`."""
    from transformers import AutoTokenizer

    return _load(AutoTokenizer, source, offline)


def load_image_processor(source: str, *, offline: bool = False) -> Any:
    """The image processor of a checkpoint, on Pillow: no torchvision. Arguments and errors as `load_model`."""
    from transformers import AutoImageProcessor

    return _load(AutoImageProcessor, source, offline, backend="pil")


def load_config(source: str, *, offline: bool = False) -> Any:
    """The configuration of a checkpoint. Arguments and errors as `load_model`."""
    from transformers import AutoConfig

    return _load(AutoConfig, source, offline)


def folder_name(source: str) -> str:
    """The last part of a source, fit for a folder name.

    >>> folder_name("openai/clip-vit-base-patch32"), folder_name("my models/tiny clip/")
    ('clip-vit-base-patch32', 'tiny-clip')
    """
    return re.sub(r"[^\w.-]+", "-", source.rstrip("/").rsplit("/", 1)[-1])


def settled(source: str) -> str:
    """A source that means the same from every working directory: local folders become absolute."""
    return str(Path(source).expanduser().resolve()) if Path(source).expanduser().is_dir() else source


@contextmanager
def quiet() -> Iterator[None]:
    """No progress bars and no remarks of transformers."""
    from transformers.utils import logging as transformers_logging

    logging: Any = transformers_logging  # its functions have no types
    level, bar = logging.get_verbosity(), logging.is_progress_bar_enabled()
    logging.set_verbosity(logging.ERROR)
    logging.disable_progress_bar()
    try:
        yield
    finally:
        logging.set_verbosity(level)
        if bar:
            logging.enable_progress_bar()


def _load(kind: Any, source: str, offline: bool, **options: Any) -> Any:
    local = Path(source).is_dir()
    if not local and (source.startswith((".", "/", "~")) or source.count("/") > 1):
        raise MatchcutError(f"{source}: no such folder")
    try:
        with quiet():
            return kind.from_pretrained(source, local_files_only=offline or local, **options)
    except (
        OSError,
        ValueError,
        KeyError,
        RuntimeError,
        ImportError,
    ) as error:  # what transformers raises for a bad source
        reason = " ".join(str(error).split())[:300]
        if local:
            raise MatchcutError(f"{source}: not a checkpoint that transformers can load: {reason}") from error
        hint = (
            "unset HF_HUB_OFFLINE, or " if os.environ.get("HF_HUB_OFFLINE") else "check the name and the network, or "
        )
        raise MatchcutError(
            f"{source}: not in the local cache and not to be had from the hub; {hint}"
            f"give the path of a local folder ({reason})"
        ) from error
