"""How likely is it that a caption belongs to an item, given the item's captions and its picture?"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from matchcut.audit.content import Content, Floats, Ints

Doubles = NDArray[np.float64]
FLOOR = 2e-4  # added to every variance: unit vectors of 384 numbers have about 1 / 384 each
PICTURE = 5.0  # scale of the picture beside the captions: both then count about alike in the ridge penalty
DIRECTIONS = 256  # principal directions of the pictures that are used
USES = ("captions", "picture", "both")


@dataclass(frozen=True, eq=False)
class ExpectedCaption:
    """A linear guess of an item's caption vector and how far real ones lie from it.

    With t a caption vector (mean taken off), m the mean of the item's other captions and p its picture, ridge
    regression gives the guess A x of t from x = m, p or both. The score of (t, item) is the log likelihood ratio

        log N(t; A x, R) - log N(t; 0, C),   R, C = covariance of t around the guess, and around the mean,

    the two-covariance idea of speaker verification (Prince and Elder 2007), with a regression in place of a shared
    latent vector. Reconstructed; no public code was followed.
    """

    mean: Doubles  # [d], of captions
    directions: Doubles  # [e, k] of pictures
    weights: Doubles  # [inputs, d]: A
    inverse: Doubles  # [d, d]: of R
    plain: Doubles  # [d, d]: of C
    use: str

    @classmethod
    def fit(cls, content: Content, use: str, *, ridge: float = 1.0) -> "ExpectedCaption":
        """Learn from captions of items, each guessed from the item's others; items with one caption are passed over.

        Args:
            use: "captions", "picture" or "both".

        Raises:
            ValueError: for another use, or pictures asked for and not there.
        """
        if use not in USES:
            raise ValueError(f"use must be one of {', '.join(USES)}, got {use!r}")
        if use != "captions" and content.pictures is None:
            raise ValueError(f"use {use!r} needs pictures, the content has none")
        mean = content.vectors.mean(axis=0, dtype=np.float64)
        directions = np.zeros((0, 0))
        if content.pictures is not None:
            covariance = content.pictures.T.astype(np.float64) @ content.pictures
            directions = np.linalg.eigh(covariance)[1][:, ::-1][:, :DIRECTIONS]
        counts = content.counts[content.owner]
        rows = np.flatnonzero(counts > 1)
        target = content.vectors[rows] - mean
        totals = (
            np.add.reduceat(content.vectors.astype(np.float64), content.first[:-1]) - content.counts[:, None] * mean
        )
        others = (totals[content.owner[rows]] - target) / (counts[rows, None] - 1)
        inputs = _inputs(use, others, content.pictures, content.owner[rows], directions)
        size = inputs.shape[1]
        weights = np.linalg.solve(inputs.T @ inputs + ridge * np.eye(size), inputs.T @ target)
        rest = target - inputs @ weights
        floor = FLOOR * np.eye(len(mean))
        around = np.linalg.inv(rest.T @ rest / max(1, len(rows)) + floor)
        plain = np.linalg.inv(target.T @ target / max(1, len(rows)) + floor)
        return cls(mean, directions, weights, around, plain, use)

    def guess(self, content: Content) -> Doubles:
        """The expected caption of each item, from all its captions and its picture, [V, d]."""
        sums = np.add.reduceat(content.vectors.astype(np.float64), content.first[:-1])
        known = sums / content.counts[:, None] - self.mean
        return _inputs(self.use, known, content.pictures, np.arange(len(content.items)), self.directions) @ self.weights

    def score(self, content: Content, texts: Ints, items: Ints) -> tuple[Floats, Floats]:
        """Log likelihood ratio and cosine of the pairs (texts[i], items[i]), two float32 [P]."""
        guess = self.guess(content)
        used, row = np.unique(texts, return_inverse=True)
        vectors = content.vectors[used] - self.mean
        cross = vectors @ self.inverse
        own = (vectors @ self.plain * vectors).sum(axis=1) - (cross * vectors).sum(axis=1)
        spread = (guess @ self.inverse * guess).sum(axis=1)
        ratio = np.empty(len(texts), dtype=np.float32)
        cosine = np.empty(len(texts), dtype=np.float32)
        lengths, sizes = np.linalg.norm(vectors, axis=1), np.linalg.norm(guess, axis=1)
        for start in range(0, len(texts), 16_384):
            part = slice(start, start + 16_384)
            r, v = row[part], items[part]
            ratio[part] = (cross[r] * guess[v]).sum(axis=1) + (own[r] - spread[v]) / 2
            cosine[part] = (vectors[r] * guess[v]).sum(axis=1) / np.maximum(lengths[r] * sizes[v], 1e-12)
        return ratio, cosine


def _inputs(use: str, captions: Doubles, pictures: Floats | None, item: Ints, directions: Doubles) -> Doubles:
    parts = [captions] if use != "picture" else []
    if use != "captions" and pictures is not None:
        parts.append((pictures.astype(np.float64) @ directions * PICTURE)[item])
    return np.concatenate(parts, axis=1)
