"""`check`: one whole step on made-up data, the parts of the network, and what the real training needs."""

import re

import pytest
import torch
from tiny_collection import collection  # noqa: F401
from torch import nn

from matchcut.cli import main
from matchcut.errors import MatchcutError
from matchcut.models.inputs import Padded
from matchcut.training import check as module
from matchcut.training.check import check, describe
from matchcut.training.made_up import asked, make_up
from matchcut.training.recipe import Recipe

SMALL = {"dim": 8, "hidden": 8}


def recipe(objective=None, *, model=None, **training):
    table = {"model": model or SMALL, "training": training, "objective": objective or {"preset": "vsepp"}}
    return Recipe.of({"name": "small", **table})


def hinge(*treatments, **term):
    return {"terms": [{"loss": {"name": "hinge"}, "treatments": list(treatments), **term}]}


@pytest.mark.parametrize("optimizer", ["adam", "adamw", "rmsprop"])
def test_the_step_is_that_of_one_optimiser_over_all(optimizer, monkeypatch):
    """Stepping parameter after parameter changes them as one optimiser does, after clipping all together."""
    seen = {}
    update = module._update

    def noted(given, parameters):
        seen["before"] = {name: p.detach().clone() for name, p in parameters.items()}
        seen["grads"] = {name: p.grad.clone() for name, p in parameters.items() if p.grad is not None}
        update(given, parameters)
        seen["after"] = {name: p.detach() for name, p in parameters.items()}

    monkeypatch.setattr(module, "_update", noted)
    check(recipe(optimizer=optimizer, lr=0.1, clip=0.01, weight_decay=0.1))
    params = {name: nn.Parameter(value.clone()) for name, value in seen["before"].items()}
    for name, grad in seen["grads"].items():
        params[name].grad = grad
    nn.utils.clip_grad_norm_(params.values(), 0.01)
    kind = {"adam": torch.optim.Adam, "adamw": torch.optim.AdamW, "rmsprop": torch.optim.RMSprop}[optimizer]
    kind(params.values(), lr=0.1, weight_decay=0.1).step()
    assert len(seen["grads"]) > 3
    for name, value in params.items():
        torch.testing.assert_close(seen["after"][name], value.detach())
    assert any(not torch.equal(seen["after"][name], seen["before"][name]) for name in params)


def test_parts_are_all_of_the_network():
    seen = check(recipe(model={"name": "vsrn", "item": "efficientnet-lite0-grid", "dim": 8, "caption_hidden": 4}))
    assert sum(part.parameters for part in seen.parts) == seen.parameters == seen.trained
    parts = {part.name: part for part in seen.parts}
    assert parts["reasoning"].takes == "4 x 49 x 1280"
    assert parts["reasoning"].gives == "4 x 49 x 8"
    assert parts["decoder"].gives == "1"
    assert seen.embeddings == {"text": "4 x 8", "item": "4 x 8"}
    assert set(seen.losses) == {"hinge", "captions"}
    assert seen.megabytes == pytest.approx(4 * 4 * seen.parameters / 2**20)
    made_up = "the vocabulary is made up, 100 words; the real one comes from the captions, more parameters too"
    assert seen.notes == [made_up]
    bags = {"name": "dual_encoding", "words": "", "tokens": "minilm-tokens", "dim": 8, "item_hidden": 4, "filters": 2}
    assert check(recipe(model={**bags, "text_hidden": 4})).notes == [made_up]
    assert check(recipe(model={**bags, "text_hidden": 4, "vocabulary": 50})).notes == []


def test_a_part_that_is_only_a_holder_shows_what_it_holds():
    seen = check(recipe(model={"name": "dmae", "dim": 8, "partners": {}}))
    names = [part.name for part in seen.parts]
    assert "trunk.text_projection" in names
    assert "trunk" not in names  # has no parameters of its own
    assert sum(part.parameters for part in seen.parts) == seen.parameters
    frozen = next(part for part in seen.parts if part.name == "visual_importance")
    assert frozen.trained == 0 < frozen.parameters
    assert seen.trained == seen.parameters - frozen.parameters


def test_evidence_of_every_kind():
    kinds = ["svd", "svd:7", "own", "minilm", "efficientnet-lite0", "all:minilm", "model:a+b", "judged:crowd"]
    kinds += ["unheard-of", "shuffled:svd", "shuffled:own", "shuffled:minilm", "shuffled:efficientnet-lite0"]
    for kind in kinds:
        drop = {"name": "drop_similar", "evidence": kind, "percent": 10}
        side = {"of": "text"} if kind.endswith("own") else {}
        seen = check(recipe(hinge({**drop, **side})))
        assert seen.loss >= 0
        if kind not in ("minilm", "efficientnet-lite0"):  # which are streams
            assert [need.name for need in seen.needs if need.what == "evidence"] == [kind]
    assert make_up(recipe(hinge({**drop, "evidence": "svd:7"})), {}).evidence.text["svd:7"].shape == (4, 7)
    items = {"name": "adaptive_margin", "evidence": "unheard-of", "of": "item"}
    made = recipe(hinge(experts=[{"treatments": [items]}]))
    assert asked(made) == {"unheard-of": "item"}
    assert list(make_up(made, {"unheard-of": (5,)}).evidence.item["unheard-of"].shape) == [4, 5]


