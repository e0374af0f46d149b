"""`matchcut train`: one model from a recipe."""

from pathlib import Path

from matchcut.cli.flags import Many, joined


def train(
    recipe: Path,
    collection: Path | None = None,
    /,
    *,
    name: str | None = None,
    set: Many[str] = (),
    again: bool = False,
    check: bool = False,
    device: str | None = None,
) -> None:
    """Train one model.

    A run that was stopped goes on where it was. The model lies in COLLECTION/models/NAME: best and last weights, the
    resolved recipe, log.jsonl, and files for `tensorboard --logdir`.

    With --check nothing is trained or written: the network is built at its real size and takes one step on made-up
    data. Its parts are shown, and what the real training needs; with COLLECTION also what of that is there.

    Args:
        recipe: TOML file that says on what, with which network and objective, and how to train.
        collection: Folder of the collection, if the recipe does not name it.
        name: Name of the model, by default the recipe's.
        set: Values that win over the recipe's, such as --set training.lr=1e-4 training.epochs=5
        again: Train anew, even if there is a run of that name.
        check: Only look at the recipe: its network, one step on made-up data, and what it needs.
        device: cpu, cuda, ...; by default a GPU if there is one.
    """
    from rich.console import Console

    from matchcut.cli.tables import training_progress
    from matchcut.collection import Collection
    from matchcut.errors import MatchcutError
    from matchcut.training import Recipe
    from matchcut.training import train as run

    console = Console()
    read = Recipe.read(recipe, overrides=joined(set))
    folder = collection or read.data.collection
    if check:
        from matchcut.cli.check_tables import show
        from matchcut.training.check import check as look

        show(console, read, look(read, Collection.open(folder) if folder else None))
        return
    if not folder:
        raise MatchcutError(f"{recipe}: data.collection: not given; name it there or as COLLECTION on the command line")
    opened = Collection.open(folder)
    with training_progress(console, name or read.name, read.training.epochs) as progress:
        trained = run(read, opened, name=name, again=again, device=device, progress=progress)
    if trained.left_out:
        console.print(f"[yellow]{trained.left_out:,} items or captions without features were left out[/]")
    console.print(
        f"best epoch {trained.best_epoch} of {trained.epochs}: sum of recalls on {read.data.val} {trained.best:.1f}; "
        f"{trained.seconds:.0f} s of training"
    )
    console.print(f"model in {trained.folder}; next: matchcut evaluate {folder} --model {trained.folder.name}")
