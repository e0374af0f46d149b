"""Measures one can trust: retrieval metrics, TREC evaluation, intervals and tests."""

from matchcut.evaluation.inferred import xinfap
from matchcut.evaluation.qrels import Qrels, read_qrels
from matchcut.evaluation.resampling import Interval, bootstrap, bootstrap_means, intervals
from matchcut.evaluation.retrieval import retrieval_metrics
from matchcut.evaluation.statistics import Comparison, compare, compare_all, holm, paired_permutation
from matchcut.evaluation.trec import Run, read_run, write_run

__all__ = [
    "Comparison",
    "Interval",
    "Qrels",
    "Run",
    "bootstrap",
    "bootstrap_means",
    "compare",
    "compare_all",
    "holm",
    "intervals",
    "paired_permutation",
    "read_qrels",
    "read_run",
    "retrieval_metrics",
    "write_run",
    "xinfap",
]
