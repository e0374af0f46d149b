"""Checkpoint files in the reference codes' layouts become weights and models; anything else is refused in one line."""

import argparse
import json
import warnings
from dataclasses import replace

import numpy as np
import pytest
import torch
from clip_streams import openai_layout
from tiny_checkpoints import save_clip
from tiny_collection import collection  # noqa: F401
from torch import nn

from matchcut.cli import main
from matchcut.encoders.vocabulary import SPECIAL, Vocabulary
from matchcut.errors import MatchcutError
from matchcut.models import presets
from matchcut.models.inputs import Padded
from matchcut.training.convert import convert, open_weights, read_checkpoint, read_vocabulary, save_model, save_weights
from matchcut.training.evaluation import evaluate
from matchcut.training.trained_model import TrainedModel

WORDS = [*SPECIAL, "this", "is", "again", "train", "val", "test", "a", "b"]


class Layout(nn.Module):
    def __init__(self, **modules):
        super().__init__()
        for name, module in modules.items():
            self.add_module(name, module)


def vsepp(width=12):
    """Image and text encoder as the reference code of VSE++ keeps them, for pooled vectors."""
    torch.manual_seed(0)
    image = Layout(fc=nn.Linear(width, 8))
    text = Layout(embed=nn.Embedding(len(WORDS), 6), rnn=nn.GRU(6, 8, batch_first=True))
    return [image.state_dict(), text.state_dict()]


@pytest.fixture
def checkpoint(tmp_path):
    """With all that such files hold beside tensors."""
    path = tmp_path / "model_best.pth.tar"
    options = argparse.Namespace(margin=0.2, data_name="f30k", layers=[1, 2])
    beside = {"epoch": 3, "best_rsum": np.float64(431.5), "opt": options, "Eiters": np.int64(7)}
    torch.save({"model": vsepp(), **beside}, path)
    return path


@pytest.mark.parametrize("zipped", [True, False])
def test_weights_alone(checkpoint, tmp_path, zipped):
    loaded = torch.load(checkpoint, weights_only=False)
    torch.save(loaded, checkpoint, _use_new_zipfile_serialization=zipped)
    if not zipped:  # as NumPy 1 wrote it
        old = checkpoint.read_bytes().replace(b"numpy._core.multiarray", b"numpy.core.multiarray")
        assert b"numpy.core.multiarray" in old
        checkpoint.write_bytes(old)
    converted = convert(checkpoint, "vsepp", preset="pooled")
    assert (converted.sized.config.vocabulary, converted.sized.config.dim) == (12, 8)
    assert converted.parameters == sum(value.numel() for state in vsepp() for value in state.values())
    save_weights(tmp_path / "weights.safetensors", converted)
    model = open_weights(tmp_path / "weights.safetensors")
    image, text = vsepp()
    rows = Padded(torch.randn(2, 3, 12), torch.tensor([3, 3]))
    found = model.encode_item({"efficientnet-lite0-grid": rows})
    expected = nn.functional.linear(rows.values.mean(1), image["fc.weight"], image["fc.bias"])
    torch.testing.assert_close(found, nn.functional.normalize(expected))
    assert torch.equal(model.text.embedding.table.weight, text["embed.weight"])
    with pytest.raises(MatchcutError, match="not a readable checkpoint"):
        open_weights(checkpoint)


def test_a_model_that_evaluates(checkpoint, collection):  # noqa: F811
    converted = convert(checkpoint, "vsepp", preset="pooled", options=["item=efficientnet-lite0"])
    folder = save_model(collection, "released", converted, vocabulary=Vocabulary(tuple(WORDS)))
    opened = TrainedModel.open(collection, "released")
    assert opened.text.vocabulary.words == tuple(WORDS)
    assert opened.epoch == 0
    assert torch.equal(opened.network.item.weight, converted.tensors["item.weight"])
    found = evaluate(collection, "released")
    assert found is not None
    with pytest.raises(MatchcutError, match="is there already"):
        save_model(collection, folder.name, converted, vocabulary=Vocabulary(tuple(WORDS)))


def test_a_model_needs_its_own_words_and_rows(checkpoint, collection, tmp_path):  # noqa: F811
    converted = convert(checkpoint, "vsepp", preset="pooled", options=["item=efficientnet-lite0"])
    with pytest.raises(MatchcutError, match="--vocabulary: not given"):
        save_model(collection, "released", converted)
    with pytest.raises(MatchcutError, match="has 11 words, the network knows 12"):
        save_model(collection, "released", converted, vocabulary=Vocabulary(tuple(WORDS[:-1])))
    torch.save({"model": vsepp(width=10)}, tmp_path / "other.pth")
    other = convert(tmp_path / "other.pth", "vsepp", preset="pooled", options=["item=efficientnet-lite0"])
    with pytest.raises(MatchcutError, match="has rows of 12, the network reads 10"):
        save_model(collection, "released", other, vocabulary=Vocabulary(tuple(WORDS)))
    bags = replace(
        converted, name="dual_encoding", sized=replace(converted.sized, config=presets("dual_encoding")["cvpr2019"])
    )
    bags = replace(bags, sized=replace(bags.sized, text_shapes={"words": (), "bow": (8,)}))
    bags = replace(bags, sized=replace(bags.sized, item_shapes={"efficientnet-lite0": (12,)}))
    with pytest.raises(MatchcutError, match="counts words in an order"):
        save_model(collection, "released", bags, vocabulary=Vocabulary(tuple(WORDS)))
    assert not (collection.root / "models" / "released").exists()


