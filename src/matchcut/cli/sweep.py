"""`matchcut sweep`: a grid of models."""

from collections.abc import Sequence
from json import dumps
from pathlib import Path
from typing import TYPE_CHECKING

from matchcut.cli.flags import Many, joined
from matchcut.errors import MatchcutError

if TYPE_CHECKING:
    from rich.console import Console

    from matchcut.collection import Collection
    from matchcut.sweep.grid import Cell, Grid


def sweep(
    grid: Path,
    collection: Path | None = None,
    /,
    *,
    set: Many[str] = (),
    only: Many[str] = (),
    jobs: int | None = None,
    stack: int = 1,
    device: str | None = None,
    keep_scores: Many[str] = (),
    again: bool = False,
    dry_run: bool = False,
    summary: bool = False,
    part: str | None = None,
    json: bool = False,
) -> None:
    """Train a grid of models, many at a time, and tell which choices mattered.

    A grid is a recipe with lists of values. Models lie in COLLECTION/models/GRID-CELL, as if each had been trained by
    itself; results in COLLECTION/sweeps/GRID. A sweep that was stopped goes on where it was, and failed models are
    tried again. Exit code 2 if a model failed.

    Args:
        grid: TOML file: what all models share, as in a recipe, and the table [grid] with what varies.
        collection: Folder of the collection, if the file does not name it.
        set: Values that win over the file's, such as --set training.epochs=1 'grid.training.lr=[1e-3]'
        only: Names of the cells to take, with wildcards, such as --only 'ATT-*'
        jobs: Worker processes; by default one a CPU core, or two on a GPU.
        stack: Models that a worker trains at once where networks and batches agree; for GPUs.
        device: cpu, cuda, ...; by default a GPU if there is one.
        keep_scores: Parts such as test and val whose score matrix is kept with each model, for fusion.
        again: Train anew, even what is finished.
        dry_run: List the cells and train nothing.
        summary: Train nothing; show the models, best first, and which choices mattered.
        part: Part that --summary compares on, by default the validation part; for another, keep its scores first.
        json: With --summary or --dry-run, print JSON.
    """
    from rich.console import Console

    from matchcut.sweep.grid import Grid

    console = Console()
    read = Grid.read(grid, overrides=joined(set))
    cells = read.only(joined(only))
    if dry_run:
        _list(console, cells, json)
        return
    folder = collection or (cells[0].recipe.data.collection or None)
    if not folder:
        raise MatchcutError(f"{grid}: data.collection: not given; name it there or as COLLECTION on the command line")

    from matchcut.collection import Collection

    opened = Collection.open(folder)
    if summary:
        _summary(console, opened, read, cells, part, json)
        return

    from matchcut.cli.sweep_tables import follow
    from matchcut.sweep.runner import sweep as run

    try:
        with follow(console, cells) as progress:
            results = run(
                read,
                opened,
                only=joined(only),
                jobs=jobs,
                stack=stack,
                device=device,
                again=again,
                keep_scores=joined(keep_scores),
                progress=progress,
            )
    except ValueError as error:
        raise MatchcutError(f"--{error}") from error
    done = [result for result in results if result.status == "done"]
    failed = [result for result in results if result.status == "failed"]
    if done:
        best = max(done, key=lambda result: result.score or 0.0)
        console.print(
            f"{len(done)} models; best on {cells[0].recipe.data.val}: {best.model} with {best.score:.1f}",
            soft_wrap=True,
        )
        console.print(f"next: matchcut sweep {grid} {folder} --summary", soft_wrap=True)
    if failed:
        reasons = "\n".join(f"  {result.cell}: {result.reason}" for result in failed)
        raise MatchcutError(f"{len(failed)} of {len(results)} models failed:\n{reasons}")


def _list(console: "Console", cells: "Sequence[Cell]", json: bool) -> None:
    from matchcut.cli.sweep_tables import cells_table

    if json:
        found = [{"cell": c.name, "choices": c.choices, "recipe": c.recipe.to_dict()} for c in cells]
        print(dumps(found, indent=2))
    else:
        console.print(cells_table(cells))


def _summary(
    console: "Console", collection: "Collection", grid: "Grid", cells: "Sequence[Cell]", part: str | None, json: bool
) -> None:
    from matchcut.cli.sweep_tables import comparison_tables
    from matchcut.sweep.compare import compare_cells

    read = compare_cells(collection, grid, cells, part=part)
    if json:
        print(dumps(read.to_json(), indent=2))
        return
    for table in comparison_tables(read):
        console.print(table)
    if read.without:
        some = ", ".join(read.without[:3]) + (", ..." if len(read.without) > 3 else "")
        text = f"{len(read.without)} models failed or are not trained yet: {some}"
        console.print(text, highlight=False, markup=False)
