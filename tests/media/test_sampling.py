import pytest

from matchcut.media.sampling import FrameRule

TWELVE = [k / 12 for k in range(60)]  # 5 seconds at 12 frames a second


def naive_every(times, end, step, at_most):
    """The docstring again: at each moment the last frame that began; thinned evenly."""
    picked, moment = [], 0
    while times[0] + moment * step < end - 1e-9:
        shown = [t for t in times if t <= times[0] + moment * step + 1e-4][-1]
        if shown not in picked:
            picked.append(shown)
        moment += 1
    if len(picked) > at_most:
        picked = [picked[round(k * (len(picked) - 1) / (at_most - 1))] for k in range(at_most)]
    return picked


@pytest.mark.parametrize("step", [0.5, 0.3, 0.05, 7.0])
@pytest.mark.parametrize("at_most", [2, 3, 16, 100])
@pytest.mark.parametrize("first", [0, 17])
def test_every_equals_the_rule(step, at_most, first):
    times = TWELVE[first:]
    rule = FrameRule(every=step, at_most=at_most)
    assert rule.pick(times, end=5.0, fps=12) == naive_every(times, 5.0, step, at_most)


def test_by_hand():
    assert FrameRule(every=1.0).pick(TWELVE, end=5.0, fps=12) == [0, 1, 2, 3, 4]
    assert FrameRule(every=1.0, at_most=1).pick(TWELVE, end=5.0, fps=12) == [2]
    assert FrameRule(frames=2).pick(TWELVE, end=5.0, fps=12) == [1.25, 3.75]


def test_more_frames_asked_for_than_there_are():
    assert FrameRule(frames=8).pick([0.0, 0.1, 0.2], end=0.3, fps=10) == [0.0, 0.1, 0.2]
    assert FrameRule().pick([3.0], end=3.0, fps=0) == [3.0]


@pytest.mark.parametrize(
    ("fps", "expected"),
    [
        (25, [0, 12, 25, 37, 50]),
        (29.97, [0, 14, 29, 43, 58]),  # cut to 29
        (1, list(range(60))),
        (0, list(range(60))),
    ],
)
def test_avs_counts_frames(fps, expected):
    times = [k / 25 for k in range(60)]
    assert FrameRule(every="avs", at_most=2).pick(times, end=2.4, fps=fps) == [times[k] for k in expected]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"every": 0}, "every must be 0.001 seconds or more, got 0"),
        ({"every": 1e-9}, "every must be 0.001 seconds or more"),
        ({"every": float("inf")}, "every must be 0.001 seconds or more"),
        ({"every": float("nan")}, "every must be 0.001 seconds or more"),
        ({"every": "often"}, "every must be a number of seconds or 'avs', got 'often'"),
        ({"frames": 0}, "frames must be 1 or more, got 0"),
        ({"at_most": 0}, "at_most must be 1 or more, got 0"),
        ({"shots": "some"}, "shots must be 'adaptive' or 'none', got 'some'"),
    ],
)
def test_wrong_numbers(arguments, message):
    with pytest.raises(ValueError, match=message):
        FrameRule(**arguments)


def test_different_rules_read_differently():
    rules = [FrameRule(), FrameRule(shots="none"), FrameRule(every=1), FrameRule(every="avs"), FrameRule(frames=4)]
    rules += [FrameRule(at_most=8)]
    assert len({str(rule) for rule in rules}) == len(rules)
