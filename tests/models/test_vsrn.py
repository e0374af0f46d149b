from itertools import pairwise

import pytest
import torch
from tiny_networks import count, inputs, naive_gru, randomise, rows_of, spoil, tiny

from matchcut.models.base import Step
from matchcut.models.caption_decoder import CaptionDecoder
from matchcut.models.inputs import Padded
from matchcut.models.vsrn import PRESETS, VSRNConfig


def naive_regions(model, rows):
    """Regions after reasoning, from the formulas, in loops; each [dim]."""
    axis = 0 if model.config.norm_axis == "regions" else 1
    x = torch.stack([model.reasoning.linear(r) for r in rows])
    if model.config.norm_first:
        x = x / x.norm(dim=axis, keepdim=True)
    for block in model.reasoning.blocks:
        new = []
        for i in range(len(x)):
            y = sum((block.theta(x[i]) @ block.phi(x[j])) / len(x) * block.g(x[j]) for j in range(len(x)))
            new.append(x[i] + block.norm(block.out(y)[None])[0])
        x = torch.stack(new)
    return x / x.norm(dim=axis, keepdim=True)


@pytest.mark.parametrize("preset", ["flickr30k", "coco"])
@pytest.mark.parametrize("axis", ["regions", "features"])
def test_scores_equal_a_naive_loop(preset, axis):
    model = randomise(tiny("vsrn", preset, norm_axis=axis, item="efficientnet-lite0")).eval()
    text_inputs, item_inputs = inputs(3)
    items, texts = [], []
    for n in range(3):
        state = naive_gru(model.gru, list(naive_regions(model, rows_of(item_inputs["efficientnet-lite0"], n))))[-1]
        items.append(model.norm(state[None])[0] if model.norm is not None else state)
        words = [model.text.embedding.table.weight[i] for i in rows_of(text_inputs["words"], n)]
        texts.append(naive_gru(model.text.gru, words)[-1])
    naive = [[(t @ v / (t.norm() * v.norm())).item() for v in items] for t in texts]
    score = model.score(model.encode_text(text_inputs), model.encode_item(item_inputs))
    torch.testing.assert_close(score, torch.tensor(naive), atol=1e-5, rtol=1e-4)


def test_ragged_regions_do_not_see_padding():
    model = randomise(tiny("vsrn", item="efficientnet-lite0")).eval()
    _, item_inputs = inputs()
    torch.testing.assert_close(model.encode_item(spoil(item_inputs)), model.encode_item(item_inputs))


def test_blocks_start_as_the_identity():
    model = tiny("vsrn").eval()
    x = Padded(torch.randn(2, 4, 8), torch.tensor([4, 4]))
    for block in model.reasoning.blocks:
        assert torch.equal(block(x).values, x.values)


def naive_captions(model, regions, sentences):
    """Caption loss from the formulas: loops over captions and steps."""
    reader, decoder = model.reader, model.decoder
    total = 0.0
    for rows, words in zip(regions, sentences, strict=True):
        states = naive_gru(reader.gru, [reader.linear(r) for r in rows])
        h = states[-1]
        labels = [*words, 0]
        for now, following in pairwise(labels):
            scores = [decoder.weigh(torch.tanh(decoder.mix(torch.cat([s, h])))) for s in states]
            total_weight = sum(s.exp() for s in scores)
            context = sum(s.exp() / total_weight * state for s, state in zip(scores, states, strict=True))
            h = decoder.cell(torch.cat([decoder.table.weight[now], context])[None], h[None])[0]
            total = total - decoder.out(h).log_softmax(0)[following]
    return total / len(sentences)


def test_caption_loss_equals_a_naive_loop():
    model = randomise(tiny("vsrn", item="efficientnet-lite0")).eval()
    text_inputs, item_inputs = inputs(4)
    item, extra = model.train_item(item_inputs)
    pairs = torch.tensor([2, 0, 1, 1])
    step = Step(text_inputs, item_inputs, model.encode_text(text_inputs), item, pairs, {}, extra)
    sentences = [[int(i) for i in rows_of(text_inputs["words"], n)] for n in range(4)]
    regions = [naive_regions(model, rows_of(item_inputs["efficientnet-lite0"], int(n))) for n in pairs]
    loss = model.auxiliary(step)["captions"]
    torch.testing.assert_close(loss, naive_captions(model, regions, sentences))
    again = model.auxiliary(Step(text_inputs, item_inputs, None, item, pairs))["captions"]
    torch.testing.assert_close(again, loss)


def test_long_captions_are_cut_and_keep_their_end():
    decoder = CaptionDecoder(9, hidden=3, word_dim=2, longest=4)
    ids = Padded(torch.tensor([[1, 5, 6, 7, 8, 2], [1, 5, 2, 0, 0, 0]]), torch.tensor([6, 3]))
    labels, lengths = decoder._labels(ids)
    assert labels.tolist() == [[1, 5, 6, 2, 0], [1, 5, 2, 0, 0]]
    assert lengths.tolist() == [4, 3]
    states = Padded(torch.randn(2, 2, 3), torch.tensor([2, 2]))
    short = Padded(ids.values[:, [0, 1, 2, 5]], torch.tensor([4, 3]))
    short.values[1] = torch.tensor([1, 5, 2, 0])
    torch.manual_seed(0)
    long_loss = decoder.eval()(states, torch.zeros(2, 3), ids)
    torch.testing.assert_close(long_loss, decoder(states, torch.zeros(2, 3), short))


def test_parameter_counts_are_the_published_ones():
    with torch.device("meta"):
        model = VSRNConfig(item="regions", vocabulary=8481).build({"words": ()}, {"regions": (2048,)})
    assert count(model.reasoning) + count(model.gru) + count(model.norm) == 96_536_576
    assert count(model.text) == 16_982_700
    assert count(model.reader) == 2_625_024
    assert count(model.decoder) == 9_457_101
    assert count(model) == 125_601_401


def test_captions_can_be_left_out():
    model = tiny("vsrn", captions=False)
    assert model.auxiliary_names == ()
    assert model.auxiliary(Step({}, {}, None, None, torch.tensor([0]))) == {}
    assert PRESETS["coco"].norm_first
    assert not PRESETS["coco"].norm_last


def test_wrong_options_are_named():
    with pytest.raises(ValueError, match="must be regions or features, got 'rows'"):
        VSRNConfig(norm_axis="rows")
    with pytest.raises(ValueError, match="0 or more, got -1"):
        VSRNConfig(blocks=-1)
    with pytest.raises(ValueError, match="at least 2 words, got 1"):
        CaptionDecoder(9, longest=1)
