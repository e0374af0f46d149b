import pytest
import torch
from tiny_networks import count, inputs, naive_bigru, randomise, rows_of, spoil, tiny

from matchcut.models.dual_encoding import PRESETS, DualEncodingConfig
from matchcut.models.inputs import Padded
from matchcut.models.multi_level import ConvolutionLevel, MultiLevel, TemporalAttention


def full(preset, **options):
    from dataclasses import replace

    config = replace(PRESETS[preset], frames="frames", vocabulary=100, **options)
    with torch.device("meta"):
        return config.build({"words": (), "bert": (768,), "bow": (1000,)}, {"frames": (2048,)})


def test_parameter_counts_are_the_published_ones():
    model = full("icmr2020_released")
    assert count(model.item.levels.gru) == 18_886_656
    assert count(model.item.levels.convolutions) == 14_682_112
    assert count(model.item_space.linear) == 12_584_960
    assert count(model.item_space.norm) == 4_096
    assert count(model.item) + count(model.item_space) == 46_157_824
    assert count(model.text.levels.gru) == 14_094_336
    assert count(model.text.levels.convolutions) == 9_438_720
    assert count(model.text.levels.attention) == 4_198_401
    assert count(model.text_space.linear) == (3584 + 1000) * 2048 + 2048
    assert count(full("exclusion_2021_att_bert").text.levels.gru) == 11_022_336
    assert count(full("cvpr2019").text.levels.gru) == 3_115_008
    assert count(full("exclusion_2021_atv").item.levels.attention) == 4_198_401


def test_the_mapped_widths_of_the_cvpr_preset():
    model = full("cvpr2019")
    assert (model.item.width, model.text.width) == (4096 + 2048, 2560 + 1000)
    assert model.item.levels.attention is None
    assert model.text.levels.attention is None


def naive_levels(levels: MultiLevel, rows):
    """Levels 2 and 3 of one sequence, from the formulas, in loops."""
    states = naive_bigru(levels.gru, rows)
    if levels.attention is not None:
        a = levels.attention
        scores = [a.weigh(torch.tanh(a.hidden(h))) for h in states]
        total = sum(s.exp() for s in scores)
        weights = {
            "softmax_time": [s.exp() / total for s in scores],
            "identity": [1.0 for _ in scores],
            "linear": scores,
            "sigmoid": [s.sigmoid() for s in scores],
        }[a.how]
        states = [w * h for w, h in zip(weights, states, strict=True)]
    pooled = sum(states) / (len(states) if levels.level2 == "mean" else 1)
    peaks = []
    for conv in levels.convolutions.convs:
        k = conv.weight.shape[2]
        responses = []
        for end in range(len(states) + k - 1):
            total = conv.bias.clone()
            for j in range(k):
                t = end - k + 1 + j
                if 0 <= t < len(states):
                    total = total + conv.weight[:, :, j] @ states[t]
            responses.append(total.relu())
        peaks.append(torch.stack(responses).amax(0))
    return torch.cat([pooled, *peaks])


@pytest.mark.parametrize("attention", ["none", "identity", "softmax_time", "linear", "sigmoid"])
@pytest.mark.parametrize("side", ["text", "item"])
def test_scores_equal_a_naive_loop(attention, side):
    model = randomise(tiny("dual_encoding", attention_in=side, attention=attention, level2="sum")).eval()
    text_inputs, item_inputs = inputs(4)
    texts, items = [], []
    for n in range(4):
        frames = [f / f.norm() for f in rows_of(item_inputs["efficientnet-lite0"], n)]
        levels = naive_levels(model.item.levels, frames[:5])
        items.append(
            model.item_space.norm(model.item_space.linear(torch.cat([levels, sum(frames) / len(frames)])[None]))[0]
        )
        ids, bert = rows_of(text_inputs["words"], n), rows_of(text_inputs["bert"], n)
        words = [torch.cat([model.text.embedding.table.weight[i], b]) for i, b in zip(ids, bert, strict=True)]
        levels = naive_levels(model.text.levels, words)
        bag = text_inputs["bow"].values[n, 0]
        texts.append(model.text_space.norm(model.text_space.linear(torch.cat([levels, bag])[None]))[0])
    naive = [[(t @ v / (t.norm() * v.norm())).item() for v in items] for t in texts]
    score = model.score(model.encode_text(text_inputs), model.encode_item(item_inputs))
    torch.testing.assert_close(score, torch.tensor(naive), atol=1e-5, rtol=1e-4)


