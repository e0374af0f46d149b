"""`matchcut fuse`: many rankings into one, and the curve of the measure against Q'."""

from pathlib import Path
from typing import Annotated, Literal

import tyro

from matchcut.errors import MatchcutError


def fuse(
    runs: Annotated[tuple[Path, ...], tyro.conf.Positional],
    /,
    *,
    method: Literal["avg", "max", "hybrid", "rrf", "borda", "mean", "minmax", "zscore", "weighted", "dbsf"] = "avg",
    top: int = 10,
    missing: Literal["last", "ignore", "full", "zero", "share"] | None = None,
    k: float = 60.0,
    weights: tuple[float, ...] | None = None,
    depth: int = 1000,
    out: Path | None = None,
    qrels: Path | None = None,
    sweep_q: Path | None = None,
    plot: Path | None = None,
) -> None:
    """Combine many models' rankings into one.

    Args:
        runs: run files, one line a shot: topic 0 shot rank score tag.
        method: avg, max (best rank), hybrid (mean of the best --top ranks), rrf, borda, or one of the scores.
        top: Q' of hybrid, how many of an item's best ranks are averaged.
        missing: what an item counts for in a list without it; by default the method's own rule.
        k: constant of rrf.
        weights: one a run, for weighted, mean, minmax, zscore, dbsf and rrf.
        depth: at most so many shots a topic.
        out: where the fused run goes.
        qrels: judgments; prints what each run and the fused one score.
        sweep_q: judgments; prints hybrid fusion for every Q' (MAX and AVG are its ends).
        plot: with --sweep-q, draws the curve into this file (.png, .svg, .pdf).
    """
    if len(runs) < 1:
        raise MatchcutError("no run to fuse; give run files, as in `matchcut fuse a.run b.run --out fused.run`")
    if plot is not None and sweep_q is None:
        raise MatchcutError("--plot draws the curve of --sweep-q; give --sweep-q QRELS too")
    if out is None and qrels is None and sweep_q is None:
        raise MatchcutError("nothing to do with the result; give --out FILE, --qrels FILE or --sweep-q FILE")

    from rich.console import Console

    from matchcut.evaluation.runs import evaluate_run
    from matchcut.evaluation.tables import runs_table
    from matchcut.evaluation.trec import read_run, write_run
    from matchcut.fusion.combine import fuse as combine
    from matchcut.fusion.plot import plot_sweep
    from matchcut.fusion.sweep import sweep_table, sweep_top, xinfap_per_topic

    console = Console()
    loaded = [read_run(path) for path in runs]
    try:
        fused = combine(
            loaded, method, top=top, missing=missing, k=k, weights=weights, depth=depth, tag=_tag(method, top)
        )
    except ValueError as error:
        raise MatchcutError(str(error)) from error
    if out is not None:
        write_run(out, fused, depth=depth)
        console.print(f"{out}: {sum(map(len, fused.values()))} shots of {len(fused)} topics")
    if qrels is not None:
        names = [path.name for path in runs]
        entries = [evaluate_run(r, qrels, name=n) for r, n in zip([*loaded, fused], [*names, fused.tag], strict=True)]
        console.print(runs_table(entries))
    if sweep_q is not None:
        rule = missing if missing in ("last", "ignore", "full") else None
        points = sweep_top(loaded, xinfap_per_topic(sweep_q), missing=rule, depth=depth)
        console.print(sweep_table(points))
        if plot is not None:
            plot_sweep(points, plot)
            console.print(f"{plot}: the curve")


def _tag(method: str, top: int) -> str:
    return f"hybrid{top}" if method == "hybrid" else method
