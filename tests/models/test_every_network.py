"""What holds for every network and every preset."""

from dataclasses import FrozenInstanceError, fields, replace

import pytest
import torch
from tiny_networks import ALL, ITEM_SHAPES, NETWORKS, TEXT_SHAPES, inputs, select, spoil, tensors, tiny
from torch.nn import functional as F

from matchcut.models import MODELS, config_class, presets
from matchcut.models.base import Step, concat, score_all

LEGACY = [pair for pair in ALL if pair[1].endswith("released")]
# SGR and SAF stay on a plateau for long; dropout at width 8 keeps them there.
LEARNING = {"sgraf": {"dropout": 0.0, "dim": 16, "similarity_dim": 16}}
CLEAN = [pair for pair in ALL if pair not in LEGACY]


@pytest.mark.parametrize(("name", "preset"), ALL)
def test_training_reduces_the_loss(name, preset):
    model = tiny(name, preset, **LEARNING.get(name, {})).train()
    text_inputs, item_inputs = inputs()
    targets = {"concepts": torch.eye(6, 5)} if model.target_names else {}
    optimizer = torch.optim.Adam(model.parameters(), lr=0.02)
    truth = torch.arange(6)
    losses = []
    for _ in range(25):
        text, (item, extra) = model.encode_text(text_inputs), model.train_item(item_inputs)
        scores = model.scores(text, item)
        assert tuple(scores) == model.score_names
        loss = sum(F.cross_entropy(10 * s, truth) + F.cross_entropy(10 * s.T, truth) for s in scores.values())
        auxiliary = model.auxiliary(Step(text_inputs, item_inputs, text, item, truth, targets, extra))
        assert tuple(auxiliary) == model.auxiliary_names
        loss = loss + sum(auxiliary.values())
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert sum(losses[-5:]) / 5 < 0.7 * losses[0]


@pytest.mark.parametrize("name", NETWORKS)
def test_scores_have_32_bits_under_autocast(name):
    model = tiny(name).train()
    text_inputs, item_inputs = inputs()
    with torch.autocast("cpu", dtype=torch.bfloat16):
        text, item = model.encode_text(text_inputs), model.encode_item(item_inputs)
        scores = model.scores(text, item)
    assert {score.dtype for score in scores.values()} == {torch.float32}
    sum(score.sum() for score in scores.values()).backward()


