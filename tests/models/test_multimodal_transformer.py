from dataclasses import replace

import pytest
import torch
from clip_streams import awaken, losses_of_training, ragged, shapes
from torch.nn import functional as F

from matchcut.models.base import concat, score_all
from matchcut.models.convert import multimodal_transformer as convert_mmt
from matchcut.models.inputs import Padded
from matchcut.models.multimodal_transformer import (
    PRESETS,
    FlatMultimodalTransformer,
    MultimodalTransformer,
    MultimodalTransformerConfig,
    thin,
)

SMALL = {"dim": 8, "layers": 2, "heads": 2, "feed_forward": 16, "dropout": 0.0}
TEXT = {"t": ragged([1, 1, 1], 5, seed=1)}
ITEM = {"rgb": ragged([4, 2, 1, 3], 6, seed=2), "audio": Padded.of([torch.randn(n, 3) for n in (1, 0, 2, 2)])}


def tiny(**options: object) -> MultimodalTransformer | FlatMultimodalTransformer:
    torch.manual_seed(0)
    config = MultimodalTransformerConfig(text="t", experts=("audio", "rgb"), **{**SMALL, **options})
    model = config.build(shapes(TEXT), shapes(ITEM)).eval()
    awaken(model.video)
    return model


def scores_of(model, text: dict, item: dict) -> torch.Tensor:
    return model.score(model.encode_text(text), model.encode_item(item))


@torch.no_grad()
def test_scores_follow_the_formula() -> None:
    model = tiny()
    phi, w = model.text(TEXT)
    psi, _ = model.video(ITEM)
    expected = torch.zeros(3, 4)
    for t in range(3):
        for v in range(4):
            there = [k for k, name in enumerate(("audio", "rgb")) if ITEM[name].lengths[v] > 0]
            total = sum(w[t, k] for k in there)
            expected[t, v] = sum(w[t, k] / total * (phi[t, k] @ psi[v, k]) for k in there)
    torch.testing.assert_close(scores_of(model, TEXT, ITEM), expected)
    torch.testing.assert_close(w.sum(1), torch.ones(3))
    torch.testing.assert_close(psi.norm(dim=-1), torch.ones(4, 2))


@torch.no_grad()
def test_gated_units_follow_the_formula() -> None:
    model = tiny()
    unit, x = model.text.units[1], TEXT["t"].values[:, 0]
    unit.norm.running_mean.normal_()
    y = x @ unit.linear.weight.T + unit.linear.bias
    gate = y @ unit.gate.weight.T + unit.gate.bias
    gate = (gate - unit.norm.running_mean) / (unit.norm.running_var + 1e-5).sqrt()
    y = y / (1 + (-gate).exp())
    torch.testing.assert_close(model.text(TEXT)[0][:, 1], y / y.norm(dim=1, keepdim=True))


@torch.no_grad()
def reference_video(model, v: int, *, bert: dict | None = None) -> torch.Tensor:
    """One item alone, without padding, token by token: position, kind, features, then BERT layers by hand."""
    video = model.video
    tokens = [video.kind.weight[0] + video.position.weight[0]]
    places = []
    for k, name in enumerate(("audio", "rgb")):
        rows = ITEM[name].values[v, : ITEM[name].lengths[v]]
        linear = video.reduce[k]
        if len(rows) == 0:
            places.append(None)
            continue
        places.append(len(tokens))
        top = torch.tensor([max(row[d].item() for row in rows) for d in range(rows.shape[1])])
        tokens.append(F.normalize(linear(top), dim=0) + video.position.weight[0] + video.kind.weight[k + 1])
        for r, row in enumerate(rows):
            tokens.append(F.normalize(linear(row), dim=0) + video.position.weight[r + 1] + video.kind.weight[k + 1])
    x = video.norm(torch.stack(tokens))
    for layer in video.layers:
        attention = layer.attention
        q, key, value = (x @ attention.in_proj_weight.T + attention.in_proj_bias).chunk(3, 1)
        heads = []
        for h in range(2):
            part = slice(4 * h, 4 * h + 4)
            weights = (q[:, part] @ key[:, part].T / 2.0).softmax(1)
            heads.append(weights @ value[:, part])
        x = layer.norm_1(x + attention.out_proj(torch.cat(heads, 1)))
        x = layer.norm_2(x + layer.narrow(F.gelu(layer.widen(x))))
    return torch.stack([torch.full((8,), torch.nan) if p is None else F.normalize(x[p], dim=0) for p in places])


