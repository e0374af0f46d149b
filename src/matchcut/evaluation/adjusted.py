"""DSL and QB-Norm: scores changed after the fact with knowledge of other queries, and marked as such."""

from dataclasses import dataclass, field
from typing import Any

import numpy as np

from matchcut.evaluation.arrays import Array, check_no_nan, row_blocks, to_scores
from matchcut.evaluation.ranks import Floats


@dataclass(frozen=True)
class Adjusted:
    """Score matrices [texts, items] for the two directions, and what they needed beyond the query and the gallery.

    text_to_item, item_to_text: what each direction ranks by; `item_to_text is plain` where a method leaves that
    direction alone.
    needs: "all test queries" (transductive) or "a query bank". Neither may be compared with plain scores without
    saying so.
    """

    text_to_item: Array = field(repr=False)
    item_to_text: Array = field(repr=False)
    plain: Array = field(repr=False)
    method: str
    needs: str

    @property
    def label(self) -> str:
        """What to print beside every number computed from these scores."""
        return f"{self.method}, needs {self.needs}"


def dsl(scores: Any, *, scale: float = 100.0) -> Adjusted:
    """Dual softmax (inverted softmax): each score times its share among all queries.

    Text to item ranks by s_tv * softmax over the texts of (scale * s_tv), item to text by s_tv * softmax over the
    items. Source: reference code of TS2-Net (text to item); it reuses that matrix transposed for item to text, while
    the softmax over the other axis used here is reconstructed. Transductive: it needs every test query at once and
    assumes that queries and items match one to one.

    The product underflows in float32, and the zeros it leaves tie. Here everything stays in logarithms: the result is
    sign(s) / (1 + log max|s| - log(|s| * softmax)), which lies in [-1, 1], orders exactly as the product does, and
    cannot underflow.

    Args:
        scores: [texts, items], cosines (or logits with scale=1).
        scale: inverse temperature of the softmax; about 100 for CLIP-like cosines.

    Raises:
        ValueError: for a NaN, an infinite score, or a scale that is not above 0.

    >>> dsl(np.array([[0.5, 0.4], [0.9, 0.1]])).text_to_item.argmax(axis=1).tolist()  # item 0 belongs to text 1
    [1, 0]
    """
    if not scale > 0:
        raise ValueError(f"scale must be above 0, got {scale}")
    plain = _finite(scores)
    return Adjusted(_dual(plain, scale, axis=0), _dual(plain, scale, axis=1), plain, "DSL", "all test queries")


def qb_norm(scores: Any, bank_scores: Any, *, scale: float = 20.0, k: int = 1) -> Adjusted:
    """Query-bank normalisation with the dynamic inverted softmax: hubs that many bank queries like count for less.

    For a text whose best item is among the k best of any bank query, score_v = exp(scale * s_v) / sum_b exp(scale *
    s_bv); other texts keep their plain scores. Kept as a logarithm, which orders the same and cannot underflow.
    Source: reference code of QB-Norm (ioanacroi/qb-norm), whose scale is 20 for cosines. Text to item only; item to
    text stays plain.

    Args:
        scores: [texts, items]. bank_scores: [bank texts, items]: training captions against the same items, never
            test ones.
        scale: inverse temperature. k: how many items of each bank query count as hubs.

    Raises:
        ValueError: for a NaN, another number of items, k outside 1 ... items, or a scale that is not above 0.

    >>> bank = np.array([[0.9, 0.1], [0.8, 0.2]])
    >>> qb_norm(np.array([[0.5, 0.45]]), bank).text_to_item.argmax(axis=1).tolist()  # item 0 is a hub
    [1]
    """
    if not scale > 0:
        raise ValueError(f"scale must be above 0, got {scale}")
    plain, bank = _finite(scores), _finite(bank_scores)
    items = plain.shape[1]
    if bank.shape[1] != items or not len(bank):
        raise ValueError(
            f"bank_scores has shape {bank.shape}; it needs at least one row and the {items} columns of scores"
        )
    if not 1 <= k <= items:
        raise ValueError(f"k must be between 1 and the {items} items, got {k}")
    hubs = np.zeros(items, dtype=np.bool_)
    for part in row_blocks(*bank.shape):
        hubs[np.argpartition(-bank[part], k - 1, axis=1)[:, :k]] = True
    normalised = scale * plain - _logsumexp(scale * bank, axis=0)
    active = hubs[plain.argmax(axis=1)] if items else np.zeros(len(plain), dtype=np.bool_)
    return Adjusted(np.where(active[:, None], normalised, plain), plain, plain, "QB-Norm", "a query bank")


def _finite(scores: Any) -> Floats:
    matrix = to_scores(scores)
    for part in row_blocks(*matrix.shape):
        check_no_nan(matrix[part], part.start)
        if np.isinf(matrix[part]).any():
            raise ValueError("scores hold an infinity; DSL and QB-Norm need finite numbers")
    return matrix.astype(np.float64)


def _logsumexp(values: Floats, axis: int) -> Floats:
    top = values.max(axis=axis, keepdims=True)
    total: Floats = np.log(np.exp(values - top).sum(axis=axis, keepdims=True)) + top
    return total


def _dual(scores: Floats, scale: float, axis: int) -> Floats:
    if not scores.size:
        return scores
    log_share = scale * scores
    log_share -= _logsumexp(log_share, axis)
    with np.errstate(divide="ignore", invalid="ignore"):  # log 0 = -inf, which becomes the score 0 below
        log_share += np.log(np.abs(scores))
        log_share -= np.log(np.abs(scores).max())
    result: Floats = np.sign(scores) / (1.0 - log_share)
    return np.nan_to_num(result, nan=0.0)
