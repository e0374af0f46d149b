"""Thinned captions against the rule written out for one caption, and what must hold for all."""

import random

from sklearn.feature_extraction.text import ENGLISH_STOP_WORDS

from matchcut.encoders.thinning import thin

VIDEO = ["A man is cutting the red onion.", "the man cuts, and cuts onions", "a chef with a very very long knife"]
OTHER = ["two dogs run on the beach"]


def light_words(caption, captions):
    """The words of a caption that may go, by the formula."""
    said = [word.strip(".,").lower() for text in captions for word in text.split()]
    counted = [word for word in said if len(word) > 1 and word not in ENGLISH_STOP_WORDS]
    heaviest = sorted(set(counted), key=counted.count, reverse=True)[:200]
    weights = {word: 12 * counted.count(word) / len(counted) for word in heaviest}
    words = caption.split()
    lightest = sorted(words, key=lambda word: weights.get(word.strip(".,").lower(), 0))[:5]
    return [word for word in lightest if weights.get(word.strip(".,").lower(), 0) < 0.1]


def left_out(caption, thinned):
    """Words that are gone; what is left stands in the same order."""
    words, gone = caption.split(), []
    for word in thinned.split():
        while words[0] != word:
            gone.append(words.pop(0))
        words.pop(0)
    return gone + words


def test_only_light_words_go_and_every_number_of_them():
    captions, owner = VIDEO + OTHER, [0, 0, 0, 1]
    seen = {caption: set() for caption in captions}
    for seed in range(200):
        for caption, video, thinned in zip(captions, owner, thin(captions, owner, seed=seed), strict=True):
            gone = left_out(caption, thinned)
            light = light_words(caption, VIDEO if video == 0 else OTHER)
            assert all(gone.count(word) <= light.count(word) for word in gone)
            seen[caption].add(len(gone))
    for caption, video in zip(captions, owner, strict=True):
        light = light_words(caption, VIDEO if video == 0 else OTHER)
        assert seen[caption] == set(range(min(len(light), len(caption.split()) // 2) + 1))


def test_rare_words_of_a_much_described_video_may_go():
    """Of 303 words one said once weighs 12 / 303, below 0.1, and one said three times three times as much."""
    captions = [f"word{n}" for n in range(150)] * 2 + ["word3 rare word4"]
    thinned = {thin(captions, [0] * len(captions), seed=seed)[-1] for seed in range(30)}
    assert thinned == {"word3 rare word4", "word3 word4"}


def test_the_seed_decides_and_words_stay_apart():
    captions, owner = VIDEO * 5, [0] * 15
    assert thin(captions, owner, seed=1) == thin(captions, owner, seed=1) != thin(captions, owner, seed=2)
    state = random.getstate()
    thin(captions, owner)
    assert random.getstate() == state
    assert thin(["", "onion", "the"], [0, 0, 1]) == ["", "onion", "the"]
