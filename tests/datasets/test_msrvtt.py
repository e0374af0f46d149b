"""MSR-VTT, small and self-made in the layouts as shipped, and the real files where they are."""

import csv
import io
import json
import os
import zipfile
from pathlib import Path

import pytest
from PIL import Image

from matchcut.cli import main
from matchcut.collection import Collection
from matchcut.datasets import load
from matchcut.datasets.world_meaning import Scene, Thing
from matchcut.datasets.world_render import write_video
from matchcut.errors import MatchcutError

DATA = Path(os.environ.get("MATCHCUT_DATA", Path(__file__).parents[3] / "shared" / "data"))
FRAMES = {
    "video0": ["shot01_00_f0000.jpg"],
    "video1": ["shot00_00_f0000.jpg", "shot00_02_f0086.jpg", "shot01_01_f0054.jpg"],
    "video3": ["shot02_00_f0000.jpg"],
}


def annotation(numbers, splits):
    videos = [
        {"category": 1, "url": "u", "video_id": f"video{n}", "start time": 10.5, "end time": 20.5, "split": s, "id": n}
        for n, s in zip(numbers, splits, strict=True)
    ]
    sentences = [
        {"caption": f"caption {k} of {n}", "video_id": f"video{n}", "sen_id": 10 * n + k}
        for k in (1, 0)  # not in order
        for n in numbers
    ]
    return {"info": {}, "videos": videos, "sentences": sentences}


def write(folder, *, zipped=True, frames=True):
    parts = {
        "train_val": annotation([0, 1, 2], ["train", "validate", "train"]),
        "test": annotation([3], ["test"]),
    }
    archives = {"train_val": "train_val_annotation.zip", "test": "test_videodatainfo.json.zip"}
    for part, value in parts.items():
        if zipped:
            with zipfile.ZipFile(folder / archives[part], "w") as archive:
                archive.writestr(f"{part}_videodatainfo.json", json.dumps(value))
        else:
            (folder / f"{part}_videodatainfo.json").write_text(json.dumps(value))
    (folder / "MSRVTT_train.9k.csv").write_text("video_id\nvideo0\nvideo1\n")
    (folder / "MSRVTT_JSFUSION_test.csv").write_text(
        'key,vid_key,video_id,sentence\nret0,msr3,video3,"a, b"\nret1,msr2,video2,c\n'
    )
    if frames:
        with zipfile.ZipFile(folder / "frames_128.zip", "w") as archive:
            for video, names in FRAMES.items():
                for name in names:
                    buffer = io.BytesIO()
                    Image.new("RGB", (16, 12)).save(buffer, "JPEG")
                    archive.writestr(f"{video}/{name}", buffer.getvalue())


@pytest.mark.parametrize("zipped", [True, False])
def test_frames_in_a_zip(tmp_path, zipped):
    write(tmp_path, zipped=zipped)
    collection = Collection.create(tmp_path / "c")
    for _ in range(2):  # the second time changes nothing
        report = load("msrvtt", tmp_path, collection)
        assert [item.key for item in collection.items()] == ["video0", "video1", "video3"]
        assert [caption.text for caption in collection.captions()][:2] == ["caption 0 of 0", "caption 1 of 0"]
        assert collection.splits() == {
            "default": {"train": 1, "val": 1, "test": 1},
            "9k": {"train": 2, "test": 1},
            "jsfusion": {"test": 1},
        }
    item = collection.items()[1]
    assert (item.kind, item.duration, item.width, item.height) == ("video", 10.0, 16, 12)
    assert item.source == str(tmp_path / "frames_128.zip")
    shots = [shot for shot in collection.shots() if shot.item == "video1"]
    assert [[frame.member for frame in shot.frames] for shot in shots] == [
        ["video1/shot00_00_f0000.jpg", "video1/shot00_02_f0086.jpg"],
        ["video1/shot01_01_f0054.jpg"],
    ]
    assert [(shot.start, shot.end) for shot in shots] == [(0.0, 6.667), (6.667, 10.0)]
    assert [frame.time for shot in shots for frame in shot.frames] == [1.667, 5.0, 8.333]
    assert report.items == 3
    assert report.captions == 6
    assert "expected 10,000 annotated videos, found 4" in report.notes
    assert "2 captions of 1 videos have no pixels and were left out" in report.notes
    assert "no MSRVTT_train.7k.csv here, so no split scheme 7k" in report.notes
    assert "5 frames of 3 videos, 1 of them with frames of several shots" in report.notes


