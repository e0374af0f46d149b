"""Learn one weight a model on validation data, shrunk towards equal weights as cross-validation asks for."""

from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from matchcut.evaluation.arrays import Array, Positives, to_scores
from matchcut.evaluation.qrels import Qrels
from matchcut.evaluation.ranks import Floats, Ints
from matchcut.evaluation.trec import Run
from matchcut.fusion.lists import normalise_lists

SHRINKAGES = (0.0, 1e-4, 1e-3, 1e-2, 1e-1, 1.0, float("inf"))


@dataclass(frozen=True)
class LearnedWeights:
    """weights: one a model, summing to 1. shrinkage: the lambda that cross-validation chose; infinite = equal weights.

    losses: {lambda: mean held-out loss}; queries: how many were learned from; dropped: queries without a relevant
    candidate.
    """

    weights: tuple[float, ...]
    shrinkage: float
    losses: dict[float, float]
    queries: int
    dropped: int

    def to_json(self) -> dict[str, Any]:
        """Plain values, ready for JSON (infinity as the text "inf")."""
        values = asdict(self)
        values["losses"] = {str(k): v for k, v in self.losses.items()}
        values["shrinkage"] = self.shrinkage if np.isfinite(self.shrinkage) else "inf"
        return values


def learn_weights(
    rankings: Sequence[Any],
    judgments: Any = None,
    *,
    text_items: Any = None,
    items: Any = None,
    shrinkages: Sequence[float] = SHRINKAGES,
    folds: int = 5,
    candidates: int = 200,
    seed: int = 0,
) -> LearnedWeights:
    """Weights w_m >= 0 for `fuse(..., "weighted", weights=...)`, for any number of models.

    With z_m the z-scores of model m over a query's candidates, P the relevant ones and f = sum_m w_m z_m, minimises

        mean over queries of -1/|P| sum_{v in P} log softmax_v(f)  +  lambda * sum_m (w_m - mean(w))^2

    which is convex. Lambda is the value with the lowest held-out loss in `folds`-fold cross-validation; infinity,
    equal weights, is among the candidates, so that nothing is learned where nothing can be. Texts of one item stay
    in one fold.

    Learn on validation data, never on the test set whose numbers will be reported.

    Args:
        rankings: runs with `judgments` (qrels; grade above 0 is relevant), or matrices [texts, items] with
            text_items and items.
        shrinkages: the lambdas to try. folds: of the cross-validation. seed: of the fold assignment.
        candidates: of a matrix row only so many of the best items by the mean z-score, and the relevant ones, are
            looked at. Runs are looked at whole, but for shots that are pooled and not judged.

    Raises:
        ValueError: if fewer queries than folds have a relevant candidate, or a score is not finite.

    >>> rng = np.random.default_rng(0)
    >>> good, noise = np.eye(40) + 0.3 * rng.normal(size=(40, 40)), rng.normal(size=(40, 40))
    >>> w = learn_weights([good, noise], text_items=range(40), items=range(40)).weights
    >>> w[0] > 0.8
    True
    """
    if not len(rankings):
        raise ValueError("nothing to learn from: give at least one ranking")
    if folds < 2:
        raise ValueError(f"folds must be at least 2, got {folds}")
    if judgments is not None:
        data = _Data.of(_run_queries([Run.of(r) for r in rankings], Qrels.of(judgments)))
    elif text_items is not None and items is not None:
        data = _Data.of(_matrix_queries([to_scores(m) for m in rankings], text_items, items, candidates))
    else:
        raise ValueError("give judgments (with runs), or text_items and items (with matrices)")
    groups = np.unique(data.group)
    if len(groups) < folds:
        raise ValueError(f"{len(groups)} queries (or items) with a relevant candidate are too few for {folds} folds")
    fold = np.random.default_rng(seed).permutation(len(groups)) % folds
    of_query = fold[np.searchsorted(groups, data.group)]
    losses = {}
    for shrinkage in shrinkages:
        held_out = np.zeros(len(of_query))
        for f in range(folds):
            w = _fit(data.pick(of_query != f), shrinkage)
            held_out[of_query == f] = data.pick(of_query == f).loss(w)[0]
        losses[float(shrinkage)] = float(held_out.mean())
    best = min(sorted(losses, reverse=True), key=lambda s: losses[s])
    w = _fit(data, best)
    w = w / w.sum() if w.sum() > 0 else np.full(len(w), 1 / len(w))
    return LearnedWeights(tuple(float(v) for v in w), best, losses, len(data.start), data.dropped)


