"""`matchcut evaluate`: how good a model is, with intervals."""

from pathlib import Path
from typing import Literal


def evaluate(
    collection: Path,
    /,
    *,
    model: tuple[str, ...],
    split: str | None = None,
    ties: Literal["expected", "optimistic", "pessimistic", "index"] = "expected",
    relevance: str | None = None,
    out: Path | None = None,
    json: bool = False,
) -> None:
    """Measure models on a split, with intervals.

    R@1, R@5, R@10, median and mean rank, both directions, each with a 95% bootstrap interval.

    Items with equal scores have no order: every value is the mean over all orders (--ties expected). Where a collection
    holds complete relevance judgments, as the built-in world does, the models are measured against them too.

    Args:
        collection: Folder of the collection.
        model: Names of one or more models in it, or folders of models.
        split: Part to measure on, by default the test part of the model's recipe.
        ties: What equal scores are worth: their mean, best or worst order, or the order of the items.
        relevance: Source of complete judgments to measure against too, by default every complete one there is.
        out: Write the results to this JSON file.
        json: Print JSON instead of tables.
    """
    from json import dumps

    from rich.console import Console

    from matchcut.cli.tables import metrics_table
    from matchcut.collection import Collection
    from matchcut.files import write_text
    from matchcut.training.evaluation import evaluate as run

    opened = Collection.open(collection)
    results = [run(opened, name, split=split, ties=ties, relevance=relevance) for name in model]
    text = dumps([result.to_json() for result in results], indent=2)
    if out is not None:
        write_text(out, text + "\n")
    if json:
        print(text)
        return
    console = Console()
    for table in metrics_table(results):
        console.print(table)
    if out is not None:
        console.print(f"written to {out}")