def test_identity_attention_changes_nothing_and_gets_no_gradient():
    attention = TemporalAttention(4, "identity")
    states = Padded(torch.randn(2, 3, 4, requires_grad=True), torch.tensor([3, 2]))
    out = attention(states).values
    assert torch.equal(out, states.values)
    out.square().sum().backward()
    assert all(p.grad is None or not p.grad.any() for p in attention.parameters())


def test_softmax_attention_sums_to_one_over_the_valid_steps():
    ones = Padded(torch.ones(2, 4, 3) * torch.tensor([4, 2]).ge(1)[:, None, None], torch.tensor([4, 2]))
    out = TemporalAttention(3, "softmax_time")(ones).values
    torch.testing.assert_close(out.sum(1), torch.ones(2, 3))
    assert not out[1, 2:].any()


def test_convolution_maximum_ignores_padding_unless_legacy():
    torch.manual_seed(0)
    states = Padded(torch.zeros(1, 5, 2), torch.tensor([1]))
    states.values[0, 0] = torch.tensor([1.0, -1.0])
    clean, legacy = (ConvolutionLevel(2, kernels=(2,), filters=3, legacy_padding=flag) for flag in (False, True))
    legacy.load_state_dict(clean.state_dict())
    with torch.no_grad():
        for level in (clean, legacy):
            level.convs[0].weight.fill_(0)
            level.convs[0].weight[:, 0] = -9.0
            level.convs[0].bias.fill_(0.5)
    assert not clean(states).any()
    assert torch.equal(legacy(states), torch.full((1, 3), 0.5))


def test_level_1_reads_all_frames_and_the_others_only_the_first():
    model = tiny("dual_encoding").eval()
    frames = torch.randn(1, 7, 6)
    changed = frames.clone()
    changed[:, 6] *= -1
    a, b = (model.item(Padded(x, torch.tensor([7]))) for x in (frames, changed))
    width = model.item.levels.width
    assert torch.equal(a[:, :width], b[:, :width])
    assert not torch.allclose(a[:, width:], b[:, width:])


def test_words_and_tokens_must_be_aligned():
    model = tiny("dual_encoding")
    text_inputs, _ = inputs()
    text_inputs["bert"] = Padded(text_inputs["bert"].values, text_inputs["bert"].lengths.clamp(max=3))
    with pytest.raises(ValueError, match="must be aligned"):
        model.encode_text(text_inputs)


def test_pretrained_word_vectors_are_loaded():
    table = tiny("dual_encoding").text.embedding
    vectors, known = torch.full((12, 6), 7.0), torch.arange(12) > 3
    table.load(vectors, known)
    assert torch.equal(table.table.weight[4:], vectors[4:])
    assert table.table.weight[:4].abs().max() <= 1
    with pytest.raises(ValueError, match=r"must be \(12, 6\), got \(3, 6\)"):
        table.load(torch.zeros(3, 6), torch.ones(3, dtype=torch.bool))


def test_token_lengths_do_not_leak_into_legacy_text():
    model = tiny("dual_encoding", "icmr2020_released").eval()
    text_inputs, _ = inputs()
    states = model.text.levels.gru
    assert states.bidirectional
    torch.testing.assert_close(
        model.text.levels(model.text._sequence(text_inputs))[:, :8],
        model.text.levels(model.text._sequence(spoil(text_inputs)))[:, :8],
    )


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"words": "", "tokens": ""}, "words and tokens are both empty"),
        ({"attention_in": "both"}, "must be text or item, got 'both'"),
        ({"max_frames": 0}, "at least 1, got 0"),
        ({"dropout": 1.0}, "below 1, got 1.0"),
    ],
)
def test_wrong_options_are_named(options, message):
    with pytest.raises(ValueError, match=message):
        DualEncodingConfig(**options)


def test_wrong_layers_are_named():
    with pytest.raises(ValueError, match="got 'hard'"):
        TemporalAttention(4, "hard")
    with pytest.raises(ValueError, match="level2 must be mean or sum, got 'max'"):
        MultiLevel(3, hidden=2, kernels=(2,), filters=1, level2="max")
    with pytest.raises(ValueError, match=r"at least 1, got \(\)"):
        ConvolutionLevel(3, kernels=(), filters=1)