@dataclass(frozen=True)
class _Data:
    """Candidates of all queries in a row: x [E, M], y [E] = 1/|P| where relevant; start and group: one a query."""

    x: Floats
    y: Floats
    start: Ints
    group: Array
    dropped: int

    @classmethod
    def of(cls, queries: Iterator[tuple[Any, Floats, Array]]) -> "_Data":
        xs, ys, groups, dropped = [], [], [], 0
        for group, x, relevant in queries:
            if not relevant.any():
                dropped += 1
                continue
            xs.append(x)
            ys.append(relevant / relevant.sum())
            groups.append(group)
        if not xs:
            raise ValueError("no query has a relevant candidate, so no weights can be learned")
        start = np.cumsum([0] + [len(x) for x in xs[:-1]])
        return cls(np.concatenate(xs), np.concatenate(ys), start, np.array(groups), dropped)

    def pick(self, queries: Array) -> "_Data":
        sizes = np.diff(np.append(self.start, len(self.y)))
        rows = np.repeat(queries, sizes)
        start = np.concatenate([[0], np.cumsum(sizes[queries])[:-1]]).astype(np.int64)
        return _Data(self.x[rows], self.y[rows], start, self.group[queries], self.dropped)

    def loss(self, w: Floats) -> tuple[Floats, Floats]:
        """Loss of every query, and the gradient of their mean."""
        f = self.x @ w
        sizes = np.diff(np.append(self.start, len(f)))
        top = np.maximum.reduceat(f, self.start)
        e = np.exp(f - np.repeat(top, sizes))
        total = np.add.reduceat(e, self.start)
        losses = np.log(total) + top - np.add.reduceat(self.y * f, self.start)
        gradient = self.x.T @ (e / np.repeat(total, sizes) - self.y) / len(losses)
        return losses, gradient


def _fit(data: _Data, shrinkage: float) -> Floats:
    from scipy.optimize import minimize  # slow to import, and only learning needs it

    models = data.x.shape[1]
    if not np.isfinite(shrinkage):  # only the common scale is free
        one = _Data(data.x.sum(axis=1, keepdims=True), data.y, data.start, data.group, data.dropped)
        return np.full(models, _fit(one, 0.0)[0])

    def objective(w: Floats) -> tuple[float, Floats]:
        losses, gradient = data.loss(w)
        off = w - w.mean()
        return float(losses.mean() + shrinkage * (off @ off)), gradient + 2 * shrinkage * off

    found = minimize(objective, np.full(models, 1 / models), jac=True, method="L-BFGS-B", bounds=[(0, None)] * models)
    return np.asarray(found.x)


def _matrix_queries(
    matrices: list[Array], text_items: Any, items: Any, candidates: int
) -> Iterator[tuple[Any, Floats, Array]]:
    positives = Positives.of_ids(text_items, items)
    if any(m.shape != (len(positives.counts), len(items)) for m in matrices):
        raise ValueError(
            f"matrices of shapes {[m.shape for m in matrices]} do not match {len(text_items)} texts, {len(items)} items"
        )
    for row, group in enumerate(text_items):
        scores = np.stack([m[row] for m in matrices]).astype(np.float64)
        if not np.isfinite(scores).all():
            bad = int(np.argmin(np.isfinite(scores).all(axis=1)))
            raise ValueError(f"matrix {bad} holds a score in row {row} that is not a finite number")
        right = np.zeros(scores.shape[1], dtype=np.bool_)
        right[positives.columns[positives.start[row] : positives.start[row + 1]]] = True
        yield (
            group,
            *_candidates(normalise_lists(scores, np.ones(scores.shape, dtype=np.bool_), "zscore"), right, candidates),
        )


def _run_queries(runs: list[Run], qrels: Qrels) -> Iterator[tuple[Any, Floats, Array]]:
    for topic, judged in qrels.items():
        pool = sorted({shot for run in runs if topic in run for shot in run[topic].ids})
        if not pool:
            continue
        code = {shot: i for i, shot in enumerate(pool)}
        scores, held = np.zeros((len(runs), len(pool))), np.zeros((len(runs), len(pool)), dtype=np.bool_)
        for q, run in enumerate(runs):
            if topic in run:
                place = [code[s] for s in run[topic].ids]
                scores[q, place], held[q, place] = run[topic].scores, True
        normal = normalise_lists(scores, held, "zscore")
        floor = np.where(held, normal, np.inf).min(axis=1, keepdims=True)
        normal = np.where(held, normal, np.where(np.isfinite(floor), floor, 0.0))
        grades = np.array([judged.get(s, 0) for s in pool])
        yield topic, normal[:, grades >= 0].T, grades[grades >= 0] > 0


def _candidates(normal: Floats, relevant: Array, candidates: int) -> tuple[Floats, Array]:
    mean = normal.mean(axis=0)
    keep = relevant.copy()
    keep[np.argsort(-mean, kind="stable")[:candidates]] = True
    return normal[:, keep].T, relevant[keep]
