"""How each (text, item) pair of a batch takes part: evidence in, a table of pairs out. Plain PyTorch."""

from matchcut.negatives.adaptive_margin import AdaptiveMargin
from matchcut.negatives.drop_above import DropAbove
from matchcut.negatives.drop_above_positive import DropAbovePositive
from matchcut.negatives.drop_similar import DropSimilar
from matchcut.negatives.evidence import Evidence
from matchcut.negatives.memory import Memory
from matchcut.negatives.pairs import PairTable
from matchcut.negatives.relevance_margin import RelevanceMargin
from matchcut.negatives.relevant_positives import RelevantPositives
from matchcut.negatives.reweight import Reweight
from matchcut.negatives.same_item import SameItem
from matchcut.negatives.semantic_margin import SemanticMargin
from matchcut.negatives.semi_hard import SemiHard
from matchcut.negatives.top_k import TopK
from matchcut.negatives.treatment import Treatment

TREATMENTS: dict[str, type[Treatment]] = {
    treatment.name: treatment
    for treatment in (
        SameItem,
        DropSimilar,
        DropAbove,
        DropAbovePositive,
        RelevantPositives,
        SemanticMargin,
        AdaptiveMargin,
        RelevanceMargin,
        Reweight,
        SemiHard,
        TopK,
    )
}
"""The treatments by the name that recipes use."""

__all__ = [
    "TREATMENTS",
    "AdaptiveMargin",
    "DropAbove",
    "DropAbovePositive",
    "DropSimilar",
    "Evidence",
    "Memory",
    "PairTable",
    "RelevanceMargin",
    "RelevantPositives",
    "Reweight",
    "SameItem",
    "SemanticMargin",
    "SemiHard",
    "TopK",
    "Treatment",
]
