from dataclasses import replace

import pytest
import torch
from tiny_networks import count, inputs, naive_bigru, randomise, rows_of, spoil, tiny

from matchcut.models.gpo import GPO, position_codes
from matchcut.models.inputs import Padded
from matchcut.models.size_augmentation import change_words, drop_rows, keep_rows
from matchcut.models.vse_infinity import PRESETS, VSEInfinityConfig


def naive_gpo(gpo, rows):
    """One sequence of vectors, rank by rank."""
    codes = list(position_codes(len(rows), gpo.code))
    scores = [gpo.linear(h.unflatten(0, (2, -1)).mean(0)) / gpo.temperature for h in naive_bigru(gpo.gru, codes)]
    total = sum(s.exp() for s in scores)
    out = []
    for d in range(len(rows[0])):
        ranked = sorted((r[d].item() for r in rows), reverse=True)
        out.append(sum((s.exp() / total).item() * value for s, value in zip(scores, ranked, strict=True)))
    return torch.tensor(out)


@pytest.mark.parametrize("preset", ["region_bert", "region_bigru"])
def test_scores_equal_a_naive_loop(preset):
    model = randomise(tiny("vse_infinity", preset, item="efficientnet-lite0")).eval()
    text_inputs, item_inputs = inputs(3)
    items, texts = [], []
    for n in range(3):
        head, rows = model.item, rows_of(item_inputs["efficientnet-lite0"], n)
        rows = [head.linear(r) + head.second(head.norm(head.first(r)[None])[0].relu()) for r in rows]
        items.append(naive_gpo(model.item_pool, rows))
        if preset == "region_bert":
            words = [model.text(r) for r in rows_of(text_inputs["bert"], n)]
        else:
            vectors = [model.text.embedding.table.weight[i] for i in rows_of(text_inputs["words"], n)]
            words = [h.unflatten(0, (2, -1)).mean(0) for h in naive_bigru(model.text.gru, vectors)]
        texts.append(naive_gpo(model.text_pool, words))
    naive = [[(t @ v / (t.norm() * v.norm())).item() for v in items] for t in texts]
    score = model.score(model.encode_text(text_inputs), model.encode_item(item_inputs))
    torch.testing.assert_close(score, torch.tensor(naive), atol=1e-5, rtol=1e-4)


def test_parameter_counts_are_the_published_ones():
    shapes = {"bert": (768,), "words": ()}, {"regions": (2048,)}
    with torch.device("meta"):
        released = replace(PRESETS["region_bert_released"], item="regions").build(*shapes)
        corrected = replace(PRESETS["region_bert"], item="regions").build(*shapes)
    assert count(released.item_pool) == 12_704
    assert count(released.item) + count(released.item_pool) == 3_688_352
    assert count(released.text) + count(released.text_pool) == 800_160
    assert count(released) == 4_488_512
    assert count(corrected) == 4_488_512 - 2 * 1024


def test_padded_rows_enter_the_batch_norm_only_in_the_released_preset():
    for preset, same in (("region_bert", True), ("region_bert_released", False)):
        model = tiny("vse_infinity", preset, item="efficientnet-lite0", drop=0.0).train()
        _, item_inputs = inputs()
        a, b = model.encode_item(item_inputs), model.encode_item(spoil(item_inputs))
        assert torch.allclose(a, b, atol=1e-5) == same


def test_gpo_does_not_care_for_order():
    gpo, x = GPO(), torch.randn(1, 6, 3)
    length = torch.tensor([6])
    torch.testing.assert_close(gpo(Padded(x, length)), gpo(Padded(x[:, torch.randperm(6)], length)))


def test_gpo_weights_are_a_mean_of_the_valid_ranks():
    weights = GPO().weights(torch.tensor([4, 1, 4]), 5)
    torch.testing.assert_close(weights.sum(1), torch.ones(3))
    assert not weights[:, 4].any()
    assert torch.equal(weights[0], weights[2])


def test_position_codes_are_sine_and_cosine():
    codes = position_codes(3, 4)
    assert codes[0].tolist() == [0, 1, 0, 1]
    expected = [torch.tensor(x) for x in (2.0, 2.0, 0.02, 0.02)]
    naive = torch.stack([expected[0].sin(), expected[1].cos(), expected[2].sin(), expected[3].cos()])
    torch.testing.assert_close(codes[2], naive)


def test_dropping_rows_keeps_order_and_at_least_one():
    torch.manual_seed(0)
    x = Padded(torch.arange(1.0, 13).reshape(2, 6, 1), torch.tensor([6, 2]))
    shares = []
    for _ in range(200):
        out = drop_rows(x, 0.5)
        assert bool((out.lengths >= 1).all())
        assert bool((out.lengths <= x.lengths).all())
        row = out.values[0, : out.lengths[0], 0]
        assert row.tolist() == sorted(row.tolist())
        assert set(out.values[1, : out.lengths[1], 0].tolist()) <= {7.0, 8.0}
        shares.append(int(out.lengths[0]) / 6)
    assert sum(shares) / 200 == pytest.approx(0.5, abs=0.06)
    assert torch.equal(drop_rows(x, 0.0).values[0], x.values[0])


def test_changed_words_keep_their_ends():
    torch.manual_seed(0)
    ids = Padded(
        torch.tensor([[1, 5, 5, 5, 5, 5, 5, 2], [1, 5, 2, 0, 0, 0, 0, 0]]).repeat(100, 1),
        torch.tensor([8, 3]).repeat(100),
    )
    out = change_words(ids, 0.5, unknown=3, vocabulary=5)
    ends = out.values.gather(1, (out.lengths - 1)[:, None])
    assert out.values[:, 0].eq(1).all()
    assert ends.eq(2).all()
    inner = int((out.lengths - 2).sum())
    assert inner / 700 == pytest.approx(1 - 0.5 * 0.4, abs=0.05)
    assert int((out.values == 3).sum()) / 700 == pytest.approx(0.5 * 0.5, abs=0.06)


def test_augmentation_is_for_training_only():
    model = tiny("vse_infinity", "region_bigru", item="efficientnet-lite0", drop=0.5, change=0.9)
    text_inputs, item_inputs = inputs()
    model.train()
    assert not torch.allclose(model.encode_text(text_inputs), model.encode_text(text_inputs))
    model.eval()
    assert torch.equal(model.encode_item(item_inputs), model.encode_item(item_inputs))


def test_keeping_rows_of_any_shape():
    x = Padded(torch.arange(8).reshape(1, 4, 2), torch.tensor([4]))
    assert keep_rows(x, torch.tensor([[False, True, False, True]])).values.tolist() == [[[2, 3], [6, 7]]]


def test_wrong_options_are_named():
    with pytest.raises(ValueError, match="drop must be from 0 to below 1, got 1"):
        VSEInfinityConfig(drop=1)
    with pytest.raises(ValueError, match="at least 2, got 1"):
        VSEInfinityConfig(dim=1)
    with pytest.raises(ValueError, match="got 1"):
        drop_rows(Padded(torch.ones(1, 1, 1), torch.tensor([1])), 1.0)
    with pytest.raises(ValueError, match="got -1"):
        change_words(Padded(torch.ones(1, 1), torch.tensor([1])), -1, unknown=3, vocabulary=4)
    with pytest.raises(ValueError, match="even number of at least 2, got 3"):
        GPO(code=3)
    with pytest.raises(ValueError, match="above 0, got 0"):
        GPO(temperature=0)
