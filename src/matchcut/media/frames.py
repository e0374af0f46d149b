"""The pixels of the frames that a catalogue names: from a video file, an image file or a zip archive."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from types import TracebackType
from zipfile import ZipFile

from matchcut.collection.records import Item, Shot
from matchcut.errors import MatchcutError
from matchcut.media.images import open_zip, read_image, read_zip_image
from matchcut.media.video import Pixels, Video

SEEK_OVER = 10.0  # seconds: over a longer gap a seek beats decoding on
PAST_END = 1.0  # seconds after the last frame that it may still stand for


def read(item: Item, shot: Shot, *, longest: int | None = None) -> list[Pixels]:
    """The frames of one shot, each uint8 [height, width, 3] RGB, the right way up.

    Args:
        item: the item the shot is of.
        shot: its frames say what to read.
        longest: scale video frames down to this many pixels on the longer side; images come as they are.

    Raises:
        MatchcutError: if the file is missing or broken, or a zip entry is no image (it names archive and entry).
    """
    with FrameReader() as reader:
        return next(reader.shots(item, [shot], longest=longest))[1]


class FrameReader:
    """Reads the frames of many items; keeps the zip archive that it last read from open.

    Example::

        with FrameReader() as reader:
            for shot, pictures in reader.shots(item, shots_of_item):
                ...
    """

    def __init__(self, *, threads: int = 1) -> None:
        self._threads = threads
        self._archive: ZipFile | None = None

    def __enter__(self) -> "FrameReader":
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None) -> None:
        if self._archive:
            self._archive.close()
            self._archive = None

    def shots(
        self, item: Item, shots: Sequence[Shot], *, longest: int | None = None
    ) -> Iterator[tuple[Shot, list[Pixels]]]:
        """Each shot with its pictures; a video is decoded once for all of them. Arguments and errors as `read`.

        The shots come back in the order given, which must be the order of time.
        """
        if any(frame.member for shot in shots for frame in shot.frames):
            archive = self._open(item.source)
            for shot in shots:
                yield shot, [read_zip_image(archive, frame.member) for frame in shot.frames]
        elif not item.source:
            raise MatchcutError(f"item {item.key!r}: came without pixels, so there are no frames to read")
        elif item.kind == "image":
            for shot in shots:
                yield shot, [read_image(Path(item.source)) for _ in shot.frames]
        else:
            times = [frame.time for shot in shots for frame in shot.frames]
            pictures = _at(Path(item.source), times, longest, self._threads)
            for shot in shots:
                yield shot, [next(pictures) for _ in shot.frames]

    def _open(self, source: str) -> ZipFile:
        if self._archive is None or self._archive.filename != source:
            if self._archive:
                self._archive.close()
                self._archive = None
            self._archive = open_zip(Path(source))
        return self._archive


def _at(path: Path, times: Sequence[float], longest: int | None, threads: int) -> Iterator[Pixels]:
    """The picture on the screen at each of these times, which ascend."""
    with Video(path, threads=threads) as video:
        stream, shown = video.frames(), None
        ahead = next(stream, None)
        for time in times:
            latest = time + 1e-4  # containers round times
            if ahead and time - ahead[0] > SEEK_OVER:
                landed = video.frames(start=time)
                first = next(landed, None)
                if first and first[0] <= latest:  # a poor index can lead past the moment: decode on instead
                    stream, ahead = landed, first
                else:
                    stream = video.frames()
                    ahead = next(stream, None)
            while ahead and ahead[0] <= latest:
                shown = ahead
                ahead = next(stream, None)
            if shown is None or (ahead is None and time > shown[0] + PAST_END):
                raise MatchcutError(
                    f"{path}: no frame at {time:.3f} s; it has changed since it was added, or is damaged"
                )
            yield video.pixels(shown[1], longest=longest)
