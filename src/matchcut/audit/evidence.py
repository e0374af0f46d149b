"""What speaks for a caption being true of another item: a number for each piece of evidence and each pair."""

from typing import Any

import numpy as np

from matchcut.audit.content import Content, Floats, Ints
from matchcut.audit.contrastive import learn, similarity
from matchcut.audit.expected_caption import USES, ExpectedCaption

Evidences = dict[str, Floats]
PAIRS, CAPTIONS = 8_192, 256  # pairs, and captions against a background, at a time
NEIGHBOURS = 30  # pictures like an item's, whose captions are asked too
LEARNED = 3  # small models whose similarities are averaged
ALIKE = 0.6  # cosine from which a background item's caption counts as saying about the same
LEAST_BACKGROUND = 500  # items: below, what a caption is like in general cannot be learned


def caption_evidence(content: Content, texts: Ints, items: Ints, *, seed: int = 0) -> Evidences:
    """Cosines of a caption with the item's own captions, float32 [P] each.

    single (one drawn at random), best, mean, second and third best; siblings: mean over all captions of the text's own
    item of their best; length: minus the number of words, since short captions are true of more.
    """
    found = {
        f"caption_{name}": np.empty(len(texts), np.float32) for name in ("single", "best", "mean", "second", "third")
    }
    siblings = np.empty(len(texts), np.float32)
    single = content.one_caption_each(items, np.random.default_rng(seed))
    for start in range(0, len(texts), PAIRS):
        part = slice(start, start + PAIRS)
        t, v = texts[part], items[part]
        cosine, there = _own(content, t, v)
        best = -np.sort(-np.where(there, cosine, -1.0), axis=1)
        found["caption_single"][part] = (content.vectors[t] * content.vectors[single[part]]).sum(axis=1)
        found["caption_best"][part] = best[:, 0]
        found["caption_mean"][part] = (cosine * there).sum(axis=1) / there.sum(axis=1)
        counts = content.counts[v]
        for name, rank in (("second", 1), ("third", 2)):
            found[f"caption_{name}"][part] = best[np.arange(len(t)), np.minimum(rank, counts - 1)]
    pair_of = content.owner[texts] * len(content.items) + items
    pairs, row = np.unique(pair_of, return_inverse=True)
    mean = np.empty(len(pairs), np.float32)
    for start in range(0, len(pairs), 1024):
        own, other = np.divmod(pairs[start : start + 1024], len(content.items))
        total = np.zeros(len(own))
        width = int(content.counts[own].max())
        for k in range(width):
            here = k < content.counts[own]
            cosine, there = _own(content, content.first[own] + np.where(here, k, 0), other)
            total += here * np.where(there, cosine, -1.0).max(axis=1)
        mean[start : start + 1024] = total / content.counts[own]
    siblings[:] = mean[row]
    lengths = np.array([-len(content.texts[i].split()) for i in texts], dtype=np.float32)
    return {**found, "caption_siblings": siblings, "caption_brevity": lengths}


def picture_evidence(content: Content, texts: Ints, items: Ints) -> Evidences:
    """Cosine of an item's picture with that of the caption's own item, float32 [P]; nothing without pictures."""
    if content.pictures is None:
        return {}
    own = content.owner[texts]
    cosine = np.empty(len(texts), np.float32)
    for start in range(0, len(texts), PAIRS):
        part = slice(start, start + PAIRS)
        cosine[part] = (content.pictures[own[part]] * content.pictures[items[part]]).sum(axis=1)
    return {"picture": cosine}


def background_evidence(content: Content, background: Content, texts: Ints, items: Ints) -> Evidences:
    """What other items, that nobody judged, say about a pair, float32 [P] each.

    expected: log likelihood ratio of the caption given the item's captions, picture, or both (`ExpectedCaption`), and
    cosine with the caption to be expected. learned: similarities trained on them, the mean of three (`CaptionToItem`).
    neighbours: the best match of the caption among the captions of the 30 background items whose pictures are most
    like the item's. commonness: log of 1 + the number of background items that have a caption of cosine 0.6 or more: a
    common caption is true of more. Nothing if there are under 500.
    """
    if len(background.items) < LEAST_BACKGROUND:
        return {}
    found: Evidences = {}
    pictures = content.pictures is not None and background.pictures is not None
    for use in USES if pictures else USES[:1]:
        expected = ExpectedCaption.fit(background, use)
        found[f"expected_{use}"], found[f"expected_{use}_cosine"] = expected.score(content, texts, items)
    found["learned"] = np.mean(
        [similarity(learn(background, seed=seed), content, texts, items) for seed in range(LEARNED)], axis=0
    )
    used, row = np.unique(texts, return_inverse=True)
    named, column = np.unique(items, return_inverse=True)
    nearest = None
    if content.pictures is not None and background.pictures is not None:
        alike = content.pictures[named] @ background.pictures.T
        nearest = np.argpartition(-alike, NEIGHBOURS, axis=1)[:, :NEIGHBOURS]
        found["neighbours"] = np.empty(len(texts), np.float32)
    common = np.empty(len(used), np.float32)
    for start in range(0, len(used), CAPTIONS):
        cosine = content.vectors[used[start : start + CAPTIONS]] @ background.vectors.T
        best = np.maximum.reduceat(cosine, background.first[:-1], axis=1)
        common[start : start + CAPTIONS] = np.log1p((best >= ALIKE).sum(axis=1))
        if nearest is not None:
            mine = np.flatnonzero((row >= start) & (row < start + CAPTIONS))
            found["neighbours"][mine] = best[(row[mine] - start)[:, None], nearest[column[mine]]].max(axis=1)
    return {**found, "commonness": common[row]}


def best_caption(content: Content, texts: Ints, items: Ints) -> tuple[Floats, Ints]:
    """The best cosine of each text with its item's own captions, and that caption's position: two [P]."""
    value = np.empty(len(texts), np.float32)
    at = np.empty(len(texts), np.int64)
    for start in range(0, len(texts), PAIRS):
        part = slice(start, start + PAIRS)
        cosine, there = _own(content, texts[part], items[part])
        best = np.where(there, cosine, -2.0).argmax(axis=1)
        value[part], at[part] = cosine[np.arange(len(best)), best], content.first[items[part]] + best
    return value, at


def _own(content: Content, texts: Ints, items: Ints) -> tuple[Floats, Any]:
    """Cosine of each text with each caption of its item, [P, most captions an item has], and which there are."""
    counts = content.counts[items]
    steps = np.arange(int(counts.max()))
    there = steps < counts[:, None]
    captions = content.first[items][:, None] + np.where(there, steps, 0)
    return np.einsum("pd,pkd->pk", content.vectors[texts], content.vectors[captions]), there
