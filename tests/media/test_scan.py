import os
from pathlib import Path

import av
import numpy as np
import pytest
from PIL import Image

from matchcut.errors import MatchcutError
from matchcut.media.images import read_image
from matchcut.media.sampling import FrameRule
from matchcut.media.scan import scan
from matchcut.media.shots import ShotDetector
from matchcut.media.sources import Source

RED, GREEN, BLUE = (200, 20, 20), (20, 200, 20), (20, 20, 200)
DATA = Path(os.environ.get("MATCHCUT_DATA", "../shared/data"))
needs_data = pytest.mark.skipif(not DATA.is_dir(), reason=f"no data for development at {DATA}; set MATCHCUT_DATA")


def source(path):
    return Source(str(path), str(path.parent), path.name)


def test_shots_frames_and_thumbnails(make_video, tmp_path):
    path = make_video("cuts.mp4", [RED] * 12 + [GREEN] * 15 + [BLUE] * 9)
    result = scan(source(path), FrameRule())
    assert [(shot.start, shot.end) for shot in result.shots] == [(0.0, 1.2), (1.2, 2.7), (2.7, 3.6)]
    assert [[f.time for f in shot.frames] for shot in result.shots] == [[0, 0.5, 1], [1.2, 1.7, 2.2], [2.7, 3.2]]
    item = result.item
    assert (item.kind, item.width, item.height, item.fps) == ("video", 64, 48, 10)
    assert item.duration == pytest.approx(3.6)
    assert (item.size, item.mtime_ns) == (path.stat().st_size, path.stat().st_mtime_ns)
    for thumb, colour in zip(result.thumbs, (RED, GREEN, BLUE), strict=True):
        (tmp_path / "thumb.jpg").write_bytes(thumb)
        assert np.abs(read_image(tmp_path / "thumb.jpg").mean(axis=(0, 1)) - colour).max() < 15


def test_one_shot_a_file(make_video):
    result = scan(source(make_video("cuts.mp4", [RED] * 12 + [GREEN] * 12)), FrameRule(shots="none", frames=2))
    assert [(shot.start, shot.end) for shot in result.shots] == [(0.0, 2.4)]
    assert [f.time for f in result.shots[0].frames] == [0.6, 1.8]


def test_a_last_shot_that_is_too_short_belongs_to_the_one_before(make_video):
    result = scan(source(make_video("cuts.mp4", [RED] * 12 + [GREEN] * 4)), FrameRule())
    assert [(shot.start, shot.end) for shot in result.shots] == [(0.0, 1.6)]


def test_a_picture_that_changes_its_size():
    detector = ShotDetector(fps=10.0)
    for number in range(30):
        detector.add(np.full((48, 64, 3) if number < 15 else (96, 80, 3), 40 if number < 15 else 200, np.uint8))
    assert detector.starts() == [0, 15]


def test_one_frame(make_video):
    result = scan(source(make_video("one.mp4", [RED])), FrameRule())
    assert [[f.time for f in shot.frames] for shot in result.shots] == [[0.0]]
    assert len(result.thumbs) == 1


def test_turned_video_has_its_sides_swapped(make_video):
    item = scan(source(make_video("turned.mp4", [RED] * 3, turn=90)), FrameRule()).item
    assert (item.width, item.height) == (48, 64)


def test_image(tmp_path):
    Image.new("RGB", (30, 20), BLUE).save(tmp_path / "a.png")
    result = scan(source(tmp_path / "a.png"), FrameRule())
    assert (result.item.kind, result.item.width, result.item.height) == ("image", 30, 20)
    assert [(shot.start, shot.end, [f.time for f in shot.frames]) for shot in result.shots] == [(0, 0, [0])]
    assert scan(source(tmp_path / "a.png"), FrameRule(every=3)).item.rule == result.item.rule


