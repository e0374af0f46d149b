import math
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from clip_streams import (
    FRAME,
    awaken,
    item_streams,
    longer,
    losses_of_training,
    openai_layout,
    ragged,
    shapes,
    text_streams,
)
from torch import nn

from matchcut.errors import MatchcutError
from matchcut.losses.partial_order import PartialOrder
from matchcut.models.base import Step, concat, score_all
from matchcut.models.clip_towers import TowersConfig
from matchcut.models.convert import dmae as convert_dmae
from matchcut.models.dmae import DMAE, PRESETS, DMAEConfig
from matchcut.models.inputs import Padded
from matchcut.models.partners import PartnersConfig, partial_order
from matchcut.negatives import Evidence, PairTable
from matchcut.training.convert import convert, open_weights, save_weights


def angles(*sequences: list[float]) -> Padded:
    """Unit vectors in the plane, given in degrees."""
    rows = [torch.tensor([[math.cos(math.radians(a)), math.sin(math.radians(a))] for a in s]) for s in sequences]
    return Padded.of(rows)


# Section 10.1 of the method's specification, measured with the released functions.
TEXT = {
    "minilm": angles([10], [80]),
    "minilm-tokens": angles([0, 30, 60], [90, 45]),
    "salience": Padded(torch.tensor([[1.0, 2, 1], [1, 2, 0]]), torch.tensor([3, 2])),
}
ITEM = {"efficientnet-lite0": angles([5, 25, 50], [70, 100])}
GOLDEN = [
    ({"interaction": "ti", "visual_attention": 0.0}, [0.952792, 0.375000, 0.716083, 0.973529]),
    ({"interaction": "ti"}, [1.179710, 0.375000, 0.846042, 1.176978]),
    ({"visual_attention": 0.0, "salience": "salience"}, [0.972833, 0.585039, 0.813072, 0.960446]),
    ({"salience": "salience"}, [1.189334, 0.619583, 0.964982, 1.137473]),
    ({}, [1.187959, 0.614480, 0.945629, 1.147349]),
]


@pytest.mark.parametrize("padded", [False, True])
@pytest.mark.parametrize("zero", [False, True])
@pytest.mark.parametrize(("options", "expected"), GOLDEN)
def test_golden_scores(options: dict, expected: list[float], zero: bool, padded: bool) -> None:
    model = DMAEConfig(dim=0, padding_scores_zero=zero, **options).build(shapes(TEXT), shapes(ITEM))
    text, item = (longer(TEXT), longer(ITEM)) if padded else (TEXT, ITEM)
    scores = model.score(model.encode_text(text), model.encode_item(item))
    torch.testing.assert_close(scores.flatten(), torch.tensor(expected), atol=2e-6, rtol=0)


def test_one_frame_makes_visual_attention_vanish() -> None:
    item = {"efficientnet-lite0": angles([5], [70])}
    scores = []
    for attention in (0.0, 0.5):
        model = DMAEConfig(dim=0, visual_attention=attention).build(shapes(TEXT), shapes(item))
        scores.append(model.score(model.encode_text(TEXT), model.encode_item(item)))
    torch.testing.assert_close(*scores)


def tiny(preset: str, **options: object) -> DMAE:
    torch.manual_seed(0)
    config = replace(PRESETS[preset], dim=8, layers=2, heads=2, **options)
    model = config.build(shapes(text_streams()), shapes(item_streams())).eval()
    awaken(model.trunk.temporal)
    nn.init.normal_(model.trunk.text_projection.bias)
    nn.init.normal_(model.trunk.frame_projection.bias)
    return model


@pytest.mark.parametrize("preset", PRESETS)
@torch.no_grad()
def test_scores_do_not_depend_on_padding_or_neighbours(preset: str) -> None:
    model, text, item = tiny(preset), text_streams(), item_streams()
    whole = model.score(model.encode_text(text), model.encode_item(item))
    more = model.score(model.encode_text(longer(text)), model.encode_item(longer(item)))
    torch.testing.assert_close(more, whole, atol=1e-5, rtol=1e-4)
    halves = [torch.tensor([0, 1]), torch.tensor([2, 3])]
    texts = concat([model.encode_text({k: x.select(h) for k, x in text.items()}) for h in halves])
    items = concat([model.encode_item({k: x.select(h) for k, x in item.items()}) for h in halves])
    torch.testing.assert_close(score_all(model, texts, items, text_block=3, item_block=1), whole, atol=1e-5, rtol=1e-4)


