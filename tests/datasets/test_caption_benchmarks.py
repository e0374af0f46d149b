"""The benchmarks that come without pixels: small self-made files in their layouts, and the real ones where they are."""

import gzip
import json
import os
import zipfile
from pathlib import Path

import pytest

from matchcut.cli import main
from matchcut.collection import Collection
from matchcut.datasets import FORMATS, load
from matchcut.errors import MatchcutError
from matchcut.evaluation.protocols import PROTOCOLS

DATA = Path(os.environ.get("MATCHCUT_DATA", Path(__file__).parents[3] / "shared" / "data"))


def gz(*lines):
    return gzip.compress("".join(f"{line}\n" for line in lines).encode(), mtime=0)


def didemo(key, text):
    return f'success,video_path,starts,text\nTrue,/x/y/{key},tensor([[0]]),"{text}"\n'


ANET = {"v_a": {"duration": 9.5, "timestamps": [[0, 2.5], [2.5, 9.5]], "sentences": ["One.", "  Two, too."]}}
YOUCOOK2 = {
    "database": {
        "b": {"subset": "validation", "annotations": [{"segment": [3, 7], "id": 2, "sentence": "stir"}]},
        "a": {"subset": "training", "annotations": [{"segment": [0, 5], "id": 0, "sentence": "cut"}]},
    }
}
# Format: (files, {item: captions}, default split)
SMALL = {
    "msvd": (
        {
            "captions_msvd.json": json.dumps({"a": ["x", "y "], "b": ["z"], "c": ["w"]}),
            "train_list.txt": "a\n",
            "val_list.txt": "b\n",
            "test_list.txt": "c\n",
        },
        {"a": ["x", "y"], "b": ["z"], "c": ["w"]},
        {"train": ["a"], "val": ["b"], "test": ["c"]},
    ),
    "didemo": (
        {f"didemo_{p}_label.csv": didemo(f"7@N_{p}.avi", f"one, {p}. two.") for p in ("train", "val", "test")},
        {f"7@N_{p}.avi": [f"one, {p}. two."] for p in ("train", "val", "test")},
        {p: [f"7@N_{p}.avi"] for p in ("train", "val", "test")},
    ),
    "activitynet": (
        {f"{p}.json": json.dumps({f"v_{p[:5]}": ANET["v_a"]}) for p in ("train", "val_1", "val_2")},
        {key: ["One. Two, too."] for key in ("v_train", "v_val_1", "val_2/v_val_2")},
        {"train": ["v_train"], "val": ["v_val_1"], "test": ["val_2/v_val_2"]},
    ),
    "activitynet-segments": (
        {"train.json": json.dumps(ANET), "val_1.json": "{}", "val_2.json": "{}"},
        {"v_a/0": ["One."], "v_a/1": ["Two, too."]},
        {"train": ["v_a/0", "v_a/1"]},
    ),
    "vatex": (
        {"descs_ret_test.json": json.dumps([{"video_id": "a", "desc": ["x", " y"], "subtitle": ""}])},
        {"a": ["x", "y"]},
        {"test": ["a"]},
    ),
    "lsmdc": (
        {"LSMDC16_challenge_1000_publictect.csv": "a\t1\t2\t1\t2\tSOMEONE, too.\n"},
        {"a": ["SOMEONE, too."]},
        {"test": ["a"]},
    ),
    "youcook2": (
        {"youcookii_annotations_trainval.json": json.dumps(YOUCOOK2)},
        {"a/0": ["cut"], "b/2": ["stir"]},
        {"train": ["a/0"], "val": ["b/2"]},
    ),
    "tgif": (
        {"t.tsv": "https://x/y/a.gif\tone .\nhttps://x/z/b.gif\ttwo .\nhttps://x/y/a.gif\tthree .\n"},
        {"a.gif": ["one .", "three ."], "b.gif": ["two ."]},
        {},
    ),
    "flickr30k": (
        {
            "train_images.txt": "a.jpg\nb.jpg\n",
            "val_images.txt": "c.jpg\n",
            **{f"train.{k}.en.gz": gz(f"a{k}", f"b{k}") for k in range(1, 6)},
            **{f"val.{k}.en.gz": gz(f"c{k}") for k in range(1, 6)},
            "f30k_caption_karpathy_test.jsonl": '{"caption": ["d1"], "image": "flickr30k_images/d.jpg"}\n',
        },
        {**{f"{n}.jpg": [f"{n}{k}" for k in range(1, 6)] for n in "abc"}, "d.jpg": ["d1"]},
        {"train": ["a.jpg", "b.jpg"], "val": ["c.jpg"], "test": ["d.jpg"]},
    ),
    "coco": (
        {"coco_caption_karpathy_test.jsonl": '{"caption": ["x ", "y"], "image": "c/val2014/a.jpg"}\n'},
        {"a.jpg": ["x", "y"]},
        {"test": ["a.jpg"]},
    ),
    "avs": (
        {
            "mytrain.caption.txt": "a#1 one\na#10 three\na#2 two\n",
            "testval.caption.txt": "b#enc#0 four\n",
            "rest.caption.txt": "c#0 five\n",
        },
        {"a": ["one", "two", "three"], "b#enc": ["four"], "c": ["five"]},
        {"train": ["a"], "val": ["b#enc"]},
    ),
}


