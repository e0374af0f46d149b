"""Where one shot ends and the next begins."""

import numpy as np
from PIL import Image
from scenedetect import FrameTimecode
from scenedetect.detectors import AdaptiveDetector

from matchcut.media.video import Pixels

SHORTEST = 0.6  # seconds; a shot is never shorter than this, PySceneDetect's own default
LONGEST_SIDE = 256  # pixels of the pictures to compare: cuts show as well on small ones


class ShotDetector:
    """Finds hard cuts with PySceneDetect's adaptive detector, fed one decoded frame at a time.

    A cut is a frame whose difference from the one before (mean change of hue, saturation and brightness) is at least 15
    and 3 times the mean of the two frames on either side (the detector's published defaults). Slow fades go undetected.

    Args:
        fps: frames a second, above 0; 25 is assumed where a file does not say.

    Example::

        detector = ShotDetector(fps=video.fps)
        for time, frame in video.frames():
            detector.add(video.pixels(frame, longest=LONGEST_SIDE, bgr=True))
        first_frames = detector.starts()
    """

    def __init__(self, *, fps: float) -> None:
        self._fps = fps if fps > 0 else 25.0
        self._shortest = max(2, round(SHORTEST * self._fps))
        self._detector = AdaptiveDetector(min_scene_len=self._shortest)
        self._starts, self._count = [0], 0
        self._size: tuple[int, int] | None = None

    def add(self, picture: Pixels) -> None:
        """Look at the next frame, uint8 [height, width, 3], blue, green, red; scaled to the size of the first."""
        height, width = picture.shape[:2]
        self._size = self._size or (width, height)
        if self._size != (width, height):
            picture = np.asarray(Image.fromarray(picture).resize(self._size))
        timecode = FrameTimecode(self._count, self._fps)
        self._starts += [cut.frame_num for cut in self._detector.process_frame(timecode, picture)]
        self._count += 1

    def starts(self) -> list[int]:
        """The number of the first frame of each shot; a last shot that is too short belongs to the one before."""
        if len(self._starts) > 1 and self._count - self._starts[-1] < self._shortest:
            return self._starts[:-1]
        return list(self._starts)
