import numpy as np
import pytest
import torch
from tiny_checkpoints import save_bert, save_clip, save_siglip

from matchcut.encoders import for_manifest, load_encoder, towers
from matchcut.errors import MatchcutError

TEXTS = ["a red ball rolls to the left", "a box", "the blue box falls", "a box", "a red ball"]
PICTURES = [np.random.default_rng(k).integers(0, 256, (30 + k, 40, 3), dtype=np.uint8) for k in range(3)]


@pytest.fixture(scope="module")
def checkpoints(tmp_path_factory):
    root = tmp_path_factory.mktemp("checkpoints")
    return {
        "bert": save_bert(root / "bert"),
        "no pooler": save_bert(root / "plain", pooler=False),
        "clip": save_clip(root / "tiny clip"),
        "siglip": save_siglip(root / "siglip"),
    }


@pytest.mark.parametrize("vector", ["mean", "cls", "pooler", "layer-2", "tokens"])
def test_bert_vectors_equal_one_sentence_at_a_time(checkpoints, vector):
    from transformers import AutoModel, AutoTokenizer

    network = AutoModel.from_pretrained(checkpoints["bert"]).eval()
    tokenizer = AutoTokenizer.from_pretrained(checkpoints["bert"])
    encoder = load_encoder(f"bert:{checkpoints['bert']}?vector={vector}")
    for text, rows in zip(TEXTS, encoder.encode(TEXTS), strict=True):
        with torch.inference_mode():
            output = network(**tokenizer([text], return_tensors="pt"), output_hidden_states=True)
        expected = {
            "mean": [sum(output.last_hidden_state[0]) / len(output.last_hidden_state[0])],
            "cls": [output.last_hidden_state[0][0]],
            "pooler": [output.pooler_output[0]],
            "layer-2": [sum(output.hidden_states[1][0]) / len(output.hidden_states[1][0])],  # of 2 layers
            "tokens": list(output.last_hidden_state[0]),
        }[vector]
        assert rows.shape == (len(text.split()) + 2 if vector == "tokens" else 1, 16)
        assert rows.dtype == np.float32
        np.testing.assert_allclose(rows, torch.stack(expected).numpy(), atol=1e-5)


def test_long_captions_are_cut_off(checkpoints):
    encoder = load_encoder(f"bert:{checkpoints['bert']}?vector=tokens")
    assert encoder.encode(["a red ball " * 20])[0].shape == (12, 16)
    assert encoder.encode([""])[0].shape == (2, 16)
    assert encoder.encode([]) == []


def test_a_checkpoint_without_pooler(checkpoints):
    encoder = load_encoder(f"bert:{checkpoints['no pooler']}")
    again = load_encoder(f"bert:{checkpoints['no pooler']}")
    assert encoder.weights == again.weights  # no random pooler in it
    with pytest.raises(MatchcutError, match="has no pooler"):
        load_encoder(f"bert:{checkpoints['no pooler']}?vector=pooler")


@pytest.mark.parametrize("kind", ["clip", "siglip"])
def test_two_towers_equal_one_input_at_a_time(checkpoints, kind):
    from transformers import AutoModel

    network = AutoModel.from_pretrained(checkpoints[kind]).eval()
    frames, captions = (load_encoder(spec) for spec in towers(f"clip:{checkpoints[kind]}"))
    assert (frames.of, captions.of) == ("frames", "captions")
    assert frames.weights == captions.weights
    assert frames.shape == captions.shape == (8 if kind == "clip" else 16,)
    for text, rows in zip(TEXTS, captions.encode(TEXTS), strict=True):
        options = {"padding": "max_length", "max_length": 10} if kind == "siglip" else {}
        tokens = captions.tokenizer([text], return_tensors="pt", **options)
        masked = {} if kind == "siglip" else {"attention_mask": tokens["attention_mask"]}
        with torch.inference_mode():
            found = network.get_text_features(input_ids=tokens["input_ids"], **masked)
        found = getattr(found, "pooler_output", found)[0].numpy()
        np.testing.assert_allclose(rows, [found / np.linalg.norm(found)], atol=1e-5)
    for picture, rows in zip(PICTURES, frames.encode(PICTURES), strict=True):
        pixels = frames.processor(images=picture, return_tensors="pt")["pixel_values"]
        with torch.inference_mode():
            found = network.get_image_features(pixel_values=pixels)
        found = getattr(found, "pooler_output", found)[0].numpy()
        np.testing.assert_allclose(rows, [found / np.linalg.norm(found)], atol=1e-5)
    assert not np.allclose(*frames.encode(PICTURES[:2]), atol=1e-3)


