"""COCO 1K and 5K, CxC and ECCV Caption: one score matrix, four ground truths."""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np

from matchcut.errors import MatchcutError
from matchcut.evaluation.arrays import Array, Positives, to_numpy, to_scores
from matchcut.evaluation.graded import average_precision, r_precision
from matchcut.evaluation.ranks import Floats, Ties, first_right

Truth = Mapping[int, Sequence[int]]
FOLDS = 5


@dataclass(frozen=True)
class CocoTruths:
    """Who matches whom, by COCO caption and image ids, in both directions: {query id: [right ids]}.

    coco: the original pairs; cxc: Crisscrossed Captions; eccv: ECCV Caption; caption_ids: the 25,000 captions in
    fold order.
    """

    coco: tuple[Truth, Truth]
    cxc: tuple[Truth, Truth]
    eccv: tuple[Truth, Truth]
    caption_ids: Array


def load_truths(folder: Path | None = None) -> CocoTruths:
    """Load the ground truths that the `eccv_caption` package carries (its data files alone; the package is not
    imported).

    Args:
        folder: where its data files are; by default in the installed package.

    Raises:
        MatchcutError: if the package is not installed or a file is missing.
    """
    if folder is None:
        spec = find_spec("eccv_caption")
        if spec is None or not spec.submodule_search_locations:
            raise MatchcutError("ECCV Caption needs its judgments; install them with: pip install 'matchcut[oracles]'")
        folder = Path(spec.submodule_search_locations[0]) / "data"
    try:
        pairs = {
            name: (_truth(folder / f"{name}_caption_to_image.json"), _truth(folder / f"{name}_image_to_caption.json"))
            for name in ("original", "cxc", "eccv")
        }
        ids = np.load(folder / "coco_test_ids.npy", allow_pickle=False)
    except (OSError, ValueError) as error:
        raise MatchcutError(f"{folder}: the judgments cannot be read: {error}") from error
    return CocoTruths(pairs["original"], pairs["cxc"], pairs["eccv"], ids)


def _truth(path: Path) -> Truth:
    return {int(k): [int(v) for v in right] for k, right in json.loads(path.read_text(encoding="utf-8")).items()}


@dataclass(frozen=True)
class CocoResult:
    """values: {name: (text to image, image to text)}, percent: coco_5k R@1, coco_1k R@1, cxc R@1, eccv mAP@R, ..."""

    values: dict[str, tuple[float, float]]

    def to_json(self) -> dict[str, Any]:
        """Plain values, ready for JSON."""
        return {k: {"text_to_image": t, "image_to_text": i} for k, (t, i) in self.values.items()}


def evaluate_coco(
    scores: Any,
    caption_ids: Any,
    image_ids: Any,
    truths: CocoTruths,
    *,
    ks: Sequence[int] = (1, 5, 10),
    ties: Ties = "expected",
) -> CocoResult:
    """Evaluate a model on COCO's Karpathy test set by the original pairs, by CxC and by ECCV Caption.

    The gallery is always complete: all captions and all images; only the queries differ (5,000 / 25,000 original,
    5,000 / 24,972 CxC, 1,261 / 1,332 ECCV). R@K: any right answer among the first K. R-Precision and mAP@R (1/R *
    sum over the first R ranks of precision * relevance) for ECCV, whose queries have many right answers. COCO 1K is
    the mean over five folds of a fifth of the captions and their images. Source: reference code of eccv-caption.

    Args:
        scores: [captions, images]. caption_ids: [captions], COCO sentence ids. image_ids: [images], COCO image ids.
        truths: of `load_truths`. ks: the K of R@K.

    Raises:
        ValueError: if a query or a right answer of the truths is not in the gallery (names it), or ids do not fit
        the scores.
    """
    matrix, captions, images = to_scores(scores), to_numpy(caption_ids), to_numpy(image_ids)
    if matrix.shape != (len(captions), len(images)):
        raise ValueError(f"scores {matrix.shape} do not match {len(captions)} caption_ids and {len(images)} image_ids")
    sides = ((matrix, captions, images), (matrix.T, images, captions))
    values: dict[str, tuple[float, float]] = {}

    def both(name: str, measure: Callable[[int], float]) -> None:
        values[name] = (100 * measure(0), 100 * measure(1))

    def recall(truth: tuple[Truth, Truth], k: int) -> Callable[[int], float]:
        return lambda way: _recall(*sides[way], truth[way], k, ties)

    def fold_recall(k: int) -> Callable[[int], float]:
        return lambda way: float(np.mean([_fold_recall(*sides, f, way, k, ties) for f in folds]))

    folds = coco_folds(truths)
    for k in ks:
        both(f"coco_5k R@{k}", recall(truths.coco, k))
        both(f"coco_1k R@{k}", fold_recall(k))
        both(f"cxc R@{k}", recall(truths.cxc, k))
        both(f"eccv R@{k}", recall(truths.eccv, k))
    both("eccv mAP@R", lambda way: _dense(*sides[way], truths.eccv[way], ties, _map_at_r))
    both("eccv R-Precision", lambda way: _dense(*sides[way], truths.eccv[way], ties, _r_precision))
    return CocoResult(values)


