"""One page for people: how good models or runs are, what sets them apart, and what they find."""

from matchcut.report.content import Report
from matchcut.report.matrices import report_matrices
from matchcut.report.models import report_models
from matchcut.report.page import write_report
from matchcut.report.runs import report_runs

__all__ = ["Report", "report_matrices", "report_models", "report_runs", "write_report"]
