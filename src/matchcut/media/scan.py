"""One pass over a file: what it is, its shots, the frames that stand for them, a thumbnail each."""

import bisect
from dataclasses import dataclass, replace
from itertools import pairwise
from pathlib import Path

from matchcut.collection.records import Frame, Item, Shot
from matchcut.errors import MatchcutError
from matchcut.media.images import jpeg, read_image
from matchcut.media.sampling import FrameRule
from matchcut.media.shots import LONGEST_SIDE, ShotDetector
from matchcut.media.sources import Source, is_image
from matchcut.media.video import Video

THUMB_EVERY = 0.5  # seconds between thumbnail candidates: less than the shortest shot, so each has one
COVERED = 0.9  # a video of which less than this share of the announced length can be decoded is broken


@dataclass(frozen=True)
class Scan:
    """What a file holds: the item, its shots, and a JPEG for each shot."""

    item: Item
    shots: list[Shot]
    thumbs: list[bytes]


def scan(source: Source, rule: FrameRule) -> Scan:
    """Read a video or image file once, from start to end.

    Raises:
        MatchcutError: if it is empty, cut off, or not what its name says.
    """
    path = Path(source.path)
    try:
        state = path.stat()
    except OSError as error:
        raise MatchcutError(f"{path}: {error.strerror}") from error
    if state.st_size == 0:
        raise MatchcutError(f"{path}: the file is empty")
    item = Item(source.key, "video", source.path, state.st_size, state.st_mtime_ns, rule=rule_of(source, rule))
    if is_image(source.path):
        picture = read_image(path)
        item = replace(item, kind="image", width=picture.shape[1], height=picture.shape[0])
        result = Scan(item, [Shot(0.0, 0.0, (Frame(0.0),))], [jpeg(picture)])
    else:
        with Video(path) as video:
            result = _scan_video(video, rule, item)
    after = path.stat()
    if (after.st_size, after.st_mtime_ns) != (item.size, item.mtime_ns):
        raise MatchcutError(f"{path}: changed while it was read; add it again when it is complete")
    return result


def rule_of(source: Source, rule: FrameRule) -> str:
    """The rule as the catalogue records it; an image has one frame under any."""
    return "the image" if is_image(source.path) else str(rule)


def _scan_video(video: Video, rule: FrameRule, item: Item) -> Scan:
    detector = ShotDetector(fps=video.fps) if rule.shots == "adaptive" else None
    times: list[float] = []
    candidates: list[tuple[float, bytes]] = []
    width = height = 0
    step = 0.0
    for time, frame in video.frames():
        if times and time <= times[-1]:
            continue  # a file whose clock jumps back
        if not times:
            turned = round(frame.rotation / 90) % 2
            width, height = (frame.height, frame.width) if turned else (frame.width, frame.height)
        if not candidates or time >= candidates[-1][0] + THUMB_EVERY:
            candidates.append((time, jpeg(video.pixels(frame, longest=320, square=True))))
        if detector:
            detector.add(video.pixels(frame, longest=LONGEST_SIDE, bgr=True))
        step = float(frame.duration * frame.time_base) if frame.duration else 0.0
        times.append(time)
    if not times:
        raise MatchcutError(f"{video.path}: holds no frame that can be decoded")
    duration = times[-1] + (step or (1 / video.fps if video.fps else 0.0))
    if max(duration, video.reached) < COVERED * video.length:
        raise MatchcutError(
            f"{video.path}: cut off or damaged: {duration:.1f} of {video.length:.1f} seconds can be decoded"
        )
    starts = [*(detector.starts() if detector else [0]), len(times)]
    shots, thumbs = [], []
    for first, after in pairwise(starts):
        begin, end = times[first], times[after] if after < len(times) else duration
        frames = rule.pick(times[first:after], end=end, fps=video.fps)
        shots.append(Shot(begin, end, tuple(Frame(time) for time in frames)))
        thumbs.append(_nearest(candidates, (begin + end) / 2))
    return Scan(replace(item, duration=duration, fps=video.fps, width=width, height=height), shots, thumbs)


def _nearest(candidates: list[tuple[float, bytes]], moment: float) -> bytes:
    """The candidate nearest a moment."""
    after = bisect.bisect(candidates, (moment,))
    return min(candidates[max(0, after - 1) : after + 1], key=lambda c: abs(c[0] - moment))[1]
