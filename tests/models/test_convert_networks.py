"""State dictionaries built to the documented layouts of the reference codes load and land where they belong."""

from dataclasses import replace

import pytest
import torch
from tiny_networks import ITEM_SHAPES, SIZES, TEXT_SHAPES, tiny
from torch import nn

from matchcut.models import MODELS, presets
from matchcut.models.convert import CONVERTERS, dual_encoding, hybrid_space, sgraf, vse_infinity, vsepp, vsrn
from matchcut.models.convert.rename import rename
from matchcut.models.inputs import Padded


class Layout(nn.Module):
    """Modules by the names that the reference code gives them; dots make them nested."""

    def __init__(self, **modules):
        super().__init__()
        for name, module in modules.items():
            self.add_module(name, module)


def nested(**modules):
    return Layout(**modules)


def mfc(inputs, outputs):
    return nested(fc1=nn.Linear(inputs, outputs), bn_1=nn.BatchNorm1d(outputs))


def convs(width, kernels):
    return nn.ModuleList(nn.Conv2d(1, 3, (k, width), padding=(k - 1, 0)) for k in kernels)


def video_levels(width):
    return {"rnn": nn.GRU(width, 5, batch_first=True, bidirectional=True), "convs1": convs(10, (2, 3, 4, 5))}


def text_levels(width):
    return {"rnn": nn.GRU(width, 4, batch_first=True, bidirectional=True), "convs1": convs(8, (2, 3, 4))}


def test_dual_encoding():
    torch.manual_seed(0)
    attention = nested(fc1=nn.Linear(8, 8), fc2=nn.Linear(8, 1))
    video = Layout(**video_levels(6), visual_mapping=mfc(10 + 12 + 6, 8))
    text = Layout(
        embed_w2v=nn.Embedding(12, 6),
        embed_bert=nested(bert_model=nn.Linear(2, 2)),
        **text_levels(13),
        atten=attention,
        text_mapping=mfc(8 + 9 + 9, 8),
    )
    model = tiny("dual_encoding", "icmr2020_released").eval()
    model.load_state_dict(dual_encoding.convert([video.state_dict(), text.state_dict()]))

    assert torch.equal(model.text.levels.attention.hidden.weight, attention.fc1.weight)
    assert torch.equal(model.item_space.norm.running_var, video.visual_mapping.bn_1.running_var)
    x = torch.randn(2, 7, 10)
    for own, reference in zip(model.item.levels.convolutions.convs, video.convs1, strict=True):
        torch.testing.assert_close(own(x.transpose(1, 2)), reference(x[:, None]).squeeze(3))


def test_dual_encoding_without_attention():
    video = Layout(**video_levels(6), visual_mapping=mfc(28, 8))
    text = Layout(embed=nn.Embedding(12, 6), **text_levels(6), text_mapping=mfc(26, 8))
    model = tiny("dual_encoding", "cvpr2019_released")
    model.load_state_dict(dual_encoding.convert([video.state_dict(), text.state_dict()]))
    assert torch.equal(model.text.embedding.table.weight, text.embed.weight)


def test_hybrid_space():
    video = Layout(**video_levels(6))
    text = Layout(embed=nn.Embedding(12, 6), **text_levels(6))
    mappings = [
        Layout(mapping=mfc(width, 8), tag_fc=nn.Linear(width, 5), tag_fc_batch_norm=nn.BatchNorm1d(5))
        for width in (28, 26)
    ]
    model = tiny("hybrid_space")
    model.load_state_dict(hybrid_space.convert([m.state_dict() for m in (video, text, *mappings)]))
    assert torch.equal(model.item_spaces.concepts[0].weight, mappings[0].tag_fc.weight)
    assert torch.equal(model.text_spaces.latent.linear.bias, mappings[1].mapping.fc1.bias)


def word_gru():
    return Layout(embed=nn.Embedding(12, 6), rnn=nn.GRU(6, 8, batch_first=True))


def test_vsepp_from_several_devices():
    image, text = nn.DataParallel(Layout(fc=nn.Linear(24, 8))), word_gru()
    model = tiny("vsepp", "lseh")
    model.load_state_dict(vsepp.convert([image.state_dict(), text.state_dict()]))
    assert torch.equal(model.item.weight, image.module.fc.weight)
    assert torch.equal(model.text.gru.weight_hh_l0, text.rnn.weight_hh_l0)


@pytest.mark.parametrize("preset", ["flickr30k", "coco"])
def test_vsrn(preset):
    def convolution():
        return nn.Conv1d(8, 8, 1)

    blocks = {
        f"Rs_GCN_{n}": nested(
            g=convolution(), W=nn.Sequential(convolution(), nn.BatchNorm1d(8)), theta=convolution(), phi=convolution()
        )
        for n in range(1, 5)
    }
    norm = {"bn": nn.BatchNorm1d(8)} if preset == "flickr30k" else {}
    image, text = Layout(fc=nn.Linear(6, 8), img_rnn=nn.GRU(8, 8, batch_first=True), **blocks, **norm), word_gru()
    model = tiny("vsrn", preset, captions=False)
    model.load_state_dict(vsrn.convert([image.state_dict(), text.state_dict()]))
    x = torch.randn(2, 4, 8)
    own, reference = model.reasoning.blocks[2], image.Rs_GCN_3
    torch.testing.assert_close(own.phi(x), reference.phi(x.transpose(1, 2)).transpose(1, 2))
    assert torch.equal(own.out.bias, reference.W[0].bias)


