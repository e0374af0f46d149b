import json

import numpy as np
import pytest
from PIL import Image

from matchcut.cli import main
from matchcut.collection import Collection, Frame, Item, Shot
from matchcut.features import FeatureSet


@pytest.fixture
def collection(tmp_path):
    made = Collection.create(tmp_path / "made")
    with made.writing() as writer:
        for k in range(3):
            path = tmp_path / f"{k}.png"
            Image.fromarray(np.random.default_rng(k).integers(0, 256, (60, 80, 3), dtype=np.uint8)).save(path)
            writer.put_item(Item(path.name, "image", str(path)), [Shot(0, 0, (Frame(0.0),))])
    return made


def test_the_packaged_encoders(collection, capsys):
    assert main(["embed", str(collection.root)]) == 0  # no captions yet: frames only
    assert "minilm" not in capsys.readouterr().out
    with collection.writing() as writer:
        writer.put_captions("0.png", ["grey noise", "a picture of nothing"])
    assert main(["embed", str(collection.root)]) == 0
    frames, captions = (FeatureSet.open(collection.root / "features" / n) for n in ("efficientnet-lite0", "minilm"))
    assert (frames.ids, frames.array().shape) == (["0.png@0", "1.png@0", "2.png@0"], (3, 1280))
    assert (captions.ids, captions.array().shape) == (["0.png#0", "0.png#1"], (2, 384))
    assert frames.array().dtype == np.float16
    out = capsys.readouterr().out
    assert "efficientnet-lite0" in out
    assert "minilm" in out


def test_failures_are_listed_and_the_exit_code_is_2(collection, tmp_path, capsys):
    (tmp_path / "1.png").write_bytes(b"no image")
    assert main(["embed", str(collection.root)]) == 2
    captured = capsys.readouterr()
    assert "failed: efficientnet-lite0: 1.png:" in captured.out
    assert captured.err.startswith("matchcut embed: 1 item could not be embedded")
    assert len(FeatureSet.open(collection.root / "features" / "efficientnet-lite0")) == 2


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (["--encoder", "resnet"], "no kind 'resnet'"),
        (["--encoder", "minilm"], "has no captions to embed"),
        (["--encoder", "clip:/no/such", "--name", "x"], "--name x: there are 2 encoders"),
        (["--batch-size", "0"], "--batch-size 0: must be at least 1"),
        (["--split", "val"], "has no frames to embed"),
    ],
)
def test_bad_flags_give_one_line_and_exit_code_2(collection, capsys, flags, message):
    assert main(["embed", str(collection.root), *flags]) == 2
    err = capsys.readouterr().err
    assert message in err
    assert err.count("\n") == 1


def test_a_set_of_other_weights_is_refused(collection, capsys):
    assert main(["embed", str(collection.root)]) == 0
    path = collection.root / "features" / "efficientnet-lite0" / "manifest.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"weights": "older"}))
    capsys.readouterr()
    assert main(["embed", str(collection.root)]) == 2
    assert (
        "made with weights 'older', now asked for '579344248a93e230'; choose another --name" in capsys.readouterr().err
    )
    assert main(["embed", str(collection.root), "--force"]) == 0


def test_no_collection_and_no_content(tmp_path, capsys):
    assert main(["embed", str(tmp_path / "none")]) == 2
    assert "no collection here" in capsys.readouterr().err
    Collection.create(tmp_path / "empty")
    assert main(["embed", str(tmp_path / "empty")]) == 2
    assert "has no frames and no captions to embed" in capsys.readouterr().err
