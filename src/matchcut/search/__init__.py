"""Finding moments: the index, the searcher."""

from matchcut.search.index import ExactIndex
from matchcut.search.searcher import Moment, Searcher

__all__ = ["ExactIndex", "Moment", "Searcher"]
