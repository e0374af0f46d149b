"""`matchcut report`: one page for people, on models, score matrices or runs."""

from pathlib import Path
from typing import Literal

from matchcut.cli.flags import Many, by_name, joined
from matchcut.errors import MatchcutError


def report(
    collection: Path | None = None,
    /,
    *,
    model: Many[str] = (),
    scores: Many[Path] = (),
    run: Many[Path] = (),
    qrels: Path | None = None,
    topics: Path | None = None,
    split: str | None = None,
    protocol: str | None = None,
    ties: Literal["expected", "optimistic", "pessimistic", "index"] = "expected",
    out: Path = Path("report.html"),
    json: bool = False,
) -> None:
    """Write one page on models or runs: tables, curves, what they find.

    Tables with intervals in both directions, which differences stand, recall curves, the measure against Q', what each
    model contributes, the queries on which two models differ most and the hardest ones with pictures of what was found,
    and on top what the protocol guard has to say. The page is one file; the numbers go beside it as .json.

    Models of a collection (COLLECTION --model A B), score matrices (--scores), or both; or TREC runs (--run, --qrels).

    Args:
        collection: Folder of the collection. With --run or --scores alone it only gives pictures and texts.
        model: Names of models in it.
        scores: Score matrices (.npz with scores, texts, items and text_items) of the same captions and items.
        run: TREC runs, submissions (XML), score files, or score matrices with ids.
        qrels: Judgments for the runs.
        topics: Texts of the topics, lines of number and text.
        split: Part to measure on, by default the test part of the first model's recipe.
        protocol: Published protocol to compare the size of the gallery with, such as msrvtt-1ka or flickr8k.
        ties: What equal scores are worth: their mean, best or worst order, or the order of the items.
        out: The page, a .html file.
        json: Print the numbers as JSON.
    """
    models, matrices, runs = joined(model), joined(scores), joined(run)
    if bool(runs) == bool(models or matrices):
        raise MatchcutError(
            "give models (COLLECTION --model A B), score matrices (--scores) or runs (--run A B --qrels)"
        )
    if bool(runs) != (qrels is not None):
        raise MatchcutError("--run FILES and --qrels FILE go together")
    if models and collection is None:
        raise MatchcutError(
            "--model names models of a collection; give its folder: matchcut report COLLECTION --model A"
        )
    if out.suffix != ".html":
        raise MatchcutError(f"--out {out}: must end in .html; the numbers go beside it as .json")

    from json import dumps

    from rich.console import Console

    from matchcut.collection import Collection
    from matchcut.evaluation.matrices import read_scores
    from matchcut.evaluation.topics import read_topics
    from matchcut.fusion.sources import read_as_run
    from matchcut.report import report_models, report_runs, write_report

    opened = Collection.open(collection) if collection is not None else None
    with Console(stderr=True).status("report") as status:
        if runs and qrels is not None:
            words = read_topics(topics) if topics is not None else None
            read = {name: read_as_run(path) for name, path in by_name(runs).items()}
            found = report_runs(read, qrels, topics=words)
        else:
            others = {name: read_scores(path) for name, path in by_name(matrices).items()}
            found = report_models(
                opened, models, split=split, others=others, protocol=protocol, ties=ties, progress=status.update
            )
        written = write_report(found, out, collection=opened)
    if json:
        print(dumps(found.to_json(), indent=2, ensure_ascii=False))
        return
    console = Console()
    for warning in found.warnings:
        console.print(f"warning: {warning}", style="yellow", highlight=False, markup=False)
    none = ["no system is shown to beat another"] if len(found.systems) > 1 else []
    for sentence in found.verdicts() or none:
        console.print(sentence, highlight=False, markup=False)
    for path in written:
        console.print(f"written to {path}", highlight=False, markup=False)
