"""What there is: items, shots, frames, captions, splits, judgments and failures, in one catalogue."""

from matchcut.collection.collection import Collection
from matchcut.collection.records import Caption, Failure, Frame, Item, Judgment, Shot

__all__ = ["Caption", "Collection", "Failure", "Frame", "Item", "Judgment", "Shot"]
