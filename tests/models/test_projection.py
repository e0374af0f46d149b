from dataclasses import replace

import pytest
import torch
from tiny_networks import ITEM_SHAPES, TEXT_SHAPES, inputs, rows_of, tiny

from matchcut.models.inputs import Padded
from matchcut.models.pooling import AttentionPool, Pool, flatten_grid, masked_max, masked_mean
from matchcut.models.projection import PRESETS, ProjectionConfig


def naive_side(side, streams, n, pooling):
    """One sequence, from the formulas."""
    pooled = []
    for name, pool in zip(side.names, side.pools, strict=True):
        rows = [r / r.norm() * len(r) ** 0.5 for r in rows_of(flatten_grid(streams[name]), n)]
        if pooling == "attention" and len(rows) > 1:
            heads = pool.learned.weigh.out_features
            weights = torch.stack([pool.learned.weigh(r) for r in rows]).softmax(0)
            width = len(rows[0])
            vector = torch.stack(
                [sum(weights[i, d * heads // width] * r[d] for i, r in enumerate(rows)) for d in range(width)]
            )
        elif pooling == "max":
            vector = torch.stack(rows).amax(0)
        else:
            vector = sum(rows) / len(rows)
        pooled.append(vector)
    x = torch.cat(pooled)
    z = side.linear(x)
    if side.branch is not None:
        z = z + side.branch(x)
    return z / z.norm()


@pytest.mark.parametrize("pooling", ["mean", "max", "attention"])
def test_scores_equal_a_naive_loop(pooling):
    torch.manual_seed(0)
    model = tiny(
        "projection",
        text=("minilm", "minilm-tokens"),
        item=("efficientnet-lite0", "efficientnet-lite0-grid"),
        pooling=pooling,
        text_pooling=pooling,
    ).eval()
    for parameter in model.parameters():
        torch.nn.init.normal_(parameter)
    text_inputs, item_inputs = inputs(3)
    texts = [naive_side(model.text, text_inputs, n, pooling) for n in range(3)]
    items = [naive_side(model.item, item_inputs, n, pooling) for n in range(3)]
    naive = torch.stack(texts) @ torch.stack(items).T
    score = model.score(model.encode_text(text_inputs), model.encode_item(item_inputs))
    torch.testing.assert_close(score, naive, atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize("norm", ["none", "layer", "batch"])
@pytest.mark.parametrize("input_norm", ["none", "l2", "layer"])
@pytest.mark.parametrize("hidden_layers", [0, 1, 2])
def test_every_option_gives_unit_vectors(norm, input_norm, hidden_layers):
    model = tiny("projection", norm=norm, input_norm=input_norm, hidden_layers=hidden_layers, pooling="gpo").eval()
    text_inputs, item_inputs = inputs()
    torch.testing.assert_close(model.encode_item(item_inputs).norm(dim=1), torch.ones(6))
    torch.testing.assert_close(model.encode_text(text_inputs).norm(dim=1), torch.ones(6))


def test_the_branch_starts_at_zero():
    model = tiny("projection").eval()
    text_inputs, _ = inputs()
    x = text_inputs["minilm"].values[:, 0]
    straight = model.text.linear(x / x.norm(dim=1, keepdim=True) * 7**0.5)
    torch.testing.assert_close(model.encode_text(text_inputs), straight / straight.norm(dim=1, keepdim=True))


def test_hand_computed_pooling():
    x = Padded(torch.tensor([[[1.0, 4.0], [3.0, 2.0], [9.0, 9.0]]]), torch.tensor([2]))
    assert masked_mean(x).tolist() == [[2, 3]]
    assert masked_max(x).tolist() == [[3, 4]]
    pool = AttentionPool(2, heads=2)
    assert pool(x).tolist() == [[2, 3]]
    with torch.no_grad():
        pool.weigh.weight[0] = torch.tensor([torch.log(torch.tensor(3.0)) / 2, 0])
    torch.testing.assert_close(pool(x), torch.tensor([[0.25 * 1 + 0.75 * 3, 3.0]]))


@pytest.mark.parametrize("how", ["mean", "max", "attention", "gpo"])
def test_pooling_ignores_order_and_padding(how):
    pool, x = Pool(4, how, heads=2), torch.randn(1, 5, 4)
    expected = pool(Padded(x, torch.tensor([5])))
    torch.testing.assert_close(pool(Padded(x[:, torch.tensor([3, 0, 4, 1, 2])], torch.tensor([5]))), expected)
    padded = torch.cat([x, torch.full((1, 2, 4), 7.0)], 1)
    torch.testing.assert_close(pool(Padded(padded, torch.tensor([5]))), expected)


def test_a_grid_is_one_sequence_of_cells():
    x = Padded(torch.arange(24.0).reshape(1, 2, 4, 3), torch.tensor([1]))
    flat = flatten_grid(x)
    assert flat.values.shape == (1, 8, 3)
    assert flat.lengths.tolist() == [4]


def test_presets_build():
    for config in PRESETS.values():
        replace(config, heads=2, dim=8, hidden=8).build(TEXT_SHAPES, ITEM_SHAPES)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"dim": 0}, "dim must be at least 1, got 0"),
        ({"dropout": 1.0}, "dropout must be from 0 to below 1, got 1.0"),
        ({"hidden_layers": -1}, "0 or more, got -1"),
        ({"text": ()}, r"at least one stream, got text=\(\)"),
    ],
)
def test_wrong_options_are_named(options, message):
    with pytest.raises(ValueError, match=message):
        ProjectionConfig(**options)


def test_wrong_parts_are_named():
    for options, message in (
        ({"pooling": "sum"}, "got 'sum'"),
        ({"norm": "group"}, "got 'group'"),
        ({"input_norm": "batch"}, "got 'batch'"),
        ({"heads": 9}, "from 1 to the number of features, 7, got 9"),
    ):
        with pytest.raises(ValueError, match=message):
            tiny("projection", **options)
