"""Flickr8k, small and self-made in the layout as shipped, and the real files where they are."""

import io
import os
import zipfile
from pathlib import Path

import pytest
from PIL import Image

from matchcut.cli import main
from matchcut.collection import Collection
from matchcut.datasets import load
from matchcut.errors import MatchcutError

DATA = Path(os.environ.get("MATCHCUT_DATA", Path(__file__).parents[3] / "shared" / "data"))
IMAGES = ("a.jpg", "b.jpg", "c.jpg", "d.jpg")


def picture(size=(8, 6)):
    buffer = io.BytesIO()
    Image.new("RGB", size, "red").save(buffer, "JPEG")
    return buffer.getvalue()


def write(folder, *, images="images_160.zip", text=None):
    """Four images, two captions each, and a caption of an image that is not there; d.jpg is in no split."""
    captions = [f"{name}#{k}\tA picture {name[0]}{k} .\n" for name in IMAGES for k in (0, 1)]
    files = {
        "Flickr8k.token.txt": "".join([*captions, "b.jpg.1#0\tno image\n"]),
        "Flickr_8k.trainImages.txt": "b.jpg\n",
        "Flickr_8k.devImages.txt": "c.jpg\n",
        "Flickr_8k.testImages.txt": "a.jpg\n",
        "CrowdFlowerAnnotations.txt": "a.jpg\ta.jpg#1\t1\t3\t0\n"
        "a.jpg\tc.jpg#0\t0.333333\t1\t2\n"
        "a.jpg\tb.jpg.1#0\t0\t0\t3\n",
    }
    if text:
        with zipfile.ZipFile(folder / text, "w") as archive:
            for name, content in files.items():
                archive.writestr(name, content)
    else:
        for name, content in files.items():
            (folder / name).write_text(content)
    if images.endswith(".zip"):
        with zipfile.ZipFile(folder / images, "w") as archive:
            for name in IMAGES:
                archive.writestr(f"Flicker8k_Dataset/{name}" if images[0] == "F" else name, picture())
    else:
        (folder / images).mkdir()
        for name in IMAGES:
            (folder / images / name).write_bytes(picture())


@pytest.mark.parametrize(
    ("images", "text"),
    [
        ("images_160.zip", None),
        ("Flickr8k_Dataset.zip", "Flickr8k_text.zip"),
        ("Flicker8k_Dataset", None),
    ],
)
def test_what_comes_in(tmp_path, images, text):
    folder = tmp_path / "f"
    folder.mkdir()
    write(folder, images=images, text=text)
    collection = Collection.create(tmp_path / "c")
    for _ in range(2):  # the second time changes nothing
        report = load("flickr8k", folder, collection)
        assert [item.key for item in collection.items()] == list(IMAGES)
        assert {(item.kind, item.width, item.height) for item in collection.items()} == {("image", 8, 6)}
        assert [caption.text for caption in collection.captions()][:3] == [
            "A picture a0 .",
            "A picture a1 .",
            "A picture b0 .",
        ]
        assert collection.splits() == {"default": {"train": 1, "val": 1, "test": 1}}
        assert [item.key for item in collection.items(split="test")] == ["a.jpg"]
        found = {(j.caption, j.item): j.relevance for j in collection.judgments("crowdflower")}
        assert found == {("a.jpg#1", "a.jpg"): 1.0, ("c.jpg#0", "a.jpg"): 0.333333}
        assert collection.judged() == {"crowdflower": "partial"}
    frames = [shot.frames[0] for shot in collection.shots()]
    assert [Path(frame.member).name for frame in frames] == (list(IMAGES) if images.endswith(".zip") else [""] * 4)
    assert report.items == 4
    assert report.captions == 8
    assert "1 captions have no image and were left out: b.jpg.1" in report.notes
    assert "expected 6,000 train images, found 1" in report.notes
    assert "expected 47,830 CrowdFlower judgments, found 2" in report.notes


def test_expert_grades(tmp_path):
    write(tmp_path)
    (tmp_path / "ExpertAnnotations.txt").write_text("a.jpg\tb.jpg#1\t1\t1\t4\nc.jpg\tc.jpg#0\t4\t4\t4\n")
    collection = Collection.create(tmp_path / "c")
    load("flickr8k", tmp_path, collection)
    grades = {j.caption: j.relevance for j in collection.judgments("experts")}
    assert grades == {"b.jpg#1": pytest.approx(1 / 3), "c.jpg#0": 1.0}


