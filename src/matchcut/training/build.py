"""The network of a recipe."""

from collections.abc import Mapping
from contextlib import nullcontext
from dataclasses import replace
from typing import Any

from matchcut.encoders.hub import quiet
from matchcut.errors import MatchcutError
from matchcut.models.base import RetrievalModel
from matchcut.training.recipe import Recipe

Shapes = Mapping[str, tuple[int, ...]]


def build_model(recipe: Recipe, text: Shapes, item: Shapes, *, words: int = 0) -> RetrievalModel[Any, Any]:
    """The network of a recipe for streams of these row shapes.

    Args:
        text, item: row shapes of the streams by name.
        words: size of the vocabulary. A network that reads words and does not say how many (`vocabulary = 0`) is built
            for so many; one that says more keeps rows that nothing uses.

    Raises:
        MatchcutError: if the network cannot take such streams, or knows fewer words than there are.
    """
    config = recipe.model
    if words and getattr(config, "words", None) in text:
        if not config.vocabulary:
            config = replace(config, vocabulary=words)
        elif config.vocabulary < words:
            raise MatchcutError(
                f"{recipe.source}: model.vocabulary: is {config.vocabulary}, but the training captions give {words} "
                "words; leave it out, or raise data.vocabulary_threshold"
            )
    # Only CLIP's towers bring in transformers, which otherwise takes seconds.
    chatter = nullcontext() if getattr(config, "towers", None) is None else quiet()
    try:
        with chatter:
            model: RetrievalModel[Any, Any] = config.build(dict(text), dict(item))
    except (ValueError, OSError, RuntimeError) as error:  # the last where memory does not suffice for the sizes
        reason = (str(error).splitlines() or ["cannot be built"])[0]
        raise MatchcutError(f"model {recipe.model_name!r}: {reason}") from error
    return model