class Evil:
    def __reduce__(self):
        return (print, ("run!",))


def test_what_could_run_is_refused(tmp_path, capsys):
    path = tmp_path / "evil.pth"
    torch.save({"model": vsepp(), "opt": Evil()}, path)
    with pytest.raises(MatchcutError, match="holds more than tensors and plain values") as caught:
        read_checkpoint(path)
    assert "\n" not in str(caught.value)
    assert "print" in str(caught.value)
    assert "weights_only" not in str(caught.value)
    assert capsys.readouterr().out == ""


@pytest.mark.filterwarnings("error")
def test_archives_of_code_are_refused_without_bad_advice(tmp_path):
    with warnings.catch_warnings(action="ignore"):
        torch.jit.trace(nn.Linear(2, 2), torch.ones(1, 2)).save(tmp_path / "ViT-B-32.pt")
    with pytest.raises(MatchcutError, match=r"a TorchScript archive, which holds code; save its state_dict\(\)$"):
        read_checkpoint(tmp_path / "ViT-B-32.pt")


def test_what_does_not_fit_is_told(checkpoint, tmp_path):
    states = vsepp()
    del states[1]["embed.weight"]
    path = tmp_path / "broken.pth"
    torch.save({"model": states}, path)
    with pytest.raises(MatchcutError, match=r"no parameter 'text\.embedding\.table\.weight' of a network 'vsepp'"):
        convert(path, "vsepp", preset="pooled")
    wide = vsepp()
    wide[1]["rnn.weight_hh_l0"] = torch.zeros(24, 9)
    torch.save({"model": wide}, path)
    with pytest.raises(MatchcutError, match=r"text\.gru\.weight_hh_l0 is 24 x 9 and not 24 x 8"):
        convert(path, "vsepp", preset="pooled")
    wide = vsepp()
    wide[0]["fc.bias"][2] = float("nan")
    torch.save({"model": wide}, path)
    with pytest.raises(MatchcutError, match=r"item\.bias holds numbers that are not finite"):
        convert(path, "vsepp", preset="pooled")
    for kind in (torch.int64, torch.complex64):
        other = vsepp()
        other[0]["fc.bias"] = other[0]["fc.bias"].to(kind)
        torch.save({"model": other}, path)
        with pytest.raises(MatchcutError, match=r"item\.bias holds numbers of type (int64|complex64);"):
            convert(path, "vsepp", preset="pooled")
    with pytest.raises(MatchcutError, match=r"--set dim: 16 was asked for, .*model_best\.pth\.tar has 8"):
        convert(checkpoint, "vsepp", preset="pooled", options=["dim=16"])
    torch.save({"state_dict": vsepp()[0]}, path)
    with pytest.raises(MatchcutError, match="has 2 parts, image encoder, text encoder; got one state dictionary"):
        convert(path, "vsepp", preset="pooled")
    torch.save({"model": [{"fc.weight": torch.ones(2, 2).to_sparse()}, {}]}, path)
    with pytest.raises(MatchcutError, match="no state dictionary in it"):
        convert(path, "vsepp", preset="pooled")
    with pytest.raises(MatchcutError, match="the layout has 3 parts"):
        convert(checkpoint, "sgraf")
    torch.save([{"cnn.weight": torch.ones(1)}, {}], path)
    with pytest.raises(MatchcutError, match=r"'cnn\.weight' is no parameter of the layout"):
        convert(path, "vsepp")
    with pytest.raises(MatchcutError, match="--preset x: vsepp has default, lseh, pooled"):
        convert(checkpoint, "vsepp", preset="x")
    with pytest.raises(MatchcutError, match="projection: no layout of it is known; known are dual_encoding"):
        convert(checkpoint, "projection")
    with pytest.raises(MatchcutError, match="vsep: there is no such network; known are dual_encoding"):
        convert(checkpoint, "vsep")
    with pytest.raises(MatchcutError, match="no such file"):
        convert(tmp_path / "none.pth", "vsepp")
    for content in (b"", b"not a checkpoint", checkpoint.read_bytes()[:200]):
        path.write_bytes(content)
        with pytest.raises(MatchcutError, match=r"broken\.pth: not a checkpoint of PyTorch, or a damaged one"):
            convert(path, "vsepp")
    with pytest.raises(MatchcutError, match="Is a directory"):
        convert(tmp_path, "vsepp")
    torch.save({"weights": torch.ones(2), "n": 3}, path)
    with pytest.raises(MatchcutError, match="no state dictionary in it"):
        convert(path, "vsepp")


