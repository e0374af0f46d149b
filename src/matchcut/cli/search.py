"""`matchcut search`: the moments that fit a sentence."""

from pathlib import Path
from typing import Literal


def search(
    collection: Path,
    text: str,
    /,
    *,
    model: str,
    top: int = 10,
    group: Literal["shot", "item"] = "shot",
    first: str | None = None,
    candidates: int = 200,
    json: bool = False,
) -> None:
    """Find moments that a sentence describes.

    Args:
        collection: Folder of the collection.
        text: What to look for, in plain words.
        model: Name of a model of the collection, or the folder of one that was trained on another.
        top: How many results.
        group: Every shot, or the best shot of each item only.
        first: A faster model whose best shots MODEL ranks anew; for networks that have no index and score every shot.
        candidates: How many shots of the first model are ranked anew.
        json: Print JSON instead of a table.
    """
    from json import dumps
    from time import perf_counter

    from rich.console import Console

    from matchcut.cli.tables import moments_table
    from matchcut.collection import Collection
    from matchcut.search import Searcher

    searcher = Searcher(Collection.open(collection), model, first=first, candidates=candidates)
    started = perf_counter()
    moments = searcher.search(text, k=top, group=group)
    seconds = perf_counter() - started
    if json:
        print(dumps([moment.to_dict() for moment in moments], indent=2))
        return
    console = Console()
    console.print(moments_table(text, moments))
    console.print(f"{len(searcher):,} shots searched in {1000 * seconds:.0f} ms")
