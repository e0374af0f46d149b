"""`matchcut evaluate`: how good models or run files are, with intervals."""

from pathlib import Path
from typing import Literal

from matchcut.cli.flags import Many, joined
from matchcut.errors import MatchcutError


def evaluate(
    collection: Path | None = None,
    /,
    *,
    model: Many[str] = (),
    split: str | None = None,
    ties: Literal["expected", "optimistic", "pessimistic", "index"] = "expected",
    relevance: str | None = None,
    run: Many[Path] = (),
    qrels: Path | None = None,
    out: Path | None = None,
    json: bool = False,
) -> None:
    """Measure models on a split, or run files, with intervals.

    Models of a collection: R@1, R@5, R@10, median and mean rank, both directions, each with a 95% bootstrap interval.
    Items with equal scores have no order: every value is the mean over all orders (--ties expected). Where a collection
    holds complete relevance judgments, as the built-in world does, the models are measured against them too.

    TREC run files (--run, --qrels): xinfAP, infNDCG and inferred precision; a topic that a run lacks counts as 0.

    Args:
        collection: Folder of the collection.
        model: Names of one or more models in it, or folders of models.
        split: Part to measure on, by default the test part of the model's recipe.
        ties: What equal scores are worth: their mean, best or worst order, or the order of the items.
        relevance: Source of complete judgments to measure against too, by default every complete one there is.
        run: Run files to measure in place of models.
        qrels: Judgments for the run files, with or without strata.
        out: Write the results to this JSON file.
        json: Print JSON instead of tables.
    """
    from json import dumps
    from typing import Any

    from rich.console import Console
    from rich.table import Table

    from matchcut.files import write_text

    results: list[Any]
    tables: list[Table]
    if run and qrels is not None and collection is None and not model:
        from matchcut.evaluation.runs import evaluate_run
        from matchcut.evaluation.tables import runs_table

        results = [evaluate_run(path, qrels, name=path.name) for path in joined(run)]
        tables = [runs_table(results)]
    elif collection is not None and model and not run and qrels is None:
        from matchcut.cli.tables import metrics_table
        from matchcut.collection import Collection
        from matchcut.training.evaluation import evaluate as measure

        opened = Collection.open(collection)
        results = [measure(opened, name, split=split, ties=ties, relevance=relevance) for name in joined(model)]
        tables = metrics_table(results)
    else:
        raise MatchcutError("give either COLLECTION with --model, or --run FILES with --qrels FILE")
    text = dumps([result.to_json() for result in results], indent=2)
    if out is not None:
        write_text(out, text + "\n")
    if json:
        print(text)
        return
    console = Console()
    for table in tables:
        console.print(table)
    if out is not None:
        console.print(f"written to {out}")
