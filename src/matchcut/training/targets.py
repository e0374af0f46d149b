"""What a network's own losses need beside the streams: the concepts that each item shows."""

from collections.abc import Mapping
from dataclasses import dataclass, field

import torch
from torch import Tensor

from matchcut.encoders.concepts import concept_labels, frequent_concepts
from matchcut.encoders.lemmas import find_lemma
from matchcut.encoders.words import clean
from matchcut.errors import MatchcutError
from matchcut.training.data import PairData
from matchcut.training.recipe import Recipe

CONCEPTS = "concepts"


@dataclass(frozen=True)
class Targets:
    """Targets of N items by name, each [N, ...], and of what they were made, which a run must keep to."""

    of_items: Mapping[str, Tensor] = field(default_factory=dict)
    facts: Mapping[str, object] = field(default_factory=dict)

    @classmethod
    def make(cls, recipe: Recipe, data: PairData, names: tuple[str, ...]) -> "Targets":
        """The targets `names` of the training part.

        `concepts`: float32 [N, concepts] in [0, 1], see `matchcut.encoders.concepts`; the recipe says how many
        (`model.concepts`) and how often an item's captions must name one (more than `data.concept_threshold` times).

        Raises:
            MatchcutError: if a name is unknown, or the captions have too few concepts.
        """
        if not names:
            return cls()
        if names != (CONCEPTS,):
            raise MatchcutError(f"model {recipe.model_name!r}: needs the targets {names}; known is {CONCEPTS!r}")
        captions = [clean(text) for text in data.texts]
        made_by, lemma = find_lemma(captions)
        wanted = int(recipe.model.concepts)
        concepts = frequent_concepts(captions, lemma, size=wanted)
        if len(concepts) < wanted:
            raise MatchcutError(
                f"{recipe.source}: model.concepts: the training captions name {len(concepts)} concepts, {wanted} are "
                f"asked for; set model.concepts to {len(concepts)} at most"
            )
        of_items: list[list[list[str]]] = [[] for _ in data.items]
        for caption, item in zip(captions, data.owner.tolist(), strict=True):
            of_items[item].append(caption)
        labels = concept_labels(of_items, concepts, lemma, threshold=recipe.data.concept_threshold)
        return cls({CONCEPTS: torch.from_numpy(labels)}, {"by": made_by, "concepts": list(concepts)})

    def batch(self, items: Tensor, device: torch.device) -> dict[str, Tensor]:
        """The targets of these items [V] int64."""
        return {name: values[items].to(device) for name, values in self.of_items.items()}
