from collections.abc import Callable, Sequence
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest

MakeVideo = Callable[..., Path]


@pytest.fixture
def make_video(tmp_path: Path) -> MakeVideo:
    """Write a video whose frames are plain pictures of the given colours (a grey level or red, green, blue)."""

    def make(
        name: str = "a.mp4",
        colours: Sequence[int | tuple[int, int, int]] = tuple(range(20, 220, 10)),
        *,
        fps: int | Fraction = 10,
        size: tuple[int, int] = (64, 48),
        times: Sequence[int] | None = None,
        turn: int = 0,
        top: int | None = None,
        gop: int = 12,
    ) -> Path:
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        codec = {".gif": "gif", ".webm": "libvpx"}.get(path.suffix, "libx264")
        options = {"movflags": "faststart"} if path.suffix == ".mp4" else {}
        with av.open(str(path), "w", options=options) as container:
            stream = container.add_stream(codec, rate=fps)
            stream.width, stream.height = size
            stream.pix_fmt = "rgb8" if codec == "gif" else "yuv420p"
            stream.gop_size = gop
            if turn:
                stream.set_display_rotation(turn)
            for number, colour in enumerate(colours):
                picture = np.empty((size[1], size[0], 3), np.uint8)
                picture[:] = colour
                if top is not None:
                    picture[: size[1] // 2] = top
                frame = av.VideoFrame.from_ndarray(picture, format="rgb24")
                if times is not None:
                    frame.pts, frame.time_base = times[number], Fraction(1, 1000)
                container.mux(stream.encode(frame))
            container.mux(stream.encode())
        return path

    return make
