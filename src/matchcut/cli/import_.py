"""`matchcut import`: a benchmark, or the built-in world, into a collection."""

from pathlib import Path
from typing import TYPE_CHECKING

from matchcut.datasets.world_plan import World
from matchcut.errors import MatchcutError

if TYPE_CHECKING:
    from rich.console import Console

    from matchcut.datasets import Report


def import_(
    benchmark: str,
    path: Path | None = None,
    /,
    *,
    collection: Path = Path("collection"),
    world: World = World(),  # noqa: B008  (frozen)
) -> None:
    """Put a benchmark or the built-in world into a collection.

    Benchmarks are read from the files that they ship; docs/datasets.md says which, and where to get them. What differs
    from the known counts is said. `matchcut import world` takes no path: it draws its videos. Running the command again
    changes nothing, and goes on after an interruption.

    Args:
        benchmark: world, msrvtt, flickr8k, ...; an unknown name lists all of them.
        path: folder with the files of the benchmark.
        collection: the collection's folder; made if it is not there.
        world: how large the built-in world is.
    """
    from rich.console import Console

    from matchcut.collection import Collection
    from matchcut.datasets import FORMATS, check, load

    console = Console()
    if benchmark == "world":
        if path is not None:
            raise MatchcutError(f"import world takes no path, got {path}; --collection says where it goes")
        report = _world(console, collection, world)
    elif path is None and benchmark in FORMATS:
        raise MatchcutError(f"import {benchmark} needs the folder with its files: matchcut import {benchmark} PATH")
    else:
        path = path or Path()
        check(benchmark, path)  # before an empty collection is made
        fresh = not collection.exists()
        opened = Collection.create(collection)
        try:
            with console.status(f"reading {path}"):
                report = load(benchmark, path, opened)
        except MatchcutError:
            if fresh and not opened.counts()["items"]:  # leave no empty collection behind
                for name in ("catalogue.db", ".lock"):
                    (collection / name).unlink()
                collection.rmdir()
            raise
    console.print(f"[bold]{report.name}[/bold]: {report.items:,} items, {report.captions:,} captions", highlight=False)
    for scheme, parts in report.splits.items():
        named = report.named.get(scheme, {})
        sizes = (
            f"{n:,} {part}" + (f" with {named[part]:,} named captions" if part in named else "")
            for part, n in parts.items()
        )
        console.print(f"  split {scheme}: " + ", ".join(sizes), highlight=False, soft_wrap=True)
    for source, pairs in report.judgments.items():
        console.print(f"  judgments {source}: {pairs:,} pairs", highlight=False)
    for note in report.notes:
        console.print(f"  note: {note}", markup=False, highlight=False, soft_wrap=True)
    console.print(f"Next: matchcut embed {collection}", markup=False, highlight=False)


def _world(console: "Console", collection: Path, world: World) -> "Report":
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

    from matchcut.collection import Collection
    from matchcut.datasets.world import fill

    columns = (TextColumn("drawing"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as bar:
        task = bar.add_task("", total=None)
        try:
            return fill(
                Collection.create(collection),
                world,
                progress=lambda done, total: bar.update(task, completed=done, total=total),
            )
        except ValueError as error:
            raise MatchcutError(f"{error}; see the --world flags") from error
