"""Guided selection: a negative that the guide likes better than the positive is none."""

from dataclasses import KW_ONLY, dataclass
from typing import ClassVar, Literal

import torch
from torch import Tensor

from matchcut.negatives.evidence import Captions, Evidence, Kind, Of
from matchcut.negatives.pairs import PairTable
from matchcut.negatives.treatment import Treatment, one_of


@dataclass(frozen=True, repr=False)
class DropAbovePositive(Treatment):
    """Leaves out the negatives of an anchor that a guide scores above the anchor's positive, less a slack.

    With g the guide's scores, a an anchor with positive p, n a negative:

        absolute:  n is left out if g_an > g_ap - slack
        relative:  n is left out if g_an > g_ap - slack * |g_ap|

    Texts and items are anchors in turn, so a pair can be left out for one and stay for the other. GISTEmbed (Solatorio
    2024) is slack 0; relative slack 0.05 is NV-Retriever's positive-aware mining at 95 % (Moreira et al. 2024); the
    form that does not depend on the sign of g_ap is that of sentence-transformers (reference code).

    Args:
        guide: name of evidence, of texts, items, or a stored score matrix; "learned": the learned scores.
        slack: at least 0.
        rule: "absolute" or "relative".
        positive: with several positives of an anchor, the one with the "lowest" or the "highest" guide score.
        kind, of, captions: how the guide's similarity is taken, see `Evidence.similarity`.

    >>> table = PairTable.from_ids(text_items=torch.arange(2), items=torch.arange(2))
    >>> evidence = Evidence(scores={"ensemble": torch.tensor([[0.5, 0.6], [0.1, 0.9]])})
    >>> guided = DropAbovePositive("ensemble")(table, evidence, torch.zeros(2, 2))
    >>> guided.negative.int().tolist(), guided.items_see.negative.int().tolist()
    ([[0, 0], [1, 0]], [[0, 1], [1, 0]])
    """

    name: ClassVar[str] = "drop_above_positive"
    guide: str
    _: KW_ONLY
    slack: float = 0.0
    rule: Literal["absolute", "relative"] = "absolute"
    positive: Literal["lowest", "highest"] = "lowest"
    kind: Kind = "cosine"
    of: Of | None = None
    captions: Captions = "best"

    def __post_init__(self) -> None:
        if self.slack < 0:
            raise ValueError(f"slack must be at least 0, got {self.slack}; 0.05 is usual")
        one_of("rule", self.rule, ("absolute", "relative"))
        one_of("positive", self.positive, ("lowest", "highest"))

    @property
    def uses(self) -> tuple[str, ...]:
        return () if self.guide == "learned" else (self.guide,)

    @torch.no_grad()
    def __call__(self, table: PairTable, evidence: Evidence, scores: Tensor) -> PairTable:
        guide = (
            scores
            if self.guide == "learned"
            else evidence.similarity(self.guide, self.kind, of=self.of, captions=self.captions)
        )
        table.check(guide)
        text = self._limit(guide, table.positives[0], table.positives, guide.shape[0])[:, None]
        item = self._limit(guide, table.items_see.positives[1], table.items_see.positives, guide.shape[1])[None, :]
        return table.with_sides(text=guide > text, item=guide > item)

    def _limit(self, guide: Tensor, anchors: Tensor, positives: tuple[Tensor, Tensor], size: int) -> Tensor:
        """What a negative must not exceed, for each anchor; an anchor without a positive has no limit."""
        least = self.positive == "lowest"
        value = guide.new_full((size,), torch.inf if least else -torch.inf)
        value.scatter_reduce_(0, anchors, guide[positives], "amin" if least else "amax")
        value = torch.where(value.isinf(), torch.inf, value)
        return value - (self.slack if self.rule == "absolute" else self.slack * value.abs().nan_to_num(posinf=0.0))
