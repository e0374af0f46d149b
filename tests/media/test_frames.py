import os
import subprocess
import sys
from pathlib import Path
from zipfile import ZipFile

import numpy as np
import pytest
from PIL import Image

from matchcut.collection import Frame, Item, Shot
from matchcut.errors import MatchcutError
from matchcut.media import frames as module
from matchcut.media.frames import FrameReader, read
from matchcut.media.images import read_image

GREYS = list(range(20, 220, 10))
DATA = Path(os.environ.get("MATCHCUT_DATA", "../shared/data"))


def shot(*times):
    return Shot(times[0], times[-1], tuple(Frame(time) for time in times))


def greys(pictures):
    return [round(float(picture.mean()), -1) for picture in pictures]


@pytest.mark.parametrize("seek_over", [0.0, 0.4, 10.0])  # always, now and then, never: the same pictures
@pytest.mark.parametrize("name", ["a.mp4", "a.avi", "a.mkv", "a.webm"])
def test_exactly_the_frames_asked_for(make_video, monkeypatch, name, seek_over):
    monkeypatch.setattr(module, "SEEK_OVER", seek_over)
    item = Item("a", "video", str(make_video(name, GREYS, gop=7)))
    assert greys(read(item, shot(0.0, 0.1, 0.5, 0.6, 1.3, 1.9))) == [20, 30, 70, 80, 150, 210]
    for number, grey in enumerate(GREYS):
        assert greys(read(item, shot(number / 10))) == [grey]


def test_a_time_between_two_frames_is_the_frame_on_the_screen(make_video):
    item = Item("a", "video", str(make_video("a.mp4", GREYS)))
    assert greys(read(item, shot(0.19, 0.2, 0.29))) == [30, 40, 40]


def test_many_shots_open_a_file_once(make_video, monkeypatch):
    item = Item("a", "video", str(make_video("a.mp4", GREYS)))
    opened = []
    real = module.Video
    monkeypatch.setattr(module, "Video", lambda path, **options: opened.append(path) or real(path, **options))
    with FrameReader() as reader:
        found = [greys(pictures) for _, pictures in reader.shots(item, [shot(0.0, 0.3), shot(0.4), shot(1.0, 1.5)])]
    assert found == [[20, 50], [60], [120, 170]]
    assert len(opened) == 1


def test_an_index_that_leads_past_the_moment(make_video, monkeypatch):
    real = module.Video.frames
    monkeypatch.setattr(module, "SEEK_OVER", 0.4)
    monkeypatch.setattr(
        module.Video, "frames", lambda video, *, start=0.0: real(video, start=start + 0.5 if start else 0)
    )
    item = Item("a", "video", str(make_video("a.mp4", GREYS, gop=1)))
    assert greys(read(item, shot(0.1, 1.2, 1.3))) == [30, 140, 150]


def test_scaled(make_video):
    item = Item("a", "video", str(make_video("a.mp4", GREYS)))
    assert read(item, shot(0.0), longest=32)[0].shape == (24, 32, 3)


def test_past_the_end(make_video):
    item = Item("a", "video", str(make_video("a.mp4", GREYS)))
    assert greys(read(item, shot(1.99))) == [210]
    with pytest.raises(MatchcutError, match=r"a.mp4: no frame at 7.000 s; it has changed"):
        read(item, shot(7.0))


def test_image_upright_and_on_white(tmp_path):
    picture = Image.new("RGB", (40, 20), "black")
    exif = picture.getexif()
    exif[0x0112] = 6  # turn by 90 degrees
    picture.save(tmp_path / "turned.jpg", exif=exif)
    assert read(Item("t", "image", str(tmp_path / "turned.jpg")), shot(0.0))[0].shape == (40, 20, 3)
    Image.new("RGBA", (4, 4), (0, 0, 0, 0)).save(tmp_path / "clear.png")
    assert read_image(tmp_path / "clear.png").min() == 255
    Image.new("L", (4, 4), 7).save(tmp_path / "grey.webp", lossless=True)
    assert read_image(tmp_path / "grey.webp").shape == (4, 4, 3)