def test_evidence_that_a_network_cannot_give_is_refused():
    dynamic = hinge({"name": "adaptive_margin", "evidence": "own", "of": "text"})
    with pytest.raises(MatchcutError, match="evidence 'own' needs a network with one vector"):
        check(recipe(dynamic, model={"name": "sgraf", "dim": 8, "similarity_dim": 4}))


def test_concepts_are_made_up():
    model = {"name": "hybrid_space", "dim": 8, "item_hidden": 4, "text_hidden": 4, "filters": 2, "concepts": 6}
    terms = [{"loss": {"name": "hinge"}, "scores": name} for name in ("latent", "concept")]
    seen = check(recipe({"terms": terms}, model=model))
    assert seen.losses["item_concepts"] > 0


def test_streams_are_of_one_length_and_as_said():
    model = {"name": "dual_encoding", "tokens": "bert", "frames": "resnet", "vocabulary": 50}
    table = {"name": "x", "model": model, "data": {"shapes": {"bert": [7], "resnet": [9]}}}
    data = make_up(Recipe.of(table), {"resnet": (11,)}, pairs=3).data
    batch = data.text_batch(torch.arange(3))
    assert torch.equal(batch["words"].lengths, batch["bert"].lengths)
    assert batch["words"].values.max() < 50
    assert [int(row[n - 1]) for row, n in zip(batch["words"].values, batch["words"].lengths, strict=True)] == [2] * 3
    assert batch["bow"].values.shape == (3, 1, 46)
    assert data.item_shapes == {"resnet": (11,)}  # what a collection has wins


def test_what_is_needed_and_there(collection):  # noqa: F811
    made = recipe(hinge({"name": "drop_similar", "evidence": "bert", "percent": 1}))
    assert {need.there for need in check(made).needs} == {None}
    there = {need.name: need.there for need in check(made, collection).needs}
    assert there == {"train, val": True, "minilm": True, "efficientnet-lite0": True, "bert": False}
    shape = {"shapes": {"bert": [768]}}
    for model, vector in (
        ({"name": "vse_infinity", "tokens": "bert"}, "tokens"),
        ({"name": "multimodal_transformer", "text": "bert", "layers": 1}, "cls"),
    ):
        seen = check(Recipe.of({"name": "x", "model": {**model, "dim": 8}, "data": shape}))
        assert f"?vector={vector}'" in next(need.source for need in seen.needs if need.name == "bert")
    assert "?vector=mean'" in next(need.source for need in check(made).needs if need.name == "bert")
    other = Recipe.of({"name": "x", "model": {**SMALL, "text": ["minilm-tokens"]}, "data": {"scheme": "other"}})
    there = {need.name: need.there for need in check(other, collection).needs}
    assert there == {"train, val": False, "minilm-tokens": False, "efficientnet-lite0": True}


def test_towers_and_their_salience(tmp_path):
    """Random towers where the checkpoint is not at hand; their single parameter that no part holds is told too."""
    from transformers import CLIPConfig

    side = {"hidden_size": 16, "intermediate_size": 64, "num_hidden_layers": 1, "num_attention_heads": 2}
    text = side | {"vocab_size": 60, "eos_token_id": 59, "bos_token_id": 58}
    vision = side | {"image_size": 32, "patch_size": 8}
    CLIPConfig(text_config=text, vision_config=vision, projection_dim=16).save_pretrained(tmp_path)
    model = {
        "name": "dmae",
        "dim": 0,
        "salience": "clip-salience",
        "towers": {"path": str(tmp_path), "start": "random"},
    }
    table = {"model": model, "data": {"shapes": {"clip-salience": [1]}}, "training": {"tower_lr": 1e-7}}
    seen = check(Recipe.of({"name": "x", **table}))
    parts = {part.name: part for part in seen.parts}
    assert (parts["trunk.towers.clip"].parameters, parts["trunk.towers.clip"].trained) == (1, 0)  # the temperature
    assert sum(part.parameters for part in seen.parts) == seen.parameters
    needs = {need.name: need for need in seen.needs}
    assert needs[str(tmp_path)].there is True
    assert needs["clip-pixels"].shape == (3, 32, 32)
    assert f"salience:clip:{tmp_path}?tower=text" in needs["clip-salience"].source

    model |= {"temporal": "transformer", "layers": 1, "heads": 2}
    made = Recipe.of({"name": "x", **table, "training": {"lr": 0.1, "tower_lr": 1e-7, "weight_decay": 0.0}})
    network = made.model.build({"clip-token-ids": (), "clip-salience": (1,)}, {"clip-pixels": (3, 32, 32)})
    before = {name: p.detach().clone() for name, p in network.named_parameters()}
    check(made, network=network)
    moved = {name: float((p - before[name]).detach().abs().max()) for name, p in network.named_parameters()}
    assert 0 < max(moved[name] for name in moved if "towers.clip" in name) < 1e-6
    assert max(moved[name] for name in moved if "temporal" in name) > 0.05