def test_cut_off_after_the_index(make_video):
    path = make_video("long.mp4", [(k * 37 % 256, k * 91 % 256, k * 53 % 256) for k in range(100)])
    content = path.read_bytes()
    path.write_bytes(content[: content.index(b"mdat") + 4 + (len(content) - content.index(b"mdat")) // 2])
    with pytest.raises(MatchcutError, match=r"long.mp4: cut off or damaged: \d\.\d of 10\.0 seconds can be decoded"):
        scan(source(path), FrameRule())


@pytest.mark.parametrize("name", ["long.mkv", "long.webm", "long.avi"])
def test_cut_off_where_the_container_keeps_the_length_elsewhere(make_video, name):
    path = make_video(name, [(k * 37 % 256, k * 91 % 256, k * 53 % 256) for k in range(100)])
    assert scan(source(path), FrameRule()).item.duration == pytest.approx(10)
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    with pytest.raises(MatchcutError, match=rf"{name}: cut off or damaged: \d\.\d of 10\.0 seconds can be decoded"):
        scan(source(path), FrameRule())


def test_sound_that_goes_on_after_the_last_picture_is_no_damage(tmp_path):
    path = tmp_path / "song.mkv"
    with av.open(str(path), "w") as container:
        video, sound = container.add_stream("libx264", rate=10), container.add_stream("aac", rate=8000)
        video.width, video.height, video.pix_fmt = 64, 48, "yuv420p"
        for _ in range(10):
            container.mux(video.encode(av.VideoFrame.from_ndarray(np.zeros((48, 64, 3), np.uint8), format="rgb24")))
        container.mux(video.encode())
        for number in range(40):  # 5.1 seconds
            frame = av.AudioFrame.from_ndarray(np.zeros((1, 1024), np.float32), format="fltp", layout="mono")
            frame.rate, frame.pts = 8000, number * 1024
            container.mux(sound.encode(frame))
        container.mux(sound.encode())
    assert scan(source(path), FrameRule()).item.duration == pytest.approx(1)


def test_broken_files(tmp_path):
    cases = {
        "empty.mp4": (b"", "the file is empty"),
        "text.avi": (b"hello", "not a video"),
        "text.jpg": (b"hello", "not an image of a known format"),
    }
    for name, (content, message) in cases.items():
        (tmp_path / name).write_bytes(content)
        with pytest.raises(MatchcutError, match=f"{name}.*{message}"):
            scan(source(tmp_path / name), FrameRule())
    with pytest.raises(MatchcutError, match=r"gone.mp4: No such file"):
        scan(source(tmp_path / "gone.mp4"), FrameRule())


def test_a_file_that_is_still_being_written(make_video, monkeypatch):
    path = make_video("a.mp4", [RED] * 3)
    from matchcut.media import scan as module

    real = module.jpeg

    def meanwhile(picture):
        os.utime(path, ns=(1, 1))
        return real(picture)

    monkeypatch.setattr(module, "jpeg", meanwhile)
    with pytest.raises(MatchcutError, match=r"a.mp4: changed while it was read"):
        scan(source(path), FrameRule())


@needs_data
def test_the_avs_rule_on_a_real_file():
    path = DATA / "frame_rule" / "VideoData" / "shot00001_1.webm"
    result = scan(source(path), FrameRule(shots="none", every="avs"))
    numbers = [round(frame.time * 25) for frame in result.shots[0].frames]
    assert numbers == [0, 12, 25, 37, 50, 62, 75, 87, 100, 112, 125]
    names = {int(file.stem.rpartition("_")[2]) for file in path.parent.parent.glob("ImageData/*/*.jpg")}
    assert set(numbers) == names


@needs_data
def test_real_clips():
    paths = sorted(DATA.glob("clips/*"))
    assert len(paths) == 11
    found = {path.name: scan(source(path), FrameRule()) for path in paths if path.name[0] in "0q"}
    # An advertisement of a cook and a close-up: cuts at 0.87 s and 5.52 s, seen by eye.
    starts = [shot.start for shot in found["0lh_UWF9ZP4_62_69.avi"].shots]
    assert starts == pytest.approx([0, 0.87, 5.52], abs=0.05)
    assert len(found["qvg9eM4Hmzk_4_10.avi"].shots) == 1
