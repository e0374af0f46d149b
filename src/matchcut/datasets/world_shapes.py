"""Signed distances to the shapes of the built-in world: below 0 inside, above 0 outside."""

from math import cos, hypot, pi, sin

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]


def distance(shape: str, x: Array, y: Array, radius: float, angle: float = 0.0) -> Array:
    """Distance of each point to the edge of a shape of that radius at (0, 0), turned clockwise by `angle`.

    Exact near the edge, which is all that drawing needs; y points down.

    >>> distance("circle", np.array([0.0, 3.0]), np.array([0.0, 4.0]), 2.0).tolist()
    [-2.0, 3.0]
    """
    c, s = cos(angle), sin(angle)
    return DISTANCES[shape]((c * x + s * y) / radius, (c * y - s * x) / radius) * radius


def _circle(x: Array, y: Array) -> Array:
    return np.hypot(x, y) - 1


def _square(x: Array, y: Array) -> Array:
    return np.maximum(np.abs(x), np.abs(y)) - 0.86


def _triangle(x: Array, y: Array) -> Array:
    sides = np.abs(x) * cos(pi / 6) - (y - 0.2) * 0.5
    return np.maximum(sides, y - 0.2) - 0.55


def _star(x: Array, y: Array) -> Array:
    """Five points: fold the plane into one half of one point, whose edge is one straight line."""
    fold = 2 * pi / 5
    turn = np.abs((np.arctan2(x, -y) + pi / 5) % fold - pi / 5)  # angle from the nearest point
    r = np.hypot(x, y)
    tip, notch = (1.1, 0.0), (0.5 * cos(pi / 5), 0.5 * sin(pi / 5))
    along = (notch[0] - tip[0], notch[1] - tip[1])
    d: Array = ((r * np.cos(turn) - tip[0]) * along[1] - r * np.sin(turn) * along[0]) / hypot(*along)
    return d


def _heart(x: Array, y: Array) -> Array:
    """Two discs above a square that stands on its corner."""
    discs: Array = np.hypot(np.abs(x) - 0.5, y + 0.35) - 0.58
    below: Array = np.maximum(np.abs(x) * 0.76 + y * 0.65 - 0.6, -y - 0.35)
    return np.minimum(discs, below)


def _cross(x: Array, y: Array) -> Array:
    a, b = np.abs(x), np.abs(y)
    d: Array = np.maximum(np.maximum(a, b) - 1, np.minimum(a, b) - 0.33)
    return d


def _ring(x: Array, y: Array) -> Array:
    d: Array = np.abs(np.hypot(x, y) - 0.75) - 0.25
    return d


def _crescent(x: Array, y: Array) -> Array:
    d: Array = np.maximum(np.hypot(x, y) - 1, 0.85 - np.hypot(x - 0.5, y))
    return d


DISTANCES = {
    "circle": _circle,
    "square": _square,
    "triangle": _triangle,
    "star": _star,
    "heart": _heart,
    "cross": _cross,
    "ring": _ring,
    "crescent": _crescent,
}
