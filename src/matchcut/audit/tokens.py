"""Which tokens of a caption are found in an item's captions, in their context and by themselves."""

import numpy as np
from numpy.typing import NDArray

from matchcut.audit.content import Content, Floats, Ints
from matchcut.encoders.bert import BertCaptions

COMMON = 1 / 30  # a token in more captions than this share says little: "least" passes it over


def token_evidence(
    content: Content, background: Content, texts: Ints, items: Ints, encoder: BertCaptions
) -> dict[str, Floats]:
    """How much of a caption is found in the item's captions, token by token, float32 [P] each.

    For each token of the caption the best cosine with a token of the item's captions, once on the encoder's token
    vectors ("tokens") and once on its input embeddings, which know no context ("pieces"). Weights are rarities,
    log((n + 1) / (n_t + 1)) for a token in n_t of the background's n captions.

        mean, weighted   mean over the caption's tokens, plain and by weight
        found            minus the weighted sum of what the cosines lack to 1
        least            the least, among tokens in at most 1 of 30 captions; 1 if there is none

    Args:
        encoder: of tokens. The start and end marks of a caption are passed over.
    """
    used = np.unique(np.concatenate([texts, np.flatnonzero(np.isin(content.owner, items))]))
    sentences = [content.texts[i] for i in used]
    split = _split(encoder, sentences)
    table = encoder.network.get_input_embeddings().weight.detach().cpu().numpy()
    weight = _rarity(_split(encoder, background.texts), len(table))
    context = [_unit(rows[1:-1]) for rows in encoder.encode(sentences)]
    centre = table.mean(axis=0)
    pieces = [_unit(table[ids] - centre) for ids in split]
    at = {int(i): k for k, i in enumerate(used)}
    found: dict[str, Floats] = {}
    for name, vectors in (("tokens", context), ("pieces", pieces)):
        values = np.zeros((4, len(texts)), np.float32)
        last, pool = -1, np.zeros((0, 0), np.float32)
        for pair in np.argsort(items, kind="stable"):
            item = int(items[pair])
            if item != last:
                pool = np.concatenate([vectors[at[i]] for i in range(content.first[item], content.first[item + 1])])
                last = item
            k = at[int(texts[pair])]
            if len(vectors[k]) and len(pool):
                values[:, pair] = _coverage((vectors[k] @ pool.T).max(axis=1), weight[split[k]], len(background.texts))
        found |= {
            f"{name}_{kind}": row for kind, row in zip(("mean", "weighted", "found", "least"), values, strict=True)
        }
    return found


def _coverage(best: Floats, weight: NDArray[np.float64], captions: int) -> tuple[float, float, float, float]:
    """The four numbers of a caption: best cosine [n] and rarity [n] of its tokens."""
    rare = best[weight >= np.log((captions + 1) / (captions * COMMON + 1))]
    mean = float((best * weight).sum() / max(weight.sum(), 1e-12))
    return float(best.mean()), mean, -float(((1 - best) * weight).sum()), float(rare.min()) if len(rare) else 1.0


def _split(encoder: BertCaptions, sentences: list[str]) -> list[Ints]:
    """Token ids of each sentence, without the marks at start and end."""
    if not sentences:
        return []
    ids = encoder.tokenizer(sentences, truncation=True, max_length=encoder.max_length)["input_ids"]
    return [np.array(row[1:-1], dtype=np.int64) for row in ids]


def _rarity(split: list[Ints], size: int) -> NDArray[np.float64]:
    counts = np.zeros(size)
    for ids in split:
        counts[np.unique(ids)] += 1
    rarity: NDArray[np.float64] = np.log((len(split) + 1) / (counts + 1))
    return rarity


def _unit(rows: Floats) -> Floats:
    scaled: Floats = rows / np.maximum(np.linalg.norm(rows, axis=1, keepdims=True), 1e-12)
    return scaled
