"""What is read from a collection for training, read once for many trainings."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import fields, is_dataclass
from pathlib import Path
from typing import Any, TypeVar

from torch import Tensor

from matchcut.collection import Collection
from matchcut.encoders.vocabulary import Vocabulary
from matchcut.encoders.words import clean
from matchcut.training.data import PairData, load, read_manifest
from matchcut.training.evidence import TrainingEvidence
from matchcut.training.recipe import Recipe
from matchcut.training.targets import CONCEPTS, Targets
from matchcut.training.text_streams import (
    MADE,
    TOKEN_IDS,
    TextStreams,
    add_text_streams,
    aligned_with,
    clip_source,
    pixels_for,
    stored_item,
    stored_text,
)

T = TypeVar("T")


class SharedData:
    """Captions, streams, vocabularies and evidence of a collection, each read when first asked for and then kept.

    A stream is kept by its name and its captions or items, so that recipes that read different streams share those
    they have in common. It is a snapshot: what changes in the collection later is not seen. It can be sent to other
    processes by `torch.multiprocessing`; after `share_memory` they do not copy the tensors.

    Example::

        shared = SharedData(collection)
        for recipe in recipes:
            train(recipe, collection, shared=shared)
    """

    def __init__(self, collection: Collection) -> None:
        self.collection = collection
        self._streams: dict[tuple[object, ...], Any] = {}
        self._kept: dict[tuple[object, ...], Any] = {}

    def prepare(self, recipe: Recipe) -> None:
        """Read all that a training of this recipe will ask for."""
        text = self.text(recipe)
        data = self.pairs(recipe, recipe.data.train, text)
        self.pairs(recipe, recipe.data.val, text)
        self.evidence(recipe, data)
        if hasattr(recipe.model, "concepts"):
            self.targets(recipe, data, (CONCEPTS,))

    def text(self, recipe: Recipe) -> TextStreams:
        """What makes the recipe's text streams that are no feature sets; the vocabulary is of the training part."""
        reads = tuple(name for name in recipe.text if name in MADE)
        if not reads:
            return TextStreams()
        clip = clip_source(recipe)
        if reads == (TOKEN_IDS,):
            return TextStreams(reads, clip=clip)
        data, threshold = self._stored(recipe, recipe.data.train), recipe.data.vocabulary_threshold
        tokens = aligned_with(recipe)
        encoder = read_manifest(self.collection, tokens, of="captions").encoder if tokens else ""
        vocabulary = self._keep(
            ("vocabulary", threshold, data.fingerprint()),
            lambda: Vocabulary.build(map(clean, data.texts), threshold=threshold),
        )
        by_piece = getattr(recipe.model, "bag_by_piece", False)
        return TextStreams(reads, vocabulary, tokens, encoder, clip, bag_by_piece=by_piece)

    def pairs(self, recipe: Recipe, part: str, text: TextStreams) -> PairData:
        """One part of the recipe's split scheme, with all streams that its network reads."""
        return add_text_streams(self._stored(recipe, part), text, memo=self._streams)

    def evidence(self, recipe: Recipe, data: PairData) -> TrainingEvidence:
        """What the recipe's treatments of negatives ask for, of its training part."""
        names, part, scheme = recipe.evidence(), recipe.data.train, recipe.data.scheme
        return self._keep(
            ("evidence", *sorted(names), part, scheme, data.fingerprint()),
            lambda: TrainingEvidence.load(self.collection, data, names, part=part, scheme=scheme),
        )

    def targets(self, recipe: Recipe, data: PairData, names: tuple[str, ...]) -> Targets:
        """What the losses of the recipe's network ask for."""
        options = (getattr(recipe.model, "concepts", 0), recipe.data.concept_threshold)
        return self._keep(("targets", names, *options, data.fingerprint()), lambda: Targets.make(recipe, data, names))

    def tensors(self) -> list[Tensor]:
        """Every tensor that is kept, each once."""
        found = {id(tensor): tensor for tensor in _tensors([self._streams, self._kept])}
        return list(found.values())

    def share_memory(self) -> None:
        """Move all tensors to memory that other processes can use without a copy."""
        for tensor in self.tensors():
            tensor.share_memory_()  # type: ignore[no-untyped-call]

    def _stored(self, recipe: Recipe, part: str) -> PairData:
        text, item, scheme = stored_text(recipe), stored_item(recipe), recipe.data.scheme
        pixels = pixels_for(recipe)
        return self._keep(
            ("pairs", part, scheme, *sorted(text), "", *sorted(item), pixels),
            lambda: load(
                self.collection, part=part, scheme=scheme, text=text, item=item, pixels=pixels, memo=self._streams
            ),
        )

    def _keep(self, key: tuple[object, ...], make: Callable[[], T]) -> T:
        if key not in self._kept:
            self._kept[key] = make()
        found: T = self._kept[key]
        return found

    def __getstate__(self) -> tuple[Path, Any, Any]:
        return self.collection.root, self._streams, self._kept

    def __setstate__(self, state: tuple[Path, Any, Any]) -> None:
        root, self._streams, self._kept = state
        self.collection = Collection.open(root)


def _tensors(value: Any) -> Iterator[Tensor]:
    if isinstance(value, Tensor):
        yield value
    elif is_dataclass(value):
        for field in fields(value):
            yield from _tensors(getattr(value, field.name))
    elif isinstance(value, Mapping):
        yield from _tensors(list(value.values()))
    elif isinstance(value, list) and value and not isinstance(value[0], str):
        for entry in value:
            yield from _tensors(entry)