def test_counters_that_old_files_lack_are_filled_in(tmp_path):
    from matchcut.models.vsrn import VSRNConfig

    config = VSRNConfig(item="regions", vocabulary=12, word_dim=6, dim=8, captions=False)
    model = config.build({"words": ()}, {"regions": (5,)})
    names = {"text.embedding.table.": "embed.", "text.gru.": "rnn."}
    blocks = {f"reasoning.blocks.{n}.": f"Rs_GCN_{n + 1}." for n in range(4)}
    image_names = {"reasoning.linear.": "fc.", "gru.": "img_rnn.", "norm.": "bn.", **blocks}
    image, text = {}, {}
    for key, value in model.state_dict().items():
        old = key.replace("num_batches_tracked", "")
        if old != key:
            continue
        for new, reference in names.items():
            if key.startswith(new):
                text[reference + key.removeprefix(new)] = value
        for new, reference in image_names.items():
            if key.startswith(new):
                rest = key.removeprefix(new)
                if new in blocks:
                    rest = rest.replace("out.", "W.0.").replace("norm.", "W.1.")
                image[reference + rest] = value
    torch.save({"model": [image, text]}, tmp_path / "old.pth")
    converted = convert(tmp_path / "old.pth", "vsrn", options=["item=regions"])
    assert converted.tensors["norm.num_batches_tracked"] == 0
    assert torch.equal(converted.tensors["reasoning.blocks.2.theta.weight"], model.reasoning.blocks[2].theta.weight)


def test_vocabularies(tmp_path):
    path = tmp_path / "vocab.json"
    numbers = {word: number for number, word in enumerate(WORDS)}
    path.write_text(json.dumps({"word2idx": dict(reversed(numbers.items())), "idx2word": {}, "idx": len(WORDS)}))
    assert read_vocabulary(path).words == tuple(WORDS)
    path.write_text(json.dumps({"words": WORDS}))
    assert read_vocabulary(path).words == tuple(WORDS)
    path.write_text(json.dumps({"word2idx": {**numbers, "b": 40}}))
    with pytest.raises(MatchcutError, match="the numbers from 0 on"):
        read_vocabulary(path)
    for other in ([1], {**numbers, "b": "11"}, {}):
        path.write_text(json.dumps({"word2idx": other}))
        with pytest.raises(MatchcutError, match="the numbers from 0 on"):
            read_vocabulary(path)
    path.write_bytes(b"\x80\x04pickled")
    with pytest.raises(MatchcutError, match="pickled ones are not read"):
        read_vocabulary(path)


def test_command(checkpoint, collection, tmp_path, capsys, monkeypatch):  # noqa: F811
    monkeypatch.setenv("COLUMNS", "200")
    words = tmp_path / "vocab.json"
    words.write_text(json.dumps({"word2idx": {word: number for number, word in enumerate(WORDS)}}))
    start = ["convert", str(checkpoint), "--network", "vsepp", "--preset", "pooled"]
    assert main([*start, "--out", str(tmp_path / "w.safetensors")]) == 0
    assert "vsepp: 7 tensors, 560 numbers; all found their place" in capsys.readouterr().out
    assert (tmp_path / "w.safetensors").is_file()
    here = ["--collection", str(collection.root), "--vocabulary", str(words), "--set", "item=efficientnet-lite0"]
    assert main([*start, *here, "--out", "released"]) == 0
    assert "model in" in capsys.readouterr().out
    assert main(["evaluate", str(collection.root), "--model", "released"]) == 0
    assert main([*start, "--out", "released"]) == 2
    assert "expected a file.safetensors" in capsys.readouterr().err


@pytest.mark.parametrize(("network", "preset"), [("clip_video", "mean"), ("dmae", "default")])
def test_clip_reads_frames_and_wordings_and_no_feature_set(network, preset, collection, tmp_path):  # noqa: F811
    from transformers import CLIPModel

    source = save_clip(tmp_path / "clip")
    clip = CLIPModel.from_pretrained(source)
    torch.save({f"clip.{key}": value for key, value in openai_layout(clip.state_dict()).items()}, tmp_path / "c4c.bin")
    options = [f"towers.path={source}", "temporal=mean"]
    converted = convert(tmp_path / "c4c.bin", network, preset=preset, options=options)
    save_model(collection, "released", converted)
    opened = TrainedModel.open(collection, "released")
    assert opened.recipe.item == ("clip-pixels",)
    assert torch.equal(opened.network.trunk.towers.clip.visual_projection.weight, clip.visual_projection.weight)
