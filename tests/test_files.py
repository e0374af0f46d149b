import os

import pytest

from matchcut.errors import MatchcutError
from matchcut.files import atomic, locked, write_text


def test_the_old_file_stays_when_writing_fails(tmp_path):
    path = tmp_path / "a.txt"
    path.write_text("old")

    def killed_half_way():
        with atomic(path) as temporary:
            temporary.write_text("half")
            raise RuntimeError("killed")

    with pytest.raises(RuntimeError, match="killed"):
        killed_half_way()
    assert path.read_text() == "old"
    assert os.listdir(tmp_path) == ["a.txt"]


def test_a_full_disk_is_one_line(tmp_path, monkeypatch):
    def full(_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("matchcut.files.os.fsync", full)
    with pytest.raises(MatchcutError, match=r"a\.txt: cannot be written: No space left on device; nothing was changed"):
        write_text(tmp_path / "a.txt", "new")
    assert os.listdir(tmp_path) == []


def test_a_full_disk_of_which_only_numpy_tells(tmp_path):
    message = r"a: cannot be written: 8 requested .* \(is the disk full\?\); nothing was changed"
    with pytest.raises(MatchcutError, match=message), atomic(tmp_path / "a"):
        raise OSError("8 requested and 3 written")


def test_a_lock_that_cannot_be_made(tmp_path):
    (tmp_path / "file").touch()
    with (
        pytest.raises(MatchcutError, match=r"file: cannot be written: .*; nothing was changed"),
        locked(tmp_path / "file" / ".lock"),
    ):
        pass
