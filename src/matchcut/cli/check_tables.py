"""What `matchcut train --check` prints."""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table

    from matchcut.training import Recipe
    from matchcut.training.check import Checked
    from matchcut.training.needs import Need


def show(console: "Console", recipe: "Recipe", seen: "Checked") -> None:
    """The parts of the network, what one step did, and what the real training needs."""
    from rich.table import Table
    from rich.text import Text

    parts = Table("part", "is", "parameters", "takes", "gives", box=None, pad_edge=False)
    parts.columns[2].justify = "right"
    for part in seen.parts:
        count = f"{part.parameters:,}" + ("" if part.trained == part.parameters else f", {part.trained:,} trained")
        parts.add_row(*map(Text, (part.name, part.kind, count, part.takes, part.gives)))
    _whole(parts)
    frozen = seen.parameters - seen.trained
    console.print(f"{recipe.name}: {recipe.model_name}, {seen.parameters:,} parameters", markup=False, highlight=False)
    if frozen:
        console.print(f"{frozen:,} of them are not trained")
    console.print(parts)
    for side, shape in seen.embeddings.items():
        console.print(f"{side} of {seen.pairs} pairs: {shape}", highlight=False)
    console.print(
        f"one step on made-up data: {_losses(seen)}; {seen.seconds:.1f} s; weights, gradients and optimiser "
        f"{seen.megabytes:,.0f} MiB, and what the batch of {recipe.training.batch_size} takes beside them",
        highlight=False,
    )
    for note in seen.notes:
        console.print(Text(note, style="yellow"))
    table = Table("needed", "name", "a row", "there", "from", box=None, pad_edge=False)
    for need in seen.needs:
        table.add_row(*map(Text, (need.what, need.name, _row(need), _there(need), need.source)))
    _whole(table)
    console.print(table)


def _whole(table: "Table") -> None:
    """Let a narrow terminal break names and commands, which are there to be copied, instead of cutting them off."""
    for column in table.columns:
        column.overflow = "fold"


def _losses(seen: "Checked") -> str:
    parts = ", ".join(f"{name} {value:.3g}" for name, value in seen.losses.items())
    return f"loss {seen.loss:.4g}" + (f" ({parts})" if len(seen.losses) > 1 else "")


def _row(need: "Need") -> str:
    return "" if need.shape is None else " x ".join(map(str, need.shape)) or "1 number"


def _there(need: "Need") -> str:
    return "" if need.there is None else "yes" if need.there else "no"