@pytest.mark.parametrize("preset", ["sgr", "saf"])
def test_sgraf(preset):
    def attention(*norms):
        sizes = iter(norms)

        def branch():
            return nn.Sequential(nn.Linear(8, 8), *([nn.BatchNorm1d(next(sizes))] if norms else []), nn.Tanh())

        return nested(
            embedding_local=branch(), embedding_global=branch(), embedding_common=nn.Sequential(nn.Linear(8, 1))
        )

    def step():
        return nested(graph_query_w=nn.Linear(6, 6), graph_key_w=nn.Linear(6, 6), sim_graph_w=nn.Linear(6, 6))

    image = Layout(fc=nn.Linear(6, 8))
    text = Layout(embed=nn.Embedding(12, 6), cap_rnn=nn.GRU(6, 8, batch_first=True, bidirectional=True))
    reasoning = (
        {"SGR_module": nn.ModuleList(step() for _ in range(3))}
        if preset == "sgr"
        else {"SAF_module": nested(attn_sim_w=nn.Linear(6, 1), bn=nn.BatchNorm1d(1))}
    )
    similarity = Layout(
        v_global_w=attention(4, 8),
        t_global_w=attention(),
        sim_tranloc_w=nn.Linear(8, 6),
        sim_tranglo_w=nn.Linear(8, 6),
        sim_eval_w=nn.Linear(6, 1),
        **reasoning,
    )
    model = tiny("sgraf", preset)
    model.load_state_dict(sgraf.convert([m.state_dict() for m in (image, text, similarity)]))
    assert torch.equal(model.item_whole.mean.weight, similarity.v_global_w.embedding_global[0].weight)
    assert torch.equal(model.local.weight, similarity.sim_tranloc_w.weight)
    if preset == "sgr":
        assert torch.equal(model.reasoning.steps[1].key.weight, similarity.SGR_module[1].graph_key_w.weight)


def test_vse_infinity():
    def gpool():
        return nested(gru=nn.GRU(32, 32, batch_first=True, bidirectional=True), linear=nn.Linear(32, 1, bias=False))

    mlp = nested(
        layers=nn.ModuleList([nn.Linear(6, 4), nn.Linear(4, 8)]),
        bns=nn.ModuleList([nn.BatchNorm1d(4), nn.BatchNorm1d(8)]),
    )
    image = Layout(fc=nn.Linear(6, 8), mlp=mlp, gpool=gpool())
    text = Layout(bert=nn.Linear(2, 2), linear=nn.Linear(7, 8), gpool=gpool())
    states = [image.state_dict(), text.state_dict()]
    model = tiny("vse_infinity", "region_bert")
    model.load_state_dict(vse_infinity.convert(states))
    assert torch.equal(model.item.second.weight, mlp.layers[1].weight)
    assert torch.equal(model.text_pool.gru.bias_hh_l0_reverse, text.gpool.gru.bias_hh_l0_reverse)
    released = replace(presets("vse_infinity")["region_bert_released"], dim=SIZES["dim"])
    released.build(TEXT_SHAPES, ITEM_SHAPES).load_state_dict(vse_infinity.convert(states, unused_norm=True))


def test_vse_infinity_with_a_bigru():
    def gpool():
        return nested(gru=nn.GRU(32, 32, batch_first=True, bidirectional=True), linear=nn.Linear(32, 1, bias=False))

    mlp = nested(
        layers=nn.ModuleList([nn.Linear(6, 4), nn.Linear(4, 8)]),
        bns=nn.ModuleList([nn.BatchNorm1d(4), nn.BatchNorm1d(8)]),
    )
    image = nn.DataParallel(Layout(fc=nn.Linear(6, 8), mlp=mlp, gpool=gpool()))
    rnn = nn.GRU(6, 8, batch_first=True, bidirectional=True)
    text = nn.DataParallel(Layout(embed=nn.Embedding(12, 6), rnn=rnn, gpool=gpool()))
    model = tiny("vse_infinity", "region_bigru").eval()
    model.load_state_dict(vse_infinity.convert([image.state_dict(), text.state_dict()]))

    ids = torch.tensor([[1, 5, 7, 2]])
    forward, backward = rnn(text.module.embed(ids))[0].chunk(2, dim=2)
    words = Padded(ids, torch.tensor([4]))
    torch.testing.assert_close(model.text(words).values, (forward + backward) / 2)
    assert torch.equal(model.text_pool.linear.weight, text.module.gpool.linear.weight)


def test_every_converter_is_of_a_network():
    assert set(CONVERTERS) <= set(MODELS)
    assert set(MODELS) - set(CONVERTERS) == {"projection"}


def test_what_does_not_belong_is_named():
    with pytest.raises(ValueError, match=r"'cnn\.0\.weight' is no parameter of the layout, whose keys begin with fc\."):
        vsepp.convert([{"cnn.0.weight": torch.ones(1)}, {}])
    with pytest.raises(ValueError, match="has 3 parts, image encoder, text encoder, similarity encoder; got 2"):
        sgraf.convert([{}, {}])
    with pytest.raises(ValueError, match="has 2 parts, image encoder, text encoder; got one state dictionary"):
        vsepp.convert({"fc.weight": torch.ones(1), "fc.bias": torch.ones(1)})
    for single in ("clip_video", "dmae", "multimodal_transformer"):
        with pytest.raises(ValueError, match="the layout is one state dictionary; got a list of 2"):
            CONVERTERS[single]([{}, {}])
    assert rename({"bert.x": torch.ones(1)}, {}, leave_out=("bert.",)) == {}