def test_a_missing_judgment_file_is_said(tmp_path):
    write(tmp_path)
    (tmp_path / "CrowdFlowerAnnotations.txt").unlink()
    report = load("flickr8k", tmp_path, Collection.create(tmp_path / "c"))
    assert any("no CrowdFlowerAnnotations.txt here" in note for note in report.notes)
    assert report.judgments == {}


def test_an_entry_that_is_no_image_is_left_out_and_recorded(tmp_path):
    write(tmp_path)
    with zipfile.ZipFile(tmp_path / "images_160.zip", "w") as archive:
        archive.writestr("a.jpg", b"a text")
        archive.writestr("b.jpg", picture())
    collection = Collection.create(tmp_path / "c")
    report = load("flickr8k", tmp_path, collection)
    assert [item.key for item in collection.items()] == ["b.jpg"]
    [failure] = collection.failures()
    assert failure.source.endswith("images_160.zip!a.jpg")
    assert "entry 'a.jpg': not an image" in failure.reason
    assert any("1 images cannot be read" in note for note in report.notes)
    with zipfile.ZipFile(tmp_path / "images_160.zip", "w") as archive:  # mended
        archive.writestr("a.jpg", picture())
        archive.writestr("b.jpg", picture())
    load("flickr8k", tmp_path, collection)
    assert ([item.key for item in collection.items()], collection.failures()) == (["b.jpg", "a.jpg"], [])


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("Flickr8k.token.txt", None, r"no Flickr8k\.token\.txt here, nor in Flickr8k_text\.zip; Flickr8k ships it"),
        ("Flickr_8k.devImages.txt", None, r"no Flickr_8k\.devImages\.txt here"),
        ("Flickr_8k.devImages.txt", b"a.jpg\n", r"a\.jpg is listed twice, for val and for test"),
        ("images_160.zip", None, r"no images here, neither .*; Flickr8k ships Flickr8k_Dataset\.zip"),
        ("images_160.zip", b"PK rest is missing", r"images_160\.zip: not a whole zip archive"),
        ("Flickr8k.token.txt", b"a.jpg#0 no tab\n", r"token\.txt, line 1: must read image\.jpg#0<TAB>caption"),
        ("Flickr8k.token.txt", b"\na.jpg#0\t \n", r"token\.txt, line 2: must read"),
        ("CrowdFlowerAnnotations.txt", b"a.jpg\ta.jpg#0\tyes\n", r"line 1: must read image, caption id, numbers"),
    ],
)
def test_bad_input_changes_nothing(tmp_path, capsys, name, content, message):
    write(tmp_path)
    (tmp_path / name).unlink()
    if content is not None:
        (tmp_path / name).write_bytes(content)
    collection = Collection.create(tmp_path / "c")
    with pytest.raises(MatchcutError, match=message):
        load("flickr8k", tmp_path, collection)
    assert collection.counts()["items"] == 0
    assert main(["import", "flickr8k", str(tmp_path), "--collection", str(tmp_path / "c")]) == 2
    assert capsys.readouterr().err.count("\n") == 1


@pytest.mark.skipif(not (DATA / "flickr8k").is_dir(), reason="no flickr8k/ in the folder that MATCHCUT_DATA names")
def test_the_real_files(kept):
    report = load("flickr8k", DATA / "flickr8k", kept)
    assert (len(kept.items), sum(map(len, kept.captions.values()))) == (8_091, 40_455)
    assert {part: len(keys) for part, keys in kept.splits["default"].items()} == {
        "train": 6_000,
        "val": 1_000,
        "test": 1_000,
    }
    assert len(report.notes) == 1
    assert report.notes[0].startswith("5 captions have no image and were left out: 2258277193_586949ec62.jpg.1")
    judgments = kept.judged["crowdflower"]
    assert len(judgments) == 47_830
    others = [j for j in judgments if j.caption.rpartition("#")[0] != j.item]
    assert sum(j.relevance >= 0.5 for j in others) == 2_031
