"""`matchcut evaluate`: how good models or run files are, with intervals."""

from pathlib import Path
from typing import Literal

from matchcut.cli.flags import Many, by_name, joined
from matchcut.errors import MatchcutError


def evaluate(
    collection: Path | None = None,
    /,
    *,
    model: Many[str] = (),
    split: str | None = None,
    ties: Literal["expected", "optimistic", "pessimistic", "index"] = "expected",
    relevance: str | None = None,
    item_to_text: Literal["captions", "groups"] = "captions",
    protocol: str | None = None,
    run: Many[Path] = (),
    qrels: Path | None = None,
    nist_compat: bool = False,
    out: Path | None = None,
    json: bool = False,
) -> None:
    """Measure models on a split, or run files, with intervals.

    Models of a collection: R@1, R@5, R@10, median and mean rank, both directions, each with a 95% bootstrap interval.
    Items with equal scores have no order: every value is the mean over all orders (--ties expected). Where a collection
    holds complete relevance judgments, as the built-in world does, the models are measured against them too.

    Run files (--run, --qrels): xinfAP, infNDCG and inferred precision; a topic that a run lacks counts as 0. They are
    TREC runs, submissions (XML), score files, or score matrices with ids. Two runs are also compared with each other;
    for more, see `matchcut report`.

    Args:
        collection: Folder of the collection.
        model: Names of one or more models in it, or folders of models.
        split: Part to measure on, by default the test part of the model's recipe.
        ties: What equal scores are worth: their mean, best or worst order, or the order of the items.
        relevance: Source of complete judgments to measure against too, by default every complete one there is.
        item_to_text: Whether an item looks for its best caption among all captions, or among the best of each item, as
            CLIP4Clip's code does for MSVD.
        protocol: Published protocol to compare the numbers of items and texts with, such as msrvtt-1ka; a warning if
            they differ.
        run: Run files to measure in place of models.
        qrels: Judgments for the run files, with or without strata.
        nist_compat: Leave topics that a run lacks out of its mean, as the official evaluator does.
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
    warnings: dict[str, None] = {}
    if run and qrels is not None and collection is None and not model and protocol is None:
        from matchcut.evaluation import read_qrels
        from matchcut.evaluation.runs import compare_runs, evaluate_run
        from matchcut.evaluation.tables import comparison_table, runs_table
        from matchcut.fusion.sources import read_as_run

        runs = {name: read_as_run(path) for name, path in by_name(joined(run)).items()}
        judged, results = read_qrels(qrels), []
        for name, one in runs.items():
            try:
                results.append(evaluate_run(one, judged, name=name, nist_compat=nist_compat))
            except ValueError as error:
                raise MatchcutError(f"{name}: {error}") from error
        tables = [runs_table(results)]
        if len(runs) == 2:
            (a, first), (b, second) = runs.items()
            tables.append(comparison_table(compare_runs(first, second, judged), a, b))
    elif collection is not None and model and not run and qrels is None:
        from matchcut.cli.tables import metrics_table
        from matchcut.collection import Collection
        from matchcut.evaluation.guard import check_gallery
        from matchcut.evaluation.protocols import PROTOCOLS
        from matchcut.training.evaluation import evaluate as measure

        if protocol is not None and protocol not in PROTOCOLS:
            raise MatchcutError(f"no protocol {protocol!r}; there are {', '.join(PROTOCOLS)}")
        opened = Collection.open(collection)
        results = [
            measure(opened, name, split=split, ties=ties, relevance=relevance, item_to_text=item_to_text)
            for name in joined(model)
        ]
        tables = metrics_table(results)
        if protocol is not None:
            both = [(one.metrics["paired"].text_to_item, one.metrics["paired"].item_to_text) for one in results]
            for texts, items in both:  # an item without a text is in the gallery, and asks nothing
                found = check_gallery(protocol, items=items.queries + items.unanswerable, texts=texts.queries)
                warnings |= {finding.message: None for finding in found}
    else:
        raise MatchcutError(
            "give either COLLECTION with --model, or --run FILES with --qrels FILE; --protocol goes with --model"
        )
    text = dumps([result.to_json() for result in results], indent=2)
    if out is not None:
        write_text(out, text + "\n")
    for warning in warnings:
        Console(stderr=True).print(f"warning: {warning}", style="yellow", highlight=False, markup=False, soft_wrap=True)
    if json:
        print(text)
        return
    console = Console()
    for table in tables:
        console.print(table)
    if out is not None:
        console.print(f"written to {out}")
