"""Distillation: the scores of a batch should be spread as a teacher spreads them."""

from collections.abc import Sequence
from dataclasses import KW_ONLY, dataclass
from typing import ClassVar

import torch
from torch import Tensor

from matchcut.losses.loss import DIRECTIONS, Direction, Loss, Report, Side, directions, wide
from matchcut.negatives import Evidence, PairTable
from matchcut.negatives.evidence import Captions, Kind, Of
from matchcut.negatives.treatment import one_of


@dataclass(eq=False, repr=False)
class SoftTargets(Loss):
    """KL divergence from the teacher's distribution over an anchor's candidates to the learned one.

        q_a = softmax(teacher_scale * g_a),   p_a = softmax(scale * s_a),   L = mean over anchors of sum_c q_ac
        log(q_ac / p_ac)

    the mean of both directions, with g the teacher's scores, or the mean of those of several teachers. A left-out
    pair has no part in either. Hinton, Vinyals and Dean 2015 (paper), over a batch's candidates; the mean of many
    models' stored scores as one teacher is TeachText's use of it (Croitoru et al. 2021), there with another distance.

    Args:
        teachers: names of evidence; one name is a teacher alone.
        teacher_scale: inverse temperature of the teacher.
        scale: inverse temperature of the learned scores.
        direction: "both" (their mean), "t2i" or "i2t".
        kind, of, captions: how a teacher's similarity is taken, see `Evidence.similarity`.

    >>> table = PairTable.from_ids(text_items=torch.arange(2), items=torch.arange(2))
    >>> scores = torch.tensor([[0.5, 0.4], [0.6, 0.7]])
    >>> SoftTargets("ensemble", scale=10.0, teacher_scale=10.0)(scores, table, Evidence(scores={"ensemble": scores}))
    tensor(0.)
    """

    name: ClassVar[str] = "soft_targets"
    teachers: str | Sequence[str]
    _: KW_ONLY
    teacher_scale: float = 100.0
    scale: float = 100.0
    direction: Direction = "both"
    kind: Kind = "cosine"
    of: Of | None = None
    captions: Captions = "best"

    def __post_init__(self) -> None:
        super().__post_init__()
        if not self.teachers:
            raise ValueError("SoftTargets needs the name of at least one teacher")
        if self.scale <= 0 or self.teacher_scale <= 0:
            raise ValueError(f"scales must be above 0, got {self.scale} and {self.teacher_scale}")
        one_of("direction", self.direction, DIRECTIONS)

    @property
    def uses(self) -> tuple[str, ...]:
        return (self.teachers,) if isinstance(self.teachers, str) else tuple(self.teachers)

    def forward(
        self, scores: Tensor, table: PairTable, evidence: Evidence | None = None, *, report: Report | None = None
    ) -> Tensor:
        scores, evidence = wide(scores, table), evidence or Evidence()
        matrices = [
            evidence.similarity(name, self.kind, of=self.of, captions=self.captions).detach() for name in self.uses
        ]
        teacher = (sum(matrices[1:], matrices[0]) / len(matrices)).to(scores.dtype)
        ways = directions(self.direction)
        total = scores.new_zeros(())
        for way in ways:
            side = Side.of(scores, table, way)
            total = total + self._divergence(side, teacher if way == "t2i" else teacher.T)
        return total / len(ways)

    def _divergence(self, side: Side, teacher: Tensor) -> Tensor:
        out = ~(side.table.positive | side.table.negative)
        target = (self.teacher_scale * teacher).masked_fill(out, -torch.inf).log_softmax(1)
        learned = (self.scale * side.scores).masked_fill(out, -torch.inf).log_softmax(1)
        difference = torch.where(out, 0.0, target) - torch.where(out, 0.0, learned)
        each = (torch.where(out, 0.0, target.exp()) * difference).sum(1)
        return each.sum() / (~out).any(1).sum().clamp(min=1)
