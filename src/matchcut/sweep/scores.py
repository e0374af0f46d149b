"""Score matrices kept with each model of a sweep, for fusion."""

from pathlib import Path

from matchcut.collection import Collection
from matchcut.evaluation.matrices import write_scores
from matchcut.training.checkpoint import BEST
from matchcut.training.scores import score_data
from matchcut.training.shared import SharedData
from matchcut.training.trained_model import TrainedModel


def scores_path(collection: Collection, model: str, part: str) -> Path:
    """Where the scores of a model on a part are."""
    return collection.root / "models" / model / f"scores-{part}.npz"


def has_scores(collection: Collection, model: str, part: str) -> bool:
    """Whether the scores of a model's best weights on a part are there."""
    path, best = scores_path(collection, model, part), collection.root / "models" / model / BEST
    return path.exists() and best.exists() and path.stat().st_mtime_ns > best.stat().st_mtime_ns


def keep_scores(collection: Collection, model: str, part: str, *, shared: SharedData, device: str = "cpu") -> Path:
    """Score all texts and items of a part with a model's best weights, unless that is done, and write it down.

    The file holds `scores` float32 [T, V], `texts` (caption keys), `items` (item keys) and `text_items`, the item of
    each text; `matchcut.evaluation.matrices.read_scores` reads it.

    Raises:
        MatchcutError: if there is no such model or part.
    """
    path = scores_path(collection, model, part)
    if has_scores(collection, model, part):
        return path
    trained = TrainedModel.open(collection, model)
    data = shared.pairs(trained.recipe, part, shared.text(trained.recipe))
    matrix = score_data(trained, data, where=f"{collection.root}: part {part!r}", device=device)
    assert matrix.texts is not None
    assert matrix.items is not None
    write_scores(path, matrix.scores, texts=matrix.texts, items=matrix.items, text_items=matrix.text_items)
    return path
