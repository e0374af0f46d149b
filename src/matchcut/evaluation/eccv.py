"""COCO 1K and 5K, CxC and ECCV Caption: one score matrix, four ground truths."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np

from matchcut.errors import MatchcutError
from matchcut.evaluation.arrays import Array, Positives, to_numpy, to_scores
from matchcut.evaluation.graded import average_precision, r_precision
from matchcut.evaluation.ranks import FirstRight, Ties, first_right

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
        ValueError: if a caption or an image of the truths is missing (names it), or ids do not fit the scores.
    """
    matrix, captions, images = to_scores(scores), to_numpy(caption_ids), to_numpy(image_ids)
    if matrix.shape != (len(captions), len(images)):
        raise ValueError(f"scores {matrix.shape} do not match {len(captions)} caption_ids and {len(images)} image_ids")
    _all_places(captions, truths.caption_ids.tolist(), "captions")  # a smaller gallery would be easier
    _all_places(images, sorted(truths.coco[1]), "images")
    sides = ((matrix, captions, images), (matrix.T, images, captions))
    folds = coco_folds(truths)
    found = {
        "coco_5k": [[_first(*sides[way], truths.coco[way])] for way in (0, 1)],
        "coco_1k": [[_first_of_fold(*sides[way], fold, way) for fold in folds] for way in (0, 1)],
        "cxc": [[_first(*sides[way], truths.cxc[way])] for way in (0, 1)],
        "eccv": [[_first(*sides[way], truths.eccv[way])] for way in (0, 1)],
    }
    values = {
        f"{name} R@{k}": (_recall(ways[0], k, ties), _recall(ways[1], k, ties))
        for k in ks
        for name, ways in found.items()
    }
    dense = [_dense(*sides[way], truths.eccv[way], ties) for way in (0, 1)]
    for name in ("mAP@R", "R-Precision"):
        values[f"eccv {name}"] = (dense[0][name], dense[1][name])
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


def _places(ids: Array, wanted: Sequence[int]) -> tuple[Array, Array]:
    """Where the wanted ids stand, and which of them are not there."""
    order = np.argsort(ids, kind="stable")
    found = order[np.minimum(np.searchsorted(ids[order], wanted), len(ids) - 1)]
    return found, ids[found] != wanted


def _all_places(ids: Array, wanted: Sequence[int], what: str) -> Array:
    found, absent = _places(ids, wanted)
    if absent.any():
        first = wanted[int(np.argmax(absent))]
        raise ValueError(f"{absent.sum()} {what} are not among the ids, the first is {first}; give all of them")
    return found


def _asked(scores: Array, rows: Array, columns: Array, truth: Truth) -> tuple[Array, Positives]:
    """The rows of the queries and what is right for them.

    ECCV Caption calls two captions right that are none of COCO's 25,000. They count in R, as in the reference code, so
    each gets a column that nothing can find.
    """
    queries = sorted(truth)
    asked = _all_places(rows, queries, "queries")
    right = [c for q in queries for c in sorted(set(truth[q]))]
    start = np.cumsum([0, *(len(set(truth[q])) for q in queries)]).astype(np.int64)
    places, absent = _places(columns, right)
    lost, code = np.unique(np.array(right)[absent], return_inverse=True)
    places[absent] = len(columns) + code
    matrix = scores[asked]
    if len(lost):
        matrix = np.concatenate([matrix, np.full((len(asked), len(lost)), -np.inf, dtype=matrix.dtype)], axis=1)
    return matrix, Positives(start, places.astype(np.int64))


def _first(scores: Array, rows: Array, columns: Array, truth: Truth) -> FirstRight:
    return first_right(*_asked(scores, rows, columns, truth))


def _first_of_fold(scores: Array, rows: Array, columns: Array, fold: tuple[Truth, Truth], way: int) -> FirstRight:
    gallery = _all_places(columns, sorted(fold[1 - way]), "gallery ids")
    inside = _all_places(rows, sorted(fold[way]), "queries")
    return _first(scores[np.ix_(inside, gallery)], rows[inside], columns[gallery], fold[way])


def _recall(folds: Sequence[FirstRight], k: int, ties: Ties) -> float:
    return 100 * float(np.mean([found.hit(k, ties).mean() for found in folds]))


def _dense(scores: Array, rows: Array, columns: Array, truth: Truth, ties: Ties) -> dict[str, float]:
    """Measures of queries with many right answers, in percent."""
    matrix, positives = _asked(scores, rows, columns, truth)
    relevance = positives.block(slice(0, len(matrix)), matrix.shape[1])
    return {
        "mAP@R": 100 * float(average_precision(matrix, relevance, cutoff="R", ties=ties).mean()),
        "R-Precision": 100 * float(r_precision(matrix, relevance, ties=ties).mean()),
    }
