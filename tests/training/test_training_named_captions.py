"""All that reads a part's captions reads those that the part names: training, evaluation, audit, report."""

import json

import pytest
from tiny_collection import PARTS, fill_features

from matchcut.audit.content import read
from matchcut.cli import main
from matchcut.collection import Collection
from matchcut.evaluation.protocols import PROTOCOLS, Protocol
from matchcut.report import report_models
from matchcut.training import Recipe, train
from matchcut.training.data import load
from matchcut.training.scores import score_matrix
from matchcut.training.shared import SharedData

SETS = {"text": ["minilm"], "item": ["efficientnet-lite0"]}


@pytest.fixture
def named(collection) -> Collection:
    """In the scheme "one" train and test name a sentence a video, those of test0 and test1 none of their captions."""
    keys = {part: [f"{part}{i}" for i in range(count)] for part, count in PARTS.items()}
    with collection.writing() as writer:
        for key in keys["test"][:2]:
            writer.put_captions(key, [f"this is {key}", f"{key} again"], named_only=[f"{key} in other words"])
        captions = {
            "train": [f"{key}#{i % 2}" for i, key in enumerate(keys["train"])],
            "test": [f"{key}#{2 if i < 2 else 1}" for i, key in enumerate(keys["test"])],
        }
        writer.put_split(keys, scheme="one", captions=captions)
    fill_features(collection)
    return collection


@pytest.fixture
def trained(named, recipe_file):
    recipe = Recipe.read(recipe_file, overrides=["data.scheme=one", "training.epochs=1"])
    return train(recipe, named, name="m")


def test_the_data_of_a_part(named):
    test = load(named, part="test", scheme="one", **SETS)
    assert test.captions == ["test0#2", "test1#2", *(f"test{i}#1" for i in range(2, 8))]
    assert test.texts[:3] == ["test0 in other words", "test1 in other words", "test2 again"]
    assert test.owner.tolist() == list(range(8))
    assert len(load(named, part="train", scheme="one", **SETS).captions) == 24
    assert len(load(named, part="val", scheme="one", **SETS).captions) == 16
    usual = load(named, part="test", **SETS)
    assert usual.captions == [f"test{i}#{k}" for i in range(8) for k in (0, 1)]
    assert (test.left_out, usual.left_out) == (0, 0)


def test_training_and_validation(named, trained, recipe_file):
    assert json.loads((trained.folder / "log.jsonl").read_text().splitlines()[-1])["step"] == 24 // 8
    shared = SharedData(named)
    recipe = Recipe.read(recipe_file, overrides=["data.scheme=one"])
    text = shared.text(recipe)
    found = {part: shared.pairs(recipe, part, text).fingerprint() for part in ("train", "val")}
    assert found["train"].startswith("24 captions of 24 items")
    assert found["val"].startswith("16 captions of 8 items")
    usual = Recipe.read(recipe_file)
    assert shared.pairs(usual, "train", shared.text(usual)).fingerprint().startswith("48 captions of 24 items")


def test_measuring_scoring_and_reporting(named, trained):
    matrix = score_matrix(named, "m")
    assert matrix.texts.tolist() == load(named, part="test", scheme="one", **SETS).captions
    report = report_models(named, ["m"], protocol="msrvtt-1ka")
    assert any("8 text queries instead of the 1000 of MSR-VTT 1k-A" in str(warning) for warning in report.warnings)
    assert not any("identical with training captions" in str(warning) for warning in report.warnings)


def test_auditing(named, capsys):
    found = read(named, split="test", scheme="one")
    assert found.keys == load(named, part="test", scheme="one", **SETS).captions
    counts = []
    for scheme in ("one", "default"):
        assert main(["audit", str(named.root), "--split", "test", "--scheme", scheme, "--json"]) == 0
        counts.append(json.loads(capsys.readouterr().out)["captions"])
    assert counts == [8, 16]


def test_evaluate_compares_with_a_protocol(named, trained, capsys, monkeypatch):
    root = str(named.root)
    monkeypatch.setitem(PROTOCOLS, "tiny", Protocol("tiny", 8, 8, "one sentence a video"))
    assert main(["evaluate", root, "--model", "m", "--protocol", "tiny", "--json"]) == 0
    captured = capsys.readouterr()
    assert captured.err == ""
    assert json.loads(captured.out)[0]["paired"]["text_to_item"]["queries"] == 8
    with named.writing() as writer:
        tests = [f"test{i}" for i in range(8)]
        writer.put_split({"test": tests}, scheme="one", captions={"test": [f"{key}#0" for key in tests[:6]]})
    assert main(["evaluate", root, "--model", "m", "--protocol", "tiny"]) == 0
    message = "warning: 6 text queries instead of the 8 of tiny: not comparable with published numbers (one sentence a"
    warned = capsys.readouterr().err
    assert message in warned
    assert "items instead" not in warned  # the two videos without a sentence are in the gallery
    with named.writing() as writer:
        writer.put_split({"test": tests}, scheme="one")
    assert main(["evaluate", root, "--model", "m", "--protocol", "tiny", "--json"]) == 0
    captured = capsys.readouterr()
    assert "warning: 16 text queries instead of the 8 of tiny: not comparable" in captured.err
    assert json.loads(captured.out)[0]["paired"]["text_to_item"]["queries"] == 16
    assert main(["evaluate", root, "--model", "m", "--protocol", "tyni"]) == 2
    assert "no protocol 'tyni'; there are msrvtt-1ka" in capsys.readouterr().err
    assert main(["evaluate", "--run", "a", "--qrels", "q", "--protocol", "tiny"]) == 2
    assert "--protocol goes with --model" in capsys.readouterr().err
