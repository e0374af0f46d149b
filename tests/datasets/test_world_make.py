"""The built-in world as a collection."""

from pathlib import Path

import av
import pytest

from matchcut.cli import main
from matchcut.datasets.world import make
from matchcut.datasets.world_meaning import is_true
from matchcut.datasets.world_plan import World, plan
from matchcut.errors import MatchcutError

TINY = {"train": 6, "val": 2, "test": 4, "captions": 3, "share": 0.5, "alike": 2, "size": 32, "fps": 8, "seed": 1}


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    return make(tmp_path_factory.mktemp("world"), **TINY, processes=1)


def test_what_the_catalogue_holds(world):
    videos = plan(World(**TINY))
    assert [item.key for item in world.items()] == [video.key for video in videos]
    assert [caption.text for caption in world.captions()] == [text for video in videos for text in video.texts]
    assert world.splits() == {"default": {"train": 6, "val": 2, "test": 4}}
    assert world.judged() == {"exact": "complete"}
    assert [frame.time for frame in world.shots()[0].frames] == [0.0, 0.5, 1.0, 1.5]
    assert {(shot.start, shot.end) for shot in world.shots()} == {(0.0, 2.0)}


def test_judgments_are_all_true_pairs_and_no_others(world):
    videos = plan(World(**TINY))
    true = {
        (f"{video.key}#{k}", other.key)
        for video in videos
        for k, claim in enumerate(video.claims)
        for other in videos
        if is_true(claim, other.scene)
    }
    judgments = world.judgments("exact")
    assert {(j.caption, j.item) for j in judgments} == true
    assert {j.relevance for j in judgments} == {1.0}
    assert len(true) > 12 * 3


def test_the_files_are_what_the_catalogue_says(world):
    for item in world.items():
        with av.open(item.source) as container:
            assert sum(1 for _ in container.decode(video=0)) == 16
            assert (container.streams.video[0].width, item.width, item.fps, item.duration) == (32, 32, 8, 2.0)


def test_again_keeps_whole_files_and_makes_missing_ones(tmp_path):
    world = make(tmp_path, **TINY, processes=1)
    before = {item.key: item for item in world.items()}
    captions, judgments = world.captions(), world.judgments("exact")
    gone, cut, kept = (tmp_path / "videos" / f"world0000{k}.mp4" for k in (0, 1, 2))
    gone.unlink()
    data = cut.read_bytes()
    cut.write_bytes(data[: len(data) // 2])
    stamp = kept.stat().st_mtime_ns
    done = []
    make(tmp_path, **TINY, processes=1, progress=lambda number, total: done.append((number, total)))
    assert done == [(1, 2), (2, 2)]
    assert cut.read_bytes() == data
    assert kept.stat().st_mtime_ns == stamp
    after = {item.key: item for item in world.items()}
    assert {key: item.size for key, item in after.items()} == {key: item.size for key, item in before.items()}
    assert (world.captions(), world.judgments("exact")) == (captions, judgments)


def test_an_interrupted_job_goes_on(tmp_path, monkeypatch):
    def stop(number, total):
        if number == 5:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        make(tmp_path, **TINY, processes=1, progress=stop)
    assert len(list((tmp_path / "videos").glob("*.mp4"))) == 5
    counts = []
    world = make(tmp_path, **TINY, processes=1, progress=lambda number, total: counts.append(total))
    assert counts[-1] == 12 - 5
    assert world.counts()["items"] == 12


def test_another_world_in_the_same_folder_is_refused(tmp_path):
    make(tmp_path, **TINY, processes=1)
    with pytest.raises(MatchcutError, match=r"world\.json: a world with other parameters was made here"):
        make(tmp_path, **{**TINY, "seed": 2}, processes=1)


def test_several_processes_make_the_same_files(tmp_path):
    size = {"train": 33, "val": 0, "test": 0, "size": 32, "seconds": 0.5, "captions": 1}
    one, two = make(tmp_path / "a", **size, processes=1), make(tmp_path / "b", **size, processes=2)
    for a, b in zip(one.items(), two.items(), strict=True):
        assert Path(a.source).read_bytes() == Path(b.source).read_bytes()


def test_the_command(tmp_path, capsys):
    size = {"train": 2, "val": 1, "test": 1, "size": 32, "seconds": 0.5}
    flags = [word for name, value in size.items() for word in (f"--world.{name}", str(value))]
    assert main(["import", "world", "--collection", str(tmp_path / "c"), *flags]) == 0
    out = capsys.readouterr().out
    assert "world: 4 items, 20 captions" in out
    assert "split default: 2 train, 1 val, 1 test" in out
    assert main(["import", "world", "--collection", str(tmp_path / "d"), "--world.train", "100000"]) == 2
    assert "different meanings asked for" in capsys.readouterr().err
    assert main(["import", "world", str(tmp_path)]) == 2
    assert "takes no path" in capsys.readouterr().err
