"""Grids of models: read, trained many at a time on shared data, and compared."""

from matchcut.sweep.compare import Comparison, compare_cells
from matchcut.sweep.grid import Axis, Cell, Grid
from matchcut.sweep.results import Result, read_results
from matchcut.sweep.runner import Event, sweep

__all__ = ["Axis", "Cell", "Comparison", "Event", "Grid", "Result", "compare_cells", "read_results", "sweep"]
