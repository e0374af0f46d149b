"""What `matchcut fuse` fuses: files and models, their judgments, and the same on validation data."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from matchcut.cli.flags import by_name
from matchcut.errors import MatchcutError

if TYPE_CHECKING:
    from matchcut.collection import Collection
    from matchcut.evaluation.matrices import ScoreMatrix


@dataclass(frozen=True)
class Inputs:
    """Rankings of one kind with their names; matrix: the ids, if they are matrices; qrels: if they are runs."""

    names: list[str]
    rankings: list[Any]
    matrix: "ScoreMatrix | None"
    qrels: Any

    @classmethod
    def read(
        cls,
        files: Sequence[Path],
        collection: "Collection | None",
        models: Sequence[str],
        *,
        split: str | None,
        qrels: Any,
    ) -> "Inputs":
        from matchcut.evaluation.matrices import ScoreMatrix
        from matchcut.evaluation.qrels import read_qrels
        from matchcut.fusion.sources import as_run, of_one_kind, read_ranking

        found: dict[str, Any] = {name: read_ranking(path) for name, path in by_name(files).items()}
        if collection is not None:
            from matchcut.training.scores import score_matrix

            for name in models:
                if name in found:
                    raise MatchcutError(f"{name!r} is named twice; give each model once, and files other names")
                found[name] = score_matrix(collection, name, split=split)
        if qrels is not None:
            found = {n: as_run(r, n) if isinstance(r, ScoreMatrix) else r for n, r in found.items()}
        same: dict[str, Any] = dict(of_one_kind(found))
        first = next(iter(same.values()))
        if not isinstance(first, ScoreMatrix):
            return cls(list(same), list(same.values()), None, None if qrels is None else read_qrels(qrels))
        return cls(list(same), [m.scores for m in same.values()], first, None)

    @property
    def judged(self) -> bool:
        """Whether it is known what is right."""
        return self.qrels is not None or (self.matrix is not None and self.matrix.text_items is not None)

    def judgments(self) -> dict[str, Any]:
        """What is right, as `learn_weights` takes it."""
        if self.matrix is None:
            return {"judgments": self.qrels}
        items = self.matrix.items if self.matrix.items is not None else range(self.matrix.scores.shape[1])
        return {"text_items": self.matrix.text_items, "items": items}

    @property
    def queries(self) -> list[str]:
        """Ids of the topics or texts; none if the matrices have no ids."""
        if self.matrix is None:
            return list(dict.fromkeys(topic for run in self.rankings for topic in run))
        return [] if self.matrix.texts is None else self.matrix.texts.tolist()

    def facing(self, measure: str) -> "Facing":
        """What fusions are to be measured by.

        Matrices are fused row by row, so for item to text they are turned: a list is then that of an item.
        """
        from matchcut.fusion import matrix_measure, xinfap_per_topic

        if self.matrix is None:
            return Facing(self.rankings, xinfap_per_topic(self.qrels), None)
        known = self.judgments()
        per_query = matrix_measure(measure, **known)
        if measure.startswith("v2t"):
            return Facing([m.T for m in self.rankings], lambda turned: per_query(turned.T), None)
        texts = known["text_items"]
        return Facing(self.rankings, per_query, texts[np.isin(texts, known["items"])])

    def measure(self, measure: str) -> str:
        """The name of that measure."""
        return "xinfAP" if self.matrix is None else measure

    def like(self, fused: Any) -> Any:
        """A fused run as it is; fused scores with the ids of the matrices."""
        from matchcut.evaluation.matrices import ScoreMatrix

        m = self.matrix
        return fused if m is None else ScoreMatrix(fused, m.texts, m.items, m.text_items)


@dataclass(frozen=True)
class Facing:
    """Rankings as they are fused for a measure, the measure of each query, and ids of queries that belong together."""

    rankings: list[Any]
    per_query: Any
    clusters: Any


def shared_queries(given: Inputs, validation: Inputs) -> str:
    """A warning if weights or members are chosen on the very queries that are fused, or an empty text."""
    asked = set(given.queries)
    both = sum(query in asked for query in validation.queries)
    if not both:
        return ""
    return (
        f"warning: {both:,} of {len(validation.queries):,} validation queries are also fused and measured; what is "
        "chosen on them makes the numbers too good: choose on others"
    )


def read_validation(
    given: Inputs,
    files: Sequence[Path],
    val: Sequence[Path],
    collection: "Collection | None",
    models: Sequence[str],
    val_split: str,
    val_qrels: Path | None,
) -> Inputs:
    """The same inputs on validation data."""
    if len(val) != len(files):
        raise MatchcutError(
            f"--val has {len(val)} files for {len(files)} files to fuse; give the validation ranking of each, in order"
        )
    found = Inputs.read(val, collection, models, split=val_split, qrels=val_qrels)
    if not found.judged:
        raise MatchcutError("validation needs judgments: --val-qrels FILE for runs, text_items in the --val matrices")
    if (found.matrix is None) != (given.matrix is None):
        raise MatchcutError("what is fused and --val must be of one kind: matrices, or runs with --val-qrels")
    return found


def select_members(
    given: Inputs, validation: Inputs, how: str, method: str, settings: dict[str, Any], measure: str
) -> tuple[Inputs, Any, str]:
    """Only the members that validation chooses, their weights, and the choice in words."""
    from matchcut.fusion import greedy_selection, leave_one_out

    choose = greedy_selection if how == "greedy" else leave_one_out
    facing = validation.facing(measure)
    chosen = choose(facing.rankings, facing.per_query, method, **settings)
    members = list(chosen.members)
    names = [given.names[i] for i in members]
    weights = None if settings["weights"] is None else [settings["weights"][i] for i in members]
    kept = Inputs(names, [given.rankings[i] for i in members], given.matrix, given.qrels)
    value = f"{validation.measure(measure)} {chosen.values[-1]:.4g} on validation data"
    return kept, weights, f"chosen ({how}): {', '.join(names)}; {value}"
