"""Made-up captions and items with streams and evidence of the right shape, for a look at a network without data."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch

from matchcut.encoders.vocabulary import SPECIAL
from matchcut.errors import MatchcutError
from matchcut.training.data import PairData
from matchcut.training.evidence import ALL, JUDGED, MODEL, SHUFFLED, SVD, TrainingEvidence, components, own
from matchcut.training.evidence_sources import CaptionsOfItems, Teacher
from matchcut.training.recipe import Recipe
from matchcut.training.streams import Stream

KNOWN: dict[str, tuple[int, ...]] = {
    "minilm": (384,),
    "minilm-tokens": (384,),
    "minilm-tokens-salience": (1,),
    "efficientnet-lite0": (1280,),
    "efficientnet-lite0-grid": (49, 1280),
    "svd": (400,),
}
"""Shape of a row of the feature sets that packaged encoders make."""

SENTENCES = ("minilm", "svd")  # one row a caption; other streams of captions have one a token
SMALL = 100  # words of a made-up vocabulary whose size the recipe leaves open
END = SPECIAL.index("<end>")
TOKENS, FRAMES = (9, 6, 7, 5), (2, 1, 2, 1)  # lengths of captions and items, in turns


@dataclass(frozen=True)
class MadeUp:
    """A recipe's network options with sizes filled in, N captions of N items, and all that a step asks for."""

    model: Any
    data: PairData
    evidence: TrainingEvidence


def asked(recipe: Recipe) -> dict[str, str | None]:
    """The evidence that the objective names, and of what it is ("text", "item", "scores") where the recipe says so."""
    found: dict[str, str | None] = dict.fromkeys(recipe.evidence())
    for term in recipe.objective().terms:
        for treatment in (*term.treatments, *(t for expert in term.experts for t in expert.treatments)):
            for name in treatment.uses:
                found[name] = found.get(name) or getattr(treatment, "of", None)
    return found


def make_up(recipe: Recipe, shapes: Mapping[str, tuple[int, ...]], *, pairs: int = 4, seed: int = 0) -> MadeUp:
    """Make captions and items for the network of a recipe.

    Word and token numbers, bags of words and pixels are made by their stream's name; all other streams are vectors of
    normal numbers. A caption has the same length in all its streams, as aligned words and tokens do.

    Args:
        shapes: of a row of each stream or piece of evidence, where they are known from a collection; else the
            recipe's `data.shapes` and `KNOWN` count.

    Raises:
        MatchcutError: for a stream whose shape nobody knows.
    """
    generator = np.random.default_rng(seed)
    model = recipe.model
    if "words" in recipe.text and getattr(model, "vocabulary", None) == 0:
        model = replace(model, vocabulary=SMALL)
    try:
        size, last, edge = _clip(model)
    except (OSError, ValueError) as error:
        reason = str(error).splitlines()[0]
        raise MatchcutError(f"{recipe.source}: model.towers.path: no CLIP is found there: {reason}") from error
    known = {**KNOWN, **_made(model, edge), **{k: tuple(v) for k, v in recipe.data.shapes.items()}, **shapes}
    for name in (*recipe.text, *recipe.item):
        if name not in known:
            raise MatchcutError(
                f"{recipe.source}: data.shapes: nobody knows the rows of the stream {name!r}; say them, such as "
                f"{name} = [2048], or name a COLLECTION that has it"
            )
    tokens, frames = ([lengths[i % 4] for i in range(pairs)] for lengths in (TOKENS, FRAMES))
    ends = {"words": (getattr(model, "vocabulary", SMALL), END), "clip-token-ids": (size, last)}
    text = {name: _text(generator, name, known[name], tokens, ends) for name in recipe.text}
    item = {}
    for name in recipe.item:
        table = len(known[name]) > 1 and name != "clip-pixels"  # of regions or cells: one a picture
        item[name] = _vectors(generator, known[name], [1] * pairs if table else frames)
    keys = [f"item{i}" for i in range(pairs)]
    data = PairData([f"{key}#0" for key in keys], ["made up"] * pairs, keys, torch.arange(pairs), text, item)
    return MadeUp(model, data, _evidence(generator, recipe, data, known))


def _made(model: Any, edge: int) -> dict[str, tuple[int, ...]]:
    """Row shapes of the streams that no encoder makes; edge: of CLIP's pictures."""
    words = int(getattr(model, "vocabulary", 0)) or SMALL
    return {"words": (), "bow": (words - len(SPECIAL),), "clip-token-ids": (), "clip-pixels": (3, edge, edge)}


def _clip(model: Any) -> tuple[int, int, int]:
    """How many tokens CLIP's text tower knows, the number of the last of them, and the edge of its pictures."""
    towers = getattr(model, "towers", None)
    if towers is None:
        return SMALL, SMALL - 1, 1
    from matchcut.models.clip_towers import architecture

    config = architecture(towers.path)
    size = int(config.text_config.vocab_size)
    return size, size - 1, int(config.vision_config.image_size)


def _text(
    generator: np.random.Generator,
    name: str,
    shape: tuple[int, ...],
    lengths: list[int],
    ends: Mapping[str, tuple[int, int]],
) -> Stream:
    if name in ends:  # numbers of words or tokens, each caption closed by the number that ends it
        size, last = ends[name]
        numbers = generator.integers(min(len(SPECIAL), size - 1), size, sum(lengths))
        numbers[np.cumsum(lengths) - 1] = last
        return Stream.of(numbers, lengths)
    if name == "bow":
        return Stream.of(generator.integers(0, 2, (len(lengths), *shape)).astype(np.float32), [1] * len(lengths))
    if name.endswith("-salience"):
        return Stream.of(generator.integers(1, 3, (sum(lengths), *shape)).astype(np.float32), lengths)
    return _vectors(generator, shape, [1] * len(lengths) if name in SENTENCES else lengths)


def _vectors(generator: np.random.Generator, shape: tuple[int, ...], lengths: list[int]) -> Stream:
    return Stream.of(generator.standard_normal((sum(lengths), *shape), dtype=np.float32), lengths)


def _evidence(
    generator: np.random.Generator, recipe: Recipe, data: PairData, known: Mapping[str, tuple[int, ...]]
) -> TrainingEvidence:
    """Evidence of every kind that the objective names."""
    count = len(data.items)
    found = TrainingEvidence(captions_of=CaptionsOfItems.of(data.owner, count), own=own(recipe.evidence()))
    for name, of in asked(recipe).items():
        plain = name.removeprefix(ALL).removeprefix(SHUFFLED)
        shape = (components(plain),) if plain.startswith(f"{SVD}:") else known.get(plain, KNOWN["minilm"])
        vectors = _vectors(generator, shape, [1] * count).values.flatten(1)
        if name.startswith((MODEL, JUDGED)):
            found.scores[name] = Teacher(vectors, vectors)
        elif name.startswith(ALL):
            found.all_captions[name] = vectors
        elif plain in data.item:
            found.item[name] = data.item[plain].mean().flatten(1)
        elif plain in data.text:
            found.text[name] = data.text[plain].mean().flatten(1)
        elif name not in found.own:
            (found.item if of == "item" else found.text)[name] = vectors
    return found
