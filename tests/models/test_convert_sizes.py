"""Sizes read from parameters make the network that the parameters are of."""

from dataclasses import replace

import pytest
import torch
from tiny_networks import ALL, ITEM_SHAPES, TEXT_SHAPES, tiny

from matchcut.models import config_class, presets
from matchcut.models.clip_towers import TowersConfig
from matchcut.models.convert.sizes import read_sizes

READ = [(name, preset) for name, preset in ALL if name != "projection"]


def shapes(state):
    return {key: tuple(value.shape) for key, value in state.items()}


@pytest.mark.parametrize(("name", "preset"), READ)
def test_a_network_is_built_again_from_its_parameters(name, preset):
    options = {"captions": False} if name == "vsrn" else {}
    model = tiny(name, preset, **options)
    state = model.state_dict()
    config = replace(presets(name)[preset], **({"regions": 4} if name == "vsepp" else {}))
    sized = read_sizes(name, config, state)
    with torch.device("meta"):
        built = sized.config.build(sized.text_shapes, sized.item_shapes)
    assert shapes(built.state_dict()) == shapes(state)
    for stream, shape in sized.text_shapes.items():
        assert shape == TEXT_SHAPES[stream]
    for stream, shape in sized.item_shapes.items():
        assert shape[-1] == ITEM_SHAPES[stream][-1]


@pytest.mark.parametrize("batch_norm", [True, False])
def test_experts(batch_norm):
    config = config_class("multimodal_transformer")(experts=("a", "b"), times=("t", ""), batch_norm=batch_norm)
    small = replace(config, dim=8, layers=2, heads=2, feed_forward=12, positions=40)
    state = small.build({"minilm": (5,)}, {"a": (6,), "b": (7,), "t": ()}).state_dict()
    sized = read_sizes("multimodal_transformer", replace(config, heads=2), state)
    assert sized.config == small
    assert sized.text_shapes == {"minilm": (5,)}
    assert sized.item_shapes == {"a": (6,), "b": (7,), "t": ()}


def test_clip(tmp_path):
    from transformers import CLIPConfig

    side = {"hidden_size": 16, "intermediate_size": 64, "num_hidden_layers": 2, "num_attention_heads": 2}
    text = side | {"vocab_size": 60, "eos_token_id": 59, "bos_token_id": 58}
    CLIPConfig(
        text_config=text, vision_config=side | {"image_size": 32, "patch_size": 8}, projection_dim=16
    ).save_pretrained(tmp_path)
    config = replace(presets("clip_video")["wti"], towers=TowersConfig(path=str(tmp_path)))
    small = replace(config, dim=0, layers=2, heads=2, positions=9, towers=replace(config.towers, start="random"))
    state = small.build({"clip-token-ids": ()}, {"clip-pixels": (3, 32, 32)}).state_dict()
    sized = read_sizes("clip_video", replace(config, heads=2), state)
    assert sized.config == small
    assert sized.item_shapes == {"clip-pixels": (3, 32, 32)}


def test_another_network_is_refused():
    with pytest.raises(ValueError, match=r"no parameter 'reasoning\.linear\.weight' of a network 'vsrn'"):
        read_sizes("vsrn", presets("vsrn")["default"], {"item.weight": torch.zeros(2, 2)})
    for weight in (torch.zeros(2), torch.zeros(())):
        with pytest.raises(ValueError, match="fewer dimensions than that of a network 'vsrn'"):
            read_sizes("vsrn", presets("vsrn")["default"], {"reasoning.linear.weight": weight})
    with pytest.raises(ValueError, match="an item has 12 numbers, no 36 equal regions"):
        read_sizes("vsepp", presets("vsepp")["lseh"], {"item.weight": torch.zeros(8, 12)})
