import itertools
from dataclasses import replace

import pytest
import torch
from torch import nn

from matchcut.errors import MatchcutError
from matchcut.training import Recipe, checkpoint, train
from matchcut.training.build import build_model
from matchcut.training.made_up import make_up
from matchcut.training.stack import STACKED, Stack, agreement, train_stack
from matchcut.training.step import encode, read_batch

CPU = torch.device("cpu")
NETWORKS = {
    "projection": {"dim": 8, "hidden": 8, "norm": "batch"},
    "dual_encoding": {"preset": "cvpr2019", "frames": "efficientnet-lite0", "vocabulary": 50, "item_hidden": 8},
    "hybrid_space": {"frames": "efficientnet-lite0", "vocabulary": 50, "concepts": 6, "item_hidden": 8},
    "vsepp": {"item": "efficientnet-lite0", "image": "mean", "dim": 8},
    "clip_video": {"frames": "efficientnet-lite0", "interaction": "wti"},
    "dmae": {"frames": "efficientnet-lite0", "dim": 8},
    "multimodal_transformer": {"dim": 8, "layers": 1, "feed_forward": 8},
}


def without_dropout(model):
    for module in model.modules():
        if isinstance(module, nn.Dropout):
            module.p = 0.0
        elif isinstance(module, nn.MultiheadAttention):
            module.dropout = 0.0
    return model.train()


def tensors(value):
    if isinstance(value, torch.Tensor):
        return [value]
    if isinstance(value, tuple):
        return [t for entry in value for t in tensors(entry)]
    return [t for entry in vars(value).values() for t in tensors(entry)] if hasattr(value, "__dict__") else []


@pytest.mark.parametrize("name", STACKED)
def test_embeddings_gradients_and_statistics_are_those_of_each_network(name):
    recipe = Recipe.of({"name": "x", "model": {"name": name, **NETWORKS[name]}})
    made = make_up(recipe, {})
    batch = read_batch(made.data, torch.arange(4), CPU)

    def models():
        found = []
        for seed in range(3):
            torch.manual_seed(seed)
            built = build_model(replace(recipe, model=made.model), made.data.text_shapes, made.data.item_shapes)
            found.append(without_dropout(built))
        return found

    alone, stacked = models(), models()
    expected, got = [encode(model, batch) for model in alone], Stack(stacked).encode(batch)
    for one, other in zip(expected, got, strict=True):
        pairs = list(zip(tensors(one), tensors(other), strict=True))
        assert pairs
        for a, b in pairs:
            torch.testing.assert_close(b, a, rtol=1e-5, atol=1e-6)
        for encoded in (one, other):
            sum(t.sin().sum() for t in tensors(encoded) if t.requires_grad).backward(retain_graph=True)
    for one, other in zip(alone, stacked, strict=True):
        assert any(p.grad is not None and p.grad.any() for p in other.parameters())
        for (key, a), (_, b) in zip(one.named_parameters(), other.named_parameters(), strict=True):
            zeros = torch.zeros_like(a)
            torch.testing.assert_close(
                zeros if b.grad is None else b.grad, zeros if a.grad is None else a.grad,
                rtol=1e-4, atol=5e-5, msg=lambda m, key=key: f"{key}: {m}",
            )  # fmt: skip
        for (key, a), (_, b) in zip(one.named_buffers(), other.named_buffers(), strict=True):
            torch.testing.assert_close(b, a, rtol=1e-5, atol=1e-6, msg=lambda m, key=key: f"{key}: {m}")


@pytest.mark.parametrize("name", ["projection", "dual_encoding", "multimodal_transformer"])
def test_dropout_draws_other_numbers_for_each(name):
    recipe = Recipe.of({"name": "x", "model": {"name": name, **NETWORKS[name]}})
    made = make_up(recipe, {})
    built = replace(recipe, model=made.model), made.data.text_shapes, made.data.item_shapes
    twins = [build_model(*built).train() for _ in range(2)]
    twins[1].load_state_dict(twins[0].state_dict())
    one, other = Stack(twins).encode(read_batch(made.data, torch.arange(4), CPU))
    moved = [not torch.equal(a, b) for a, b in zip(tensors(one), tensors(other), strict=True)]
    assert any(moved)