@torch.no_grad()
def test_video_side_is_that_of_each_item_alone() -> None:
    model = tiny()
    psi, there = model.video(ITEM)
    for v in range(4):
        expected = reference_video(model, v)
        for k in range(2):
            if there[v, k]:
                torch.testing.assert_close(psi[v, k], expected[k], atol=1e-5, rtol=1e-4)
    assert there.tolist() == [[1, 1], [0, 1], [1, 1], [1, 1]]


@pytest.mark.parametrize("options", [{}, {"missing": "keep"}, {"missing": "keep", "normalise": "tokens"}])
@torch.no_grad()
def test_neither_padding_nor_neighbours_matter(options: dict) -> None:
    model = tiny(**options)
    whole = scores_of(model, TEXT, ITEM)
    padded = {
        name: Padded(torch.cat([x.values, torch.full((4, 3, x.values.shape[2]), 9.0)], 1), x.lengths)
        for name, x in ITEM.items()
    }
    torch.testing.assert_close(scores_of(model, TEXT, padded), whole, atol=1e-5, rtol=1e-4)
    halves = [torch.tensor([0, 3]), torch.tensor([2, 1])]
    items = concat([model.encode_item({k: x.select(h) for k, x in ITEM.items()}) for h in halves])
    blocks = score_all(model, model.encode_text(TEXT), items, text_block=2, item_block=3)
    torch.testing.assert_close(blocks, whole[:, [0, 3, 2, 1]], atol=1e-5, rtol=1e-4)


@torch.no_grad()
def test_keep_and_renormalise_agree_where_nothing_is_missing() -> None:
    model, flat = tiny(), tiny(missing="keep")
    flat.load_state_dict(model.state_dict())
    assert flat.factorises
    assert not model.factorises
    have_all = torch.tensor([0, 2, 3])
    item = {name: x.select(have_all) for name, x in ITEM.items()}
    torch.testing.assert_close(scores_of(model, TEXT, item), scores_of(flat, TEXT, item))
    assert not torch.allclose(scores_of(model, TEXT, ITEM), scores_of(flat, TEXT, ITEM), atol=1e-3)


@torch.no_grad()
def test_an_item_without_any_expert_scores_zero() -> None:
    nothing = {
        "rgb": Padded(torch.zeros(1, 1, 6), torch.tensor([0])),
        "audio": Padded(torch.zeros(1, 1, 3), torch.tensor([0])),
    }
    scores = scores_of(tiny(), TEXT, nothing)
    assert scores.tolist() == [[0.0], [0.0], [0.0]]


@torch.no_grad()
def test_normalising_over_tokens_counts_the_release_padding() -> None:
    model = tiny(missing="keep", normalise="tokens", max_tokens=4)
    x = ITEM["rgb"]
    linear = model.video.reduce[1]
    released = F.normalize(linear(x.values * x.mask[..., None]), dim=1)  # all four padded to 4 rows, the axis is time
    torch.testing.assert_close(model.video._scale(linear, x)[x.mask], released[x.mask])


@torch.no_grad()
def test_times_and_order_matter() -> None:
    model = tiny(times=("audio-times", "rgb-times"))
    times = {
        f"{name}-times": Padded(torch.arange(x.mask.shape[1]) * x.mask.float(), x.lengths) for name, x in ITEM.items()
    }
    early = model.encode_item({**ITEM, **times}).vectors
    late = model.encode_item({**ITEM, **{k: Padded(x.values + 5, x.lengths) for k, x in times.items()}}).vectors
    assert not torch.allclose(early, late, atol=1e-4)
    beyond = {k: Padded(x.values + 500, x.lengths) for k, x in times.items()}
    far = {k: Padded(x.values + 900, x.lengths) for k, x in times.items()}
    torch.testing.assert_close(
        model.encode_item({**ITEM, **beyond}).vectors, model.encode_item({**ITEM, **far}).vectors
    )
    turned = {**ITEM, "rgb": Padded(ITEM["rgb"].values[:1].flip(1).repeat(4, 1, 1), torch.full((4,), 4))}
    straight = {**ITEM, "rgb": Padded(ITEM["rgb"].values[:1].repeat(4, 1, 1), torch.full((4,), 4))}
    ordered = tiny()
    assert not torch.allclose(ordered.encode_item(turned).vectors, ordered.encode_item(straight).vectors, atol=1e-4)


