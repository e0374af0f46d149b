"""The models of a sweep side by side: scores from its results or from kept score matrices."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from matchcut.collection import Collection
from matchcut.errors import MatchcutError
from matchcut.evaluation import retrieval_metrics
from matchcut.evaluation.matrices import read_scores
from matchcut.sweep.grid import Cell, Grid
from matchcut.sweep.results import Result, read_results, sweep_folder
from matchcut.sweep.scores import scores_path
from matchcut.sweep.summary import Scored, Summary, summarise


@dataclass(frozen=True)
class Comparison:
    """A summary with what it was made of, by cell."""

    part: str
    summary: Summary
    results: dict[str, Result]
    measures: dict[str, dict[str, float]]  # recalls and median ranks in both directions; empty without score matrices
    without: tuple[str, ...]  # cells that failed or are not trained yet

    def to_json(self) -> dict[str, Any]:
        """Plain values, ready for JSON."""
        found = self.summary.to_json()
        for cell in found["cells"]:
            result = self.results[cell["cell"]]
            cell |= {"model": result.model, "seconds": result.seconds, "best_epoch": result.best_epoch}
            cell |= {"measures": self.measures.get(cell["cell"], {})}
        failed = {name: r.reason for name, r in self.results.items() if r.status == "failed"}
        return {
            "part": self.part,
            "measure": "sum of recalls",
            **found,
            "without": list(self.without),
            "failed": failed,
        }


def compare_cells(
    collection: Collection, grid: Grid, cells: Sequence[Cell], *, part: str | None = None, samples: int = 10_000
) -> Comparison:
    """Compare the trained cells of a sweep, and the choices that they were made by.

    Args:
        part: by default the validation part, with the score of the best epoch; for any other the score matrices must
            have been kept.
        samples: bootstrap replicates and sign patterns.

    Raises:
        MatchcutError: if nothing is trained, or a score matrix is missing.
    """
    folder = sweep_folder(collection, grid.name)
    results = {name: r for name, r in read_results(folder).items() if name in {cell.name for cell in cells}}
    done = [cell for cell in cells if cell.name in results and results[cell.name].status == "done"]
    if not done:
        raise MatchcutError(f"{folder}: no model of this sweep is trained yet; run `matchcut sweep` without --summary")
    part = part or done[0].recipe.data.val
    measures, sums = {}, {}
    for cell in done:
        if part == cell.recipe.data.val:
            sums[cell.name] = results[cell.name].score or 0.0
            continue
        path = scores_path(collection, cell.recipe.name, part)
        if not path.exists():
            raise MatchcutError(
                f"{path}: no such file; keep the scores first: `matchcut sweep ... --keep-scores {part}`"
            )
        matrix = read_scores(path)
        found = retrieval_metrics(matrix.scores, matrix.text_items, matrix.items)
        sums[cell.name] = found.rsum
        measures[cell.name] = {
            f"{short} {name}": value
            for short, side in (("t2i", found.text_to_item), ("i2t", found.item_to_text))
            for name, value in side.values().items()
            if name != "MnR"
        }
    scored = [Scored(cell.name, cell.choices, sums[cell.name]) for cell in done]
    used = {
        axis.name: [label for label in axis.choices if any(c.choices[axis.name] == label for c in done)]
        for axis in grid.axes
    }
    without = tuple(cell.name for cell in cells if cell not in done)
    return Comparison(part, summarise(scored, used, samples=samples), results, measures, without)