def test_video_files(tmp_path):
    write(tmp_path, frames=False)
    scene = Scene((Thing("red", "circle", "left"),))
    for name in ("TrainValVideo/video1.mp4", "TestVideo/video3.mp4"):
        write_video(tmp_path / name, scene, size=32, seconds=1.2, fps=10, seed="x")
    (tmp_path / "TrainValVideo" / "video0.mp4").write_bytes(b"not a video")
    collection = Collection.create(tmp_path / "c")
    report = load("msrvtt", tmp_path, collection)
    assert [(item.key, item.fps, item.width) for item in collection.items()] == [
        ("video1", 10.0, 32),
        ("video3", 10.0, 32),
    ]
    assert [frame.time for frame in collection.shots()[0].frames] == [0.0, 0.5, 1.0]
    assert [failure.source for failure in collection.failures()] == [str(tmp_path / "TrainValVideo" / "video0.mp4")]
    assert any("1 sources cannot be read" in note for note in report.notes)


def test_captions_alone(tmp_path):
    write(tmp_path, frames=False)
    collection = Collection.create(tmp_path / "c")
    report = load("msrvtt", tmp_path, collection)
    assert [(item.key, item.source) for item in collection.items()] == [(f"video{n}", "") for n in range(4)]
    assert len(collection.captions()) == 8 + 2  # JSFUSION's sentences are none of the captions
    assert collection.counts()["shots"] == 0
    assert any("captions and splits only" in note for note in report.notes)


def test_frames_that_cannot_be_used_are_recorded(tmp_path):
    write(tmp_path)
    with zipfile.ZipFile(tmp_path / "frames_128.zip", "a") as archive:
        archive.writestr("video0/shot02_00_f0000.jpg", b"no image")
        archive.writestr("video1/first.jpg", b"")
    collection = Collection.create(tmp_path / "c")
    load("msrvtt", tmp_path, collection)
    reasons = sorted(failure.reason for failure in collection.failures())
    assert "entry 'video0/shot02_00_f0000.jpg': not an image" in reasons[0]
    assert "entry 'video1/first.jpg': must be named videoN/shotSS_CC_fFFFF.jpg" in reasons[1]
    assert collection.counts()["frames"] == 5


def test_bad_annotations(tmp_path):
    write(tmp_path, zipped=False)
    path = tmp_path / "test_videodatainfo.json"
    value = json.loads(path.read_text())
    collection = Collection.create(tmp_path / "c")

    def message(changed):
        path.write_text(json.dumps(changed))
        with pytest.raises(MatchcutError) as caught:
            load("msrvtt", tmp_path, collection)
        return str(caught.value)

    assert "not laid out as MSR-VTT's videodatainfo.json: KeyError('sentences')" in message({"videos": []})
    stray = {"caption": "x", "video_id": "video9", "sen_id": 99}
    assert "captions of video9, which are not among its videos" in message(
        {**value, "sentences": [*value["sentences"], stray]}
    )
    empty = {"caption": " ", "video_id": "video3", "sen_id": 99}
    assert "video3 has an empty caption" in message({**value, "sentences": [empty]})
    path.unlink()
    (tmp_path / "MSRVTT_JSFUSION_test.csv").unlink()
    with pytest.raises(MatchcutError, match=r"no test_videodatainfo\.json here, nor in .*; MSR-VTT ships"):
        load("msrvtt", tmp_path, collection)
    assert collection.counts()["items"] == 0


def sentences(collection, scheme="jsfusion"):
    return [(caption.key, caption.text) for caption in collection.captions(split="test", scheme=scheme)]


TEST_LIST = "key,vid_key,video_id,sentence\r\nr0,m1,video1,%s\r\nr1,m3,video3,%s\r\n"


