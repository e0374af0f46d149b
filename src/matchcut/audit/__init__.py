"""Likely false negatives of a collection, and what a model's hardest negatives really are."""

from matchcut.audit.report import write_report
from matchcut.audit.run import Audit, audit

__all__ = ["Audit", "audit", "write_report"]
