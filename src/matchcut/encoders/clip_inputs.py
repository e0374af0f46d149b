"""What CLIP's towers are fed: token ids of captions, and prepared pictures."""

from collections.abc import Callable, Sequence
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from matchcut.encoders import hub


def token_ids(source: str, captions: Sequence[str]) -> tuple[NDArray[np.int32], NDArray[np.int64]]:
    """Captions as token ids, from start of text to end of text: all ids one after the other, and each length.

    A caption of more tokens than the text tower has positions is cut, its end of text kept.

    Args:
        source: of the checkpoint, a name on the hub or a local folder.

    Example::

        values, lengths = token_ids("openai/clip-vit-base-patch32", ["a dog"])  # [49406, 320, 1929, 49407], [4]

    Raises:
        MatchcutError: if there is no such checkpoint.
    """
    tokenizer, config = _tokenizer(source), _config(source)
    longest = int(config.text_config.max_position_embeddings)
    split = tokenizer(list(captions), truncation=True, max_length=longest)["input_ids"] if captions else []
    lengths = np.array([len(ids) for ids in split], dtype=np.int64)
    return np.array([number for ids in split for number in ids], dtype=np.int32), lengths


def picture_shape(source: str) -> tuple[int, int, int]:
    """Shape of a prepared picture: colours, height, width."""
    side = int(_config(source).vision_config.image_size)
    return 3, side, side


def prepare_with(source: str) -> Callable[[NDArray[np.uint8]], NDArray[np.float32]]:
    """What makes a picture uint8 [height, width, 3] ready for the image tower: float32 [3, side, side]."""
    processor = _processor(source)

    def prepare(picture: NDArray[np.uint8]) -> NDArray[np.float32]:
        made = processor(images=picture, return_tensors="np", input_data_format="channels_last")["pixel_values"]
        return np.asarray(made[0], dtype=np.float32)

    return prepare


@lru_cache(maxsize=4)
def _tokenizer(source: str) -> Any:
    return hub.load_tokenizer(source)


@lru_cache(maxsize=4)
def _config(source: str) -> Any:
    return hub.load_config(source)


@lru_cache(maxsize=4)
def _processor(source: str) -> Any:
    return hub.load_image_processor(source)
