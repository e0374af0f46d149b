"""Made-up streams for the networks on frame and token features, and a training run on them."""

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from matchcut.models.base import RetrievalModel, Step
from matchcut.models.inputs import Padded

TEXT, FRAME = 12, 10


def ragged(lengths: list[int], *shape: int, seed: int = 0) -> Padded:
    generator = torch.Generator().manual_seed(seed)
    return Padded.of([torch.randn(n, *shape, generator=generator) for n in lengths])


def text_streams(n: int = 4, *, seed: int = 1, longest: int = 6) -> dict[str, Padded]:
    lengths = [longest - i % longest for i in range(n)]
    words = ragged(lengths, TEXT, seed=seed)
    salience = Padded((1 + (words.values[..., 0] > 0)) * words.mask.float(), words.lengths)
    return {
        "minilm": ragged([1] * n, TEXT, seed=seed + 1),
        "minilm-tokens": words,
        "minilm-tokens-salience": salience,
    }


def item_streams(n: int = 4, *, seed: int = 5, longest: int = 4) -> dict[str, Padded]:
    return {"efficientnet-lite0": ragged([longest - i % longest for i in range(n)], FRAME, seed=seed)}


def shapes(streams: dict[str, Padded]) -> dict[str, tuple[int, ...]]:
    return {name: tuple(stream.values.shape[2:]) for name, stream in streams.items()}


def longer(streams: dict[str, Padded], extra: int = 3) -> dict[str, Padded]:
    """The same sequences with more padding, which holds garbage."""
    out = {}
    for name, x in streams.items():
        values = torch.cat([x.values, x.values.new_full((len(x), extra, *x.values.shape[2:]), 7.0)], 1)
        out[name] = Padded(values, x.lengths)
    return out


def awaken(module: nn.Module | None) -> None:
    """Large weights: at the published start, N(0, 0.02), a transformer hardly looks at its input."""
    for parameter in module.parameters() if module is not None else ():
        if parameter.dim() > 1:
            nn.init.normal_(parameter, std=0.5)


def loss_of(model: RetrievalModel, text: dict[str, Padded], item: dict[str, Padded]) -> Tensor:
    texts, (items, beside) = model.encode_text(text), model.train_item(item)
    scores = 10 * model.score(texts, items)
    pairs = torch.arange(len(scores))
    extra = model.auxiliary(Step(text, item, texts, items, pairs, item_extra=beside))
    assert set(extra) == set(model.auxiliary_names)
    return F.cross_entropy(scores, pairs) + F.cross_entropy(scores.T, pairs) + sum(extra.values())


def losses_of_training(model: RetrievalModel, text: dict[str, Padded], item: dict[str, Padded]) -> tuple[float, float]:
    """The loss before and after 40 steps on one batch."""
    optimizer = torch.optim.Adam([p for p in model.parameters() if p.requires_grad], lr=5e-3)
    model.train()
    losses = []
    for _ in range(41):
        optimizer.zero_grad()
        loss = loss_of(model, text, item)
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    return losses[0], losses[-1]
