from dataclasses import dataclass

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from matchcut.losses import InfoNCE, Objective, Term, presets
from matchcut.negatives import DropSimilar, Evidence, PairTable
from matchcut.training.cached_step import CachedStep

IDS = torch.tensor([0, 0, 1, 2, 3, 4, 5])
PARTS = ([2, 2, 3], [7], [1, 1, 1, 1, 1, 1, 1], [3, 4])


def tower(dropout=0.0):
    torch.manual_seed(1)
    return nn.Sequential(nn.Linear(5, 8), nn.Dropout(dropout), nn.Tanh(), nn.Linear(8, 4))


def batch():
    torch.manual_seed(0)
    return torch.randn(7, 5), torch.randn(7, 5), Evidence(text={"e": torch.randn(7, 3)})


def objective():
    return Objective([Term(InfoNCE(scale=10.0, learned=True), [DropSimilar("e", percent=10)])])


def gradients(module):
    return [p.grad for p in module.parameters()]


@pytest.mark.parametrize("parts", PARTS)
def test_gradients_are_those_of_the_plain_step(parts):
    texts, items, evidence = batch()
    table = PairTable.from_ids(text_items=IDS, items=IDS)
    text_tower, item_tower, plain = tower(), tower(), objective()
    wanted = plain(text_tower(texts) @ item_tower(items).T, table, evidence)
    wanted.backward()
    text_again, item_again, cached = tower(), tower(), objective()
    step = CachedStep(text_again, item_again, loss=lambda t, v: cached(t @ v.T, table, evidence))
    got = step(texts=texts.split(parts), items=items.split(parts[::-1]))
    torch.testing.assert_close(got, wanted.detach())
    assert not got.requires_grad
    for a, b in ((text_again, text_tower), (item_again, item_tower), (cached, plain)):
        for x, y in zip(gradients(a), gradients(b), strict=True):
            torch.testing.assert_close(x, y, atol=1e-6, rtol=1e-5)


def test_dropout_is_the_same_in_both_passes():
    texts, items, _ = batch()
    table = PairTable.from_ids(text_items=IDS, items=IDS)
    objective = presets.infonce(scale=5.0)
    plain, again = tower(0.5), tower(0.5)
    torch.manual_seed(3)
    objective(
        torch.cat([plain(p) for p in texts.split(3)]) @ torch.cat([plain(p) for p in items.split(3)]).T, table
    ).backward()
    after = torch.rand(1)
    torch.manual_seed(3)
    step = CachedStep(again, again, loss=lambda t, v: objective(t @ v.T, table))
    step(texts=texts.split(3), items=items.split(3))
    assert torch.equal(torch.rand(1), after)  # and the random numbers go on where they were
    for x, y in zip(gradients(again), gradients(plain), strict=True):
        torch.testing.assert_close(x, y, atol=1e-6, rtol=1e-5)


@dataclass(frozen=True)
class Tokens:
    values: Tensor
    mask: Tensor


def test_embeddings_of_several_tensors_and_lengths():
    layer = nn.Linear(4, 3)

    def encode(x):
        return Tokens(layer(x), torch.ones(x.shape[:2], dtype=torch.bool))

    def loss(text, item):
        return (text.values * text.mask[..., None]).sum() ** 2 + (item[0].values[:, 0] * item[1]).sum()

    short, long = torch.randn(2, 3, 4), torch.randn(1, 5, 4)
    step = CachedStep(encode, lambda x: (encode(x), functional.relu(layer(x[:, 0]))), loss=loss)
    step(texts=[short, long], items=[short])
    got = layer.weight.grad.clone()
    layer.zero_grad()
    total = layer(short).sum() + layer(long).sum()
    (total**2 + (layer(short)[:, 0] * functional.relu(layer(short[:, 0]))).sum()).backward()
    torch.testing.assert_close(got, layer.weight.grad)


def test_nothing_to_do_is_refused():
    with pytest.raises(ValueError, match="0 and 1 parts"):
        CachedStep(tower(), tower(), loss=lambda t, v: t.sum())(texts=[], items=[torch.zeros(1, 5)])


def test_encoders_that_give_dicts():
    torch.manual_seed(0)
    layer, x = torch.nn.Linear(3, 2).double(), torch.randn(5, 3, dtype=torch.float64)

    def encode(part):
        return {"embedding": layer(part)}

    def loss(text, item):
        return (text["embedding"] @ item["embedding"].T).square().sum()

    value = CachedStep(encode, encode, loss=loss)(texts=x.split(2), items=x.split(3))
    cached = layer.weight.grad.clone()
    layer.weight.grad = None
    plain = loss(encode(x), encode(x))
    plain.backward()
    torch.testing.assert_close(value, plain.detach())
    torch.testing.assert_close(cached, layer.weight.grad)
    with pytest.raises(ValueError, match="an encoder must give tensors"):
        CachedStep(lambda part: [layer(part)], encode, loss=loss)(texts=x.split(2), items=x.split(3))