@torch.no_grad()
def test_learned_weights_follow_the_formula() -> None:
    model, text, item = tiny("att_wti", salience="minilm-tokens-salience"), text_streams(), item_streams()
    encoded = model.encode_text(text)
    for t, n in enumerate(text["minilm-tokens"].lengths.tolist()):
        words = encoded.words.values[t, :n]
        alpha = model.word_weights.score(words).flatten().softmax(0)
        expected = text["minilm-tokens-salience"].values[t, :n] * alpha
        torch.testing.assert_close(encoded.weights.values[t, :n], expected)
    frames = model.encode_item(item)
    torch.testing.assert_close(frames.weights.values.sum(1), torch.ones(4))


def test_salience_of_other_tokens_is_refused() -> None:
    model, text = tiny("textual_attention"), text_streams()
    salience = text["minilm-tokens-salience"]
    with pytest.raises(ValueError, match="the first caption has 6 tokens and 3 numbers in 'minilm-tokens-salience'"):
        model.encode_text(text | {"minilm-tokens-salience": Padded(salience.values, salience.lengths.flip(0))})


@pytest.mark.parametrize("preset", PRESETS)
def test_training_reduces_the_loss_and_moves_every_trained_parameter(preset: str) -> None:
    model = tiny(preset)
    before, after = losses_of_training(model, text_streams(), item_streams())
    assert after < before * 0.8
    still = [name for name, p in model.named_parameters() if p.requires_grad and p.grad is None]
    assert still == []


def training_step(model: DMAE, pairs: list[int]) -> Step:
    text, item = text_streams(len(pairs)), item_streams()
    items, tokens = model.train_item(item)
    return Step(text, item, model.encode_text(text), items, torch.tensor(pairs), item_extra=tokens)


def test_partners_equal_the_formula_pair_by_pair() -> None:
    model = tiny("default")
    step = training_step(model, [2, 0, 2])
    found = model.partners(step)
    for b, v in enumerate([2, 0, 2]):
        n, k = int(step.text.words.lengths[b]), int(step.item.frames.lengths[v])
        x, sentence = step.text.words.values[b, :n], step.text.sentence[b]
        tokens, frames = step.item_extra.values[v, :k], step.item.frames.values[v, :k]
        w = model.word_importance(Padded(tokens[None], torch.tensor([k])), Padded(x[None], torch.tensor([n])))[0, :n]
        u = model.visual_importance(
            Padded(sentence[None, None], torch.tensor([1])), Padded(tokens[None], torch.tensor([k]))
        )[0, :k]

        def removed(weights: torch.Tensor) -> set[int]:
            gone, total = set(), 0.0
            for i in sorted(range(len(weights)), key=lambda i: -weights[i].item()):
                total += weights[i].item()
                if total >= 0.6:
                    break
                gone.add(i)
            return gone

        def ti(text: torch.Tensor, video: torch.Tensor) -> torch.Tensor:
            s = [text @ frame for frame in video]
            return (max(s) + sum(s) / len(s)) / 2

        t_g = sum(w[i] * x[i] for i in range(n))
        t_g = t_g / t_g.norm()
        rest = sum((w[i] * x[i] for i in range(n) if i not in removed(w)), torch.zeros(8))
        kept = torch.stack([tokens[i] * (i not in removed(u)) for i in range(k)])
        masked = model._along_time(Padded(kept[None], torch.tensor([k]))).values[0]
        expected = {
            "sentence_video": (ti(sentence, frames), ti(sentence, masked)),
            "words_video": (ti(t_g, frames), ti(t_g, masked)),
            "words_text": (ti(t_g, frames), ti(rest, frames)),
        }
        for name, (whole, partner) in expected.items():
            torch.testing.assert_close(found[name][0][b], whole, atol=1e-5, rtol=1e-4)
            torch.testing.assert_close(found[name][1][b], partner, atol=1e-5, rtol=1e-4)
    loss = model.auxiliary(step)["partial_order"]
    torch.testing.assert_close(loss, partial_order(found, 0.6))


