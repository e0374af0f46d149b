"""The experiment of Galanopoulos and Mezaris 2021 on MSR-VTT frames: what exclusion and fusion of 72 models give.

    matchcut sweep recipes/exclusion_2021_grid_small.toml msrvtt --keep-scores val test
    python benchmarks/exclusion.py msrvtt

Fuses the scores of the test part of the 24 models of each exclusion, and of all 72, by AVG, MAX, Hybrid for every Q',
by scores, and with weights learned on the validation part; every caption is a query. Writes the tables into
docs/results.md, and the curve against Q'. Intervals resample videos, each with all its captions, not training seeds.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import tyro
from numpy.typing import NDArray

from matchcut.collection import Collection
from matchcut.evaluation.matrices import ScoreMatrix, read_scores
from matchcut.evaluation.resampling import Interval, bootstrap
from matchcut.fusion import fuse_matrices, learn_weights
from matchcut.fusion.matrices import rank_rows
from matchcut.fusion.plot import plot_sweep
from matchcut.fusion.sweep import SweepPoint
from matchcut.sweep import Grid
from matchcut.sweep.scores import scores_path
from quality import replace_section

ROOT = Path(__file__).parent.parent
GROUPS = {"baseline": "x0", "x = 1 %": "x1", "x = 2 %": "x2", "all": ""}
BLOCK = 400  # queries whose ranks by all models are in memory at a time
Ranks = NDArray[np.float64]  # of the right item, a query each, the mean over all orders of what ties


@dataclass(frozen=True)
class Group:
    """Models that are fused: their scores on the validation and the test part."""

    val: list[ScoreMatrix]
    test: list[ScoreMatrix]

    def right(self, part: str) -> NDArray[np.int64]:
        """The column of each query's right item."""
        first = (self.val if part == "val" else self.test)[0]
        column = {item: i for i, item in enumerate(first.items)}
        assert first.text_items is not None
        return np.array([column[item] for item in first.text_items])


def main(
    collection: Path,
    /,
    *,
    grid: Path = ROOT / "recipes" / "exclusion_2021_grid_small.toml",
    write: Path = ROOT / "docs" / "results.md",
    plot: Path = ROOT / "docs" / "images" / "hybrid.png",
) -> None:
    """Fuse, measure, and write the tables.

    Args:
        collection: folder with the models of the sweep and their scores.
        grid: the sweep's file.
        write: the page whose tables are replaced.
        plot: picture of the measure against Q', all models.
    """
    groups = read(Collection.open(collection), Grid.read(grid))
    ranks: dict[str, dict[int, Ranks]] = {}
    lines, alone, scored = [], {}, {}
    for name, group in groups.items():
        print(name, len(group.test), "models", flush=True)
        right = group.right("test")
        alone[name] = [float(mrr(ranks_of(matrix.scores, right)).mean()) for matrix in group.test]
        ranks[name] = dict(hybrid_ranks([m.scores for m in group.test], right))
        scored[name] = dict(by_scores(group))
    base, clusters = ranks["baseline"], groups["baseline"].right("test")
    reference = mrr(base[len(groups["baseline"].test)])
    for name, found in ranks.items():
        models = len(groups[name].test)
        best = max(found, key=lambda q: float(mrr(found[q]).mean()))
        cells = [f"{np.mean(alone[name]):.2f} ({min(alone[name]):.2f} to {max(alone[name]):.2f})"]
        for q in (models, 1, min(10, models)):
            cells.append(show(bootstrap(mrr(found[q]), clusters=clusters)))
        cells += [str(best), show(bootstrap(mrr(found[best]), clusters=clusters))]
        cells += [difference(mrr(found[models]) - reference, clusters) if name != "baseline" else ""]
        lines.append(f"| {name}, {models} | {' | '.join(cells)} |")
    head = "| models | each alone | AVG | MAX | Hybrid, Q' = 10 | best Q' | Hybrid there | AVG minus baseline's |"
    replace_section(write, "exclusion", "\n".join([head, "|---|" + "---:|" * 7, *lines]))
    replace_section(write, "exclusion hybrid", hybrid_table(ranks, clusters))
    replace_section(write, "exclusion scores", score_table(scored, ranks, groups, clusters))
    everything = ranks["all"]
    average = mrr(everything[max(everything)])
    points = [
        SweepPoint(q, bootstrap(mrr(r), clusters=clusters), bootstrap(mrr(r) - average, clusters=clusters))
        for q, r in everything.items()
    ]
    plot_sweep(points, plot, measure="mean reciprocal rank, %")


def read(collection: Collection, grid: Grid) -> dict[str, Group]:
    """The kept scores of a sweep's models, memory-mapped, by exclusion."""
    groups = {}
    for name, label in GROUPS.items():
        models = [cell.recipe.name for cell in grid.cells if label in ("", cell.choices["exclusion"])]
        val, test = ([read_scores(scores_path(collection, m, part)) for m in models] for part in ("val", "test"))
        groups[name] = Group(val, test)
    return groups