def write(folder, files):
    for name, content in files.items():
        (folder / name).write_bytes(content if isinstance(content, bytes) else content.encode())


def captions_of(collection):
    found = {item.key: [] for item in collection.items()}
    for caption in collection.captions():
        found[caption.item].append(caption.text)
    return found


@pytest.mark.parametrize("name", SMALL)
def test_small_files(tmp_path, name):
    files, captions, split = SMALL[name]
    write(tmp_path, files)
    collection = Collection.create(tmp_path / "c")
    for _ in range(2):  # the second time changes nothing
        report = load(name, tmp_path, collection)
        assert captions_of(collection) == captions
        for part, keys in split.items():
            assert [item.key for item in collection.items(split=part)] == keys
        assert sum(collection.splits().get("default", {}).values()) == sum(map(len, split.values()))
    assert {item.source for item in collection.items()} == {""}
    assert collection.counts()["shots"] == 0
    assert (report.items, report.captions) == (len(captions), sum(map(len, captions.values())))


def test_every_format_is_tried_here():
    assert set(SMALL) == set(FORMATS) - {"msrvtt", "flickr8k"}


# Format: folder in the data, items, captions, default split. The counts are those of the files themselves.
REAL = {
    "msvd": ("msvd", 1_970, 80_827, {"train": 1_200, "val": 100, "test": 670}),
    "didemo": ("didemo", 10_428, 10_428, {"train": 8_362, "val": 1_062, "test": 1_004}),
    "activitynet": ("activitynet", 19_811, 19_811, {"train": 10_009, "val": 4_917, "test": 4_885}),
    "activitynet-segments": ("activitynet", 71_957, 71_957, {"train": 37_421, "val": 17_505, "test": 17_031}),
    "flickr30k": ("flickr30k", 31_014, 151_070, {"train": 29_000, "val": 1_014, "test": 1_000}),
    "vatex": ("vatex", 1_500, 15_000, {"test": 1_500}),
    "lsmdc": ("lsmdc", 1_000, 1_000, {"test": 1_000}),
    "youcook2": ("youcook2", 13_829, 13_829, {"train": 10_337, "val": 3_492}),
    "tgif": ("tgif", 11_360, 11_360, {}),
    "coco": ("coco", 5_000, 25_010, {"test": 5_000}),
    "avs": ("avs", 185, 370, {"train": 185}),
}


@pytest.mark.parametrize("name", REAL)
def test_the_real_files(kept, name):
    folder, items, captions, split = REAL[name]
    if not (DATA / folder).is_dir():
        pytest.skip(f"no {folder}/ in the folder that MATCHCUT_DATA names")
    report = load(name, DATA / folder, kept)
    assert (len(kept.items), sum(map(len, kept.captions.values()))) == (items, captions)
    assert {part: len(keys) for part, keys in kept.splits.get("default", {}).items()} == split
    if name == "coco":
        assert len(set(kept.named["five"]["test"])) == PROTOCOLS["coco-5k"].texts
    assert not any(note.startswith("expected") for note in report.notes)