@torch.no_grad()
def test_released_partners_count_the_padding_of_all_slots() -> None:
    """What is masked: of all 32 words and 48 visual tokens, padding among them, those that hold 60 % of the weight."""
    model = tiny("released")
    nn.init.normal_(model.word_importance.out.weight, std=3.0)
    nn.init.normal_(model.visual_importance.out.weight, std=3.0)
    step = training_step(model, [0, 1, 3])
    found = model.partners(step)
    for b, v in enumerate([0, 1, 3]):
        n, k = int(step.text.words.lengths[b]), int(step.item.frames.lengths[v])
        x, frames = step.text.words.values[b, :n], step.item_extra.values[v, :k]

        def kept(layer: nn.Module, condition: torch.Tensor, own: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
            slots = torch.zeros(layer.sizes[1], 8)
            slots[: len(own)] = own
            seen = torch.zeros(layer.sizes[0], 8)
            seen[: len(condition)] = condition
            h = layer.norm(torch.cat([layer.mix.weight @ seen, slots], 1))
            a = layer.out(nn.functional.gelu(layer.hidden(h))).flatten().sigmoid()
            weights = a / a.sum()
            order = weights.argsort(descending=True)
            gone = order[weights[order].cumsum(0) < 0.6]
            return weights[: len(own)], torch.tensor([i not in gone for i in range(len(own))]).float()

        def ti(text: torch.Tensor, video: torch.Tensor) -> torch.Tensor:
            s = video @ text
            return (s.max().clamp(min=0) + s.mean()) / 2

        w, words = kept(model.word_importance, frames, x)
        _, visual = kept(model.visual_importance, step.text.sentence[b : b + 1], frames)
        summary = nn.functional.normalize(w @ x, dim=0)
        masked = frames * visual[:, None]
        torch.testing.assert_close(found["words_text"][0][b], ti(summary, frames))
        torch.testing.assert_close(found["words_text"][1][b], ti((w * words) @ x, frames))
        torch.testing.assert_close(found["words_video"][1][b], ti(summary, masked))
        torch.testing.assert_close(found["sentence_video"][1][b], ti(step.text.sentence[b], masked))


@pytest.mark.parametrize(
    ("terms", "names"),
    [("visual", {"sentence_video", "words_video"}), ("textual", {"words_text"})],
)
def test_terms_choose_the_partners(terms: str, names: set[str]) -> None:
    model = tiny("default", partners=PartnersConfig(terms=terms))
    assert model.partners(training_step(model, [0, 1])).keys() == names


def test_partners_of_a_long_caption_are_those_of_its_first_words() -> None:
    model = tiny("default", partners=PartnersConfig(max_words=3))
    step = training_step(model, [0, 1])
    assert step.text.words.lengths.tolist() == [6, 5]
    cut = replace(step.text, words=Padded(step.text.words.values[:, :3], torch.tensor([3, 3])))
    found, expected = model.partners(step), model.partners(replace(step, text=cut))
    for name in expected:
        torch.testing.assert_close(found[name], expected[name])


def test_partial_order_reaches_both_encoders() -> None:
    model = tiny("default")
    model.auxiliary(training_step(model, [0, 1, 2, 3]))["partial_order"].backward()
    for layer in (model.trunk.text_projection, model.trunk.frame_projection, model.word_importance.out):
        assert layer.weight.grad.abs().sum() > 0


def test_tokens_of_the_step_are_computed_again_where_they_are_missing() -> None:
    model = tiny("default")
    step = training_step(model, [0, 3])
    again = model.partners(replace(step, item_extra=None))
    for name, scores in model.partners(step).items():
        torch.testing.assert_close(again[name], scores)


def test_partners_are_an_option() -> None:
    model = tiny("base")
    step = training_step(model, [0])
    assert model.auxiliary(step) == {}
    with pytest.raises(ValueError, match="built without partners"):
        model.partners(step)


@torch.no_grad()
def test_several_tokens_a_frame_are_all_maskable_and_the_first_is_scored() -> None:
    frames = {"efficientnet-lite0": ragged([3, 2], 4, FRAME)}
    config = replace(PRESETS["default"], dim=8, layers=1, heads=2)
    model = config.build(shapes(text_streams()), shapes(frames))
    item, tokens = model.train_item(frames)
    assert tokens.values.shape == (2, 12, 8)
    assert item.frames.values.shape == (2, 3, 8)
    assert tokens.lengths.tolist() == [12, 8]
    still = replace(PRESETS["default"], dim=8, temporal="mean").build(shapes(text_streams()), shapes(frames))
    item, tokens = still.train_item(frames)
    torch.testing.assert_close(item.frames.values, tokens.values[:, ::4])


@torch.no_grad()
def test_frames_have_unit_length_after_the_transformer_unless_as_released() -> None:
    for unit_after in (True, False):
        frames = tiny("default", unit_after_transformer=unit_after).encode_item(item_streams()).frames
        lengths = frames.values.norm(dim=-1)[frames.mask]
        assert torch.allclose(lengths, torch.ones(len(lengths)), atol=1e-5) == unit_after


def test_auxiliary_is_the_partial_order_loss_on_the_partners() -> None:
    model = tiny("default")
    step = training_step(model, [1, 3, 0])
    table = PairTable.from_ids(text_items=step.pairs, items=torch.arange(4))
    loss = PartialOrder(margin=0.6)(torch.zeros(3, 4), table, Evidence(partners=model.partners(step)))
    torch.testing.assert_close(model.auxiliary(step)["partial_order"], loss)


RELEASED = {
    "word_importance.": "v2t_linear_xwp.",
    "visual_importance.": "t2v_linear_xwp.",
    "mix.": "qk_proj.",
    ".norm.": ".attn_proj.0.",
    "hidden.": "attn_proj.1.",
    "out.": "attn_proj.3.",
}


def released_predictors(state: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """The weight predictors by the names of the released module, with what it holds and never uses."""
    out = {"tis_selector.thresh": torch.tensor([0.6]), "v2t_linear_xwp.q_proj.weight": torch.zeros(8, 8)}
    for key, value in state.items():
        if "importance" in key:
            for new, released in RELEASED.items():
                key = key.replace(new, released)
            out[key] = value
    return out


def test_released_modules_load() -> None:
    model = tiny("default", interaction="att_wti", partners=PartnersConfig(max_words=7, max_visual=5))
    old = released_predictors(model.state_dict())
    converted = convert_dmae.convert(old | {"frame_position_embeddings.weight": torch.zeros(77, 8)})
    expected = {key for key in model.state_dict() if "importance" in key} | {"trunk.temporal.positions.weight"}
    assert converted.keys() == expected
    with pytest.raises(ValueError, match=r"attn_proj\.9"):
        convert_dmae.convert({"v2t_linear_xwp.attn_proj.9.weight": torch.zeros(1)})


BLOCK = {
    "attention.": "attn.", "norm_1.": "ln_1.", "norm_2.": "ln_2.", "widen.": "mlp.c_fc.", "narrow.": "mlp.c_proj."
}  # fmt: skip


@pytest.mark.parametrize("modules", [True, False])
@torch.no_grad()
def test_a_whole_network_in_the_layout_of_clip4clip_loads(tmp_path: Path, modules: bool) -> None:
    """Kept by DataParallel, CLIP in 16 bits; with DMAE's own modules, or the plain checkpoint of CLIP4Clip."""
    from transformers import CLIPConfig

    side = {"hidden_size": 16, "intermediate_size": 64, "num_hidden_layers": 2, "num_attention_heads": 2}
    text = side | {"vocab_size": 20, "max_position_embeddings": 9, "bos_token_id": 18, "eos_token_id": 19}
    vision = side | {"image_size": 8, "patch_size": 4}
    CLIPConfig(text_config=text, vision_config=vision, projection_dim=16).save_pretrained(tmp_path)
    path = TowersConfig(path=str(tmp_path), start="random")
    options = {"dim": 0, "heads": 2, "layers": 2, "positions": 12, "towers": path}
    partners = PartnersConfig(max_words=7, max_visual=5) if modules else None
    config = replace(PRESETS["att_wti" if modules else "default"], **options, partners=partners)
    inputs = {"clip-token-ids": Padded.of([torch.tensor([18, 3, 4, 19]), torch.tensor([18, 7, 19])])}
    frames = {"clip-pixels": ragged([3, 1], 3, 8, 8)}
    torch.manual_seed(0)
    model = config.build(shapes(inputs), shapes(frames)).eval()
    awaken(model.trunk.temporal)
    state = model.state_dict()
    for key, value in state.items():
        if "towers.clip" in key:
            value.copy_(value.half())
    prefix = "trunk.towers.clip."
    clip = openai_layout({key.removeprefix(prefix): x for key, x in state.items() if key.startswith(prefix)})
    old = {f"clip.{key}": value.half() for key, value in clip.items()} | {
        "frame_position_embeddings.weight": state["trunk.temporal.positions.weight"]
    }
    for key, value in state.items():
        if key.startswith("trunk.temporal.blocks."):
            for new, released in BLOCK.items():
                key = key.replace(new, released)
            old[key.replace("trunk.temporal.blocks.", "transformerClip.resblocks.")] = value
    if modules:
        old |= released_predictors(state)
        for side, name in (("word", "text"), ("frame", "video")):
            for kind in ("weight", "bias"):
                old[f"{name}_weight_fc.{kind}"] = state[f"{side}_weights.score.0.{kind}"]
    torch.save({f"module.{key}": value for key, value in old.items()}, tmp_path / "pytorch_model.bin.4")

    preset = "att_wti" if modules else "default"
    taken = convert(
        tmp_path / "pytorch_model.bin.4", "dmae", preset=preset, options=[f"towers.path={tmp_path}", "heads=2"]
    )
    assert taken.sized.config == config
    save_weights(tmp_path / "dmae.safetensors", taken)
    opened = open_weights(tmp_path / "dmae.safetensors")
    expected = model.score(model.encode_text(inputs), model.encode_item(frames))
    torch.testing.assert_close(opened.score(opened.encode_text(inputs), opened.encode_item(frames)), expected)
    with pytest.raises(MatchcutError, match=r"dmae: say which CLIP it was made from"):
        convert(tmp_path / "pytorch_model.bin.4", "dmae")


def test_wrong_options_are_named() -> None:
    with pytest.raises(ValueError, match="'dp'"):
        DMAEConfig(interaction="dp")
    with pytest.raises(ValueError, match="'salience'"):
        DMAEConfig(salience="salience").build(shapes(text_streams()), shapes(item_streams()))
