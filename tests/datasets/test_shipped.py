"""Finding and reading the files of a benchmark."""

import io
import zipfile

import pytest
from PIL import Image

from matchcut.datasets.report import Report, differences
from matchcut.datasets.shipped import (
    image_members,
    image_size,
    json_of,
    lines_of,
    listed,
    look,
    open_zip,
    read_bytes,
    read_member,
)
from matchcut.errors import MatchcutError


def jpeg(size=(8, 6)):
    buffer = io.BytesIO()
    Image.new("RGB", size, "red").save(buffer, "JPEG")
    return buffer.getvalue()


def test_a_loose_file_comes_before_one_in_an_archive(tmp_path):
    with zipfile.ZipFile(tmp_path / "text.zip", "w") as archive:
        archive.writestr("__MACOSX/a.txt", "rubbish")
        archive.writestr("deep/a.txt", "zipped")
    assert look(tmp_path, ["a.txt"], ["text.zip"]) == (f"{tmp_path}/text.zip, entry 'deep/a.txt'", b"zipped")
    (tmp_path / "a.txt").write_text("loose")
    assert look(tmp_path, ["b.txt", "a.txt"], ["text.zip"]) == (f"{tmp_path}/a.txt", b"loose")
    assert look(tmp_path, ["b.txt"], ["text.zip"]) is None


def test_a_missing_file_is_named_with_its_origin(tmp_path):
    with pytest.raises(MatchcutError, match=r"no a\.txt or b\.txt here, nor in t\.zip; it comes from the authors"):
        read_bytes(tmp_path, ["a.txt", "b.txt"], ["t.zip"], origin="it comes from the authors")


def test_lines():
    assert lines_of("f", "\ufeffa\r\n\n b\u2028c \n".encode()) == [(1, "a"), (3, " b\u2028c ")]
    with pytest.raises(MatchcutError, match=r"f: not UTF-8 text \(byte 1\)"):
        lines_of("f", b"a\xff")


def test_json():
    assert json_of("f", b'{"a": 1}') == {"a": 1}
    with pytest.raises(MatchcutError, match="f: not valid JSON"):
        json_of("f", b"{")


def test_damaged_archives(tmp_path):
    path = tmp_path / "a.zip"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("x.jpg", jpeg())
        archive.writestr("no.jpg", b"not a picture at all")
        archive.writestr("._x.jpg", b"")
        archive.writestr("notes.txt", "")
    data = path.read_bytes()
    with open_zip(path) as archive:
        assert list(image_members(archive)) == ["x.jpg", "no.jpg"]
        assert image_size(archive, "x.jpg") == (8, 6)
        with pytest.raises(MatchcutError, match=r"a\.zip, entry 'no\.jpg': not an image"):
            image_size(archive, "no.jpg")
    path.write_bytes(data[: len(data) // 2])
    with pytest.raises(MatchcutError, match=r"a\.zip: not a whole zip archive .*; get it again"):
        open_zip(path)
    path.write_bytes(data.replace(b"not a picture", b"NOT A PICTURE"))
    with open_zip(path) as archive, pytest.raises(MatchcutError, match=r"entry 'no\.jpg': damaged: Bad CRC-32"):
        read_member(archive, "no.jpg")


def test_what_differs_is_said():
    assert differences({"a": 1, "b": 2}, {"a": 1, "b": 2}) == ()
    assert differences({"a": 1, "b": 2}, {"a": 1, "b": 3_000}) == ("expected 3,000 b, found 2",)
    assert listed(["a", "b"]) == "a, b"
    assert Report("x", 1, 2).notes == ()
