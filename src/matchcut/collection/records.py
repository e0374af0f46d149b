"""The rows of a catalogue as small frozen values."""

from dataclasses import dataclass, field


@dataclass(frozen=True)
class Frame:
    """One picture of a shot: a time in the source file, or a member of a zip archive."""

    time: float  # seconds from the start of the item
    member: str = ""  # path inside the item's zip archive; empty if the frame is decoded from the source file


@dataclass(frozen=True)
class Shot:
    """A stretch of an item, [start, end) in seconds, with the frames that stand for it."""

    start: float
    end: float
    frames: tuple[Frame, ...]
    item: str = ""  # key of its item
    number: int = 0  # 0, 1, ... within the item
    thumb: str = ""  # path of its thumbnail below the collection's folder, or empty

    @property
    def key(self) -> str:
        """`ITEM@NUMBER`, the id of the shot in feature sets and results."""
        return f"{self.item}@{self.number}"


@dataclass(frozen=True)
class Item:
    """A video or an image.

    `source` is the file it comes from, or the zip archive that holds its frames.
    """

    key: str  # unique in the collection
    kind: str  # "video" or "image"
    source: str
    size: int = 0  # bytes of the source file: with mtime_ns it tells whether the file has changed
    mtime_ns: int = 0
    duration: float = 0.0  # seconds; 0 for an image
    fps: float = 0.0
    width: int = 0
    height: int = 0
    rule: str = ""  # how shots and frames were chosen, such as "adaptive, every 0.5 s, at most 16"


@dataclass(frozen=True)
class Caption:
    """One sentence about an item."""

    item: str
    number: int
    text: str
    named_only: bool = False  # used only by parts of a split that name it, by no other part

    @property
    def key(self) -> str:
        """`ITEM#NUMBER`, the id of the caption in feature sets."""
        return f"{self.item}#{self.number}"


@dataclass(frozen=True)
class Judgment:
    """How relevant an item is to a caption, 0 to 1; pairs without one are not judged (see `Collection.judged`)."""

    caption: str  # ITEM#NUMBER
    item: str
    relevance: float


@dataclass(frozen=True)
class Failure:
    """A source that could not be taken in, and why."""

    source: str
    reason: str
    at: str = field(default="")  # ISO time
