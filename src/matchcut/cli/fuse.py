"""`matchcut fuse`: many rankings into one, which of them to take, and the curve of the measure against Q'."""

import re
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import tyro

from matchcut.cli.flags import Many, joined
from matchcut.errors import MatchcutError

if TYPE_CHECKING:
    from rich.table import Table

    from matchcut.cli.fuse_inputs import Inputs


def fuse(
    sources: Annotated[tuple[Path, ...], tyro.conf.Positional],
    /,
    *,
    model: Many[str] = (),
    split: str | None = None,
    method: Literal["avg", "max", "worst", "hybrid", "rrf", "borda", "mean", "minmax", "zscore", "weighted", "dbsf"]
    | None = None,
    top: int = 10,
    missing: Literal["last", "ignore", "full", "zero", "share"] | None = None,
    tie_break: Literal["rank", "id"] = "rank",
    k: float = 60.0,
    weights: tuple[str, ...] = (),
    select: Literal["greedy", "leave-one-out"] | None = None,
    val: Many[Path] = (),
    val_qrels: Path | None = None,
    val_split: str = "val",
    depth: int = 1000,
    out: Path | None = None,
    to: Literal["run", "scores", "npz", "npy"] | None = None,
    submission: Path | None = None,
    qrels: Path | None = None,
    measure: str = "t2v R@1",
    contributions: bool = False,
    sweep_q: bool = False,
    plot: Path | None = None,
) -> None:
    """Combine many models' rankings into one.

    It fuses TREC runs, TRECVID submissions (XML), score files (topic shot score shot score ...), score matrices (.npy,
    or .npz with scores, texts, items and text_items), and models of a collection (its folder, and --model). If all are
    matrices they are fused as such, otherwise everything is turned into runs. With judgments (--qrels, or text_items of
    matrices and models) it prints what each input and the fused ranking are worth.

    Args:
        sources: Files, and with --model the folder of the collection.
        model: Models of the collection, scored on --split.
        split: Part to score models on, by default the test part of each model's recipe.
        method: avg, max (best rank), worst (rank), hybrid (mean of the --top best ranks), rrf, borda, or one of the
            scores; by default avg, or weighted if there are weights.
        top: Q' of hybrid, how many of an item's best ranks are averaged.
        missing: What an item counts for in a list without it; by default the method's own rule.
        tie_break: What orders equal values: the mean rank and then the id, or the id alone.
        k: Constant of rrf.
        weights: One an input, files first; or the word learn: found on validation data, shrunk by cross-validation.
        select: Fuse only the members so chosen on validation data: one after the other, or by leaving out.
        val: Validation files, one for each file and in the same order. Models are scored on --val-split.
        val_qrels: Judgments for validation runs.
        val_split: Part that validates models.
        depth: At most so many shots a topic.
        out: Where the fused ranking goes: .npz or .npy for a matrix, otherwise a TREC run, or with
            --submission an XML file.
        to: Kind of file to write, whatever its name.
        submission: Write a TRECVID AVS submission (XML); this TOML file says team, priority, ... and what to check
            against. One run is enough.
        qrels: Judgments for the runs; matrices are then judged as runs too.
        measure: Of matrices: t2v R@K or v2t R@K.
        contributions: Print what each input contributes: alone, and what is lost without it.
        sweep_q: Print hybrid fusion for every Q' up to 10 and some beyond (MAX and AVG are the ends).
        plot: With --sweep-q, draw the curve into this file (.png, .svg, .pdf).
    """
    if plot is not None and not sweep_q:
        raise MatchcutError("--plot draws the curve of --sweep-q; give --sweep-q too")
    if submission is not None and (out is None or to is not None):
        raise MatchcutError("--submission writes the XML file that --out names; give --out FILE, and no --to")
    if depth < 1:
        raise MatchcutError(f"--depth must be at least 1, got {depth}")
    files = [path for path in sources if not path.is_dir()]
    folders = [path for path in sources if path.is_dir()]
    models = joined(model)
    if not files and not models:
        raise MatchcutError("no run to fuse; give run files, as in `matchcut fuse a.run b.run --out fused.run`")
    if len(folders) != bool(models):
        raise MatchcutError("a collection and --model go together: matchcut fuse COLLECTION --model A B")
    learn = weights == ("learn",)
    numbers = None if learn or not weights else _numbers(weights)

    from rich.console import Console

    from matchcut.cli.fuse_inputs import Inputs, read_validation, select_members, shared_queries
    from matchcut.collection import Collection
    from matchcut.evaluation.submission_form import SubmissionForm
    from matchcut.fusion import learn_weights
    from matchcut.fusion.combine import fuse as combine
    from matchcut.fusion.sources import as_run, write_ranking

    console = Console()
    form = None if submission is None else SubmissionForm.read(submission)
    collection = Collection.open(folders[0]) if folders else None
    given = Inputs.read(files, collection, models, split=split, qrels=qrels)
    if out is None and not given.judged:
        raise MatchcutError(
            "nothing to do with the result; give --out FILE, or judgments: --qrels FILE, or text_items in the matrices"
        )
    for flag, wanted in (("--contributions", contributions), ("--sweep-q", sweep_q)):
        if wanted and not given.judged:
            raise MatchcutError(f"{flag} needs judgments: --qrels FILE for runs, text_items in the matrices")
    chosen = method or ("weighted" if learn or numbers is not None else "avg")
    settings: dict[str, Any] = {"top": top, "missing": missing, "tie_break": tie_break, "k": k, "weights": numbers}
    try:
        if given.judged:
            given.facing(measure)  # refuses an unknown measure before anything is written
        if learn or select:
            validation = read_validation(given, files, joined(val), collection, models, val_split, val_qrels)
            if warning := shared_queries(given, validation):
                console.print(warning, style="yellow", highlight=False, markup=False, soft_wrap=True)
            if learn:
                found = learn_weights(validation.rankings, **validation.judgments())
                settings["weights"] = found.weights
                shown = ", ".join(f"{n} {w:.3f}" for n, w in zip(given.names, found.weights, strict=True))
                told = f"weights learned on {found.queries:,} queries: {shown}"
                console.print(told, highlight=False, markup=False, soft_wrap=True)
            if select:
                given, settings["weights"], told = select_members(given, validation, select, chosen, settings, measure)
                console.print(told, highlight=False, markup=False, soft_wrap=True)
        tag = f"hybrid{top}" if chosen == "hybrid" else chosen
        reach = depth if form is None else form.reach(depth)
        fused = given.like(combine(given.rankings, chosen, depth=reach, tag=tag, **settings))
        turned = given.matrix is not None and given.judged  # item to text, the lists are those of the items
        backward = combine([m.T for m in given.rankings], chosen, **settings).T if turned else None
        if form is not None and out is not None:
            run = fused if given.matrix is None else as_run(fused, "the fused matrix", depth=reach, tag=tag)
            handed_in, written = form.write(out, run, depth)
            fused = handed_in if given.matrix is None else fused  # the numbers are those of the file
        elif out is not None:
            written = write_ranking(out, fused, kind=to, depth=depth, tag=tag)
        if out is not None:
            console.print(f"{out}: {written}", highlight=False, markup=False, soft_wrap=True)
        if given.judged:
            console.print(_table(given, fused, backward, tag))
        if contributions and select and len(given.names) < 2:
            console.print("one model was chosen, so there are no contributions to compare", markup=False)
        elif contributions:
            console.print(_contributions(given, chosen, settings, measure))
        if sweep_q:
            _sweep(console, given, missing, tie_break, measure, plot)
    except ValueError as error:
        told = re.sub(r"^matrix (\d+)\b", lambda found: given.names[int(found[1])], str(error))
        raise MatchcutError(told) from error