def ranks_of(scores: NDArray[np.floating], right: NDArray[np.int64]) -> Ranks:
    """Rank of each row's right column, 1 = best; ties count half."""
    own = scores[np.arange(len(right)), right][:, None]
    above, level = (scores > own).sum(1), (scores == own).sum(1)
    return above + (level + 1) / 2


def hybrid_ranks(matrices: Sequence[NDArray[np.floating]], right: NDArray[np.int64]) -> Iterator[tuple[int, Ranks]]:
    """Hybrid fusion for every Q', from MAX (1) to AVG (all); items with the same mean of best ranks go by AVG.

    The ranks of an item by all models are sorted once, and each Q' is a cumulative sum of them.
    """
    found = np.empty((len(matrices), len(right)))
    for start in range(0, len(right), BLOCK):
        rows = right[start : start + BLOCK]
        blocks = [rank_rows(np.asarray(m[start : start + BLOCK])) for m in matrices]
        doubled = np.stack([(2 * block).astype(np.int16) for block in blocks], axis=-1)  # shared ranks end in a half
        best = np.cumsum(np.sort(doubled, axis=-1), axis=-1, dtype=np.int32)
        average = best[..., -1].astype(np.float64) / (4.0 * best[..., -1].max())
        for q in range(len(matrices)):
            found[q, start : start + BLOCK] = ranks_of(-(best[..., q] + average), rows)
    yield from ((q + 1, ranks) for q, ranks in enumerate(found))


def by_scores(group: Group) -> Iterator[tuple[str, Ranks]]:
    """Fusion of scores, and with weights learned on the validation part."""
    right = group.right("test")
    matrices = [m.scores for m in group.test]
    for method in ("mean", "zscore", "minmax"):
        yield method, ranks_of(fuse_matrices(matrices, method=method), right)
    learned = learn_weights([m.scores for m in group.val], text_items=group.val[0].text_items, items=group.val[0].items)
    print("learned: shrinkage", learned.shrinkage, "largest weights", sorted(learned.weights)[-3:], flush=True)
    yield "learned weights", ranks_of(fuse_matrices(matrices, method="weighted", weights=learned.weights), right)


def mrr(ranks: Ranks) -> Ranks:
    """Reciprocal ranks in percent: with one right item a query, its average precision."""
    return 100 / ranks


def hybrid_table(ranks: Mapping[str, Mapping[int, Ranks]], clusters: NDArray[np.int64]) -> str:
    """Hybrid minus AVG for some Q', same queries."""
    lines = ["| Q' | " + " | ".join(ranks) + " |", "|---:|" + "---:|" * len(ranks)]
    for q in (1, 2, 3, 4, 5, 6, 8, 10, 12, 15, 18, 20, 24, 30, 40, 50, 60, 72):
        cells = []
        for found in ranks.values():
            models = max(found)
            cells.append(difference(mrr(found[q]) - mrr(found[models]), clusters) if q < models else "")
        if any(cells):
            lines.append(f"| {q} | {' | '.join(cells)} |")
    return "\n".join(lines)


def score_table(
    scored: Mapping[str, Mapping[str, Ranks]],
    ranks: Mapping[str, Mapping[int, Ranks]],
    groups: Mapping[str, Group],
    clusters: NDArray[np.int64],
) -> str:
    """Fusions of scores beside AVG and Hybrid, with recalls."""
    lines = ["| models | fusion | R@1 | R@5 | R@10 | MRR | MRR minus AVG's |", "|---|---|---:|---:|---:|---:|---:|"]
    for name, methods in scored.items():
        models = len(groups[name].test)
        average = ranks[name][models]
        for method, found in {"AVG": average, "Hybrid, Q' = 10": ranks[name][10], **methods}.items():
            recalls = " | ".join(f"{100 * (found <= k).mean():.1f}" for k in (1, 5, 10))
            apart = difference(mrr(found) - mrr(average), clusters) if method != "AVG" else ""
            lines.append(f"| {name}, {models} | {method} | {recalls} | {mrr(found).mean():.2f} | {apart} |")
    return "\n".join(lines)


def show(interval: Interval) -> str:
    return f"{interval.value:.2f} ({interval.low:.2f} to {interval.high:.2f})"


def difference(values: Ranks, clusters: NDArray[np.int64]) -> str:
    """A mean difference with its interval, in bold if that leaves out 0."""
    found = bootstrap(values, clusters=clusters)
    text = f"{found.value:+.2f} ({found.low:+.2f} to {found.high:+.2f})"
    return f"**{text}**" if found.low > 0 or found.high < 0 else text


if __name__ == "__main__":
    tyro.cli(main)
