"""The report on trained models of a collection."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from matchcut.collection import Collection
from matchcut.errors import MatchcutError
from matchcut.evaluation.guard import (
    Finding,
    check_captions,
    check_gallery,
    check_ids,
    check_pictures,
    check_selection,
)
from matchcut.evaluation.matrices import ScoreMatrix
from matchcut.evaluation.protocols import PROTOCOLS
from matchcut.evaluation.ranks import Ties
from matchcut.report.content import Report
from matchcut.report.matrices import report_matrices
from matchcut.training.data import open_features
from matchcut.training.evaluation import relevance_matrix
from matchcut.training.scores import score_matrix
from matchcut.training.trained_model import TrainedModel


def report_models(
    collection: Collection | None,
    models: Sequence[str],
    *,
    split: str | None = None,
    others: Mapping[str, ScoreMatrix] | None = None,
    protocol: str | None = None,
    ties: Ties = "expected",
    progress: Callable[[str], Any] = lambda _: None,
) -> Report:
    """Score a part with every model and report on them; a guard looks at what the part and the training data share.

    Where the collection holds complete judgments, there are tables by these too.

    Args:
        collection: may be None where there are only `others`.
        models: names of models of the collection. split: the part; None: the test part of the first model's recipe.
        others: further systems as score matrices of the same captions and items, by their keys.
        protocol: a key of `PROTOCOLS`, to compare the size of the gallery with. progress: told what is being done.

    Raises:
        MatchcutError: if a model, part or feature set is missing, or the systems are of different captions or items.
    """
    if len(set(models)) < len(models):
        raise MatchcutError(f"a model is named twice: {', '.join(models)}")
    if protocol is not None and protocol not in PROTOCOLS:
        raise MatchcutError(f"no protocol {protocol!r}; there are {', '.join(PROTOCOLS)}")
    matrices: dict[str, ScoreMatrix] = {}
    found: dict[str, Finding] = {}  # by message
    looked: set[tuple[str | None, ...]] = set()
    part = split
    for name in models:
        if collection is None:
            raise MatchcutError(f"model {name!r} needs its collection")
        progress(f"score {name}")
        trained = TrainedModel.open(collection, name)
        part = part or trained.recipe.data.test
        matrices[trained.name] = score_matrix(collection, trained, split=part)
        data, plain = trained.recipe.data, _plain_features(trained)
        if (data.train, data.val, data.scheme, plain) not in looked:  # models that share these say the same
            looked.add((data.train, data.val, data.scheme, plain))
            found |= {finding.message: finding for finding in _overlap(collection, trained, part)}
    for name, matrix in (others or {}).items():
        if name in matrices:
            raise MatchcutError(f"a model and a score matrix are both called {name!r}; rename the file")
        matrices[name] = matrix
    first = next(iter(matrices.values()), None)
    if protocol is not None and first is not None:
        findings = check_gallery(protocol, items=first.scores.shape[1], texts=first.scores.shape[0])
        found |= {finding.message: finding for finding in findings}
    progress("compare")
    judged = _relevance(collection, first) if collection is not None and first is not None else None
    return report_matrices(
        matrices,
        relevance=judged,
        texts={caption.key: caption.text for caption in collection.captions()} if collection else None,
        title=f"Retrieval on {collection.root.name}{f', part {part}' if part else ''}" if collection else "Retrieval",
        warnings=list(found.values()),
        ties=ties,
    )


def _relevance(collection: Collection, matrix: ScoreMatrix) -> dict[str, Any]:
    """Which pairs every complete source of judgments calls relevant (one half or more), {source: bool [T, V]}."""
    if matrix.texts is None or matrix.items is None:
        return {}
    found = {}
    for source in (name for name, extent in collection.judged().items() if extent == "complete"):
        relevant = relevance_matrix(collection, source, matrix.texts.tolist(), matrix.items.tolist())
        if relevant.any():
            found[source] = relevant
    return found


def _overlap(collection: Collection, trained: TrainedModel, part: str) -> Iterable[Finding]:
    """What is in the part and was in training or selection too."""
    data = trained.recipe.data
    seen, asked = (collection.captions(split=p, scheme=data.scheme) for p in (data.train, part))
    train, test = ([i.key for i in collection.items(split=p, scheme=data.scheme)] for p in (data.train, part))
    yield from check_selection(selected_on=data.val, tested_on=part)
    yield from check_ids(train, test)
    if part == data.train:
        return  # everything is the same; the ids say it
    yield from check_captions([c.text for c in seen], [c.text for c in asked])
    plain = _plain_features(trained)
    if plain is not None:
        a, _ = _item_vectors(collection, plain, data.train, data.scheme)
        b, names = _item_vectors(collection, plain, part, data.scheme)
        yield from check_pictures(a, b, names)


def _plain_features(trained: TrainedModel) -> str | None:
    """The first feature set of items that holds one vector a frame."""
    return next((n for n in trained.recipe.item if n in trained.features and len(trained.features[n].shape) == 1), None)


def _item_vectors(collection: Collection, name: str, part: str, scheme: str) -> tuple[Any, list[str]]:
    """The mean frame vector of every item that has features, [N, D], and the items."""
    features = open_features(collection, name, of="frames")
    stored = set(features.ids)
    shots = [s for s in collection.shots(split=part, scheme=scheme, frames=False) if s.key in stored]
    values, lengths = features.take([s.key for s in shots])
    owner = np.repeat([s.item for s in shots], lengths)
    items, codes = np.unique(owner, return_inverse=True)
    sums = np.zeros((len(items), values.shape[1]))
    np.add.at(sums, codes, values)
    return sums / np.bincount(codes, minlength=len(items))[:, None], items.tolist()
