"""What a built-in world consists of: golden values, shares, and the exact relevance."""

from collections import Counter
from random import Random

import pytest

from matchcut.datasets.world_meaning import is_true
from matchcut.datasets.world_plan import PARTS, World, group_sizes, plan, relevant
from matchcut.datasets.world_random import StableRandom

GOLDEN = [
    ("a video of a crimson cross moving to the right", "a crimson cross slides right"),
    ("an orange triangle is going downwards", "an object is falling"),
    (
        "a white star moves to the left with a green five-pointed star behind it",
        "a green star chases a white five-pointed star towards the left",
    ),
    ("there is an orange cross gliding towards the left", "a video of a cross moving to the left"),
    ("there is a pink ball going upwards", "a pink ball moves up"),
]
SMALL = World(train=60, val=12, test=30, captions=4, share=0.4, alike=3, vague=0.25, seed=5)


def test_golden():
    videos = plan(World(train=3, val=1, test=1, captions=2, seed=7))
    assert [video.part for video in videos] == ["train", "train", "train", "val", "test"]
    assert [video.texts for video in videos] == GOLDEN
    assert videos == plan(World(train=3, val=1, test=1, captions=2, seed=7))
    assert videos != plan(World(train=3, val=1, test=1, captions=2, seed=8))


def test_draws_are_stable():
    rng, plain = StableRandom("draws"), Random("draws")
    order = list(range(6))
    rng.shuffle(order)
    expected = list(range(6))
    for last in (5, 4, 3, 2, 1):
        other = int(plain.random() * (last + 1))
        expected[last], expected[other] = expected[other], expected[last]
    assert order == expected
    assert rng.choice("abc") == "abc"[int(plain.random() * 3)]


@pytest.mark.parametrize("share", [0.0, 0.1, 0.4, 1.0])
@pytest.mark.parametrize("alike", [2, 3, 5])
def test_the_share_of_videos_with_a_common_meaning(share, alike):
    videos = plan(World(train=50, val=20, test=31, captions=1, share=share, alike=alike))
    for part, count in zip(PARTS, (50, 20, 31), strict=True):
        times = Counter(video.scene for video in videos if video.part == part)
        shared = sum(n for n in times.values() if n > 1)
        assert shared == round(share * count)


def test_group_sizes():
    assert group_sizes(9, 1.0, 3) == [3, 3, 3]
    assert group_sizes(9, 0.1, 3) == [1] * 9  # one alone shares with nobody
    assert group_sizes(9, 0.2, 3) == [2] + [1] * 7
    assert group_sizes(0, 0.5, 2) == []


def test_no_meaning_is_in_two_parts():
    scenes = [{video.scene for video in plan(SMALL) if video.part == part} for part in PARTS]
    assert not scenes[0] & scenes[1]
    assert not scenes[0] & scenes[2]
    assert not scenes[1] & scenes[2]


def test_the_share_of_vague_captions():
    videos = plan(SMALL)
    vague = sum(claim != video.scene for video in videos for claim in video.claims)
    assert vague == round(0.25 * 4 * len(videos))


def test_relevance_equals_a_check_of_every_pair():
    videos = plan(SMALL)
    found = relevant(videos)
    for video in videos:
        for claim in video.claims:
            assert found[claim] == [other.key for other in videos if is_true(claim, other.scene)]
            assert video.key in found[claim]


def test_texts_of_a_video_differ():
    assert all(len(set(video.texts)) == len(video.texts) for video in plan(World(train=80, val=0, test=0)))


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ({"train": -1}, "train must be at least 0, got -1"),
        ({"captions": 0}, "captions must be at least 1, got 0"),
        ({"share": 1.5}, "share must be between 0 and 1, got 1.5"),
        ({"vague": -0.1}, "vague must be between 0 and 1, got -0.1"),
        ({"alike": 1}, "alike must be at least 2, got 1"),
        ({"size": 33}, "size must be even and at least 32, got 33"),
        ({"fps": 0}, "0 frames a second is not one frame"),
    ],
)
def test_impossible_parameters(parameters, message):
    with pytest.raises(ValueError, match=message):
        World(**parameters)


def test_more_meanings_than_there_are():
    with pytest.raises(ValueError, match=r"30000 different meanings asked for, this world has 25456"):
        plan(World(train=30_000, val=0, test=0, share=0))
