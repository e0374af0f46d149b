"""Measures one can trust: retrieval metrics, TREC evaluation, intervals and tests."""

from matchcut.evaluation.inferred import xinfap
from matchcut.evaluation.qrels import Qrels, read_qrels
from matchcut.evaluation.retrieval import retrieval_metrics
from matchcut.evaluation.trec import Run, read_run, write_run

__all__ = ["Qrels", "Run", "read_qrels", "read_run", "retrieval_metrics", "write_run", "xinfap"]
