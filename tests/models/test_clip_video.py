from dataclasses import replace
from pathlib import Path
from shutil import copytree

import pytest
import torch
from clip_streams import (
    FRAME,
    TEXT,
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

from matchcut.models.base import concat, score_all
from matchcut.models.clip_towers import ClipTowers, TowersConfig
from matchcut.models.clip_video import PRESETS, ClipVideo, ClipVideoConfig, TokenClipVideo
from matchcut.models.convert import clip_video, openai_clip
from matchcut.models.inputs import Padded
from matchcut.models.temporal_transformer import TemporalTransformer


def tiny(preset: str, **options: object) -> ClipVideo | TokenClipVideo:
    torch.manual_seed(0)
    config = replace(PRESETS[preset], dim=8, layers=2, heads=2, **options)
    model = config.build(shapes(text_streams()), shapes(item_streams())).eval()
    awaken(model.trunk.temporal)
    nn.init.normal_(model.trunk.text_projection.bias)
    nn.init.normal_(model.trunk.frame_projection.bias)
    return model


def reference(model: ClipVideo | TokenClipVideo, text: dict, item: dict) -> torch.Tensor:
    """Scores one pair at a time, each sequence alone and without padding."""
    out = torch.zeros(len(text["minilm"]), len(item["efficientnet-lite0"]))
    for t in range(out.shape[0]):
        for v in range(out.shape[1]):
            one_text = {name: x.select(torch.tensor([t])) for name, x in text.items()}
            one_item = {name: x.select(torch.tensor([v])) for name, x in item.items()}
            f = model.trunk.along_time(model.trunk.frames(one_item)).values[0]
            g = f / f.norm(dim=1, keepdim=True)
            if isinstance(model, ClipVideo):
                x = model.trunk.sentence(one_text)[0]
                mean = sum(g) / len(g)
                out[t, v] = (x @ mean) / (x.norm() * mean.norm())
                continue
            x = model.trunk.words(one_text).values[0]
            y = x / x.norm(dim=1, keepdim=True)
            a, b = torch.full((len(x),), 1 / len(x)), torch.full((len(f),), 1 / len(f))
            if model.word_weights is not None and model.frame_weights is not None:
                a = model.word_weights.score(x).flatten().softmax(0)
                b = model.frame_weights.score(f).flatten().softmax(0)
            by_word = sum(a[i] * max(y[i] @ g[k] for k in range(len(g))) for i in range(len(y)))
            by_frame = sum(b[k] * max(y[i] @ g[k] for i in range(len(y))) for k in range(len(g)))
            out[t, v] = (by_word + by_frame) / 2
    return out


@pytest.mark.parametrize("preset", ["mean", "transformer", "ti", "wti"])
@torch.no_grad()
def test_scores_are_those_of_each_pair_alone(preset: str) -> None:
    model, text, item = tiny(preset), text_streams(), item_streams()
    expected = reference(model, text, item)
    for texts, items in ((text, item), (longer(text), longer(item))):
        scores = model.score(model.encode_text(texts), model.encode_item(items))
        torch.testing.assert_close(scores, expected, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("preset", PRESETS)
@torch.no_grad()
def test_embeddings_of_batches_can_be_put_together_and_scored_in_blocks(preset: str) -> None:
    model, text, item = tiny(preset), text_streams(), item_streams()
    whole = model.score(model.encode_text(text), model.encode_item(item))
    halves = [torch.tensor([0, 1]), torch.tensor([2, 3])]
    texts = concat([model.encode_text({k: x.select(h) for k, x in text.items()}) for h in halves])
    items = concat([model.encode_item({k: x.select(h) for k, x in item.items()}) for h in halves])
    torch.testing.assert_close(score_all(model, texts, items, text_block=3, item_block=1), whole, atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize("preset", PRESETS)
def test_training_reduces_the_loss(preset: str) -> None:
    before, after = losses_of_training(tiny(preset), text_streams(), item_streams())
    assert after < before / 2


@torch.no_grad()
def test_order_of_frames_matters_to_the_transformer_alone() -> None:
    item = {"efficientnet-lite0": ragged([4, 4], FRAME)}
    turned = {"efficientnet-lite0": Padded(item["efficientnet-lite0"].values.flip(1), torch.tensor([4, 4]))}
    mean, transformer = tiny("mean"), tiny("transformer")
    torch.testing.assert_close(mean.encode_item(item), mean.encode_item(turned))
    assert not torch.allclose(transformer.encode_item(item), transformer.encode_item(turned), atol=1e-3)


def test_what_factorises_says_so() -> None:
    assert tiny("transformer").factorises
    assert not tiny("ti").factorises


@torch.no_grad()
def test_the_first_token_of_a_frame_or_all_of_them() -> None:
    frames = ragged([3, 2], 5, FRAME)
    for which, count in (("first", 3), ("all", 15)):
        config = replace(PRESETS["ti"], dim=8, heads=2, frame_tokens=which)
        model = config.build({"minilm-tokens": (TEXT,)}, {"efficientnet-lite0": (5, FRAME)})
        assert model.encode_item({"efficientnet-lite0": frames}).tokens.values.shape == (2, count, 8)


def test_features_of_one_space_need_no_projection() -> None:
    model = ClipVideoConfig(dim=0).build({"minilm": (6,)}, {"efficientnet-lite0": (6,)})
    assert sum(p.numel() for p in model.parameters()) == 0
    with pytest.raises(ValueError, match="texts have 6, frames 7"):
        ClipVideoConfig(dim=0).build({"minilm": (6,)}, {"efficientnet-lite0": (7,)})


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"interaction": "dot"}, "'dot'"),
        ({"temporal": "lstm"}, "'lstm'"),
        ({"dim": -1}, "-1"),
        ({"layers": 0}, "layers"),
        ({"frame_tokens": "last"}, "'last'"),
    ],
)
def test_wrong_options_are_named(options: dict, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        ClipVideoConfig(**options)


def test_too_many_frames_and_missing_streams_are_named() -> None:
    with pytest.raises(ValueError, match="up to 4 tokens, but there are positions for 3"):
        tiny("transformer", positions=3).encode_item(item_streams())
    with pytest.raises(ValueError, match="'minilm'"):
        ClipVideoConfig().build({}, {"efficientnet-lite0": (4,)})


class ReferenceBlock(nn.Module):
    """A block with the parameter names of CLIP's release, as CLIP4Clip's temporal transformer has them."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.attn = nn.MultiheadAttention(width, heads)
        self.ln_1 = nn.LayerNorm(width, eps=1e-12)
        self.mlp = nn.ModuleDict({"c_fc": nn.Linear(width, 4 * width), "c_proj": nn.Linear(4 * width, width)})
        self.ln_2 = nn.LayerNorm(width, eps=1e-12)

    def forward(self, x: torch.Tensor, hidden_tokens: torch.Tensor) -> torch.Tensor:
        bias = (hidden_tokens * -1e6).repeat_interleave(self.attn.num_heads, 0)[:, None, :].expand(-1, len(x), -1)
        y = self.ln_1(x)
        x = x + self.attn(y, y, y, need_weights=False, attn_mask=bias)[0]
        y = self.mlp["c_fc"](self.ln_2(x))
        return x + self.mlp["c_proj"](y * torch.sigmoid(1.702 * y))


@torch.no_grad()
def test_temporal_transformer_equals_the_reference_layout_once_converted() -> None:
    torch.manual_seed(0)
    blocks = nn.ModuleList(ReferenceBlock(8, 2) for _ in range(2))
    positions = torch.randn(77, 8)
    state = {f"module.transformerClip.resblocks.{k}": v for k, v in blocks.state_dict().items()}
    state["module.frame_position_embeddings.weight"] = positions
    encoder = TemporalTransformer(8, layers=2, heads=2)
    prefix = "trunk.temporal."
    encoder.load_state_dict({k.removeprefix(prefix): v for k, v in clip_video.convert(state).items()})
    x = ragged([3, 5], 8)
    y = (x.values + positions[:5]).transpose(0, 1)
    for block in blocks:
        y = block(y, (~x.mask).float())
    expected = x.values + y.transpose(0, 1)
    torch.testing.assert_close(encoder(x).values[x.mask], expected[x.mask], atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("depth", [1, 2])
def test_drl_weights_load(depth: int) -> None:
    model = tiny("wti", weight_depth=depth)
    old = {}
    for key, value in model.state_dict().items():
        if "_weights" in key:
            name = key.replace("word_weights.score.", "text_weight_fc.").replace(
                "frame_weights.score", "video_weight_fc"
            )
            old[name.replace("fc.0.", "fc.") if depth == 1 else name] = value
    converted = clip_video.convert(old)
    assert converted.keys() == {key for key in model.state_dict() if "_weights" in key}


def test_unknown_parameters_are_refused() -> None:
    for key in ("cross.pooler.dense.weight", "transformerClip.resblocks.0.ln_3.weight", "clip.visual.layer1.0.bn"):
        with pytest.raises(ValueError, match=key.removeprefix("clip.").split(".")[0]):
            clip_video.convert({key: torch.zeros(1)})


@pytest.fixture(scope="module")
def clip_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    from transformers import CLIPConfig, CLIPModel

    torch.manual_seed(0)
    layers = {"hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 64}
    text = {**layers, "vocab_size": 20, "max_position_embeddings": 9, "bos_token_id": 18, "eos_token_id": 19}
    vision = {**layers, "image_size": 8, "patch_size": 4}
    folder = tmp_path_factory.mktemp("clip")
    CLIPModel(CLIPConfig(text_config=text, vision_config=vision, projection_dim=16)).save_pretrained(folder)
    return folder


def clip_streams() -> tuple[dict[str, Padded], dict[str, Padded]]:
    tokens = Padded.of([torch.tensor([18.0, 3, 4, 5, 19]), torch.tensor([18.0, 7, 19])])
    return {"clip-token-ids": tokens}, {"clip-pixels": ragged([3, 1], 3, 8, 8)}


@pytest.mark.parametrize("interaction", ["pooled", "wti"])
def test_towers_read_frames_and_tokens_and_learn(clip_folder: Path, interaction: str) -> None:
    torch.manual_seed(0)
    towers = TowersConfig(path=str(clip_folder))
    config = ClipVideoConfig(towers=towers, dim=0, temporal="transformer", heads=2, interaction=interaction)
    text, item = clip_streams()
    model = config.build(shapes(text), shapes(item)).eval()
    alone = model.encode_item({"clip-pixels": item["clip-pixels"].select(torch.tensor([1]))})
    both = model.encode_item(item)
    one = torch.tensor([1])
    values = both[one] if isinstance(both, torch.Tensor) else both[one].tokens.values
    torch.testing.assert_close(values, alone if isinstance(alone, torch.Tensor) else alone.tokens.values)
    before, after = losses_of_training(model, text, item)
    assert after < before / 2
    towers_move = [p for name, p in model.named_parameters() if "towers" in name and p.grad is not None]
    assert len(towers_move) > 20


def test_towers_are_those_of_a_whole_clip_in_32_bits(clip_folder: Path, tmp_path: Path) -> None:
    from safetensors.torch import load_file, save_file
    from transformers import BertConfig, CLIPModel

    whole = ClipTowers(TowersConfig(path=str(clip_folder)))
    CLIPModel.from_pretrained(clip_folder).half().save_pretrained(tmp_path / "half")
    half = ClipTowers(TowersConfig(path=str(tmp_path / "half")))
    assert {p.dtype for p in half.parameters()} == {torch.float32}
    torch.testing.assert_close(dict(half.named_parameters()), dict(whole.named_parameters()), atol=1e-3, rtol=1e-3)

    copytree(clip_folder, tmp_path / "part")
    weights = load_file(tmp_path / "part" / "model.safetensors")
    del weights["text_projection.weight"]
    save_file(weights, tmp_path / "part" / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(ValueError, match=r"part: the checkpoint lacks 1 weights, such as text_projection\.weight$"):
        ClipTowers(TowersConfig(path=str(tmp_path / "part")))
    BertConfig().save_pretrained(tmp_path / "bert")
    (tmp_path / "empty").mkdir()
    for start in ("pretrained", "random"):
        with pytest.raises(ValueError, match="bert: a bert checkpoint; CLIP's towers need one of CLIP"):
            ClipTowers(TowersConfig(path=str(tmp_path / "bert"), start=start))
        with pytest.raises(ValueError, match="empty: no checkpoint; CLIP's"):
            ClipTowers(TowersConfig(path=str(tmp_path / "empty"), start=start))


@torch.no_grad()
def test_sentence_is_the_end_of_text_token_and_matches_transformers(clip_folder: Path) -> None:
    from transformers import CLIPModel

    config = ClipVideoConfig(towers=TowersConfig(path=str(clip_folder)), dim=0)
    text, item = clip_streams()
    model = config.build(shapes(text), shapes(item)).eval()
    clip = CLIPModel.from_pretrained(clip_folder).eval()
    short = text["clip-token-ids"].values[1:, :3].long()
    expected = clip.text_projection(clip.text_model(input_ids=short).pooler_output)
    torch.testing.assert_close(model.trunk.sentence(text)[1:], expected, atol=1e-5, rtol=1e-4)
    assert not model.trunk.towers.clip.logit_scale.requires_grad


def test_towers_keep_some_patches_of_each_frame(clip_folder: Path) -> None:
    towers = TowersConfig(path=str(clip_folder), patches=3)
    config = ClipVideoConfig(towers=towers, dim=0, temporal="transformer", heads=2, interaction="ti")
    text, item = clip_streams()
    torch.manual_seed(0)
    model = config.build(shapes(text), shapes(item)).eval()
    tokens = model.trunk.frames(item)
    assert tokens.values.shape == (2, 12, 16)
    assert tokens.lengths.tolist() == [12, 4]
    plain = replace(config, towers=replace(towers, patches=0)).build(shapes(text), shapes(item)).eval()
    torch.testing.assert_close(tokens.values[:, ::4], plain.trunk.frames(item).values)
    assert model.encode_item(item).tokens.values.shape == (2, 3, 16)
    losses_of_training(model, text, item)
    assert model.trunk.towers.selection.score[0].weight.grad.abs().sum() > 0


@torch.no_grad()
def test_token_shift_moves_what_the_last_two_blocks_attend_to(clip_folder: Path) -> None:
    from transformers import CLIPConfig

    config = CLIPConfig.from_pretrained(clip_folder)
    config.vision_config.image_size = 12  # 9 patches and the class token
    folder = clip_folder / "larger"
    config.save_pretrained(folder)
    text, _ = clip_streams()
    item = {"clip-pixels": ragged([3, 1], 3, 12, 12)}
    options = ClipVideoConfig(towers=TowersConfig(path=str(folder), start="random", shift=True), dim=0)
    torch.manual_seed(0)
    model = options.build(shapes(text), shapes(item)).eval()
    for parameter in model.parameters():
        nn.init.normal_(parameter, std=0.3)
    found = model.trunk.frames(item)

    vision = model.trunk.towers.clip.vision_model
    pixels = torch.cat([item["clip-pixels"].values[v, :n] for v, n in enumerate((3, 1))])
    x = vision.pre_layrnorm(vision.embeddings(pixels))
    for block in vision.encoder.layers:
        y = block.layer_norm1(x)
        shifted = y.clone()
        for f, (before, after) in enumerate([(0, 1), (0, 2), (1, 2), (3, 3)]):
            for k in range(1, 10):
                shifted[f, k] = y[before, k]  # 10 tokens: every one comes from the frame before,
            for k in range(4, 10):
                shifted[f, k] = y[after, k]  # and from the fifth on from the frame after
        x = x + block.self_attn(shifted)[0]
        x = x + block.mlp(block.layer_norm2(x))
    expected = model.trunk.towers.clip.visual_projection(vision.post_layernorm(x[:, 0]))
    torch.testing.assert_close(found.values[found.mask], expected)

    alone = model.trunk.frames({"clip-pixels": item["clip-pixels"].select(torch.tensor([1]))})
    torch.testing.assert_close(alone.values[0, 0], found.values[1, 0])
    plain = replace(options, towers=replace(options.towers, shift=False)).build(shapes(text), shapes(item)).eval()
    plain.load_state_dict(model.state_dict())
    still = plain.trunk.frames(item)
    torch.testing.assert_close(still.values[1, 0], found.values[1, 0])  # a single frame has no neighbours
    assert (still.values[0] - found.values[0]).abs().max() > 1e-3


def test_temporal_transformer_starts_from_clips_text_blocks(clip_folder: Path) -> None:
    towers = TowersConfig(path=str(clip_folder), trained=False)
    config = ClipVideoConfig(towers=towers, dim=0, temporal="transformer", layers=1, heads=2)
    text, item = clip_streams()
    model = config.build(shapes(text), shapes(item))
    layer = model.trunk.towers.clip.text_model.encoder.layers[0]
    block = model.trunk.temporal.blocks[0]
    torch.testing.assert_close(block.attention.in_proj_weight[16:32], layer.self_attn.k_proj.weight)
    torch.testing.assert_close(block.narrow.weight, layer.mlp.fc2.weight)
    positions = model.trunk.towers.clip.text_model.embeddings.position_embedding.weight
    torch.testing.assert_close(model.trunk.temporal.positions.weight[:9], positions)
    assert all(p.requires_grad == name.startswith("trunk.temporal") for name, p in model.named_parameters())


def test_openai_clip_converts_to_every_parameter_of_the_towers(clip_folder: Path) -> None:
    from transformers import CLIPModel

    state = CLIPModel.from_pretrained(clip_folder).state_dict()
    converted = openai_clip.convert(openai_layout(state))
    assert converted.keys() == state.keys()
    for key, value in converted.items():
        torch.testing.assert_close(value, state[key])
    whole = clip_video.convert({f"clip.{key}": value for key, value in openai_layout(state).items()})
    text, item = clip_streams()
    model = ClipVideoConfig(towers=TowersConfig(path=str(clip_folder)), dim=0).build(shapes(text), shapes(item))
    model.load_state_dict(whole)
