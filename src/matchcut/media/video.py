"""Decoding one video file: its frames with their times, nothing else."""

from collections import deque
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path
from types import TracebackType
from typing import Any

import av
import numpy as np
from av.video.reformatter import VideoReformatter

from matchcut.errors import MatchcutError

Pixels = np.ndarray[Any, np.dtype[np.uint8]]


class Video:
    """An open video file. Times are seconds after its first frame, whatever the container counts from.

    A packet that cannot be decoded is left out and counted in `damaged`, because a player would show the rest too.

    Args:
        path: the file.
        threads: how many threads the decoder may use; 1 where several files are decoded at once.

    Raises:
        MatchcutError: if the file cannot be opened or holds no video.

    Example::

        with Video(Path("film.mp4")) as video:
            for time, frame in video.frames():
                pixels = video.pixels(frame)  # uint8 [height, width, 3], RGB
    """

    def __init__(self, path: Path, *, threads: int = 1) -> None:
        self.path, self.damaged = path, 0
        self._threads = threads
        self._first: int | None = None  # time stamp of the first frame
        self._at_start = True
        self._reformatter = VideoReformatter()
        self._open()
        rate = self._stream.average_rate or self._stream.guessed_rate
        self.fps = float(rate) if rate else 0.0
        self.length = self._announced_length()
        self.reached = 0.0  # how far decoding has come into a file that announces only the length of all its streams

    def __enter__(self) -> "Video":
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None) -> None:
        self._container.close()

    def frames(self, *, start: float = 0.0) -> Iterator[tuple[float, Any]]:
        """Decode on from the frame shown at `start` or an earlier one, as (seconds, av.VideoFrame)."""
        if start > 0 and self._first is None:
            next(self._decode(), None)
        if start <= 0 and not self._at_start:
            self._container.close()  # not every container can seek back to its very first frame
            self._open()
        elif start > 0 and self._first is not None:
            try:
                moment = self._first + int(start / self._base)
                self._container.seek(moment, stream=self._stream, backward=True)
            except OSError as error:
                raise MatchcutError(
                    f"{self.path}: cannot be decoded from {start:.3f} s on: {_reason(error)}"
                ) from error
        yield from self._decode()

    def pixels(self, frame: Any, *, longest: int | None = None, square: bool = False, bgr: bool = False) -> Pixels:
        """The picture of a frame, the right way up: uint8 [height, width, 3].

        Args:
            longest: scale down so that the longer side has this many pixels at most.
            square: stretch pixels that are not square to their shape on the screen.
            bgr: blue, green, red instead of red, green, blue.
        """
        width, height = frame.width, frame.height
        ratio = self._stream.sample_aspect_ratio
        if square and ratio:
            width = round(width * float(ratio))
        scale = min(1.0, longest / max(width, height)) if longest else 1.0
        width, height = max(1, round(width * scale)), max(1, round(height * scale))
        picture: Pixels = self._reformatter.reformat(frame, width, height, "bgr24" if bgr else "rgb24").to_ndarray()  # type: ignore[assignment]
        turns = round(frame.rotation / 90) % 4
        return np.ascontiguousarray(np.rot90(picture, turns)) if turns else picture

    def _open(self) -> None:
        try:
            self._container = av.open(str(self.path))
        except (OSError, ValueError) as error:  # every error of PyAV is one of the two
            raise MatchcutError(f"{self.path}: cannot be opened as a video: {_reason(error)}") from error
        if not self._container.streams.video:
            self._container.close()
            raise MatchcutError(f"{self.path}: holds no video stream")
        self._stream = self._container.streams.video[0]
        self._base = self._stream.time_base or Fraction(1, 1_000_000)
        self._stream.codec_context.thread_count = self._threads
        self._counts_slots = self._container.format.name == "avi"
        self._at_start = True

    def _decode(self) -> Iterator[tuple[float, Any]]:
        self._at_start = False
        # Sound may go on after the last picture: then its packets show that the file is whole.
        streams = [] if self._stream.duration is None else [self._stream]
        packets: Any = self._container.demux(*streams)
        slots: deque[int] = deque()  # AVI: its packets count the moments of showing, though they come in decoding order
        while True:
            try:
                packet = next(packets, None)
            except (OSError, ValueError):  # the file ends in the middle of a packet
                self.damaged += 1
                return
            if packet is None:
                return
            if self._stream.duration is None and packet.pts is not None:
                self.reached = max(self.reached, float((packet.pts + (packet.duration or 0)) * packet.time_base))
            if packet.stream_index != self._stream.index:
                continue
            if self._counts_slots and packet.size and packet.dts is not None:
                slots.append(packet.dts)
            try:
                frames = packet.decode()
            except (OSError, ValueError):
                self.damaged += 1
                if slots:
                    slots.pop()
                continue
            for frame in frames:
                stamp = slots.popleft() if slots else frame.pts
                if stamp is None:
                    self.damaged += 1
                    continue
                if self._first is None:
                    self._first = stamp
                yield float((stamp - self._first) * self._base), frame

    def _announced_length(self) -> float:
        """Seconds of video, or in Matroska of all that it holds, that the file says it has; 0 if it does not say."""
        counted = self._stream.frames / self.fps if self._stream.frames and self.fps else 0.0
        if self._stream.duration:
            length = float(self._stream.duration * self._base)
            return max(length, counted) if self._counts_slots else length  # of a cut AVI it is what is left
        whole = self._container.duration if "matroska" in self._container.format.name else None
        return whole / av.time_base if whole else counted


def _reason(error: Exception) -> str:
    if isinstance(error, av.InvalidDataError):
        return "not a video, or cut off before the part that says what it holds"
    return str(getattr(error, "strerror", None) or error)