@pytest.mark.parametrize(
    ("sentence", "key", "how"),
    [
        ("caption 1 of 3", "video3#1", "2 are captions of their video to the letter"),
        (" caption 1  of 3 ", "video3#1", "1 are captions of their video to the letter, 1 but for spaces"),
        ("Caption 1 of 3", "video3#2", "1 are captions of their video to the letter; 1 are worded otherwise and were"),
        ("caption 1 of 3.", "video3#2", "1 are captions of their video to the letter; 1 are worded otherwise and were"),
        ('"caption 1, of 3"', "video3#2", "1 are worded otherwise"),
    ],
)
def test_the_one_sentence_of_a_test_video(tmp_path, sentence, key, how):
    write(tmp_path)
    (tmp_path / "MSRVTT_train.9k.csv").write_text("video_id\nvideo0\n")
    (tmp_path / "MSRVTT_JSFUSION_test.csv").write_text(TEST_LIST % ("caption 0 of 1", sentence), newline="")
    collection = Collection.create(tmp_path / "c")
    for _ in range(2):
        report = load("msrvtt", tmp_path, collection)
        text = "caption 1 of 3" if key == "video3#1" else sentence.strip('"')
        for scheme in ("jsfusion", "9k"):
            assert sentences(collection, scheme) == [("video1#0", "caption 0 of 1"), (key, text)]
        assert [c.key for c in collection.captions(split="test")] == ["video3#0", "video3#1"]
        assert [c.key for c in collection.captions(split="train", scheme="9k")] == ["video0#0", "video0#1"]
    assert report.named == {"9k": {"test": 2}, "jsfusion": {"test": 2}}
    assert how in next(note for note in report.notes if note.startswith("of 2 sentences in MSRVTT_JSFUSION_test.csv "))
    assert collection.captions()[-1].named_only == (key == "video3#2")


def test_captions_from_the_list_of_the_test_alone(tmp_path):
    write(tmp_path, zipped=False, frames=False)
    (tmp_path / "test_videodatainfo.json").unlink()
    (tmp_path / "MSRVTT_JSFUSION_test.csv").write_text(TEST_LIST % ("caption 1 of 1", "another"))
    (tmp_path / "MSRVTT_train.9k.csv").write_text("video_id\nvideo0\nvideo4\n")
    report = load("msrvtt", tmp_path, Collection.create(tmp_path / "some"))
    some = Collection.open(tmp_path / "some")
    assert sentences(some) == sentences(some, "9k") == [("video1#1", "caption 1 of 1"), ("video3#0", "another")]
    assert some.splits()["default"] == {"train": 2, "val": 1}
    note = "no test_videodatainfo.json here: of its videos only those in MSRVTT_JSFUSION_test.csv come in"
    assert any(note in said for said in report.notes)
    assert "1 of the 2 videos in MSRVTT_train.9k.csv are here" in report.notes
    (tmp_path / "train_val_videodatainfo.json").unlink()
    load("msrvtt", tmp_path, Collection.create(tmp_path / "none"))
    none = Collection.open(tmp_path / "none")
    assert sentences(none) == [("video1#0", "caption 1 of 1"), ("video3#0", "another")]
    assert none.splits() == {"9k": {"test": 2}, "jsfusion": {"test": 2}}


def test_a_test_list_without_sentences(tmp_path):
    write(tmp_path, zipped=False)
    (tmp_path / "MSRVTT_JSFUSION_test.csv").write_text("video_id\nvideo3\n")
    collection = Collection.create(tmp_path / "c")
    report = load("msrvtt", tmp_path, collection)
    assert [key for key, _ in sentences(collection)] == ["video3#0", "video3#1"]
    assert any("MSRVTT_JSFUSION_test.csv has no column sentence" in note for note in report.notes)
    for rows, message in (
        ("video3,\n", "line 2: video3 has an empty"),
        ("video3,a\nvideo3,a\n", "line 3: video3 is listed"),
    ):
        (tmp_path / "MSRVTT_JSFUSION_test.csv").write_text("video_id,sentence\n" + rows)
        with pytest.raises(MatchcutError, match=rf"MSRVTT_JSFUSION_test\.csv, {message}"):
            load("msrvtt", tmp_path, collection)
    (tmp_path / "test_videodatainfo.json").unlink()
    (tmp_path / "MSRVTT_JSFUSION_test.csv").write_text("video_id\nvideo3\n")
    with pytest.raises(MatchcutError, match=r"no test_videodatainfo\.json here"):
        load("msrvtt", tmp_path, collection)