@pytest.mark.parametrize(("name", "preset"), CLEAN)
def test_padding_and_batch_composition_change_nothing(name, preset):
    model = tiny(name, preset).eval()
    text_inputs, item_inputs = inputs()
    text, item = model.encode_text(text_inputs), model.encode_item(item_inputs)
    expected = model.scores(text, item)

    spoiled = model.scores(model.encode_text(spoil(text_inputs)), model.encode_item(spoil(item_inputs)))
    alone = model.encode_item(select(item_inputs, [4]))
    short = model.encode_text(select(text_inputs, [0]))
    for key, score in expected.items():
        torch.testing.assert_close(spoiled[key], score, atol=1e-5, rtol=1e-4)
        torch.testing.assert_close(model.scores(text, alone)[key][:, 0], score[:, 4], atol=1e-5, rtol=1e-4)
        torch.testing.assert_close(model.scores(short, item)[key][0], score[0], atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize(("name", "preset"), [p for p in LEGACY if p[0] != "vse_infinity"])
def test_legacy_presets_depend_on_the_batch(name, preset):
    model = tiny(name, preset).eval()
    _, item_inputs = inputs()
    together = tensors(model.encode_item(item_inputs))[0][4]
    alone = tensors(model.encode_item(select(item_inputs, [4])))[0][0]
    assert (together - alone).abs().max() > 1e-4


@pytest.mark.parametrize(("name", "preset"), ALL)
def test_scores_follow_the_rows_and_columns(name, preset):
    model = tiny(name, preset).eval()
    text_inputs, item_inputs = inputs()
    text, item = model.encode_text(text_inputs), model.encode_item(item_inputs)
    rows, columns = torch.tensor([5, 0, 0, 3]), torch.tensor([2, 5, 1])
    for key, score in model.scores(text[rows], item[columns]).items():
        torch.testing.assert_close(score, model.scores(text, item)[key][rows][:, columns], atol=1e-6, rtol=1e-4)
    assert model.score(text[rows], item[columns]).shape == (4, 3)
    assert len(text) == len(item) == 6


@pytest.mark.parametrize(("name", "preset"), ALL)
def test_blocks_and_parts_give_the_whole(name, preset):
    model = tiny(name, preset).eval()
    text_inputs, item_inputs = inputs()
    text, item = model.encode_text(text_inputs), model.encode_item(item_inputs)
    whole = model.score(text, item).detach()
    torch.testing.assert_close(score_all(model, text, item, text_block=2, item_block=4), whole, atol=1e-6, rtol=1e-4)
    if not preset.endswith("released"):
        halves = [model.encode_text(select(text_inputs, part)) for part in ([0, 4], [1, 2, 3, 5])]
        joined = concat(halves)[torch.tensor([0, 2, 3, 4, 1, 5])]
        torch.testing.assert_close(model.score(joined, item).detach(), whole, atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize("name", NETWORKS)
def test_nothing_scores_nothing(name):
    model = tiny(name).eval()
    text_inputs, item_inputs = inputs()
    text, item = model.encode_text(text_inputs), model.encode_item(item_inputs)
    none = torch.empty(0, dtype=torch.int64)
    for texts, items in ((text[none], item), (text, item[none]), (text[none], item[none])):
        assert model.score(texts, items).shape == (len(texts), len(items))
        assert score_all(model, texts, items).shape == (len(texts), len(items))


@pytest.mark.parametrize("name", NETWORKS)
def test_no_texts_are_encoded_as_none(name):
    model = tiny(name).eval()
    text_inputs, item_inputs = inputs()
    text = model.encode_text(select(text_inputs, []))
    assert len(text) == 0
    assert model.score(text, model.encode_item(item_inputs)).shape == (0, 6)


@pytest.mark.parametrize("name", NETWORKS)
def test_factorising_networks_give_unit_vectors(name):
    model = tiny(name).eval()
    text_inputs, item_inputs = inputs()
    text, item = model.encode_text(text_inputs), model.encode_item(item_inputs)
    assert model.factorises == isinstance(text, torch.Tensor)
    if model.factorises:
        torch.testing.assert_close(text.norm(dim=1), torch.ones(6))
        torch.testing.assert_close(item.norm(dim=1), torch.ones(6))
        torch.testing.assert_close(model.score(text, item), text @ item.T)


@pytest.mark.parametrize("name", NETWORKS)
def test_configurations_are_frozen_and_start_with_a_default(name):
    assert "default" in presets(name)
    assert isinstance(presets(name)["default"], config_class(name))
    with pytest.raises(FrozenInstanceError):
        presets(name)["default"].dim = 3


def test_an_unknown_network_names_those_there_are():
    with pytest.raises(ValueError, match="no network is called 'clip'; there are projection"):
        config_class("clip")
    assert set(NETWORKS) <= set(MODELS)


@pytest.mark.parametrize("name", [n for n in NETWORKS if n not in ("projection", "vse_infinity")])
def test_a_missing_vocabulary_is_an_error(name):
    with pytest.raises(ValueError, match="vocabulary must be the number of words, at least 1, got 0"):
        tiny(name, vocabulary=0)


@pytest.mark.parametrize("name", NETWORKS)
def test_a_missing_stream_names_those_there_are(name):
    config = tiny(name).config
    for stream in config.text_streams:
        others = {key: shape for key, shape in TEXT_SHAPES.items() if key != stream}
        with pytest.raises(ValueError, match=rf"reads the text stream '{stream}'; there are \['b"):
            config.build(others, ITEM_SHAPES)
    with pytest.raises(ValueError, match=r"reads the item stream '.*'; there are \['grid'\]"):
        config.build(TEXT_SHAPES, {"grid": (4, 6)})


@pytest.mark.parametrize("name", NETWORKS)
def test_sizes_below_one_are_named(name):
    config = tiny(name).config
    may_be_zero = {"vocabulary", "hidden_layers", "blocks", "block", "keep", "unknown"}
    sizes = [f.name for f in fields(config) if f.type in ("int", int) and f.name not in may_be_zero]
    assert "dim" in sizes
    for size in sizes:
        for wrong in (0, -1):
            with pytest.raises(ValueError, match=rf"^{size} must be at least \d.*, got {wrong}"):
                replace(config, **{size: wrong}).build(TEXT_SHAPES, ITEM_SHAPES)


def test_score_all_refuses_empty_blocks():
    with pytest.raises(ValueError, match="got 0 and 4096"):
        score_all(tiny("projection"), torch.ones(1, 8), torch.ones(1, 8), text_block=0)
