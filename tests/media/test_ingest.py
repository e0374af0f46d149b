import errno
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from PIL import Image

from matchcut.collection import Collection
from matchcut.errors import MatchcutError
from matchcut.media import ingest as ingest_module
from matchcut.media import pool, store
from matchcut.media.ingest import ingest

RED, BLUE = (200, 20, 20), (20, 20, 200)


@pytest.fixture
def videos(make_video, tmp_path):
    folder = tmp_path / "videos"
    make_video("videos/a.mp4", [RED] * 8 + [BLUE] * 8)
    make_video("videos/b.mp4", [BLUE] * 6)
    Image.new("RGB", (9, 9), RED).save(folder / "c.png")
    return folder


@pytest.fixture
def collection(tmp_path):
    return Collection.create(tmp_path / "collection")


def state(collection):
    """All that a catalogue holds, and the files beside it; locks do not count."""
    files = sorted(
        str(p.relative_to(collection.root)) for p in collection.root.rglob("*") if p.is_file() and p.name[0] != "."
    )
    rows = (collection.items(), collection.shots(), collection.captions(), collection.splits())
    return (*rows, [(f.source, f.reason) for f in collection.failures()], files)


def test_what_is_added(videos, collection):
    seen = []
    report = ingest(collection, [videos], workers=1, progress=lambda *at: seen.append(at))
    assert report.added == ["a.mp4", "b.mp4", "c.png"]
    assert (report.shots, report.frames) == (4, 7)
    assert seen == [(1, 3, "a.mp4"), (2, 3, "b.mp4"), (3, 3, "c.png")]
    shots = collection.shots()
    assert [shot.key for shot in shots] == ["a.mp4@0", "a.mp4@1", "b.mp4@0", "c.png@0"]
    for shot in shots:
        assert Image.open(collection.root / shot.thumb).format == "JPEG"
    assert [item.source for item in collection.items()] == [str(videos / item.key) for item in collection.items()]


def test_many_processes_give_the_same(videos, collection, tmp_path):
    ingest(collection, [videos], workers=1)
    other = Collection.create(tmp_path / "other")
    ingest(other, [videos], workers=2)
    assert state(other) == state(collection)


def test_again_reads_nothing(videos, collection, monkeypatch):
    ingest(collection, [videos], workers=1)
    before = state(collection)
    monkeypatch.setattr(pool, "run", lambda function, jobs, **_: iter([]) if not jobs else pytest.fail("read again"))
    report = ingest(collection, [videos])
    assert (report.added, report.unchanged) == ([], ["a.mp4", "b.mp4", "c.png"])
    assert state(collection) == before


def test_only_new_and_changed_files_are_read(videos, collection, make_video):
    (videos / "b.txt").write_text("a blue field\n")
    ingest(collection, [videos], workers=1)
    old = {shot.thumb for shot in collection.shots() if shot.item == "b.mp4"}
    make_video("videos/b.mp4", [RED] * 9)
    make_video("videos/d.mp4", [RED] * 9)
    report = ingest(collection, [videos], workers=1)
    assert (report.added, report.changed, report.unchanged) == (["d.mp4"], ["b.mp4"], ["a.mp4", "c.png"])
    shots = {shot.item: shot for shot in collection.shots()}
    assert shots["b.mp4"].end == pytest.approx(0.9)
    assert not any((collection.root / thumb).exists() for thumb in old)
    assert [caption.text for caption in collection.captions()] == ["a blue field"]


def test_another_rule_or_a_lost_thumbnail_reads_again(videos, collection):
    ingest(collection, [videos], workers=1)
    report = ingest(collection, [videos], workers=1, shots="none", frames=2)
    assert (report.changed, report.unchanged) == (["a.mp4", "b.mp4"], ["c.png"])
    assert [len(shot.frames) for shot in collection.shots()] == [2, 2, 1]
    (collection.root / collection.shots()[0].thumb).unlink()
    assert ingest(collection, [videos], workers=1, shots="none", frames=2).changed == ["a.mp4"]
    assert (collection.root / collection.shots()[0].thumb).exists()


def test_a_moved_file_stays_the_same_item(videos, collection, tmp_path):
    (videos / "b.txt").write_text("a blue field\n")
    ingest(collection, [videos], workers=1)
    shutil.move(videos, tmp_path / "elsewhere")
    report = ingest(collection, [tmp_path / "elsewhere"], workers=1)
    assert report.changed == ["a.mp4", "b.mp4", "c.png"]
    assert {Path(item.source).parent.name for item in collection.items()} == {"elsewhere"}
    assert len(collection.captions()) == 1