def test_long_sequences_are_thinned_evenly() -> None:
    x = Padded.of([torch.arange(9.0)[:, None], torch.arange(3.0)[:, None], torch.zeros(0, 1)])
    thinned = thin(x, 3)
    assert thinned.values.squeeze(-1).tolist() == [[0, 3, 6], [0, 1, 2], [0, 0, 0]]
    assert thinned.lengths.tolist() == [3, 3, 0]


@pytest.mark.parametrize("preset", PRESETS)
def test_training_reduces_the_loss(preset: str) -> None:
    torch.manual_seed(0)
    config = replace(PRESETS[preset], **SMALL)
    text = {config.text: ragged([1] * 4, 5, seed=1)}
    item = {name: ragged([3, 1, 2, 2], 4, seed=i) for i, name in enumerate(config.experts)}
    model = config.build(shapes(text), shapes(item))
    before, after = losses_of_training(model, text, item)
    assert after < before / 2
    assert all(p.grad is not None for p in model.parameters())


def released_layout(model: MultimodalTransformer) -> dict[str, torch.Tensor]:
    """The parameters under the names of the released code, with rows for experts that are not used."""
    new = model.state_dict()
    types = torch.full((19, 8), torch.nan)
    types[[0, 4, 5]] = new["video.kind.weight"]  # start, audio, rgb
    old = {
        "vid_bert.embeddings.position_embeddings.weight": new["video.position.weight"],
        "vid_bert.embeddings.token_type_embeddings.weight": types,
        "vid_bert.pooler.dense.weight": torch.zeros(8, 8),
        "txt_bert.embeddings.word_embeddings.weight": torch.zeros(5, 8),
    }
    for kind in ("weight", "bias"):
        old[f"vid_bert.embeddings.layer_norm.{kind}"] = new[f"video.norm.{kind}"]
        for k, expert in enumerate(("audio", "rgb")):
            old[f"video_dim_reduce.{expert}.fc.{kind}"] = new[f"video.reduce.{k}.{kind}"]
            old[f"text_gu.{expert}.fc.{kind}"] = new[f"text.units.{k}.linear.{kind}"]
            old[f"text_gu.{expert}.cg.fc.{kind}"] = new[f"text.units.{k}.gate.{kind}"]
            old[f"moe_fc_txt.{expert}.{kind}"] = new[f"text.weigh.{kind}"][k : k + 1]
        for n in (0, 1):
            layer = f"vid_bert.encoder.layer.{n}."
            parts = new[f"video.layers.{n}.attention.in_proj_{kind}"].chunk(3)
            for name, part in zip(("query", "key", "value"), parts, strict=True):
                old[f"{layer}attention.self.{name}.{kind}"] = part
            for name, mine in (
                ("attention.output.dense", "attention.out_proj"),
                ("attention.output.layer_norm", "norm_1"),
                ("intermediate.dense", "widen"),
                ("output.dense", "narrow"),
                ("output.layer_norm", "norm_2"),
            ):
                old[f"{layer}{name}.{kind}"] = new[f"video.layers.{n}.{mine}.{kind}"]
    for k, expert in enumerate(("audio", "rgb")):
        for part in ("weight", "bias", "running_mean", "running_var", "num_batches_tracked"):
            old[f"text_gu.{expert}.cg.batch_norm.{part}"] = new[f"text.units.{k}.norm.{part}"]
    return old


def test_released_parameters_load() -> None:
    model, fresh = tiny(), tiny()
    torch.nn.init.normal_(model.video.kind.weight)
    fresh.load_state_dict(convert_mmt.convert(released_layout(model)))
    torch.testing.assert_close(scores_of(fresh, TEXT, ITEM), scores_of(model, TEXT, ITEM))


@pytest.mark.parametrize("key", ["vid_bert.embeddings.word.weight", "f_reason_1.weight", "text_gu.face.fc.weight"])
def test_unknown_parameters_are_refused(key: str) -> None:
    with pytest.raises(ValueError, match=key):
        convert_mmt.convert({key: torch.zeros(1)})


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"experts": ()}, "none"),
        ({"times": ("a", "b")}, "got 2 for 1"),
        ({"heads": 3}, "dim = 512"),
        ({"positions": 30}, "max_tokens = 30"),
        ({"missing": "drop"}, "'drop'"),
        ({"normalise": "rows"}, "'rows'"),
        ({"dropout": 1.0}, "1.0"),
        ({"layers": 0}, "layers"),
    ],
)
def test_wrong_options_are_named(options: dict, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        MultimodalTransformerConfig(**options)
