"""`matchcut demo`: the whole journey on the built-in world."""

from pathlib import Path


def demo(*, collection: Path = Path("demo"), seed: int = 0) -> None:
    """Show the whole journey on the built-in world, in minutes, on a CPU.

    Draws short videos of coloured shapes, of which some mean exactly the same; embeds frames and captions with the
    packaged encoders; trains three models that differ in what they do with negatives; measures them against the pairing
    and against the exact relevance; and searches. What is done already is kept when it is started again.

    Args:
        collection: Folder for the demo's collection.
        seed: Of the training.
    """
    from collections.abc import Callable
    from time import perf_counter

    from rich.console import Console

    from matchcut.cli.tables import demo_table, moments_table, progress_bar
    from matchcut.demo import run

    console = Console()
    started = perf_counter()
    with progress_bar(console) as progress:

        def step(what: str) -> Callable[[int, int], None]:
            for earlier in progress.tasks:
                if earlier.total is None:  # there was nothing left to do
                    progress.update(earlier.id, total=1, completed=1)
            task = progress.add_task(what, total=None)
            return lambda done, total: progress.update(task, completed=done, total=total)

        found = run(collection, step=step, seed=seed)
    console.print()
    console.print(demo_table(found.evaluations))
    captions = {caption.item: caption.text for caption in reversed(found.collection.captions())}
    for query, moments in found.searches.items():
        console.print()
        console.print(moments_table(query, moments, captions))
    best = found.searched_with
    console.print(
        f"\nDone in {perf_counter() - started:.0f} s; everything lies in {collection}/. Next, try:\n"
        f'  matchcut search {collection} "a yellow star grows" --model {best}\n'
        f"  matchcut evaluate {collection} --model {best}\n"
        f"  matchcut info {collection}\n"
        "and with your own videos:\n"
        "  matchcut add FOLDER --collection films"
    )