def _numbers(weights: Sequence[str]) -> list[float]:
    try:
        return [float(w) for w in weights]
    except ValueError:
        raise MatchcutError(
            f"--weights {' '.join(weights)}: must be numbers, one an input, or the word learn"
        ) from None


def _table(given: "Inputs", fused: Any, backward: Any, tag: str) -> "Table":
    """What each input and the fused ranking are worth."""
    names = [*given.names, tag]
    if given.matrix is None:
        from matchcut.evaluation.runs import evaluate_run
        from matchcut.evaluation.tables import runs_table

        ranked = zip([*given.rankings, fused], names, strict=True)
        return runs_table([evaluate_run(run, given.qrels, name=name) for run, name in ranked])
    from dataclasses import replace

    from matchcut.evaluation.resampling import intervals
    from matchcut.evaluation.retrieval import retrieval_metrics
    from matchcut.evaluation.tables import retrieval_table

    known = given.judgments()
    metrics = {n: retrieval_metrics(s, **known) for n, s in zip(names, [*given.rankings, fused.scores], strict=True)}
    metrics[tag] = replace(metrics[tag], item_to_text=retrieval_metrics(backward, **known).item_to_text)
    spans: dict[str, Any] = {}
    for name, found in metrics.items():
        forward, backward = found.text_to_item, found.item_to_text
        clusters = known["text_items"][forward.kept]
        both = (("t2v", forward, clusters), ("v2t", backward, None))
        spans[name] = {
            f"{way} {key}": interval
            for way, direction, units in both
            for key, interval in intervals(direction.per_query(), clusters=units, samples=2000).items()
        }
    return retrieval_table(metrics, spans)


def _contributions(given: "Inputs", method: str, settings: dict[str, Any], measure: str) -> "Table":
    from matchcut.fusion.selection import contribution_table, contributions

    facing = given.facing(measure)
    rows = contributions(
        facing.rankings, facing.per_query, method, names=given.names, clusters=facing.clusters, **settings
    )
    return contribution_table(rows, given.measure(measure))


def _sweep(console: Any, given: "Inputs", missing: str | None, tie_break: str, measure: str, plot: Path | None) -> None:
    from matchcut.fusion.plot import plot_sweep
    from matchcut.fusion.sweep import sweep_table, sweep_top

    rule = missing if missing in ("last", "ignore", "full") else None
    facing = given.facing(measure)
    points = sweep_top(facing.rankings, facing.per_query, clusters=facing.clusters, missing=rule, tie_break=tie_break)
    console.print(sweep_table(points, given.measure(measure)))
    if plot is not None:
        plot_sweep(points, plot, measure=given.measure(measure))
        console.print(f"{plot}: the curve", highlight=False, markup=False)
