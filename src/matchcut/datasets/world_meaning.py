"""What a video of the built-in world shows, what a caption claims, and when the claim is true of the video.

A scene has one or two things, each with a colour, a shape and an action, and a relation if there are two. A claim has
the same form, but anything may be left open. It is true of a scene when each thing that it names can be found in the
scene, two names never on one thing, with all that is said of it, and in the relation that is said. That makes relevance
exact: "a circle moves left" is true of every video in which some circle moves left.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import permutations

COLOURS = ("red", "orange", "yellow", "green", "blue", "purple", "pink", "white")
SHAPES = ("circle", "square", "triangle", "star", "heart", "cross", "ring", "crescent")
MOVES = ("left", "right", "up", "down")
ACTIONS = (*MOVES, "grow", "shrink", "spin", "blink", "bounce", "sway", "appear", "vanish", "still")
# "turn" is an action too: from `colour` to `becomes`. "orbit" is one half of a relation only.
RELATIONS = ("follows", "passes", "orbits", "left of", "above")
ROUND = ("circle", "ring")  # nobody sees them spin


@dataclass(frozen=True)
class Thing:
    """One coloured shape and what it does; in a claim an empty string leaves that open."""

    colour: str = ""
    shape: str = ""
    action: str = ""
    becomes: str = ""  # the colour that it turns into, if its action is "turn"

    def fits(self, seen: "Thing") -> bool:
        """Whether all that this thing says is true of the thing that is seen."""
        return (
            self.colour in ("", seen.colour)
            and self.shape in ("", seen.shape)
            and self.action in ("", seen.action)
            and self.becomes in ("", seen.becomes)
        )


@dataclass(frozen=True)
class Scene:
    """What a video shows, or what a caption claims.

    The relation reads from the first thing to the second: things[0] "follows" things[1].
    """

    things: tuple[Thing, ...]
    relation: str = ""


def is_true(claim: Scene, scene: Scene) -> bool:
    """Whether a claim is true of a scene.

    >>> scene = Scene((Thing("red", "circle", "left"), Thing("blue", "star", "left")), "follows")
    >>> is_true(Scene((Thing(shape="star", action="left"),)), scene)
    True
    >>> is_true(Scene((Thing(shape="star"), Thing(shape="circle")), "follows"), scene)
    False
    """
    if claim.relation and claim.relation != scene.relation:
        return False
    if len(claim.things) == 1:
        return any(claim.things[0].fits(seen) for seen in scene.things)
    both_ways = claim.relation == "passes"  # if one passes the other, the other passes the one
    orders = list(permutations(scene.things)) if both_ways else [scene.things]
    return any(all(said.fits(seen) for said, seen in zip(claim.things, order, strict=True)) for order in orders)


def single_scenes() -> list[Scene]:
    """All scenes with one thing, in a fixed order."""
    things = [Thing(*what, action) for what in _kinds() for action in ACTIONS]
    things += [Thing(colour, shape, "turn", to) for colour, shape in _kinds() for to in COLOURS if to != colour]
    return [Scene((thing,)) for thing in things if not (thing.action == "spin" and thing.shape in ROUND)]


def double_scenes() -> list[Scene]:
    """All scenes with two different things and a relation between them, in a fixed order."""
    return [scene for a in _kinds() for b in _kinds() if a != b for scene in _related(a, b)]


def _kinds() -> list[tuple[str, str]]:
    return [(colour, shape) for colour in COLOURS for shape in SHAPES]


def _related(a: tuple[str, str], b: tuple[str, str]) -> Iterator[Scene]:
    for first, second, relation in (
        ("left", "left", "follows"),
        ("right", "right", "follows"),
        ("right", "left", "passes"),
        ("orbit", "still", "orbits"),
        ("still", "still", "left of"),
        ("still", "still", "above"),
    ):
        yield Scene((Thing(*a, first), Thing(*b, second)), relation)
