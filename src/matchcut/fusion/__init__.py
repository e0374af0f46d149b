"""Many rankings into one."""

from matchcut.fusion.combine import fuse
from matchcut.fusion.lists import FusedLists, fuse_lists
from matchcut.fusion.matrices import fuse_matrices
from matchcut.fusion.measures import matrix_measure, xinfap_per_topic
from matchcut.fusion.methods import METHODS
from matchcut.fusion.rescoring import rescore_union
from matchcut.fusion.selection import contributions, greedy_selection, leave_one_out
from matchcut.fusion.stacked import Stacked
from matchcut.fusion.sweep import sweep_top
from matchcut.fusion.weights import LearnedWeights, learn_weights

__all__ = [
    "METHODS",
    "FusedLists",
    "LearnedWeights",
    "Stacked",
    "contributions",
    "fuse",
    "fuse_lists",
    "fuse_matrices",
    "greedy_selection",
    "learn_weights",
    "leave_one_out",
    "matrix_measure",
    "rescore_union",
    "sweep_top",
    "xinfap_per_topic",
]
