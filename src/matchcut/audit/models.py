"""A trained model's scores on one part of a collection."""

from dataclasses import dataclass

import numpy as np

from matchcut.audit.content import Content, Floats, Ints
from matchcut.audit.evidence import Evidences
from matchcut.collection import Collection
from matchcut.training.scores import score_matrix
from matchcut.training.trained_model import TrainedModel


@dataclass(frozen=True, eq=False)
class Scored:
    """Scores float32 [T, V] of a model on a part, and where its captions and items stand in a `Content`."""

    model: str
    part: str
    scores: Floats
    texts: Ints  # [T], positions in the content
    items: Ints  # [V]


def score(collection: Collection, model: str, content: Content, *, split: str | None = None) -> Scored:
    """Score all captions of a part with all its items.

    Args:
        split: part of the model's split scheme; None: the test part of its recipe.

    Raises:
        MatchcutError: if there is no such model or part, or the part is too large for one matrix.
    """
    trained = TrainedModel.open(collection, model)
    part = split or trained.recipe.data.test
    matrix = score_matrix(collection, trained, split=part)
    assert matrix.texts is not None
    assert matrix.items is not None
    captions, items = matrix.texts.tolist(), matrix.items.tolist()
    text = {key: i for i, key in enumerate(content.keys)}
    item = {key: i for i, key in enumerate(content.items)}
    rows = [i for i, key in enumerate(captions) if key in text]
    columns = [i for i, key in enumerate(items) if key in item]
    scores: Floats = matrix.scores[np.ix_(rows, columns)]
    return Scored(
        model=model,
        part=part,
        scores=scores,
        texts=np.array([text[captions[i]] for i in rows]),
        items=np.array([item[items[i]] for i in columns]),
    )


def model_evidence(scored: Scored, content: Content, texts: Ints, items: Ints) -> Evidences:
    """The score of each pair, float32 [P]: plain, as z-score among the caption's scores, and among the item's; nothing
    if a pair lies outside the scored part."""
    row = np.full(len(content.keys), -1)
    row[scored.texts] = np.arange(len(scored.texts))
    column = np.full(len(content.items), -1)
    column[scored.items] = np.arange(len(scored.items))
    r, c = row[texts], column[items]
    if (r < 0).any() or (c < 0).any():
        return {}
    plain = scored.scores[r, c]
    by_text = (plain - scored.scores.mean(axis=1)[r]) / np.maximum(scored.scores.std(axis=1)[r], 1e-12)
    by_item = (plain - scored.scores.mean(axis=0)[c]) / np.maximum(scored.scores.std(axis=0)[c], 1e-12)
    return {"model": plain, "model_by_caption": by_text, "model_by_item": by_item}