def test_a_checkpoint_that_is_not_at_hand_is_told(monkeypatch):
    built = []
    monkeypatch.setattr(module, "build_model", lambda made, *shapes: built.append(made.model.towers.start) or 1 / 0)
    recipe_ = Recipe.of({"model": {"name": "clip_video", "dim": 0, "towers": {"path": "openai/clip-vit-base-patch32"}}})
    with pytest.raises(ZeroDivisionError):
        check(recipe_)
    assert built == ["random"]
    options, notes = module._towers(recipe_.model)
    assert options.towers.start == "random"
    assert "is not at hand" in notes[0]


def test_bad_recipes_are_refused_in_one_line():
    assert check(recipe(model={**SMALL, "text": ["bow"]})).loss >= 0
    with pytest.raises(MatchcutError, match="the text stream 'words' holds single numbers; vectors are needed"):
        check(recipe(model={**SMALL, "text": ["words"]}))
    with pytest.raises(MatchcutError, match=r"model\.towers\.path: no CLIP is found there: "):
        check(recipe(model={"name": "clip_video", "dim": 0, "towers": {"path": "/nowhere/at/all"}}))
    with pytest.raises(MatchcutError, match=r"data\.shapes: nobody knows the rows of the stream 'resnet'"):
        check(recipe(model={**SMALL, "item": ["resnet"]}))
    with pytest.raises(MatchcutError, match="36 regions"):
        check(recipe(model={"name": "sgraf", "item": "efficientnet-lite0", "dim": 8, "similarity_dim": 4}))
    with pytest.raises(MatchcutError, match="patchs: unknown key"):
        Recipe.of({"model": {"name": "dmae", "towers": {"path": "x", "patchs": 3}}})
    with pytest.raises(ValueError, match="at least 2, got 1"):
        check(recipe(), pairs=1)


def test_a_gradient_that_is_no_number_is_refused(monkeypatch):
    step = module.step_loss
    monkeypatch.setattr(module, "step_loss", lambda *args, **options: step(*args, **options) * float("inf"))
    with pytest.raises(MatchcutError, match="is not finite"):
        check(recipe())


def test_shapes_in_whatever_holds_them():
    packed = nn.utils.rnn.pack_sequence([torch.zeros(3, 5), torch.zeros(1, 5)])
    padded = Padded(torch.zeros(2, 3, 4), torch.tensor([3, 1]))
    assert describe(packed) == "4 x 5 in 3 steps"
    assert describe([padded, None, (torch.zeros(()), {"a": torch.zeros(2)})]) == "2 x 3 x 4, 1, a 2"


def test_command(tmp_path, collection, capsys, monkeypatch):  # noqa: F811
    monkeypatch.setenv("COLUMNS", "160")
    file = tmp_path / "small.toml"
    file.write_text('[model]\nname = "projection"\ndim = 8\nhidden = 8\n')
    assert main(["train", str(file), str(collection.root), "--check"]) == 0
    shown = capsys.readouterr().out
    assert "small: projection," in shown
    assert re.search(r"text +_Side", shown)
    assert re.search(r"captions +minilm +12 +yes", shown)
    assert "one step on made-up data: loss" in shown
    assert not (collection.root / "models").exists() or not any((collection.root / "models").iterdir())
    monkeypatch.setenv("COLUMNS", "60")  # names and commands are broken, not cut
    name = "frames-of-an-encoder-that-has-a-long-name"
    file.write_text(f'[data.shapes]\n{name} = [8]\n[model]\nname = "projection"\nitem = ["{name}"]\n')
    assert main(["train", str(file), "--check"]) == 0
    assert "…" not in capsys.readouterr().out
    file.write_text('[model]\nname = "projection"\nitem = ["resnet"]\n')
    assert main(["train", str(file), "--check"]) == 2
    assert "nobody knows" in capsys.readouterr().err
