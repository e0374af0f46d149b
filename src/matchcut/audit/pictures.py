"""Small pictures of items, inside the page itself."""

from base64 import b64encode

from matchcut.collection import Collection, Item, Shot
from matchcut.errors import MatchcutError
from matchcut.media.frames import read
from matchcut.media.images import jpeg


class Pictures:
    """Data URIs of items, each by the middle frame of its first shot, read once.

    An item that cannot be read has none; `failed` says why.
    """

    def __init__(self, collection: Collection, *, longest: int = 160) -> None:
        self._root, self._longest = collection.root, longest
        self._items: dict[str, Item] = {item.key: item for item in collection.items()}
        self._shots: dict[str, Shot] = {}
        for shot in collection.shots():
            if shot.frames:
                self._shots.setdefault(shot.item, shot)
        self._known: dict[str, str] = {}
        self.failed: dict[str, str] = {}  # item key -> why there is no picture

    def uri(self, key: str) -> str:
        """`data:image/jpeg;base64,...`, or an empty string."""
        if key not in self._known:
            try:
                self._known[key] = "data:image/jpeg;base64," + b64encode(self._jpeg(key)).decode()
            except MatchcutError as error:
                self.failed[key], self._known[key] = str(error), ""
        return self._known[key]

    def _jpeg(self, key: str) -> bytes:
        shot = self._shots.get(key)
        if shot is None:
            raise MatchcutError(f"item {key!r}: has no frames")
        middle = shot.frames[len(shot.frames) // 2]
        pictures = read(self._items[key], Shot(shot.start, shot.end, (middle,), item=key, number=shot.number))
        return jpeg(pictures[0], longest=self._longest)
