"""`matchcut train`: one model from a recipe."""

from pathlib import Path


def train(
    recipe: Path,
    collection: Path | None = None,
    /,
    *,
    name: str | None = None,
    set: tuple[str, ...] = (),
    again: bool = False,
    device: str | None = None,
) -> None:
    """Train one model.

    A run that was stopped goes on where it was. The model lies in COLLECTION/models/NAME: best and last weights, the
    resolved recipe, log.jsonl, and files for `tensorboard --logdir`.

    Args:
        recipe: TOML file that says on what, with which network and objective, and how to train.
        collection: Folder of the collection, if the recipe does not name it.
        name: Name of the model, by default the recipe's.
        set: Values that win over the recipe's, such as --set training.lr=1e-4 training.epochs=5
        again: Train anew, even if there is a run of that name.
        device: cpu, cuda, ...; by default a GPU if there is one.
    """
    from rich.console import Console

    from matchcut.cli.tables import training_progress
    from matchcut.collection import Collection
    from matchcut.errors import MatchcutError
    from matchcut.training import Recipe
    from matchcut.training import train as run

    console = Console()
    read = Recipe.read(recipe, overrides=set)
    folder = collection or read.data.collection
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
