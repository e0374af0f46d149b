"""A small similarity of captions and items, learned from which captions stand with the same item."""

from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from matchcut.audit.content import Content, Floats, Ints

DIM = 256  # of the joint space
BATCH, EPOCHS, LEARNING_RATE = 256, 3, 2e-3
PICTURE = 20.0  # scale of a picture vector beside a caption vector


class CaptionToItem(nn.Module):
    """Caption t and item (its other captions' mean m, its picture p) in one space; all u(.) have length 1:

    s(t, item) = u(Q t) . u( u(K m) + u(P p) )

    Trained by symmetric InfoNCE with a learned scale on batches of items, one caption of each as the text, a random
    choice of its others as the item's.
    """

    def __init__(self, text: int, picture: int) -> None:
        super().__init__()
        self.query, self.captions = nn.Linear(text, DIM), nn.Linear(text, DIM)
        self.picture = nn.Linear(picture, DIM) if picture else None
        self.dropout = nn.Dropout(0.2)
        self.log_scale = nn.Parameter(torch.tensor(3.0))

    def text(self, vectors: Tensor) -> Tensor:
        """Captions [T, d] in the joint space, [T, 256]."""
        return functional.normalize(self.query(vectors), dim=-1)

    def item(self, captions: Tensor, pictures: Tensor | None) -> Tensor:
        """Items by the mean of their captions [V, d] and their pictures [V, e] in the joint space, [V, 256]."""
        joint = functional.normalize(self.captions(captions), dim=-1)
        if self.picture is not None and pictures is not None:
            joint = joint + functional.normalize(self.picture(self.dropout(PICTURE * pictures)), dim=-1)
        return functional.normalize(joint, dim=-1)


def learn(content: Content, *, seed: int = 0) -> CaptionToItem:
    """Train on the items that have several captions.

    Raises:
        ValueError: if fewer than two items have.
    """
    items = np.flatnonzero(content.counts > 1)
    if len(items) < 2:
        raise ValueError(f"{len(items)} items have more than one caption, 2 are needed")
    rng = np.random.default_rng(seed)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model = CaptionToItem(content.vectors.shape[1], 0 if content.pictures is None else content.pictures.shape[1])
        size = min(BATCH, len(items))
        captions_each = round(float(content.counts[items].mean()))
        steps = max(1, EPOCHS * captions_each * (len(items) // size))
        optimizer = torch.optim.AdamW(model.parameters(), lr=LEARNING_RATE, weight_decay=0.01)
        schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, steps)
        for _ in range(steps):
            chosen = rng.choice(items, size, replace=False)
            texts, known, pictures = _batch(content, chosen, rng)
            scores = model.log_scale.exp() * model.text(texts) @ model.item(known, pictures).T
            target = torch.arange(size)
            loss = functional.cross_entropy(scores, target) + functional.cross_entropy(scores.T, target)
            optimizer.zero_grad()
            loss.backward()  # type: ignore[no-untyped-call]
            optimizer.step()
            schedule.step()
    return model.eval()


@torch.no_grad()
def similarity(model: CaptionToItem, content: Content, texts: Ints, items: Ints) -> Floats:
    """The learned similarity of pairs (texts[i], items[i]), each item by all its captions and its picture: [P]."""
    means = np.add.reduceat(content.vectors, content.first[:-1]) / content.counts[:, None].astype(np.float32)
    pictures = None if content.pictures is None else torch.from_numpy(content.pictures)
    joint = model.item(torch.from_numpy(means), pictures)
    used, row = np.unique(texts, return_inverse=True)
    queries = model.text(torch.from_numpy(content.vectors[used]))
    found: Any = torch.cat(
        [
            (queries[torch.from_numpy(row[k : k + 16_384])] * joint[torch.from_numpy(items[k : k + 16_384])]).sum(dim=1)
            for k in range(0, len(texts), 16_384)
        ]
    )
    values: Floats = found.numpy()
    return values


def _batch(content: Content, items: Ints, rng: np.random.Generator) -> tuple[Tensor, Tensor, Tensor | None]:
    """A caption of each item, the mean of a random choice of its others, and its picture."""
    text = content.one_caption_each(items, rng)
    counts = content.counts[items]
    steps = np.arange(int(counts.max()))
    captions = content.first[items][:, None] + np.minimum(steps, counts[:, None] - 1)
    other = (steps < counts[:, None]) & (captions != text[:, None])
    chosen = other & (rng.random(other.shape) < 0.7)
    weight = np.where(chosen.any(axis=1, keepdims=True), chosen, other).astype(np.float32)
    known = np.einsum("vk,vkd->vd", weight / weight.sum(axis=1, keepdims=True), content.vectors[captions])
    pictures = None if content.pictures is None else torch.from_numpy(content.pictures[items])
    return torch.from_numpy(content.vectors[text]), torch.from_numpy(known), pictures
