"""Time and result of fusion beside ranx, interleaved: `python benchmarks/fusion.py`.

The same made-up lists go into both. ranx compiles itself on first use, which is timed apart; then both run in turns, on
one core each, and the least processor time of each counts, so that a busy machine changes little. Needs the extra
`oracles`.
"""

import argparse
import os
import time
from collections.abc import Callable
from typing import Any

import numpy as np
from rich.console import Console
from rich.table import Table

from matchcut.evaluation import Run
from matchcut.fusion import Stacked, fuse, fuse_lists, fuse_matrices

SIZES = {"4 x 50 x 1000": (4, 50, 1000)}
LARGE = {"72 x 30 x 1000": (72, 30, 1000)}  # ranx takes minutes to build these runs
os.environ["NUMBA_NUM_THREADS"] = "1"  # read when ranx is imported, below
# Ours, and ranx's names of the same thing. Both score an item that a list lacks 0 in these two.
METHODS = {"rrf": {"method": "rrf"}, "minmax": {"norm": "min-max", "method": "sum"}}


def made_up_lists(lists: int, topics: int, depth: int) -> tuple[Any, Any]:
    """Rankings that agree roughly: item numbers and scores, [lists, topics, depth]."""
    rng = np.random.default_rng(0)
    quality = rng.normal(size=(topics, 20_000))
    items = np.empty((lists, topics, depth), dtype=np.int64)
    scores = np.empty(items.shape)
    for q in range(lists):
        noisy = quality + rng.normal(size=quality.shape)
        items[q] = np.argsort(-noisy, axis=1)[:, :depth]
        scores[q] = np.take_along_axis(noisy, items[q], axis=1)
    return items, scores


def best_of(calls: dict[str, Callable[[], Any]], repeats: int) -> tuple[dict[str, float], dict[str, Any]]:
    """Run the calls in turns; the best time in seconds and the last result of each."""
    times, results = dict.fromkeys(calls, float("inf")), {}
    for _ in range(repeats):
        for name, call in calls.items():
            start = time.process_time()
            results[name] = call()
            times[name] = min(times[name], time.process_time() - start)
    return times, results


def same_scores(ours: Run, theirs: Any, exact: Callable[[str, str], float]) -> float:
    """Share of ranks at which both lists hold items of equal fused score (they break ties differently)."""
    equal, total = 0, 0
    for topic, ranking in ours.items():
        other = sorted(theirs[topic].items(), key=lambda pair: -pair[1])[: len(ranking)]
        equal += sum(abs(exact(topic, a) - score) < 1e-9 for a, (_, score) in zip(ranking, other, strict=True))
        total += len(ranking)
    return equal / total


def main() -> None:
    """Print one row a size and method."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--large", action="store_true", help="also 72 lists of 30 topics")
    parser.add_argument("--matrices", action="store_true", help="also time 24 full matrices of 1,000 x 20,000")
    args = parser.parse_args()

    import ranx

    table = Table(title="Fusion: least processor time of interleaved runs, milliseconds", title_justify="left")
    columns = ("lists x topics x depth", "method", "arrays", "stacked", "runs", "ranx", "ranx first call")
    for name in (*columns, "arrays", "stacked", "runs", "same result"):
        table.add_column(name, justify="right")
    for label, size in (SIZES | LARGE if args.large else SIZES).items():
        items, scores = made_up_lists(*size)
        dicts = [
            {
                f"q{t}": {f"d{i}": s for i, s in zip(items[q, t].tolist(), scores[q, t].tolist(), strict=True)}
                for t in range(size[1])
            }
            for q in range(size[0])
        ]
        runs = [Run.of(d) for d in dicts]
        stacked = Stacked.of(runs)  # ranx.Run, too, converts once, and takes longer
        others = [ranx.Run(d) for d in dicts]
        for method, their in METHODS.items():
            start = time.process_time()
            ranx.fuse(runs=others, **their)
            first = time.process_time() - start
            times, results = best_of(
                {
                    "arrays": lambda m=method, i=items, s=scores: fuse_lists(i, s, method=m),
                    "stacked": lambda m=method, r=stacked: fuse(r, m),
                    "runs": lambda m=method, r=runs: fuse(r, m),
                    "ranx": lambda t=their, r=others: ranx.fuse(runs=r, **t),
                },
                args.repeats,
            )
            theirs = results["ranx"].to_dict()
            same = same_scores(results["runs"], theirs, lambda t, i, r=theirs: r[t][i])
            cells = [f"{1000 * times[k]:,.0f}" for k in ("arrays", "stacked", "runs", "ranx")]
            ratios = [f"{times['ranx'] / times[k]:.0f} x" for k in ("arrays", "stacked", "runs")]
            table.add_row(label, method, *cells, f"{1000 * first:,.0f}", *ratios, f"{same:.1%}")
    Console(width=140).print(table)
    if args.matrices:
        rng = np.random.default_rng(0)
        matrices = [rng.random((1000, 20_000), dtype=np.float32) for _ in range(24)]
        for method in ("mean", "minmax", "zscore", "avg", "hybrid"):
            start = time.process_time()
            fuse_matrices(matrices, method=method)
            Console().print(f"24 matrices of 1,000 x 20,000, {method}: {time.process_time() - start:.1f} s")


if __name__ == "__main__":
    main()
