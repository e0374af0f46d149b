"""Learning rates step by step, against loops written from the published rules."""

import math
from pathlib import Path

import pytest

from matchcut.errors import MatchcutError
from matchcut.training.recipe import Recipe
from matchcut.training.schedule import halve, rate
from matchcut.training.settings import TrainingSettings

RECIPES = Path(__file__).parents[2] / "recipes"


def rates(total, **settings):
    made = TrainingSettings(**settings)
    return [rate(made, step, total) for step in range(total)]


@pytest.mark.parametrize(("decay", "every", "epochs"), [(0.1, 15, 30), (0.95, 1, 50), (0.1, 10, 25), (0.9, 7, 20)])
def test_steps_by_a_loop_over_epochs(decay, every, epochs):
    steps, lr, expected = 3, 1.0, []
    for epoch in range(epochs):
        if epoch and epoch % every == 0:
            lr *= decay
        expected += [lr] * steps
    found = rates(3 * epochs, schedule="steps", warmup=0, decay=decay, decay_every=every, epochs=epochs)
    assert found == pytest.approx(expected)


def test_the_unshifted_cosine_is_that_of_bert_adam():
    found = rates(50, schedule="cosine_unshifted", warmup=0.1)
    assert found[:5] == pytest.approx([0.2, 0.4, 0.6, 0.8, 1.0])
    assert found[5:] == pytest.approx([0.5 * (1 + math.cos(math.pi * step / 50)) for step in range(5, 50)])
    assert found[5] < 0.98  # the shifted one begins at 1 here


def test_a_ramp_of_start_and_end_alike_switches_at_the_epoch():
    """As the recipes of VSE-infinity do after the first of 25 epochs, whatever the number of steps in one."""
    table = Recipe.read(RECIPES / "lseh/vse_infinity_hard_flickr30k_original.toml").objective()
    for steps in (1, 7, 1132):
        for before, weights in ((steps - 1, (1.0, 0.0)), (steps, (0.0, 1.0))):
            assert tuple(term.weight(before / (25 * steps)) for term in table.terms) == weights


def test_halving_by_a_loop_over_scores():
    """Reference rule: a counter since the last halving, looked at after epochs that were not the best so far."""
    settings = TrainingSettings(halve_after=3)
    scores = [3, 2, 1, 0, 5, 4, 4, 4, 4, 6, 1, 1]
    best, counter, expected = -math.inf, 0, []
    for score in scores:
        counter += 1
        better = score > best
        best = max(best, score)
        expected.append(not better and counter > 2)
        counter = 0 if expected[-1] else counter
    best, held, found = -math.inf, 0, []
    for score in scores:
        held += 1
        found.append(halve(settings, better=score > best, held=held))
        best, held = max(best, score), 0 if found[-1] else held
    assert found == expected
    assert sum(found) == 4
    assert not halve(TrainingSettings(), better=False, held=100)
    assert rate(TrainingSettings(schedule="constant", warmup=0), 0, 9, halvings=2) == 0.25


@pytest.mark.parametrize(("key", "value"), [("decay", 0.0), ("decay_every", 0), ("beta2", 1.0), ("tower_lr", -1.0)])
def test_impossible_settings_are_named(key, value):
    with pytest.raises(MatchcutError, match=f"training: {key} must be"):
        Recipe.of({"training": {key: value}})