def test_paragraphs_with_line_ends(tmp_path):
    """As shipped: rows end in CRLF, and some descriptions within a paragraph in LF."""
    write(tmp_path, SMALL["didemo"][0])
    rows = [
        ("a.avi", '"Plane takeoff.\n"'),
        ("b.avi", '"a horse.\nA policeman\n\n on a  horse.\r\nPolice."'),
        ("c.avi", " plain "),
    ]
    table = "success,video_path,text\r\n" + "".join(f"True,/x/{key},{text}\r\n" for key, text in rows)
    (tmp_path / "didemo_test_label.csv").write_bytes(b"\xef\xbb\xbf" + table.encode())
    collection = Collection.create(tmp_path / "c")
    load("didemo", tmp_path, collection)
    assert [(caption.item, caption.text) for caption in collection.captions(split="test")] == [
        ("a.avi", "Plane takeoff."),
        ("b.avi", "a horse. A policeman on a horse. Police."),
        ("c.avi", "plain"),
    ]


def test_the_real_paragraphs_are_clean(kept):
    if not (DATA / "didemo").is_dir():
        pytest.skip("no didemo/ in the folder that MATCHCUT_DATA names")
    load("didemo", DATA / "didemo", kept)
    texts = [text for (text,) in kept.captions.values()]
    assert [text for text in texts if text != " ".join(text.split())] == []
    for part in ("train", "val", "test"):  # nothing but white space is lost
        given = (DATA / "didemo" / f"didemo_{part}_label.csv").read_bytes().decode()
        squeezed = "".join(given.replace('""', '"').split())
        assert all("".join(kept.captions[key][0].split()) in squeezed for key in kept.splits["default"][part])


def test_five_captions_an_image_of_coco(tmp_path):
    lines = [{"image": f"x/{key}.jpg", "caption": [f"{key}{k}" for k in range(n)]} for key, n in (("a", 7), ("b", 5))]
    write(tmp_path, {"coco_caption_karpathy_test.jsonl": "".join(json.dumps(line) + "\n" for line in lines)})
    collection = Collection.create(tmp_path / "c")
    report = load("coco", tmp_path, collection)
    five = [caption.key for caption in collection.captions(split="test", scheme="five")]
    assert five == [f"{key}.jpg#{k}" for key in "ab" for k in range(5)]
    assert len(collection.captions(split="test")) == 12
    assert report.named == {"five": {"test": 10}}


def test_ratings_of_crisscrossed_captions(tmp_path):
    write(tmp_path, SMALL["coco"][0])
    (tmp_path / "cxc").mkdir()
    (tmp_path / "cxc" / "sits_test.csv").write_text(
        "caption,image,agg_score,sampling_method\n"
        "COCO_val2014:sentid:71,a.jpg,4.5,c2i_original\n"
        "COCO_val2014:sentid:72,elsewhere.jpg,1.0,c2i_intrasim\n"
        "COCO_val2014:sentid:73,a.jpg,1.0,c2i_intrasim\n"
    )
    collection = Collection.create(tmp_path / "c")
    report = load("coco", tmp_path, collection)
    assert any("without its ids the ratings in" in note for note in report.notes)
    ids = {
        "images": [{"id": 1, "file_name": "a.jpg"}],
        "annotations": [
            {"id": 72, "image_id": 1, "caption": "x"},
            {"id": 71, "image_id": 1, "caption": "y"},
            {"id": 73, "image_id": 1, "caption": "another"},
        ],
    }
    with zipfile.ZipFile(tmp_path / "annotations_trainval2014.zip", "w") as archive:
        archive.writestr("annotations/captions_val2014.json", json.dumps(ids))
    load("coco", tmp_path, collection)
    assert [(j.caption, j.item, j.relevance) for j in collection.judgments("cxc")] == [("a.jpg#1", "a.jpg", 0.9)]
    assert collection.judged() == {"cxc": "partial"}
    (tmp_path / "cxc" / "sits_test.csv").write_text("caption,image,agg_score\nx:71,a.jpg,much\n")
    with pytest.raises(MatchcutError, match=r"sits_test\.csv, line 2: agg_score 'much' is no number"):
        load("coco", tmp_path, collection)


