"""Truth of claims, against a check written out another way."""

from itertools import product
from random import Random

import pytest

from matchcut.datasets.world_meaning import Scene, Thing, double_scenes, is_true, single_scenes
from matchcut.datasets.world_plan import vaguer
from matchcut.datasets.world_random import StableRandom

RED_AFTER_BLUE = Scene((Thing("red", "circle", "left"), Thing("blue", "star", "left")), "follows")
RED_PASSES_BLUE = Scene((Thing("red", "circle", "right"), Thing("blue", "star", "left")), "passes")


def naive(claim, scene):
    """Try every way to point at things of the scene, and look at every word of the claim."""
    places = range(len(scene.things))
    for chosen in product(places, repeat=len(claim.things)):
        if len(set(chosen)) < len(chosen):
            continue
        wrong = 0
        for said, place in zip(claim.things, chosen, strict=True):
            seen = scene.things[place]
            for word in ("colour", "shape", "action", "becomes"):
                if getattr(said, word) and getattr(said, word) != getattr(seen, word):
                    wrong += 1
        if claim.relation and claim.relation != scene.relation:
            wrong += 1
        if claim.relation in ("follows", "orbits", "left of", "above") and list(chosen) != [0, 1]:
            wrong += 1
        if not wrong:
            return True
    return False


@pytest.mark.parametrize(
    ("claim", "scene", "true"),
    [
        (Scene((Thing(shape="star"),)), RED_AFTER_BLUE, True),
        (Scene((Thing("red", "star"),)), RED_AFTER_BLUE, False),  # red is the circle
        (Scene((Thing(action="left"),)), RED_AFTER_BLUE, True),
        (Scene((Thing("red"), Thing("blue")), "follows"), RED_AFTER_BLUE, True),
        (Scene((Thing("blue"), Thing("red")), "follows"), RED_AFTER_BLUE, False),
        (Scene((Thing("blue"), Thing("red")), "passes"), RED_PASSES_BLUE, True),
        (Scene((Thing("blue", action="left"), Thing("red", action="right")), "passes"), RED_PASSES_BLUE, True),
        (Scene((Thing("blue", action="right"), Thing("red", action="left")), "passes"), RED_PASSES_BLUE, False),
        (Scene((Thing("red"), Thing("blue")), "follows"), Scene((Thing("red", "circle", "left"),)), False),
        (Scene((Thing("red", becomes="blue"),)), Scene((Thing("red", "ring", "turn", "blue"),)), True),
        (Scene((Thing("blue"),)), Scene((Thing("red", "ring", "turn", "blue"),)), False),  # it begins red
    ],
)
def test_by_hand(claim, scene, true):
    assert is_true(claim, scene) is true
    assert naive(claim, scene) is true


def test_equals_the_naive_check():
    rng = Random(0)
    scenes = rng.sample(single_scenes(), 60) + rng.sample(double_scenes(), 60)
    claims = scenes + [vaguer(scene, StableRandom(f"{k}")) for k, scene in enumerate(scenes)]
    table = [[is_true(claim, scene) for scene in scenes] for claim in claims]
    assert table == [[naive(claim, scene) for scene in scenes] for claim in claims]
    assert sum(map(sum, table)) > 2 * len(scenes)  # the vague ones are true of several


def test_scenes_are_all_different():
    for scenes, count in ((single_scenes(), 64 * 13 - 16 + 64 * 7), (double_scenes(), 64 * 63 * 6)):
        assert len(set(scenes)) == len(scenes) == count


def test_a_vaguer_claim_is_true_and_says_less():
    for k, scene in enumerate([*single_scenes()[::7], *double_scenes()[::97]]):
        claim = vaguer(scene, StableRandom(f"{k}"))
        assert is_true(claim, scene)
        assert claim != scene
        assert not is_true(scene, claim)  # taken as a scene, the claim lacks something
