from pathlib import Path

import pytest

from matchcut.datasets.caption_files import Row, match, read_sidecar, read_table
from matchcut.errors import MatchcutError

WRITTEN = {
    "captions.csv": 'file,caption,split\na.mp4,"a cat, asleep",train\nb.mp4, two  dogs ,\n',
    "captions.tsv": "caption\tfile\tsplit\ta note\na cat, asleep\ta.mp4\ttrain\tx\ntwo dogs\tb.mp4\t\ty\n",
    "captions.jsonl": '{"file": "a.mp4", "caption": "a cat, asleep", "split": "train"}\n'
    '{"file": "b.mp4", "caption": "two dogs", "split": null}\n',
}


@pytest.mark.parametrize("name", WRITTEN)
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig"])
def test_three_forms_of_one_table(tmp_path, name, encoding):
    (tmp_path / name).write_text(WRITTEN[name], encoding=encoding)
    first = 1 if name.endswith("jsonl") else 2
    assert read_table(tmp_path / name) == [
        Row(first, "a.mp4", "a cat, asleep", "train"),
        Row(first + 1, "b.mp4", "two dogs"),
    ]


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        (
            "c.csv",
            "file,text\na.mp4,a cat\n",
            "c.csv, line 1: no column 'caption'; the header must name file and caption",
        ),
        ("c.csv", "", "c.csv, line 1: no column 'file'"),
        ("c.csv", "file,caption\n", "c.csv: holds no captions"),
        ("c.csv", "file,caption\na.mp4,a cat\nb.mp4,  \n", "c.csv, line 3: the column 'caption' is empty"),
        ("c.csv", "file,caption\n,a cat\n", "c.csv, line 2: the column 'file' is empty"),
        ("c.csv", "file,caption\na.mp4\n", "c.csv, line 2: no 'caption'"),
        ("c.csv", "file,caption\na.mp4,a cat, asleep\n", "c.csv, line 2: more values than the header has columns"),
        ("c.csv", 'file,caption\na.mp4,"a cat\n', "c.csv, line 2: not readable as a table: unexpected end of data"),
        ("c.csv", "file,caption,split\na.mp4,a cat,training\n", "line 2: split 'training' is none of train, val, test"),
        ("c.jsonl", '{"file": "a.mp4"}\n', "c.jsonl, line 1: no 'caption'"),
        ("c.jsonl", '{"file": "a.mp4", "caption": "\\ud800"}\n', "c.jsonl, line 1: 'caption' holds half a character"),
        ("c.jsonl", '{"file": "a.mp4", "caption": 7}\n', "c.jsonl, line 1: 'caption' must be text, got 7"),
        ("c.jsonl", '\n["a"]\n', "c.jsonl, line 2: must be an object such as"),
        ("c.jsonl", "{file: a}\n", "c.jsonl, line 1: not JSON"),
        ("c.jsonl", "\n", "c.jsonl: holds no captions"),
        ("c.xlsx", "", "c.xlsx: captions come as .csv, .tsv or .jsonl, not '.xlsx'"),
    ],
)
def test_wrong_tables_name_the_line(tmp_path, name, content, message):
    (tmp_path / name).write_text(content)
    with pytest.raises(MatchcutError) as caught:
        read_table(tmp_path / name)
    assert message in str(caught.value)


def test_unreadable(tmp_path):
    with pytest.raises(MatchcutError, match=r"gone.csv: No such file"):
        read_table(tmp_path / "gone.csv")
    (tmp_path / "latin.txt").write_bytes("one\ncafé\n".encode("latin-1"))
    with pytest.raises(MatchcutError, match=r"latin.txt, line 2: not UTF-8"):
        read_sidecar(tmp_path / "latin.txt")


def test_a_caption_over_two_lines_is_one(tmp_path):
    (tmp_path / "c.csv").write_text('file,caption\na.mp4,"a cat\nasleep"\n')
    assert [row.caption for row in read_table(tmp_path / "c.csv")] == ["a cat asleep"]


SOURCES = {
    "a.mp4": "/v/a.mp4",
    "sub/a.mp4": "/v/sub/a.mp4",
    "sub/b.mp4": "/v/sub/b.mp4",
    "b.jpg": "/v/b.jpg",
    "c.d.avi": "/w/c.d.avi",
}


@pytest.mark.parametrize(
    ("name", "key"),
    [
        ("a.mp4", "a.mp4"),
        ("./a.mp4", "a.mp4"),
        ("sub/a.mp4", "sub/a.mp4"),
        ("/v/sub/a.mp4", "sub/a.mp4"),
        ("b.mp4", "sub/b.mp4"),
        ("sub/b", "sub/b.mp4"),
        ("b", "b.jpg"),
        ("c.d", "c.d.avi"),
        ("../w/c.d.avi", "c.d.avi"),
    ],
)
def test_how_a_file_may_be_named(name, key):
    captions = match(Path("/v/c.csv"), [Row(2, name, "text", "val")], SOURCES)
    assert (captions.texts, captions.parts) == ({key: ["text"]}, {key: "val"})


def test_what_does_not_match():
    with pytest.raises(MatchcutError, match=r"c.csv, line 7: 'x.mp4' is none of the videos given or in the collection"):
        match(Path("c.csv"), [Row(7, "x.mp4", "text")], SOURCES)
    twice = {"one/a.mp4": "/one/a.mp4", "two/a.mp4": "/two/a.mp4"}
    with pytest.raises(MatchcutError, match=r"c.csv, line 2: 'a.mp4' fits one/a.mp4, two/a.mp4; write one of these"):
        match(Path("c.csv"), [Row(2, "a.mp4", "text")], twice)
    rows = [Row(2, "a.mp4", "text", "train"), Row(3, "a.mp4", "text"), Row(4, "a.mp4", "text", "test")]
    with pytest.raises(MatchcutError, match=r"c.csv, line 4: 'a.mp4' is in test here and in train further up"):
        match(Path("c.csv"), rows, SOURCES)
