"""Small pictures of items and shots, inside the page itself."""

from base64 import b64encode
from dataclasses import replace
from pathlib import Path

from matchcut.collection import Collection, Item, Shot
from matchcut.errors import MatchcutError
from matchcut.media.frames import FrameReader
from matchcut.media.images import jpeg, read_image


class Pictures:
    """Data URIs of items, each by the middle frame of its first shot, or of single shots; each is read once.

    A thumbnail of the collection is used where there is one, otherwise the frame is read from its source. What cannot
    be read has no picture; `failed` says why.
    """

    def __init__(self, collection: Collection, *, longest: int = 160) -> None:
        self._root, self._longest = collection.root, longest
        self._items: dict[str, Item] = {item.key: item for item in collection.items()}
        self._shots: dict[str, Shot] = {}
        for shot in collection.shots():
            self._shots[shot.key] = shot
            if shot.frames:
                self._shots.setdefault(shot.item, shot)
        self._reader = FrameReader()  # keeps the last archive open, as many pictures come from one
        self._known: dict[str, str] = {}
        self.failed: dict[str, str] = {}  # key -> why there is no picture

    def uri(self, key: str) -> str:
        """`data:image/jpeg;base64,...` of an item or shot, or an empty string."""
        if key not in self._known:
            try:
                self._known[key] = "data:image/jpeg;base64," + b64encode(self._jpeg(key)).decode()
            except MatchcutError as error:
                self.failed[key], self._known[key] = str(error), ""
        return self._known[key]

    def _jpeg(self, key: str) -> bytes:
        shot = self._shots.get(key)
        if shot is None or not shot.frames:
            raise MatchcutError(f"{key!r}: no frames in the collection")
        thumb = Path(self._root / shot.thumb)
        if shot.thumb and thumb.is_file():
            return jpeg(read_image(thumb), longest=self._longest)
        middle = replace(shot, frames=(shot.frames[len(shot.frames) // 2],))
        _, pictures = next(self._reader.shots(self._items[shot.item], [middle], longest=self._longest))
        return jpeg(pictures[0], longest=self._longest)