def coco_folds(truths: CocoTruths) -> list[tuple[Truth, Truth]]:
    """The five folds of COCO 1K: original pairs among a fifth of the captions, in file order, and their images."""
    size = len(truths.caption_ids) // FOLDS
    folds: list[tuple[Truth, Truth]] = []
    for f in range(FOLDS):
        texts = {int(c): list(truths.coco[0][int(c)]) for c in truths.caption_ids[f * size : (f + 1) * size]}
        inside = {i for right in texts.values() for i in right}
        folds.append((texts, {i: [c for c in truths.coco[1][i] if c in texts] for i in sorted(inside)}))
    return folds


def _places(ids: Array, wanted: Sequence[int], what: str) -> Array:
    order = np.argsort(ids, kind="stable")
    at = np.searchsorted(ids[order], wanted)
    found = order[np.minimum(at, len(ids) - 1)]
    missing = np.flatnonzero(ids[found] != wanted)
    if len(missing):
        raise ValueError(
            f"{len(missing)} {what} are not among the ids, the first is {wanted[int(missing[0])]}; give all of them"
        )
    return found


def _positives(rows: Array, columns: Array, truth: Truth) -> tuple[Array, Positives]:
    queries = sorted(truth)
    right = [c for q in queries for c in sorted(set(truth[q]))]
    counts = [len(set(truth[q])) for q in queries]
    start = np.concatenate([[0], np.cumsum(counts)]).astype(np.int64)
    return _places(rows, queries, "queries"), Positives(
        start, _places(columns, right, "right answers").astype(np.int64)
    )


def _recall(scores: Array, rows: Array, columns: Array, truth: Truth, k: int, ties: Ties) -> float:
    asked, positives = _positives(rows, columns, truth)
    return float(first_right(scores[asked], positives).hit(k, ties).mean())


def _fold_recall(
    forward: tuple[Array, Array, Array],
    backward: tuple[Array, Array, Array],
    fold: tuple[Truth, Truth],
    way: int,
    k: int,
    ties: Ties,
) -> float:
    scores, rows, columns = (forward, backward)[way]
    gallery = _places(columns, sorted(fold[1 - way]), "gallery ids")
    return _recall(scores[:, gallery], rows, columns[gallery], fold[way], k, ties)


def _dense(
    scores: Array,
    rows: Array,
    columns: Array,
    truth: Truth,
    ties: Ties,
    measure: Callable[[Array, Array, Ties], Floats],
) -> float:
    asked, positives = _positives(rows, columns, truth)
    relevance = positives.block(slice(0, len(asked)), len(columns))
    return float(measure(scores[asked], relevance, ties).mean())


def _map_at_r(scores: Array, relevance: Array, ties: Ties) -> Floats:
    return average_precision(scores, relevance, cutoff="R", ties=ties)


def _r_precision(scores: Array, relevance: Array, ties: Ties) -> Floats:
    return r_precision(scores, relevance, ties=ties)
