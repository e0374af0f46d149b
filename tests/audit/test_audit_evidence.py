from dataclasses import replace

import numpy as np
import pytest
from audit_content import random_content
from scipy.stats import multivariate_normal

from matchcut.audit import contrastive, evidence
from matchcut.audit.contrastive import learn, similarity
from matchcut.audit.expected_caption import FLOOR, ExpectedCaption
from matchcut.audit.tokens import token_evidence
from matchcut.encoders.minilm import MiniLM


def pairs(content, count=60, seed=0):
    rng = np.random.default_rng(seed)
    return rng.integers(len(content.texts), size=count), rng.integers(len(content.items), size=count)


def captions_of(content, item):
    return [i for i in range(len(content.texts)) if content.owner[i] == item]


@pytest.mark.parametrize("block", [8192, 7])
def test_caption_and_picture_evidence_are_those_of_loops(monkeypatch, block):
    monkeypatch.setattr(evidence, "PAIRS", block)
    content = random_content()
    texts, items = pairs(content)
    found = evidence.caption_evidence(content, texts, items) | evidence.picture_evidence(content, texts, items)
    best_value, best_at = evidence.best_caption(content, texts, items)
    for k, (t, v) in enumerate(zip(texts, items, strict=True)):
        cosines = sorted(
            (float(content.vectors[t] @ content.vectors[c]) for c in captions_of(content, v)), reverse=True
        )
        assert found["caption_best"][k] == pytest.approx(cosines[0], abs=1e-6)
        assert found["caption_mean"][k] == pytest.approx(np.mean(cosines), abs=1e-6)
        assert found["caption_second"][k] == pytest.approx(cosines[min(1, len(cosines) - 1)], abs=1e-6)
        assert found["caption_third"][k] == pytest.approx(cosines[-1], abs=1e-6)  # at most three captions an item
        assert np.abs(cosines - found["caption_single"][k]).min() < 1e-6
        siblings = [
            max(float(content.vectors[s] @ content.vectors[c]) for c in captions_of(content, v))
            for s in captions_of(content, content.owner[t])
        ]
        assert found["caption_siblings"][k] == pytest.approx(np.mean(siblings), abs=1e-6)
        assert found["picture"][k] == pytest.approx(
            float(content.pictures[content.owner[t]] @ content.pictures[v]), abs=1e-6
        )
        assert (best_value[k], content.owner[best_at[k]]) == (pytest.approx(cosines[0], abs=1e-6), v)


def test_neighbours_and_commonness_are_those_of_loops(monkeypatch):
    monkeypatch.setattr(evidence, "LEAST_BACKGROUND", 20)
    monkeypatch.setattr(evidence, "NEIGHBOURS", 4)
    monkeypatch.setattr(evidence, "CAPTIONS", 3)
    content, background = random_content(10), random_content(40, seed=1)
    texts, items = pairs(content, 30)
    found = evidence.background_evidence(content, background, texts, items)
    for k, (t, v) in enumerate(zip(texts, items, strict=True)):
        best = [
            max(float(content.vectors[t] @ background.vectors[c]) for c in captions_of(background, b))
            for b in range(40)
        ]
        assert found["commonness"][k] == pytest.approx(np.log(1 + sum(x >= 0.6 for x in best)), abs=1e-6)
        nearest = np.argsort([-float(content.pictures[v] @ p) for p in background.pictures])[:4]
        assert found["neighbours"][k] == pytest.approx(max(best[b] for b in nearest), abs=1e-6)
    assert all(np.isfinite(values).all() for values in found.values())
    assert evidence.background_evidence(content, random_content(19), texts, items) == {}


@pytest.mark.parametrize("use", ["captions", "picture", "both"])
def test_the_likelihood_ratio_is_that_of_two_gaussians(use):
    everything = random_content(306, seed=2)
    background, content = everything.only(np.arange(300)), everything.only(np.arange(300, 306))
    expected = ExpectedCaption.fit(background, use)
    texts, items = pairs(content, 20)
    ratio, cosine = expected.score(content, texts, items)
    guess = expected.guess(content)
    plain, around = np.linalg.inv(expected.plain), np.linalg.inv(expected.inverse)
    difference = []
    for t, v in zip(texts, items, strict=True):
        x = content.vectors[t] - expected.mean
        given = multivariate_normal(guess[v], around).logpdf(x)
        difference.append(given - multivariate_normal(np.zeros(6), plain).logpdf(x))
    offset = (np.linalg.slogdet(plain)[1] - np.linalg.slogdet(around)[1]) / 2  # the same for all pairs, left out
    assert ratio + offset == pytest.approx(difference, abs=1e-3)
    assert np.abs(cosine).max() <= 1 + 1e-6
    assert np.linalg.eigvalsh(around).min() >= FLOOR * 0.99
    own = content.owner == np.arange(6)[:, None]
    scores = np.stack(
        [expected.score(content, np.arange(len(content.texts)), np.full(len(content.texts), v))[0] for v in range(6)]
    )
    assert scores[own].mean() > scores[~own].mean()


def test_a_learned_similarity_tells_own_captions_from_others_and_repeats(monkeypatch):
    monkeypatch.setattr(contrastive, "EPOCHS", 40)
    everything = random_content(300, seed=4)
    background, content = everything.only(np.arange(200)), everything.only(np.arange(200, 300))
    model = learn(background)
    texts = np.repeat(np.arange(len(content.texts)), 2)
    items = np.stack([content.owner, (content.owner + 1) % 100], axis=1).reshape(-1)
    values = similarity(model, content, texts, items).reshape(-1, 2)
    assert (values[:, 0] > values[:, 1]).mean() > 0.8
    assert similarity(learn(background), content, texts, items) == pytest.approx(values.reshape(-1))
    with pytest.raises(ValueError, match="0 items have more than one caption"):
        learn(background.only(np.flatnonzero(background.counts == 1)))


def test_tokens_of_a_caption_that_the_item_holds_are_found():
    content = random_content(3)
    texts = ["a dog runs on grass"] * len(content.texts)
    texts[content.first[1]] = "two men play chess"
    content = replace(content, texts=texts)
    found = token_evidence(
        content, content, np.array([0, 0, content.first[1]]), np.array([2, 1, 0]), MiniLM(tokens=True)
    )
    for name in ("tokens", "pieces"):
        assert found[f"{name}_mean"][0] == pytest.approx(1, abs=1e-5)
        assert found[f"{name}_found"][0] == pytest.approx(0, abs=1e-4)
        assert found[f"{name}_mean"][2] < 0.8
        assert found[f"{name}_found"][2] < found[f"{name}_found"][0]
