"""Sentences of the built-in world say what the claim says, no more and no less."""

import re

import pytest

from matchcut.datasets.world_grammar import ACTION_WORDS, COLOUR_WORDS, SHAPE_WORDS, say
from matchcut.datasets.world_meaning import ACTIONS, COLOURS, SHAPES, Scene, Thing, double_scenes, single_scenes
from matchcut.datasets.world_plan import vaguer
from matchcut.datasets.world_random import StableRandom

CLAIMS = [*single_scenes()[::5], *double_scenes()[::61]]
CLAIMS += [vaguer(claim, StableRandom(f"v{k}")) for k, claim in enumerate(CLAIMS)]


def named(text, words):
    """The meanings whose words are in the text."""
    return sorted(
        meaning for meaning, ways in words.items() if any(re.search(rf"\b{way}\b", text) for way in ways) and meaning
    )


def test_colours_and_shapes_are_those_of_the_claim():
    for k, claim in enumerate(CLAIMS):
        text = say(claim, StableRandom(f"{k}"))
        colours = {thing.colour for thing in claim.things} | {thing.becomes for thing in claim.things}
        assert named(text, COLOUR_WORDS) == sorted(colours - {""}), text
        shapes = {thing.shape for thing in claim.things}
        assert named(text, SHAPE_WORDS) == sorted(shapes - {""}), text


def test_the_way_is_said_when_it_is_claimed():
    for k, claim in enumerate(CLAIMS):
        text = say(claim, StableRandom(f"{k}"))
        ways = {thing.action for thing in claim.things} & {"left", "right"}
        if claim.relation == "left of" or any(thing.action == "sway" for thing in claim.things):
            continue  # these name both sides
        assert {side for side in ("left", "right") if side in text} == ways, text


def test_sentences_are_well_formed():
    for k, claim in enumerate(CLAIMS):
        text = say(claim, StableRandom(f"{k}"))
        assert text == " ".join(text.split())
        assert "{" not in text
        for article, word in re.findall(r"\b(an?) (\w)", text):
            assert (article == "an") == (word in "aeiou"), text


def test_there_are_paraphrases():
    claim = Scene((Thing("red", "circle", "left"),))
    assert len({say(claim, StableRandom(f"{k}")) for k in range(200)}) > 40


@pytest.mark.parametrize("words", [COLOUR_WORDS, SHAPE_WORDS])
def test_no_word_has_two_meanings(words):
    all_words = [word for ways in words.values() for word in set(ways)]
    assert len(all_words) == len(set(all_words))


def test_every_meaning_has_words():
    assert set(COLOUR_WORDS) == set(COLOURS)
    assert set(SHAPE_WORDS) - {""} == set(SHAPES)
    assert set(ACTION_WORDS) == set(ACTIONS)
