"""`matchcut info`: what a collection holds."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

from matchcut.cli.visible import visible
from matchcut.errors import MatchcutError

if TYPE_CHECKING:
    from rich.table import Table

_PARTS = ("train", "val", "test")
_MODELS = 12  # so many are named; a sweep makes hundreds


def info(collection: Path, /, *, json: bool = False) -> None:
    """Show what a collection holds.

    Args:
        collection: Folder of the collection.
        json: Print JSON instead of tables.
    """
    summary = summarize(collection)
    if json:
        from json import dumps

        print(dumps(summary, indent=2, ensure_ascii=False))
        return
    from rich.console import Console
    from rich.markup import escape

    console = Console()
    console.print(f"[bold]{escape(summary['collection'])}[/bold]", highlight=False)
    console.print(_contents(summary))
    if summary["features"]:
        console.print(_features(summary["features"]))
    if summary["failures"]:
        console.print("[bold red]could not be taken in[/bold red]")
        for failure in summary["failures"]:
            line = visible(f"  {failure['source']}: {failure['reason']}")
            console.print(line, markup=False, highlight=False, soft_wrap=True)


def summarize(root: Path) -> dict[str, Any]:
    """Everything `matchcut info` shows, as plain values: the catalogue's summary, feature sets and models.

    Raises:
        MatchcutError: if there is no collection there or its catalogue is damaged. A damaged feature set is an entry
            with its `error`.
    """
    from matchcut.collection import Collection
    from matchcut.collection.summary import summarize as summarize_catalogue

    catalogue = summarize_catalogue(Collection.open(root))
    features = [_feature_set(path.parent) for path in sorted((root / "features").glob("*/manifest.json"))]
    models = sorted(path.name for path in (root / "models").glob("*") if path.is_dir())
    return {"collection": str(root), **catalogue, "features": features, "models": models}


def _feature_set(path: Path) -> dict[str, Any]:
    from matchcut.features import FeatureSet

    try:
        found = FeatureSet.open(path)
    except MatchcutError as error:
        return {"name": path.name, "error": str(error)}
    manifest = found.manifest
    return {
        "name": path.name,
        "encoder": manifest.encoder,
        "of": manifest.of,
        "shape": list(manifest.shape),
        "dtype": manifest.dtype,
        "ids": len(found.ids),
        "rows": int(found.lengths.sum()),
        "bytes": sum(file.stat().st_size for file in path.iterdir() if file.is_file()),
    }


def _contents(summary: dict[str, Any]) -> "Table":
    from rich.markup import escape
    from rich.table import Table

    grid = Table.grid(padding=(0, 2))
    grid.add_column(justify="right", style="dim")
    grid.add_column()
    kinds = ", ".join(_count(count, kind) for kind, count in sorted(summary["items"].items(), reverse=True))
    grid.add_row("items", kinds or "none")
    grid.add_row("shots", f"{summary['shots']:,}, represented by {_count(summary['frames'], 'frame')}")
    if summary["hours"]:
        grid.add_row("length", _length(summary["hours"]))
    captions = summary["captions"]
    if captions["all"]:
        each = f"{captions['min']} to {captions['max']} each, {captions['mean']:.1f} on average"
        if captions["min"] == captions["max"]:
            each = f"{captions['min']} each"
        own = captions["all"] - captions["named_only"]
        grid.add_row("captions", f"{own:,}, of {_count(captions['items'], 'item')}: {each}")
        if captions["named_only"]:
            grid.add_row("", f"{captions['named_only']:,} more, for the parts that name them only")
    else:
        grid.add_row("captions", "none")
    splits = summary["splits"]
    for scheme in sorted(splits, key=lambda scheme: (scheme != "default", scheme)):
        parts, named = splits[scheme], summary["named_captions"].get(scheme, {})
        order = sorted(parts, key=lambda part: (_PARTS.index(part) if part in _PARTS else 3, part))
        sizes = ", ".join(
            f"{escape(part)} {parts[part]:,}" + (f" with {named[part]:,} named captions" if part in named else "")
            for part in order
        )
        grid.add_row("split", sizes if list(splits) == ["default"] else f"{escape(scheme)}: {sizes}")
    for source, judged in summary["judgments"].items():
        rest = "all others irrelevant" if judged["complete"] else "all others unknown"
        grid.add_row("judgments", f"{escape(source)}: {_count(judged['pairs'], 'pair')}, {rest}")
    if models := summary["models"]:
        more = f" and {len(models) - _MODELS:,} more; --json names them all" if len(models) > _MODELS else ""
        grid.add_row("models", escape(", ".join(models[:_MODELS]) + more))
    return grid


def _features(sets: list[dict[str, Any]]) -> "Table":
    from rich.markup import escape
    from rich.table import Table

    table = Table(title="feature sets", title_justify="left", title_style="bold", box=None, pad_edge=False)
    for column in ("name", "of", "encoder", "row", "type", "ids", "rows", "MB"):
        # the name is what other commands ask for, so it is never cut
        table.add_column(
            column,
            justify="right" if column in ("ids", "rows", "MB") else "left",
            no_wrap=column == "name",
            overflow="fold",
        )
    for one in sets:
        if "error" in one:
            table.add_row(escape(one["name"]), "", f"[red]{escape(one['error'])}[/red]")
            continue
        shape = " x ".join(map(str, one["shape"]))
        cells = (one["name"], one["of"], one["encoder"], shape, one["dtype"], f"{one['ids']:,}", f"{one['rows']:,}")
        table.add_row(*map(escape, cells), f"{one['bytes'] / 1e6:,.1f}")
    return table


def _count(count: int, noun: str) -> str:
    return f"{count:,} {noun}" + ("" if count == 1 else "s")


def _length(hours: float) -> str:
    return f"{hours:,.1f} hours" if hours >= 1 else f"{hours * 60:.1f} minutes"
