import json
from fractions import Fraction

import av
import numpy as np
import pytest
from PIL import Image

from matchcut.cli import main
from matchcut.collection import Collection, Frame, Item, Judgment, Shot


@pytest.fixture
def videos(tmp_path):
    folder = tmp_path / "videos"
    folder.mkdir()
    with av.open(str(folder / "a.mp4"), "w") as container:
        stream = container.add_stream("libx264", rate=Fraction(10))
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p"
        for colour in [(200, 20, 20)] * 10 + [(20, 20, 200)] * 10:
            picture = np.full((48, 64, 3), colour, np.uint8)
            container.mux(stream.encode(av.VideoFrame.from_ndarray(picture, format="rgb24")))
        container.mux(stream.encode())
    (folder / "a.txt").write_text("red turns blue\n")
    Image.new("RGB", (8, 8)).save(folder / "b.png")
    return folder


def test_add_and_info(videos, tmp_path, capsys):
    root = tmp_path / "mine"
    assert main(["add", str(videos), "--collection", str(root), "--workers", "1"]) == 0
    printed = capsys.readouterr().out
    assert "2 added, 0 unchanged" in printed
    assert "3 shots, 5 frames" in printed
    assert f"Next: matchcut embed {root}" in printed
    assert main(["add", str(videos), "--collection", str(root)]) == 0
    assert "0 added, 2 unchanged" in capsys.readouterr().out
    assert main(["info", str(root)]) == 0
    printed = capsys.readouterr().out
    assert "1 video, 1 image" in printed
    assert "1, of 1 item: 1 each" in printed


def test_failures_are_listed_and_the_exit_code_is_2(videos, tmp_path, capsys):
    (videos / "broken.mp4").write_text("no video")
    root = tmp_path / "mine"
    assert main(["add", str(videos), "--collection", str(root), "--workers", "1"]) == 2
    captured = capsys.readouterr()
    assert "2 added, 0 unchanged, 1 failed" in captured.out
    assert "broken.mp4: cannot be opened as a video" in captured.out
    assert captured.err.startswith("matchcut add: 1 file could not be taken in (listed above and in `matchcut info ")
    assert captured.err.count("\n") == 1
    assert main(["info", str(root)]) == 0
    assert "broken.mp4: cannot be opened as a video: not a video" in capsys.readouterr().out


def test_a_name_stays_on_its_line_and_does_not_colour_the_terminal(videos, tmp_path, capsys):
    (videos / "red\x1b[31m\nname.mp4").write_text("no video")
    root = tmp_path / "mine"
    assert main(["add", str(videos), "--collection", str(root), "--workers", "1"]) == 2
    assert "red\\x1b[31m\\nname.mp4: cannot be opened" in capsys.readouterr().out
    assert main(["info", str(root)]) == 0
    printed = capsys.readouterr().out
    assert "red\\x1b[31m\\nname.mp4: cannot be opened" in printed
    assert "\x1b[31m\n" not in printed


def test_of_many_models_the_first_are_named(tmp_path, capsys):
    collection = Collection.create(tmp_path / "mine")
    for number in range(14):
        (collection.root / "models" / f"m{number:02}").mkdir(parents=True)
    assert main(["info", str(collection.root)]) == 0
    printed = " ".join(capsys.readouterr().out.split())
    assert "m11 and 2 more; --json names them all" in printed
    assert "m12" not in printed


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--every", "0"], "--every 0.0: must be 0.001 seconds or more, or avs"),
        (["--every", "inf"], "--every inf: must be 0.001 seconds or more, or avs"),
        (["--frames", "0"], "--frames 0: must be 1 or more"),
        (["--at-most", "0"], "--at-most 0: must be 1 or more"),
        (["--captions", "none.csv"], "none.csv: No such file or directory"),
    ],
)
def test_bad_options_write_nothing(videos, tmp_path, capsys, options, message):
    root = tmp_path / "mine"
    assert main(["add", str(videos), "--collection", str(root), *options]) == 2
    assert capsys.readouterr().err == f"matchcut add: {message}\n"
    assert not root.exists()


def test_caption_for_an_unknown_video(videos, tmp_path, capsys):
    table = tmp_path / "captions.csv"
    table.write_text("file,caption\nz.mp4,the sea\n")
    root = tmp_path / "mine"
    assert main(["add", str(videos), "--collection", str(root), "--captions", str(table)]) == 2
    message = f"matchcut add: {table}, line 2: 'z.mp4' is none of the videos given or in the collection\n"
    assert capsys.readouterr().err == message
    assert not root.exists()


def test_nothing_named(tmp_path, capsys):
    assert main(["add"]) == 2
    assert "no videos given" in capsys.readouterr().err
    assert main(["info", str(tmp_path)]) == 2
    assert "no collection here" in capsys.readouterr().err


def test_info_of_all_there_can_be(tmp_path, capsys):
    collection = Collection.create(tmp_path / "mine")
    with collection.writing() as writer:
        for key, texts in {"a": ["one"], "b": ["two", "three", "four"], "c": []}.items():
            writer.put_item(Item(key, "video", f"{key}.mp4", duration=7200.0), [Shot(0, 2, (Frame(0), Frame(1)))])
            writer.put_captions(key, texts)
        writer.put_split({"train": ["a"], "test": ["b", "c"]})
        writer.put_judgments("exact", [Judgment("a#0", "a", 1.0), Judgment("a#0", "b", 1.0)], complete=True)
        writer.put_failure("[x].mp4", "the file is [empty]")
    from matchcut.features import FeatureWriter, Manifest

    long = Manifest(
        name="a-name-that-must-be-typed", encoder="e" * 50, weights="w", preprocessing="", of="frames", shape=(2,)
    )
    FeatureWriter(collection.root / "features" / long.name, long).__exit__(None, None, None)
    manifest = Manifest(name="t", encoder="tiny", weights="w", preprocessing="", of="captions", shape=(2, 3))
    with FeatureWriter(collection.root / "features" / "t", manifest) as features:
        features.add("a#0", np.zeros((4, 2, 3)))
    (collection.root / "features" / "bad").mkdir()
    (collection.root / "features" / "bad" / "manifest.json").write_text("{")
    (collection.root / "models" / "first").mkdir(parents=True)

    assert main(["info", str(collection.root), "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["items"] == {"video": 3}
    assert (found["shots"], found["frames"], found["hours"]) == (3, 6, 6.0)
    assert found["captions"] == {"all": 4, "items": 2, "min": 1, "mean": 2.0, "max": 3, "named_only": 0}
    assert found["splits"] == {"default": {"test": 2, "train": 1}}
    assert found["judgments"] == {"exact": {"pairs": 2, "complete": True}}
    assert found["models"] == ["first"]
    assert [failure["source"] for failure in found["failures"]] == ["[x].mp4"]
    _, bad, tiny = found["features"]
    assert "not a readable manifest" in bad["error"]
    assert (tiny["encoder"], tiny["shape"], tiny["dtype"], tiny["ids"], tiny["rows"]) == (
        "tiny",
        [2, 3],
        "float16",
        1,
        4,
    )

    assert main(["info", str(collection.root)]) == 0
    printed = capsys.readouterr().out
    for part in (
        "6.0 hours",
        "1 to 3 each, 2.0 on average",
        "train 1, test 2",
        "exact: 2 pairs",
        "2 x 3",
        "[x].mp4",
        long.name,
    ):
        assert part in printed
