"""Which frames stand for a shot."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

SHORTEST_STEP = 0.001  # seconds: shorter than any frame


@dataclass(frozen=True)
class FrameRule:
    """How a video becomes shots, and a shot becomes frames.

    A sampled time is always the time of a decoded frame: the one on the screen at the moment asked for.

    - `every=0.5`: the moments start, start + 0.5 s, ... of the shot; more than `at_most` are thinned evenly,
      first and last kept.
    - `every="avs"`: the rule of the Ad-hoc Video Search feature sets (reference code, xuchaoxi/video-cnn-feat): frame f
      of the shot if f mod fps is 0 or fps // 2, fps cut to an integer. All of them: `at_most` has no say.
    - `frames=8`: the middles of 8 equal parts of the shot, whatever its length; fewer if the shot has fewer frames.

    Args:
        shots: "adaptive" (PySceneDetect's adaptive detector) or "none", one shot a file.
        every: seconds between frames, 0.001 or more, or "avs".
        frames: number of frames a shot, instead of `every`.
        at_most: most frames a shot, 1 or more.

    Raises:
        ValueError: if a number is out of its range.

    >>> FrameRule(shots="none").pick([0.0, 0.2, 0.4, 0.6, 0.8, 1.0], end=1.2, fps=5)
    [0.0, 0.4, 1.0]
    >>> str(FrameRule())
    'adaptive shots, a frame every 0.5 s, at most 16'
    """

    shots: Literal["adaptive", "none"] = "adaptive"
    every: float | Literal["avs"] = 0.5
    frames: int | None = None
    at_most: int = 16

    def __post_init__(self) -> None:
        if self.shots not in ("adaptive", "none"):
            raise ValueError(f"shots must be 'adaptive' or 'none', got {self.shots!r}")
        if isinstance(self.every, str):
            if self.every != "avs":
                raise ValueError(f"every must be a number of seconds or 'avs', got {self.every!r}")
        elif not SHORTEST_STEP <= self.every < float("inf"):
            raise ValueError(f"every must be {SHORTEST_STEP} seconds or more, got {self.every}")
        if self.frames is not None and self.frames < 1:
            raise ValueError(f"frames must be 1 or more, got {self.frames}")
        if self.at_most < 1:
            raise ValueError(f"at_most must be 1 or more, got {self.at_most}")

    def __str__(self) -> str:
        shots = "adaptive shots" if self.shots == "adaptive" else "one shot a file"
        if self.frames is not None:
            return f"{shots}, {self.frames} frames each"
        if self.every == "avs":
            return f"{shots}, the AVS frames"
        return f"{shots}, a frame every {self.every:g} s, at most {self.at_most}"

    def pick(self, times: Sequence[float], *, end: float, fps: float) -> list[float]:
        """The times of the frames that stand for a shot.

        Args:
            times: the times of all its frames in seconds, ascending, at least one.
            end: when the shot ends, seconds.
            fps: frames a second; used by "avs" only.
        """
        if self.frames is None and isinstance(self.every, str):
            rate = max(1, int(fps))
            return [time for f, time in enumerate(times) if f % rate in (0, rate // 2)]
        start = times[0]
        if self.frames is not None:
            moments = start + (end - start) * (np.arange(self.frames) + 0.5) / self.frames
        else:
            moments = np.arange(start, max(end - 1e-6, start + 1e-9), float(self.every))
        # The frame on the screen is the last that began before; containers round times, so allow 0.1 ms.
        shown = np.unique(np.searchsorted(times, moments + 1e-4, side="right") - 1)
        if self.frames is None and len(shown) > self.at_most:
            middle = [len(shown) // 2]
            keep = np.linspace(0, len(shown) - 1, self.at_most).round().astype(int) if self.at_most > 1 else middle
            shown = shown[keep]
        return [times[k] for k in shown]