def test_sixteen_bits_keep_their_range(tmp_path):
    ramp = np.linspace(0, 65535, 256).astype(np.uint16).reshape(16, 16)
    Image.fromarray(ramp).save(tmp_path / "deep.png")
    assert read_image(tmp_path / "deep.png")[..., 0].ravel().tolist() == list(range(256))


def test_a_large_picture_is_read_without_remarks(tmp_path):
    Image.new("L", (40, 30), 7).save(tmp_path / "large.png")
    code = (
        "import sys; from pathlib import Path; from PIL import Image; from matchcut.media.images import read_image\n"
        "Image.MAX_IMAGE_PIXELS = 1000; print(read_image(Path(sys.argv[1])).shape)"
    )
    arguments = [sys.executable, "-c", code, str(tmp_path / "large.png")]
    done = subprocess.run(arguments, capture_output=True, text=True)
    assert (done.stdout, done.stderr) == ("(30, 40, 3)\n", "")


def test_a_picture_that_is_too_large_is_refused(tmp_path):
    Image.new("1", (20_000, 10_000)).save(tmp_path / "huge.png")
    with pytest.raises(MatchcutError) as error:
        read_image(tmp_path / "huge.png")
    told = "cannot be read as an image: it has 200 megapixels; at most 179 are read, so make it smaller"
    assert str(error.value) == f"{tmp_path}/huge.png: {told}"


def test_zip_members(tmp_path):
    for name in ("a.png", "b.png"):
        Image.new("RGB", (4, 4), (GREYS[3],) * 3).save(tmp_path / name)
    archive = tmp_path / "frames.zip"
    with ZipFile(archive, "w") as file:
        file.write(tmp_path / "a.png", "video1/a.png")
        file.write(tmp_path / "b.png", "video1/b.png")
        file.writestr("video1/notes.txt", "no image")
        file.writestr("video1/empty.jpg", "")
    item = Item("video1", "video", str(archive))

    def member(*names):
        return Shot(0.0, 1.0, tuple(Frame(k, name) for k, name in enumerate(names)))

    assert greys(read(item, member("video1/a.png", "video1/b.png"))) == [50, 50]
    for name, why in [
        ("video1/notes.txt", "cannot be read as an image: not an image of a known format"),
        ("video1/empty.jpg", "cannot be read as an image: the file is empty"),
        ("video1/c.png", "not in the archive"),
    ]:
        with pytest.raises(MatchcutError, match=f"frames.zip, entry '{name}': {why}"):
            read(item, member(name))
    content = archive.read_bytes()
    archive.write_bytes(content[: len(content) // 2])
    with pytest.raises(MatchcutError, match=r"frames.zip: cannot be opened as a zip archive"):
        read(item, member("video1/a.png"))


def test_damaged_zip_entry(tmp_path):
    archive = tmp_path / "frames.zip"
    with ZipFile(archive, "w") as file:
        file.writestr("a.png", b"\x00" * 50)
    archive.write_bytes(archive.read_bytes().replace(b"\x00" * 50, b"\x01" * 50))
    with pytest.raises(MatchcutError, match=r"frames.zip, entry 'a.png': cannot be unpacked: Bad CRC"):
        read(Item("a", "image", str(archive)), Shot(0, 0, (Frame(0, "a.png"),)))


def test_an_item_without_pixels():
    with pytest.raises(MatchcutError, match="item 'a': came without pixels"):
        read(Item("a", "video", ""), shot(0.0))


@pytest.mark.skipif(not DATA.is_dir(), reason=f"no data for development at {DATA}; set MATCHCUT_DATA")
def test_equals_the_frames_that_others_took():
    folder = DATA / "frame_rule"
    item = Item("a", "video", str(folder / "VideoData" / "shot00001_1.webm"))
    numbers = [0, 12, 37, 125]
    for number, picture in zip(numbers, read(item, shot(*(n / 25 for n in numbers))), strict=True):
        theirs = read_image(folder / "ImageData" / "shot00001_1" / f"shot00001_1_{number}.jpg")
        assert np.abs(picture.astype(int) - theirs).mean() < 1
