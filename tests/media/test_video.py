from fractions import Fraction

import av
import numpy as np
import pytest

from matchcut.errors import MatchcutError
from matchcut.media.video import Video

GREYS = list(range(20, 220, 10))


@pytest.mark.parametrize("name", ["a.mp4", "a.mkv", "a.avi", "a.mov", "a.webm", "a.gif"])
def test_frames_come_with_times_from_zero_on(make_video, name):
    with Video(make_video(name, GREYS)) as video:
        frames = [(time, int(video.pixels(frame).mean())) for time, frame in video.frames()]
    assert [time for time, _ in frames] == pytest.approx([k / 10 for k in range(20)], abs=2e-3)
    assert [grey for _, grey in frames] == pytest.approx(GREYS, abs=40 if name == "a.gif" else 4)


def test_a_clock_that_does_not_start_at_zero(make_video):
    path = make_video("late.mkv", GREYS[:5], times=[5000, 5100, 5200, 5300, 5400])
    with Video(path) as video:
        assert [round(time, 3) for time, _ in video.frames()] == [0, 0.1, 0.2, 0.3, 0.4]


def test_start_leads_to_the_frame_shown_or_before_it_and_back_to_zero(make_video):
    with Video(make_video("a.mp4", GREYS, gop=5)) as video:
        time, _ = next(video.frames(start=1.65))
        assert 1.0 < time <= 1.65
        assert next(video.frames())[0] == 0
        assert len(list(video.frames())) == 20


def test_scaled_and_blue_first(make_video):
    with Video(make_video(colours=[(200, 20, 20)] * 2)) as video:
        _, frame = next(video.frames())
        assert video.pixels(frame).shape == (48, 64, 3)
        assert video.pixels(frame, longest=32).shape == (24, 32, 3)
        assert video.pixels(frame, longest=999).shape == (48, 64, 3)
        np.testing.assert_array_equal(video.pixels(frame, bgr=True)[..., ::-1], video.pixels(frame))


@pytest.mark.parametrize("turn", [90, 180, -90])
def test_turned_as_the_file_says(make_video, turn):
    with Video(make_video(colours=[30] * 3, top=220, turn=turn)) as video:
        _, frame = next(video.frames())
        picture = video.pixels(frame).mean(axis=2)
    upright = np.full((48, 64), 30.0)
    upright[:24] = 220
    expected = np.rot90(upright, turn // 90)  # counter-clockwise, as the display matrix counts
    assert picture.shape == expected.shape
    assert np.abs(picture - expected).mean() < 6


def test_damage_within_a_file_costs_only_the_frames_it_hits(make_video):
    path = make_video("a.mkv", GREYS, gop=1)
    with av.open(str(path)) as container:
        packets = [p for p in container.demux(video=0) if p.size]
        data = bytes(packets[8])
    content = path.read_bytes()
    assert content.count(data) == 1
    path.write_bytes(content.replace(data, b"\x00" * len(data)))
    with Video(path) as video:
        times = [round(time, 1) for time, _ in video.frames()]
    assert 17 <= len(times) < 20
    assert 1.9 in times


def test_rate_and_length(make_video):
    with Video(make_video(fps=Fraction(30000, 1001))) as video:
        assert video.fps == pytest.approx(29.97, abs=0.01)
        assert video.length == pytest.approx(20 * 1001 / 30000, abs=0.01)


def test_no_video(tmp_path):
    for name, content, why in [
        ("empty.mp4", b"", "not a video"),
        ("text.mp4", b"hello" * 99, "not a video"),
    ]:
        path = tmp_path / name
        path.write_bytes(content)
        with pytest.raises(MatchcutError, match=f"{name}: cannot be opened as a video: {why}"):
            Video(path)
    with pytest.raises(MatchcutError, match=r"nowhere.mp4: cannot be opened as a video: No such file"):
        Video(tmp_path / "nowhere.mp4")


def test_sound_only(tmp_path):
    path = tmp_path / "song.mp4"
    with av.open(str(path), "w") as container:
        stream = container.add_stream("aac", rate=44100)
        frame = av.AudioFrame.from_ndarray(np.zeros((1, 1024), np.float32), format="fltp", layout="mono")
        frame.sample_rate = 44100
        container.mux(stream.encode(frame))
        container.mux(stream.encode())
    with pytest.raises(MatchcutError, match="holds no video stream"):
        Video(path)