@pytest.mark.parametrize(("kind", "end"), [("clip", -1), ("siglip", None)])
def test_token_vectors_end_in_the_pooled_one(checkpoints, kind, end):
    pooled = load_encoder(f"clip:{checkpoints[kind]}?tower=text").encode(TEXTS)
    tokens = load_encoder(f"clip:{checkpoints[kind]}?tower=text&vector=tokens").encode(TEXTS)
    for text, one, many in zip(TEXTS, pooled, tokens, strict=True):
        assert many.shape == (len(text.split()) + 2, one.shape[1])
        np.testing.assert_allclose(np.linalg.norm(many, axis=1), 1, atol=1e-5)
        if end is not None:  # CLIP's sentence vector is the one of its last token; SigLIP's the one of the last padding
            np.testing.assert_allclose(many[end], one[0], atol=1e-5)


def test_specifications_make_the_same_encoder_again(checkpoints):
    for spec in [*towers(f"clip:{checkpoints['clip']}"), f"bert:{checkpoints['bert']}?vector=cls"]:
        encoder = load_encoder(spec)
        manifest = encoder.manifest()
        again = for_manifest(manifest)
        assert (again.spec, again.manifest()) == (encoder.spec, manifest)
    assert [load_encoder(spec).name for spec in towers(f"clip:{checkpoints['clip']}")] == [
        "tiny-clip",
        "tiny-clip-text",
    ]


def test_a_manifest_of_other_weights_is_refused(checkpoints, tmp_path):
    manifest = load_encoder(f"bert:{checkpoints['bert']}").manifest()
    other = save_bert(tmp_path / "other")
    from transformers import BertModel

    network = BertModel.from_pretrained(other)
    with torch.no_grad():
        network.embeddings.word_embeddings.weight[5, 0] += 1
    network.save_pretrained(other)
    fields = {field: getattr(manifest, field) for field in manifest.__struct_fields__}
    with pytest.raises(MatchcutError, match=f"with weights '{manifest.weights}', which now has"):
        for_manifest(type(manifest)(**fields | {"encoder": f"bert:{other}"}))


def test_bad_sources(checkpoints, tmp_path, monkeypatch):
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    with pytest.raises(MatchcutError, match=r"nobody/nothing: not in the local cache and not to be had from the hub"):
        load_encoder("bert:nobody/nothing")
    with pytest.raises(MatchcutError, match="no such folder"):
        load_encoder(f"clip:{tmp_path / 'missing'}")
    (tmp_path / "empty").mkdir()
    with pytest.raises(MatchcutError, match="empty: not a checkpoint that transformers can load"):
        load_encoder(f"bert:{tmp_path / 'empty'}")
    with pytest.raises(MatchcutError, match="a bert checkpoint, without an image and a text tower"):
        load_encoder(f"clip:{checkpoints['bert']}?tower=text")


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        ("resnet", "no kind 'resnet'; known are efficientnet-lite0"),
        ("minilm?vector=cls", "no option 'vector'; minilm has none"),
        ("efficientnet-lite0?flip=yes", "flip is 'yes', must be one of false, true"),
        ("efficientnet-lite0?flip", "options must be"),
        ("clip", "name a checkpoint"),
        ("bert", "name a checkpoint"),
        ("clip:x?tower=audio", "tower is 'audio', must be one of image, text"),
        ("clip:x?vector=tokens", "no option 'vector'; known are tower"),
        ("bert:x?layer=3", "no option 'layer'; known are vector"),
    ],
)
def test_bad_specifications(spec, message):
    with pytest.raises(MatchcutError, match=message):
        load_encoder(spec)
