"""`matchcut embed`: run frozen encoders over a collection."""

from pathlib import Path
from typing import Literal

from matchcut.cli.flags import Many, joined
from matchcut.cli.visible import visible
from matchcut.errors import MatchcutError

PACKAGED = ("efficientnet-lite0", "minilm")


def embed(
    collection: Path,
    /,
    *,
    encoder: Many[str] = (),
    name: str | None = None,
    dtype: Literal["float16", "float32"] = "float16",
    batch_size: int | None = None,
    split: str | None = None,
    scheme: str = "default",
    force: bool = False,
) -> None:
    """Run frozen encoders over a collection, into its feature store.

    Only what is new or has changed is embedded; a run that was stopped goes on where it was. Files that cannot be read
    are listed at the end and recorded in the collection; the exit code is 2 then. Encoders:
    - efficientnet-lite0, efficientnet-lite0-grid: frames, packaged; ?flip=true also looks at the mirrored picture.
    - minilm, minilm-tokens: captions, packaged.
    - clip:SOURCE: frames and captions by CLIP or SigLIP, from the hub or a folder; ?tower=image or ?tower=text for one.
    - bert:SOURCE: captions by a BERT checkpoint; ?vector=mean, cls, pooler, layer-2 or tokens.
    - salience:TOKENS: for each token of another encoder, such as salience:minilm-tokens, how much its word counts.

    Args:
        collection: Folder of the collection.
        encoder: Encoders to run, by default efficientnet-lite0 and minilm.
        name: Name of the feature set, with a single encoder; the encoder's own name by default.
        dtype: How the numbers are stored.
        batch_size: Pictures or sentences the network sees at once; what suits the encoder and machine by default.
        split: Embed only this part (train, val, test).
        scheme: Split scheme that the part is of, such as 9k.
        force: Throw away a feature set of that name and make it anew.
    """
    if batch_size is not None and batch_size < 1:
        raise MatchcutError(f"--batch-size {batch_size}: must be at least 1")
    from matchcut.collection import Collection
    from matchcut.encoders import load_encoder, towers

    opened = Collection.open(collection)
    asked = joined(encoder)
    specs = [tower for spec in asked or PACKAGED for tower in towers(spec)]
    if not asked:  # asked for nothing special: run what there is something for
        counts = opened.counts()
        specs = [spec for spec, kind in zip(PACKAGED, ("frames", "captions"), strict=True) if counts[kind]]
        if not specs:
            raise MatchcutError(f"{collection}: has no frames and no captions to embed; begin with `matchcut add`")
    if name is not None and len(specs) != 1:
        raise MatchcutError(
            f"--name {name}: there are {len(specs)} encoders ({', '.join(specs)}); name a set with one --encoder"
        )

    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
    from rich.table import Table

    from matchcut.encoders.embed import embed as run

    console = Console()
    table = Table("feature set", "of", "new", "kept", "failed", "rows", "inputs/s", "on disk", box=None, pad_edge=False)
    table.columns[0].no_wrap = True
    for column in table.columns[2:]:
        column.justify = "right"
    failures = []
    for spec in specs:
        columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
        with Progress(*columns, console=console, transient=True) as bar:
            task = bar.add_task(f"{spec}: loading", total=None)
            loaded = load_encoder(spec)
            bar.update(task, description=name or loaded.name)
            done = run(
                opened,
                loaded,
                name=name,
                dtype=dtype,
                batch_size=batch_size,
                split=split,
                scheme=scheme,
                force=force,
                progress=lambda count, total, bar=bar, task=task: bar.update(task, completed=count, total=total),  # type: ignore[misc]
            )
        features = done.features
        size = sum(file.stat().st_size for file in features.path.iterdir())
        speed = f"{done.inputs / done.seconds:,.0f}" if done.inputs else ""
        numbers = (done.new, done.kept, len(done.failed), int(features.lengths.sum()))
        table.add_row(features.manifest.name, loaded.of, *(f"{count:,}" for count in numbers), speed, _size(size))
        failures += [(features.manifest.name, failure) for failure in done.failed]
    console.print(table)
    for set_name, failure in failures:
        text = visible(f"failed: {set_name}: {failure.item.key}: {failure.reason}")
        console.print(text, markup=False, highlight=False, soft_wrap=True)
    if failures:
        raise MatchcutError(
            f"{len(failures)} {'item' if len(failures) == 1 else 'items'} could not be embedded (listed above and in "
            f"`matchcut info {collection}`); everything else was"
        )


def _size(count: float) -> str:
    for unit in ("B", "kB", "MB", "GB"):
        if count < 1000 or unit == "GB":
            break
        count /= 1000
    return f"{count:.0f} {unit}" if count >= 10 or unit == "B" else f"{count:.1f} {unit}"
