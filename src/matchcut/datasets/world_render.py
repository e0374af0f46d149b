"""Drawing a scene of the built-in world and writing it as an H.264 video.

Every picture is computed from signed distances: d(x, y) < 0 inside a shape, and its edge is as soft as one pixel.
Coordinates: x to the right, y down, both 0 to 1 across the picture; times run from 0 to 1 over the video.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from fractions import Fraction
from math import cos, pi, sin
from pathlib import Path

import av
import numpy as np
from numpy.typing import NDArray

from matchcut.datasets.world_meaning import MOVES, Scene, Thing
from matchcut.datasets.world_random import StableRandom
from matchcut.datasets.world_shapes import distance
from matchcut.files import atomic

Array = NDArray[np.float64]

RGB = {
    "red": (225, 30, 35),
    "orange": (250, 135, 20),
    "yellow": (250, 230, 40),
    "green": (40, 180, 60),
    "blue": (40, 90, 235),
    "purple": (140, 50, 190),
    "pink": (255, 130, 190),
    "white": (245, 245, 245),
}
GROUNDS = ((18, 18, 22), (46, 46, 50), (28, 38, 46), (50, 42, 34), (66, 70, 66))  # dark, so that every colour shows
PATTERNS = ("plain", "plain", "stripes", "checks", "dots")
TRAIL = 5  # what moves, spins or shrinks draws fading copies of itself behind it: one picture alone shows the way
TRAILING = (*MOVES, "spin", "shrink")
REPEATABLE = "rc-lookahead=0:mbtree=0:weightp=0"  # looking ahead at tiny pictures, libx264 is not the same twice
REACH = 1.35  # no shape reaches further from its middle, in radii


@dataclass(frozen=True)
class Sprite:
    """Where a shape is at one moment and how it looks."""

    x: float
    y: float
    radius: float
    angle: float = 0.0  # radians
    opacity: float = 1.0
    mix: float = 0.0  # how far it has turned into its second colour


def write_video(path: Path, scene: Scene, *, size: int, seconds: float, fps: int, seed: str) -> None:
    """Draw a scene and write it as mp4 (H.264, yuv420p), whole or not at all.

    Args:
        path: the file.
        scene: what happens.
        size: width and height in pixels, even.
        seconds: length.
        fps: frames a second.
        seed: decides sizes, places, speeds, shades and the background.
    """
    with atomic(path) as temporary, av.open(str(temporary), "w", format="mp4") as container:
        stream = container.add_stream("libx264", rate=Fraction(fps))
        stream.width = stream.height = size
        stream.pix_fmt = "yuv420p"
        stream.codec_context.thread_count = 1
        stream.options = {"preset": "veryfast", "crf": "18", "g": str(max(1, fps // 2)), "x264-params": REPEATABLE}
        for picture in draw(scene, size=size, count=round(seconds * fps), seed=seed):
            container.mux(stream.encode(av.VideoFrame.from_ndarray(picture, format="rgb24")))
        container.mux(stream.encode(None))


def draw(scene: Scene, *, size: int, count: int, seed: str) -> Iterator[NDArray[np.uint8]]:
    """Give the pictures of a scene one after another, each uint8 [size, size, 3]."""
    rng = StableRandom(seed)
    axis = (np.arange(size) + 0.5) / size
    x, y = np.meshgrid(axis, axis)
    ground = _ground(x, y, rng)
    shade = rng.between(-10, 10)
    colours = [{c: np.array(RGB[c], np.float64) + shade for c in (t.colour, t.becomes) if c} for t in scene.things]
    course = _Course(scene, rng)
    for number in range(count):
        u = number / count
        picture = ground
        for k, thing in enumerate(scene.things):
            for sprite in course(k, u):
                mixed = colours[k][thing.colour]
                if thing.becomes:
                    mixed = (1 - sprite.mix) * mixed + sprite.mix * colours[k][thing.becomes]
                picture = _paint(picture, x, y, thing.shape, sprite, mixed)
        yield np.clip(np.rint(picture), 0, 255).astype(np.uint8)


def _paint(picture: Array, x: Array, y: Array, shape: str, sprite: Sprite, colour: Array) -> Array:
    """Put a sprite on a copy of the picture."""
    size, reach = len(x), REACH * sprite.radius
    rows = slice(max(0, int((sprite.y - reach) * size)), max(0, int((sprite.y + reach) * size) + 2))
    columns = slice(max(0, int((sprite.x - reach) * size)), max(0, int((sprite.x + reach) * size) + 2))
    box = (rows, columns)
    d = distance(shape, x[box] - sprite.x, y[box] - sprite.y, sprite.radius, sprite.angle)
    cover = np.clip(0.5 - d * size, 0, 1)[..., None] * sprite.opacity
    painted = picture.copy()
    painted[box] += cover * (colour - painted[box])
    return painted


def _ground(x: Array, y: Array, rng: StableRandom) -> Array:
    colour = np.array(rng.choice(GROUNDS), np.float64)
    pattern, scale, tilt = rng.choice(PATTERNS), rng.between(5, 10), rng.between(0, pi)
    a, b = x * cos(tilt) + y * sin(tilt), y * cos(tilt) - x * sin(tilt)
    waves: dict[str, Array] = {
        "plain": np.zeros_like(x),
        "stripes": np.sin(2 * pi * scale * a),
        "checks": np.sign(np.sin(pi * scale * a) * np.sin(pi * scale * b)),
        "dots": np.where(np.cos(2 * pi * scale * a) + np.cos(2 * pi * scale * b) > 1, 1.0, -1.0),
    }
    shaded: Array = colour + 6 * waves[pattern][..., None]
    return shaded


class _Course:
    """Where each thing of a scene is at each moment."""

    def __init__(self, scene: Scene, rng: StableRandom) -> None:
        self.scene = scene
        self.tilt = rng.between(-0.15, 0.15)
        self.x, self.y = rng.between(0.42, 0.58), rng.between(0.42, 0.58)
        self.radius = rng.between(0.24, 0.29)
        self.speed = rng.between(0.9, 1.1)
        self.sign = rng.choice((-1, 1))
        self.phase = rng.between(0, 2 * pi)

    def __call__(self, number: int, u: float) -> list[Sprite]:
        """The pictures of a thing at time u, the faintest first."""
        thing = self.scene.things[number]
        place = self._alone if not self.scene.relation else self._together
        sprites = [place(number, thing, u)]
        if thing.action in TRAILING:
            for k in range(1, TRAIL + 1):
                earlier = place(number, thing, max(0.0, u - 0.07 * k))
                sprites.insert(0, replace(earlier, opacity=0.55 - 0.09 * k))
        return sprites

    def _alone(self, number: int, thing: Thing, u: float) -> Sprite:
        still = Sprite(self.x, self.y, self.radius, self.tilt)
        far = 0.28 - 0.56 * _eased(u)  # from one side to the other
        match thing.action:
            case "left":
                return replace(still, x=0.5 + far)
            case "right":
                return replace(still, x=0.5 - far)
            case "up":
                return replace(still, y=0.5 + far)
            case "down":
                return replace(still, y=0.5 - far)
            case "grow":
                return replace(still, radius=0.07 + 0.31 * _eased(u))
            case "shrink":
                return replace(still, radius=0.38 - 0.31 * _eased(u))
            case "spin":
                return replace(still, angle=self.tilt + self.sign * self.speed * 1.4 * pi * u)
            case "blink":
                return replace(still, opacity=float(cos(4 * pi * u) > 0))
            case "bounce":
                return replace(still, y=0.72 - 0.46 * abs(sin(2 * pi * u)))
            case "sway":
                swing = self.sign * sin(2 * pi * u)
                return replace(still, x=0.5 + 0.24 * swing, angle=0.6 * swing)
            case "appear":
                return replace(still, opacity=min(1.0, 2 * u))
            case "vanish":
                return replace(still, opacity=1 - u)
            case "turn":
                return replace(still, mix=min(1.0, max(0.0, (u - 0.12) / 0.2)))
            case _:
                return still

    def _together(self, number: int, thing: Thing, u: float) -> Sprite:
        small = Sprite(self.x, self.y, self.radius * 0.62, self.tilt)
        other = 1 - 2 * number  # +1 for the first thing, -1 for the second
        match self.scene.relation:
            case "follows":
                way = 1 if thing.action == "right" else -1
                return replace(small, x=0.5 + way * (0.5 * _eased(u) - 0.22 - 0.19 * other))
            case "passes":
                return replace(small, x=0.5 - other * (0.34 - 0.68 * _eased(u)), y=0.5 + self.sign * other * 0.18)
            case "orbits" if number == 0:
                turn = self.phase + self.sign * self.speed * 2 * pi * u
                return replace(small, x=0.5 + 0.34 * cos(turn), y=0.5 + 0.34 * sin(turn), radius=self.radius * 0.45)
            case "left of":
                return replace(small, x=0.5 - other * 0.24)
            case "above":
                return replace(small, y=0.5 - other * 0.24)
            case _:
                return replace(small, x=0.5, y=0.5)


def _eased(u: float) -> float:
    """Slowing down towards the end."""
    return 1.0 - float((1 - u) ** 1.6)