def test_broken_files_are_recorded_and_the_others_taken_in(videos, collection):
    content = (videos / "a.mp4").read_bytes()
    (videos / "cut.mp4").write_bytes(content[: len(content) * 2 // 3])
    (videos / "empty.mp4").touch()
    report = ingest(collection, [videos, videos.parent / "gone.mp4"], workers=1)
    assert report.added == ["a.mp4", "b.mp4", "c.png"]
    found = {Path(failure.source).name: failure.reason for failure in collection.failures()}
    assert set(found) == {"cut.mp4", "empty.mp4", "gone.mp4"}
    assert found["empty.mp4"] == "the file is empty"
    assert {Path(failure.source).name for failure in report.failed} == set(found)
    shutil.copy(videos / "a.mp4", videos / "cut.mp4")  # mended
    (videos / "empty.mp4").unlink()  # given up
    report = ingest(collection, [videos], workers=1)
    assert (report.added, report.failed) == (["cut.mp4"], [])
    assert [Path(failure.source).name for failure in collection.failures()] == ["gone.mp4"]  # not looked for this time


def test_a_link_that_leads_nowhere_in_place_of_a_file(videos, collection):
    ingest(collection, [videos], workers=1)
    (videos / "b.mp4").unlink()
    (videos / "b.mp4").symlink_to("gone.mp4")
    [failure] = ingest(collection, [videos], workers=1).failed
    assert failure.reason == "No such file or directory"
    assert "b.mp4" in {item.key for item in collection.items()}


def test_two_at_once_do_not_take_each_others_keys(videos, collection):
    code = (
        "import sys, time; from pathlib import Path; from matchcut.media.ingest import ingest\n"
        "ingest(Path(sys.argv[1]), [Path(sys.argv[2])], workers=1, "
        "progress=lambda n, *_: n == 1 and (print(n, flush=True), time.sleep(60)))"
    )
    arguments = [sys.executable, "-c", code, str(collection.root), str(videos)]
    with subprocess.Popen(arguments, stdout=subprocess.PIPE) as other:
        assert other.stdout.readline() == b"1\n"
        with pytest.raises(MatchcutError, match="another `matchcut add` is at work in this collection; wait until"):
            ingest(collection, [videos], workers=1)
        other.kill()
    assert ingest(collection, [videos], workers=1).unchanged == ["a.mp4"]  # the lock went with its process


def test_a_decoder_that_raises_half_way_is_a_failure_of_its_file(videos, collection, monkeypatch):
    real = ingest_module.scan

    def scan(source, rule):
        if source.key == "b.mp4":
            raise ValueError("no such\n  pixel format")
        return real(source, rule)

    monkeypatch.setattr(ingest_module, "scan", scan)
    report = ingest(collection, [videos], workers=1)
    assert (report.added, [f.reason for f in report.failed]) == (
        ["a.mp4", "c.png"],
        ["cannot be read: no such pixel format"],
    )


def test_killed_and_started_again(videos, collection, tmp_path):
    code = (
        "import os, sys; from pathlib import Path; from matchcut.media.ingest import ingest\n"
        "ingest(Path(sys.argv[1]), [Path(sys.argv[2])], workers=1, progress=lambda n, *_: n == 2 and os._exit(9))"
    )
    root = tmp_path / "killed"
    assert subprocess.run([sys.executable, "-c", code, str(root), str(videos)]).returncode == 9
    killed = Collection.open(root)
    assert [item.key for item in killed.items()] == ["a.mp4", "b.mp4"]
    report = ingest(killed, [videos], workers=1)
    assert (report.added, report.unchanged) == (["c.png"], ["a.mp4", "b.mp4"])
    ingest(collection, [videos], workers=1)
    assert state(killed) == state(collection)


def full(*_):
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


@pytest.mark.parametrize("call", ["replace", "fsync"])
def test_full_disk_at_a_thumbnail(videos, collection, monkeypatch, call):
    before = state(collection)
    with monkeypatch.context() as patch:
        patch.setattr(f"matchcut.files.os.{call}", full)
        with pytest.raises(
            MatchcutError, match=r"-0.jpg: cannot be written: No space left on device; nothing was changed"
        ):
            ingest(collection, [videos], workers=1)
    assert state(collection) == before
    assert ingest(collection, [videos], workers=1).added == ["a.mp4", "b.mp4", "c.png"]


def test_full_disk_at_the_second_thumbnail_of_a_video(videos, collection, monkeypatch):
    before, real, calls = state(collection), store.atomic, []

    def second(path):
        calls.append(path)
        return full() if len(calls) == 2 else real(path)

    with monkeypatch.context() as patch:
        patch.setattr(store, "atomic", second)
        with pytest.raises(OSError, match="No space left"):
            ingest(collection, [videos], workers=1)
    assert state(collection) == before


def test_full_disk_at_the_catalogue(videos, collection, monkeypatch):
    ingest(collection, [videos / "b.mp4"], workers=1)
    before = state(collection)
    with collection.reading() as connection:  # the pool gives this connection to the writer too
        pages = connection.exec_driver_sql("PRAGMA page_count").scalar_one()
        connection.exec_driver_sql(f"PRAGMA max_page_count = {pages}")
    long = videos / "a.txt"
    long.write_text("\n".join(f"a red field that turns blue {k}" for k in range(2000)))
    with pytest.raises(MatchcutError, match=r"catalogue.db: cannot be written: database or disk is full; nothing was"):
        ingest(collection, [videos], workers=1)
    assert state(collection) == before


def test_sidecars(videos, collection):
    (videos / "a.txt").write_text("red turns blue\n\n  a   cut \n")
    (videos / "b.txt").write_text("\n")
    report = ingest(collection, [videos], workers=1)
    assert [(c.key, c.text) for c in collection.captions()] == [("a.mp4#0", "red turns blue"), ("a.mp4#1", "a cut")]
    assert report.captions == 2
    assert report.notes == [f"{videos}/b.txt: holds no caption; write one a line, or remove the file"]
    (videos / "a.txt").write_text("red turns blue\n")
    assert ingest(collection, [videos], workers=1).unchanged == ["a.mp4", "b.mp4", "c.png"]
    assert [c.text for c in collection.captions()] == ["red turns blue"]


def test_a_table_with_splits(videos, collection, tmp_path):
    table = tmp_path / "captions.csv"
    table.write_text("file,caption,split\na.mp4,red,train\na.mp4,blue,\nb,sea,test\n")
    report = ingest(collection, [videos], captions=table, workers=1)
    assert [(c.key, c.text) for c in collection.captions()] == [
        ("a.mp4#0", "red"),
        ("a.mp4#1", "blue"),
        ("b.mp4#0", "sea"),
    ]
    assert collection.splits() == {"default": {"train": 1, "test": 1}}
    assert report.captions == 3


def test_a_table_has_the_last_word_and_keeps_it(videos, collection, tmp_path):
    (videos / "a.txt").write_text("from the text file\n")
    table = tmp_path / "captions.tsv"
    table.write_text("file\tcaption\na.mp4\tfrom the table\n")
    ingest(collection, [videos], captions=table, workers=1)
    assert [c.text for c in collection.captions()] == ["from the table"]
    ingest(collection, [videos], workers=1)
    assert [c.text for c in collection.captions()] == ["from the table"]


def test_a_table_may_name_what_is_in_the_collection_already(videos, collection, tmp_path):
    ingest(collection, [videos], workers=1)
    table = tmp_path / "captions.jsonl"
    table.write_text('{"file": "b.mp4", "caption": "the sea", "split": "val"}\n')
    ingest(collection, [videos / "a.mp4"], captions=table, workers=1)
    assert [c.key for c in collection.captions()] == ["b.mp4#0"]
    assert collection.splits() == {"default": {"val": 1}}


def test_captions_of_a_broken_file_are_said_to_be_left_out(videos, collection, tmp_path):
    (videos / "b.mp4").write_bytes(b"no video")
    table = tmp_path / "captions.csv"
    table.write_text("file,caption\na.mp4,red\nb.mp4,sea\n")
    report = ingest(collection, [videos], captions=table, workers=1)
    assert report.notes == ["b.mp4: its captions were not taken in, as the file was not; give the table again"]
    assert [c.key for c in collection.captions()] == ["a.mp4#0"]


def test_a_wrong_table_writes_nothing(videos, tmp_path):
    table = tmp_path / "captions.csv"
    table.write_text("file,caption\na.mp4,red\nz.mp4,sea\n")
    with pytest.raises(MatchcutError, match=r"captions.csv, line 3: 'z.mp4' is none of the videos given or in the"):
        ingest(tmp_path / "new", [videos], captions=table)
    assert not (tmp_path / "new").exists()


def test_a_decoder_that_crashes_is_a_failure_of_its_file(videos, collection, monkeypatch):
    def run(function, jobs, *, workers, crashed):
        return iter([crashed(job) if job.key == "b.mp4" else function(job) for job in jobs])

    monkeypatch.setattr(pool, "run", run)
    report = ingest(collection, [videos])
    assert report.added == ["a.mp4", "c.png"]
    assert [failure.reason for failure in report.failed] == ["the decoder crashed on it"]
