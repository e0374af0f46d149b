"""A trained model's scores on a part of its collection, as a matrix with ids."""

from matchcut.collection import Collection
from matchcut.errors import MatchcutError
from matchcut.evaluation.matrices import ScoreMatrix
from matchcut.training.encode import score_split
from matchcut.training.trained_model import TrainedModel

MOST_SCORES = 400_000_000  # 1.6 GB


def score_matrix(collection: Collection, model: str | TrainedModel, *, split: str | None = None) -> ScoreMatrix:
    """Scores of all captions of a part with all its items: float32 [T, V], caption keys, item keys, right items.

    Args:
        model: a model of the collection, by name or opened. split: part of its split scheme; None: its test part.

    Raises:
        MatchcutError: if model, part or features are missing, or the part is too large for one matrix.
    """
    trained = TrainedModel.open(collection, model) if isinstance(model, str) else model
    part = split or trained.recipe.data.test
    data = trained.data(collection, part)
    if len(data.captions) * len(data.items) > MOST_SCORES:
        raise MatchcutError(
            f"{collection.root}: part {part!r} has {len(data.captions):,} captions of {len(data.items):,} items, more "
            f"than {MOST_SCORES:,} scores; name a smaller part with --split"
        )
    right = [data.items[i] for i in data.owner.tolist()]
    return ScoreMatrix.of(score_split(trained.network, data), texts=data.captions, items=data.items, text_items=right)