@pytest.fixture
def recipes(recipe_file):
    still = [
        "model.input_dropout=0.0",
        "model.pooling=mean",
        "model.text_pooling=mean",
        "training.average=0.9",
        "training.threads=1",
    ]
    changes = {
        "one": [],
        "two": ["training.lr=1e-3", "training.optimizer=rmsprop"],
        "three": ['objective.terms=[{loss={name="infonce", scale=5.0, learned=true}}]', "training.clip=0.5"],
    }
    found = [Recipe.read(recipe_file, overrides=[*still, *change]) for change in changes.values()]
    return [replace(recipe, name=name) for name, recipe in zip(changes, found, strict=True)]


def weights(folder):
    return checkpoint.read(folder / checkpoint.LAST)


def assert_same_weights(folder, other):
    (a, facts), (b, others) = weights(folder), weights(other)
    assert a.keys() == b.keys()
    for name in a:
        if not name.startswith("random"):
            torch.testing.assert_close(a[name], b[name], rtol=1e-4, atol=1e-5, msg=lambda m, name=name: f"{name}: {m}")
    assert facts["recipe"]["objective"] == others["recipe"]["objective"]
    assert facts["counters"]["step"] == others["counters"]["step"]


def test_every_model_gets_the_weights_of_a_training_by_itself(collection, recipes):
    records = []
    stacked = train_stack(recipes, collection, progress=lambda name, record: records.append((name, record["epoch"])))
    assert records == [(r.name, epoch) for epoch in (1, 2, 3) for r in recipes]
    for recipe, trained in zip(recipes, stacked, strict=True):
        alone = train(recipe, collection, name=f"alone-{recipe.name}")
        assert_same_weights(trained.folder, alone.folder)
        assert (trained.epochs, trained.best) == (alone.epochs, pytest.approx(alone.best))
    assert not torch.equal(*(weights(t.folder)[0]["model.text.linear.weight"] for t in stacked[:2]))


def test_models_share_the_time_of_an_epoch(collection, recipes, monkeypatch):
    monkeypatch.setattr("matchcut.training.run.time.perf_counter", itertools.count().__next__)
    stacked = train_stack(recipes, collection)  # three readings at the start of an epoch, three at its end
    assert [trained.seconds for trained in stacked] == [3.0, 3.0, 3.0]


def test_runs_that_are_not_as_far_are_trained_first(collection, recipes):
    whole = train_stack(recipes, collection)
    kept = {t.folder.name: weights(t.folder) for t in whole}

    class Killed(Exception):
        pass

    def kill(name, record):
        if (name, record["epoch"]) == ("two", 2):
            raise Killed

    with pytest.raises(Killed):
        train_stack(recipes, collection, again=True, progress=kill)
    assert [weights(t.folder)[1]["counters"]["epoch"] for t in whole] == [2, 2, 1]
    again = train_stack(recipes, collection)
    assert [t.epochs for t in again] == [3, 3, 3]
    for trained in again:
        for name, tensor in weights(trained.folder)[0].items():
            if not name.startswith("random"):
                torch.testing.assert_close(tensor, kept[trained.folder.name][0][name], rtol=1e-4, atol=1e-5)


def test_one_that_fails_does_not_stop_the_others(collection, recipes):
    wild = Recipe.of({**recipes[1].to_dict(), "name": "wild"}, source="wild")
    wild = replace(wild, training=replace(wild.training, lr=1e30))
    stacked = train_stack([recipes[0], wild, recipes[2]], collection)
    assert [type(outcome).__name__ for outcome in stacked] == ["Trained", "MatchcutError", "Trained"]
    assert "the loss is not finite" in str(stacked[1])
    alone = train(recipes[2], collection, name="alone")
    assert_same_weights(stacked[2].folder, alone.folder)


def test_a_stack_of_one_is_a_plain_training(collection, recipes):
    (trained,) = train_stack(recipes[:1], collection)
    alone = train(recipes[0], collection, name="alone")
    a, b = weights(trained.folder)[0], weights(alone.folder)[0]
    assert all(torch.equal(a[name], b[name]) for name in a)


def test_what_does_not_agree_is_refused(collection, recipes):
    other = replace(recipes[1], training=replace(recipes[1].training, seed=5))
    with pytest.raises(ValueError, match="must agree"):
        train_stack([recipes[0], other], collection)


def test_networks_that_cannot_be_stacked_say_so():
    recipe = Recipe.of({"name": "x", "model": {"name": "vse_infinity"}}, source="my.toml")
    with pytest.raises(MatchcutError, match=r"my\.toml: --stack: 'vse_infinity' cannot be stacked, only projection"):
        agreement(recipe)
