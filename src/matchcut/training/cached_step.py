"""A large contrastive batch on a small device: gradient caching."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import fields, is_dataclass, replace
from typing import Any

import torch
from torch import Tensor


class CachedStep:
    """Forward and backward of one large batch, of which only a small part is in the networks at a time.

    L. Gao et al., "Scaling Deep Contrastive Learning Batch Size under Memory Limited Setup", 2021 (GradCache, paper):
    encode all parts without a graph; compute the loss and its gradient at the embeddings; encode each part again,
    now with a graph, and push the embeddings' gradient through it. The parameters' gradients are those of the plain
    step; the price is one more forward. Random numbers (dropout) are the same in both passes. A batch norm sees
    parts, not the batch, and updates its statistics twice.

    Args:
        encode_text: from a part to embeddings: a tensor, or a dataclass, a tuple or a dict of tensors, rows first.
        encode_item: the same for items.
        loss: from the embeddings of all texts and of all items to a scalar; gather across processes in it.

    >>> layer = torch.nn.Linear(3, 2)
    >>> step = CachedStep(layer, layer, loss=lambda text, item: (text @ item.T).square().sum())
    >>> parts = [torch.ones(2, 3), torch.ones(1, 3)]
    >>> value = step(texts=parts, items=parts)  # and layer.weight.grad is filled
    """

    def __init__(
        self,
        encode_text: Callable[[Any], Any],
        encode_item: Callable[[Any], Any],
        *,
        loss: Callable[[Any, Any], Tensor],
    ) -> None:
        self.encode_text, self.encode_item, self.loss = encode_text, encode_item, loss

    def __call__(self, *, texts: Sequence[Any], items: Sequence[Any]) -> Tensor:
        """Add the gradients of the batch to the parameters'; return the loss, shape (), without a graph.

        Args:
            texts: the parts that the batch's texts were cut into, each an input of `encode_text`.
            items: the parts of the items; their number may differ.
        """
        if not texts or not items:
            raise ValueError(f"a step needs texts and items, got {len(texts)} and {len(items)} parts")
        work = [(self.encode_text, part) for part in texts] + [(self.encode_item, part) for part in items]
        states, embeddings = [], []
        with torch.no_grad():
            for encode, part in work:
                states.append(_random_state())
                encoded = encode(part)
                if not _tensors(encoded):
                    raise ValueError(f"an encoder must give tensors, or a tuple or dict of them, got {type(encoded)}")
                embeddings.append(_map(encoded, lambda x: x.detach().requires_grad_(x.is_floating_point())))
        value = self.loss(_join(embeddings[: len(texts)]), _join(embeddings[len(texts) :]))
        value.backward()  # type: ignore[no-untyped-call]
        after = _random_state()
        for (encode, part), state, first in zip(work, states, embeddings, strict=True):
            _set_random_state(state)
            pairs = [
                (again, known.grad)
                for again, known in zip(_tensors(encode(part)), _tensors(first), strict=True)
                if known.grad is not None and again.requires_grad
            ]
            if pairs:
                torch.autograd.backward([x for x, _ in pairs], [gradient for _, gradient in pairs])
        _set_random_state(after)
        return value.detach()


def _tensors(value: Any) -> list[Tensor]:
    if isinstance(value, Tensor):
        return [value]
    if is_dataclass(value):
        return [x for f in fields(value) for x in _tensors(getattr(value, f.name))]
    if isinstance(value, Mapping):
        value = tuple(value.values())
    if isinstance(value, tuple):
        return [x for entry in value for x in _tensors(entry)]
    return []


def _map(value: Any, change: Callable[[Tensor], Tensor]) -> Any:
    if isinstance(value, Tensor):
        return change(value)
    if is_dataclass(value) and not isinstance(value, type):
        return replace(value, **{f.name: _map(getattr(value, f.name), change) for f in fields(value)})
    if isinstance(value, Mapping):
        return {name: _map(entry, change) for name, entry in value.items()}
    if isinstance(value, tuple):
        return tuple(_map(entry, change) for entry in value)
    return value


def _join(parts: Sequence[Any]) -> Any:
    first = parts[0]
    if isinstance(first, Tensor):
        return torch.cat([_padded(part, parts) for part in parts])
    if is_dataclass(first) and not isinstance(first, type):
        return replace(first, **{f.name: _join([getattr(part, f.name) for part in parts]) for f in fields(first)})
    if isinstance(first, Mapping):
        return {name: _join([part[name] for part in parts]) for name in first}
    if isinstance(first, tuple):
        return tuple(_join(column) for column in zip(*parts, strict=True))
    return first


def _padded(part: Tensor, parts: Sequence[Tensor]) -> Tensor:
    """The part with zeros at the end of its second dimension, up to the longest of the parts (tokens, frames)."""
    if part.ndim < 2:
        return part
    missing = max(p.shape[1] for p in parts) - part.shape[1]
    return part if missing == 0 else torch.cat([part, part.new_zeros(len(part), missing, *part.shape[2:])], 1)


def _random_state() -> tuple[Tensor, list[Tensor]]:
    return torch.get_rng_state(), torch.cuda.get_rng_state_all() if torch.cuda.is_available() else []


def _set_random_state(state: tuple[Tensor, list[Tensor]]) -> None:
    torch.set_rng_state(state[0])
    if state[1]:
        torch.cuda.set_rng_state_all(state[1])
