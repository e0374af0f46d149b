"""A trained model's scores on a part of its collection, as a matrix with ids."""

import torch

from matchcut.collection import Collection
from matchcut.errors import MatchcutError
from matchcut.evaluation.matrices import ScoreMatrix
from matchcut.training.data import PairData
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
    return score_data(trained, trained.data(collection, part), where=f"{collection.root}: part {part!r}")


def score_data(trained: TrainedModel, data: PairData, *, where: str, device: torch.device | str = "cpu") -> ScoreMatrix:
    """`score_matrix` of data that were read before; where: what they are, for messages; device: where it is computed.

    Raises:
        MatchcutError: if the data are too large for one matrix.
    """
    if len(data.captions) * len(data.items) > MOST_SCORES:
        raise MatchcutError(
            f"{where} has {len(data.captions):,} captions of {len(data.items):,} items, more "
            f"than {MOST_SCORES:,} scores; name a smaller part with --split"
        )
    right = [data.items[i] for i in data.owner.tolist()]
    scores = score_split(trained.network.to(device), data, device=device)
    return ScoreMatrix.of(scores, texts=data.captions, items=data.items, text_items=right)