@pytest.mark.parametrize(
    ("name", "file", "content", "message"),
    [
        ("msvd", "captions_msvd.json", "[]", "must be an object of lists"),
        ("msvd", "val_list.txt", "d\n", "clip d has no captions in captions_msvd.json"),
        ("msvd", "val_list.txt", "a\n", "a is listed twice, for train and for val"),
        ("msvd", "captions_msvd.json", '{"a": ["x", " "], "b": ["z"], "c": ["w"]}', "MSVD: a has an empty caption"),
        ("didemo", "didemo_val_label.csv", "a,b\n1,2\n", "no column video_path in its header"),
        ("didemo", "didemo_val_label.csv", didemo("k", " "), "line 2: /x/y/k has an empty paragraph"),
        ("didemo", "didemo_val_label.csv", didemo("", "x"), "line 2: names no video"),
        ("didemo", "didemo_val_label.csv", 'video_path,text\na,"b', "didemo_val_label.csv, line 2: not readable as a"),
        ("activitynet", "val_1.json", '{"v": {"duration": 1}}', "not laid out as ActivityNet Captions"),
        ("activitynet-segments", "val_1.json", "[1]", "not laid out as ActivityNet Captions"),
        ("vatex", "descs_ret_test.json", '[{"video_id": "a"}]', "must be a list of"),
        ("lsmdc", "LSMDC16_challenge_1000_publictect.csv", "a\tb\n", "line 1: must have 6 tab-separated fields"),
        ("youcook2", "youcookii_annotations_trainval.json", "{}", "not laid out as YouCook2's annotations"),
        ("tgif", "t.tsv", "no tab\n", "line 1: must read address<TAB>sentence"),
        ("tgif", "u.tsv", "", "2 tables (.tsv) here, must be one"),
        ("flickr30k", "train.3.en.gz", gz("one"), "1 captions for the 2 images of"),
        ("flickr30k", "train.3.en.gz", gz("one")[:9], "train.3.en.gz: not a whole gzip file"),
        ("flickr30k", "f30k_caption_karpathy_test.jsonl", "{}\n", "line 1: must be {image, caption: [captions]}"),
        ("coco", "coco_caption_karpathy_test.jsonl", "x\n", "line 1: must be {image, caption: [captions]}"),
        ("avs", "mytrain.caption.txt", "a one\n", "line 1: must read videoid#k caption"),
        ("avs", "mytrain.caption.txt", "a#0 one\na#0 two\n", "line 2: a#0 is there twice"),
    ],
)
def test_bad_files(tmp_path, name, file, content, message):
    write(tmp_path, {**SMALL[name][0], file: content})
    collection = Collection.create(tmp_path / "c")
    with pytest.raises(MatchcutError) as caught:
        load(name, tmp_path, collection)
    assert message in str(caught.value)
    assert collection.counts()["items"] == 0


VATEX = "descs_ret_test.json"


@pytest.mark.parametrize(
    ("name", "files", "message"),
    [
        (
            "avs",
            {"atrain.caption.txt": "v#0 one\n", "more.caption.txt": "v#0 two\n"},
            "AVS captions: v is there twice; an item must come once, with all its captions",
        ),
        ("vatex", {VATEX: '[{"video_id": "a", "desc": "a dog"}]'}, "'a dog' is no list of captions"),
        ("vatex", {VATEX: '[{"video_id": "a", "desc": ["\\ud800"]}]'}, "VATEX: 'a': half a character"),
    ],
)
def test_captions_are_neither_lost_nor_torn(tmp_path, name, files, message):
    for file, content in files.items():
        (tmp_path / file).write_text(content)
    collection = Collection.create(tmp_path / "c")
    with pytest.raises(MatchcutError, match=message):
        load(name, tmp_path, collection)
    assert collection.counts()["items"] == 0


@pytest.mark.parametrize("name", FORMATS)
def test_an_empty_folder_says_what_is_missing(tmp_path, capsys, name):
    (tmp_path / "empty").mkdir()
    assert main(["import", name, str(tmp_path / "empty"), "--collection", str(tmp_path / "c")]) == 2
    assert not (tmp_path / "c").exists()
    error = capsys.readouterr().err
    assert error.count("\n") == 1
    assert f"{tmp_path / 'empty'}: " in error
    assert "here" in error


def test_unknown_formats_and_paths(tmp_path, capsys):
    collection = tmp_path / "c"
    assert main(["import", "msrvt", str(tmp_path), "--collection", str(collection)]) == 2
    assert "no benchmark format 'msrvt'; known: world, msrvtt, flickr8k" in capsys.readouterr().err
    assert main(["import", "msvd", str(tmp_path / "gone"), "--collection", str(collection)]) == 2
    assert "gone: no such file or folder" in capsys.readouterr().err
    assert main(["import", "msvd", "--collection", str(collection)]) == 2
    assert "import msvd needs the folder with its files" in capsys.readouterr().err
    assert not collection.exists()