def test_no_video_of_the_test_has_pixels(tmp_path, capsys):
    write(tmp_path)
    (tmp_path / "MSRVTT_JSFUSION_test.csv").write_text("video_id,sentence\nvideo2,a\n")
    assert main(["import", "msrvtt", str(tmp_path), "--collection", str(tmp_path / "c")]) == 0
    printed = capsys.readouterr().out
    assert "0 test" not in printed
    assert "  split 9k: 2 train\n" in printed
    assert "0 of the 1 videos in MSRVTT_JSFUSION_test.csv are here: no test part in 9k, jsfusion" in printed
    assert main(["info", str(tmp_path / "c")]) == 0
    assert "jsfusion" not in capsys.readouterr().out


def test_named_captions_are_shown(tmp_path, capsys):
    write(tmp_path)
    assert main(["import", "msrvtt", str(tmp_path), "--collection", str(tmp_path / "c")]) == 0
    assert "  split 9k: 2 train, 1 test with 1 named captions\n" in capsys.readouterr().out
    assert main(["info", str(tmp_path / "c")]) == 0
    printed = capsys.readouterr().out
    assert "6, of 3 items: 2 each" in printed
    assert "1 more, for the parts that name them only" in printed
    assert printed.index("default: train 1, val 1, test 1") < printed.index("9k: train 2, test 1 with 1 named captions")


def test_a_video_in_two_parts(tmp_path):
    write(tmp_path)
    (tmp_path / "MSRVTT_train.9k.csv").write_text("video_id\nvideo0\nvideo3\n")
    with pytest.raises(MatchcutError, match="video3 is listed twice, for train and for test"):
        load("msrvtt", tmp_path, Collection.create(tmp_path / "c"))
    (tmp_path / "MSRVTT_train.9k.csv").write_text("video\nvideo0\n")
    with pytest.raises(MatchcutError, match=r"9k\.csv: no column video_id in its header"):
        load("msrvtt", tmp_path, Collection.create(tmp_path / "c"))


@pytest.mark.skipif(not (DATA / "msrvtt").is_dir(), reason="no msrvtt/ in the folder that MATCHCUT_DATA names")
def test_the_real_sentences_of_the_test(kept, tmp_path):
    for path in (DATA / "msrvtt").iterdir():
        if not path.name.startswith("frames"):
            (tmp_path / path.name).symlink_to(path)
    report = load("msrvtt", tmp_path, kept)
    assert report.named == {scheme: {"test": 1_000} for scheme in ("7k", "9k", "jsfusion")}
    with open(DATA / "msrvtt" / "MSRVTT_JSFUSION_test.csv", newline="", encoding="utf-8") as file:
        given = {row["video_id"]: row["sentence"] for row in csv.DictReader(file)}
    named = [key.split("#") for key in kept.named["9k"]["test"]]
    assert [key for key, _ in named] == list(given)
    resolved = {key: [*kept.captions[key], *kept.apart.get(key, ())][int(number)] for key, number in named}
    assert {key: text.split() for key, text in resolved.items()} == {key: text.split() for key, text in given.items()}
    assert len(kept.apart) == 12
    assert sum(map(len, kept.captions.values())) == 200_000
    assert any("968 are captions of their video to the letter, 20 but for spaces; 12 are" in n for n in report.notes)


@pytest.mark.skipif(not (DATA / "msrvtt").is_dir(), reason="no msrvtt/ in the folder that MATCHCUT_DATA names")
def test_the_real_files(kept):
    report = load("msrvtt", DATA / "msrvtt", kept)
    assert (len(kept.items), sum(map(len, kept.captions.values()))) == (4_351, 87_020)
    frames = [frame.member for _, shots in kept.items.values() for shot in shots for frame in shot.frames]
    assert len(set(frames)) == len(frames) == 8_736
    assert not any(note.startswith("expected") for note in report.notes)
    assert "112,980 captions of 5,649 videos have no pixels and were left out" in report.notes
    for part, count in (("train", 3_151), ("val", 244), ("test", 956)):
        ids = (DATA / "msrvtt" / f"frames_{part}_ids.txt").read_text().split()
        assert sorted(kept.splits["default"][part]) == sorted(ids)
        assert len(ids) == count
