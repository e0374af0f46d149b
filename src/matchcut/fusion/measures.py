"""What a fused ranking is judged by, query by query: for sweeps, selections, contributions."""

import re
from typing import Any

import numpy as np

from matchcut.evaluation.arrays import Positives, to_numpy, to_scores
from matchcut.evaluation.inferred import xinfap
from matchcut.evaluation.qrels import Qrels
from matchcut.evaluation.ranks import Floats, first_right
from matchcut.fusion.selection import PerQuery


def xinfap_per_topic(qrels: Any) -> PerQuery:
    """A function from a run to its xinfAP per topic of the qrels (0 for a topic it lacks)."""
    judged = Qrels.of(qrels)
    return lambda run: list(xinfap(run, judged).per_topic.values())


def matrix_measure(name: str, text_items: Any, items: Any) -> PerQuery:
    """A function from a score matrix [texts, items] to a measure per query, higher is better.

    Args:
        name: "t2v R@K" or "v2t R@K", in percent. text_items: the right item of each text. items: of the columns.
            Queries without a right answer are left out. Ties count what they are worth over all orders.

    Raises:
        ValueError: for another name.

    >>> matrix_measure("t2v R@1", ["a", "b"], ["a", "b"])(np.array([[2, 1], [2, 1]])).tolist()
    [100.0, 0.0]
    """
    found = re.fullmatch(r"(t2v|v2t) R@([1-9]\d*)", name)
    if found is None:
        raise ValueError(f"no measure {name!r} of a score matrix; there are 't2v R@K' and 'v2t R@K', such as 't2v R@1'")
    k, backwards = int(found[2]), found[1] == "v2t"
    columns = to_numpy(items)
    positives = Positives.of_ids(text_items, columns)
    if backwards:
        positives = positives.transpose(len(columns))
    asked = np.flatnonzero(positives.counts)
    positives = Positives(np.append(0, np.cumsum(positives.counts[asked])), positives.columns)

    def per_query(scores: Any) -> Floats:
        matrix = to_scores(scores)
        matrix = matrix.T if backwards else matrix
        matrix = matrix if len(asked) == len(matrix) else matrix[asked]
        return 100 * first_right(matrix, positives, transposed=backwards).hit(k)

    return per_query
