import errno
import os

import pytest

from matchcut.errors import MatchcutError
from matchcut.media.sources import Source, assign_keys, find


def touch(root, *names):
    for name in names:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).touch()


def keys(paths, taken=None):
    return [source.key for source in assign_keys(find(paths)[0], taken or {})[0]]


def test_folders_are_searched_and_sorted(tmp_path):
    touch(tmp_path, "b.MP4", "a.txt", "sub/z.jpg", "sub/a.webm", ".hidden.mp4", ".cache/x.mp4", "c.gif")
    assert keys([tmp_path]) == ["b.MP4", "c.gif", "sub/a.webm", "sub/z.jpg"]


def test_files_go_by_name_and_each_is_taken_once(tmp_path):
    touch(tmp_path, "v/b.mp4", "v/a.mp4")
    (tmp_path / "link.mp4").symlink_to(tmp_path / "v/a.mp4")
    assert keys([tmp_path / "v/b.mp4", tmp_path / "v", tmp_path / "link.mp4"]) == ["b.mp4", "a.mp4"]


def test_links_are_followed_and_a_file_itself_comes_before_a_link_to_it(tmp_path):
    touch(tmp_path, "v/b.mp4", "w/c.mp4", "w/sub/d.mp4")
    (tmp_path / "v/a.mp4").symlink_to("b.mp4")
    (tmp_path / "v/folder").symlink_to(tmp_path / "w")
    (tmp_path / "w/back").symlink_to(tmp_path / "v")
    (tmp_path / "v/up").symlink_to(tmp_path)
    assert keys([tmp_path / "v"]) == ["b.mp4", "folder/c.mp4", "folder/sub/d.mp4"]
    (tmp_path / "also v").symlink_to(tmp_path / "v")
    assert keys([tmp_path / "also v"]) == ["b.mp4", "folder/c.mp4", "folder/sub/d.mp4"]
    assert keys([tmp_path / "w/sub/d.mp4", tmp_path / "w"]) == ["d.mp4", "c.mp4", "back/b.mp4"]


def test_a_folder_that_cannot_be_read_is_said(tmp_path, monkeypatch):
    touch(tmp_path, "a.mp4", "closed/b.mp4")
    real = os.scandir

    def refuse(path):
        if str(path).endswith("closed"):
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(path))
        return real(path)

    monkeypatch.setattr(os, "scandir", refuse)
    sources, failures = find([tmp_path])
    assert [source.path for source in sources] == [f"{tmp_path}/a.mp4"]
    assert [(f.source, f.reason) for f in failures] == [
        (f"{tmp_path}/closed", "the folder cannot be read: Permission denied")
    ]


def test_other_collections_are_passed_over(tmp_path):
    touch(tmp_path, "a.mp4", "mine/catalogue.db", "mine/thumbs/aa/x.jpg")
    assert keys([tmp_path]) == ["a.mp4"]
    with pytest.raises(MatchcutError, match="mine: a collection, not a folder of videos"):
        find([tmp_path / "mine"])


def test_same_name_in_two_places(tmp_path):
    touch(tmp_path, "one/x.mp4", "two/x.mp4", "one/y.mp4")
    sources, notes = assign_keys(find([tmp_path / "one", tmp_path / "two"])[0], {})
    assert [source.key for source in sources] == ["x.mp4", "y.mp4", "two/x.mp4"]
    assert notes == [f"{tmp_path}/two/x.mp4: goes by 'two/x.mp4', as 'x.mp4' is {tmp_path}/one/x.mp4"]


def test_keys_of_a_collection_stay(tmp_path):
    touch(tmp_path, "one/x.mp4", "two/x.mp4")
    taken = {"x.mp4": f"{tmp_path}/two/x.mp4"}
    assert keys([tmp_path / "one", tmp_path / "two"], taken) == ["one/x.mp4", "x.mp4"]


def test_as_many_parents_as_it_takes():
    sources = [Source(f"/{top}/v/x.mp4", f"/{top}/v") for top in "abc"]
    found, _ = assign_keys(sources, {"a/v/x.mp4": "/elsewhere/a/v/x.mp4"})
    assert [source.key for source in found] == ["x.mp4", "v/x.mp4", "c/v/x.mp4"]
    found, _ = assign_keys(sources[:1], {"x.mp4": "", "v/x.mp4": "", "a/v/x.mp4": ""})
    assert [source.key for source in found] == ["/a/v/x.mp4"]


def test_what_cannot_be_found_is_said(tmp_path):
    touch(tmp_path, "a.mp4", "a.pdf")
    _, failures = find([tmp_path / "a.mp4", tmp_path / "gone.mp4", tmp_path / "a.pdf"])
    assert [(f.source, f.reason.partition(";")[0]) for f in failures] == [
        (f"{tmp_path}/gone.mp4", "no such file or folder"),
        (f"{tmp_path}/a.pdf", "not a video or image by its name"),
    ]
    (tmp_path / "empty").mkdir()
    with pytest.raises(MatchcutError, match="empty: no video or image here; known are avi, gif"):
        find([tmp_path / "empty"])


def test_a_name_that_is_not_text(tmp_path):
    with open(os.fsencode(tmp_path) + b"/\xff.mp4", "wb"):
        pass
    sources, failures = find([tmp_path])
    assert sources == []
    assert "not valid UTF-8" in failures[0].reason
    failures[0].source.encode()  # can be printed and stored
