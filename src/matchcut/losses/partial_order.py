"""Partial order: a pair scores above the same pair with its best part masked."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from matchcut.losses.loss import Loss, Report
from matchcut.negatives import Evidence, PairTable


@dataclass(eq=False, repr=False, kw_only=True)
class PartialOrder(Loss):
    """Sum over the named partners of  mean_b [margin - (better_b - worse_b)]_+.

    C. Jiang et al., TPM-CL, ACM MM 2023 (formula and margin of the released code, where `better` is the similarity
    of a matched pair and `worse` the one with important tokens masked). The network supplies both, as
    `Evidence.partners`, with their gradients. The scores and the table have no part in it.

    Args:
        margin: at least 0; 0.6 acts as a constant push for similarities of CLIP's size.
        partners: which of the evidence's partners; none: all.

    >>> evidence = Evidence(partners={"masked text": (torch.tensor([0.9, 0.5]), torch.tensor([0.2, 0.4]))})
    >>> table = PairTable.from_ids(text_items=torch.arange(2), items=torch.arange(2))
    >>> PartialOrder(margin=0.6)(torch.zeros(2, 2), table, evidence)  # the mean of 0 and 0.5
    tensor(0.2500)
    """

    name: ClassVar[str] = "partial_order"
    margin: float = 0.6
    partners: Sequence[str] = ()

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.margin < 0:
            raise ValueError(f"margin must be at least 0, got {self.margin}")

    def forward(
        self, scores: Tensor, table: PairTable, evidence: Evidence | None = None, *, report: Report | None = None
    ) -> Tensor:
        known = evidence.partners if evidence is not None else {}
        if missing := [name for name in self.partners if name not in known]:
            raise ValueError(
                f"no partners {missing[0]!r} in the evidence; there are {', '.join(sorted(known)) or 'none'}"
            )
        if not known:
            raise ValueError("PartialOrder needs Evidence(partners=...), which the network supplies")
        total = torch.zeros((), device=table.device)
        for name in self.partners or known:
            better, worse = known[name]
            if better.shape != worse.shape:
                raise ValueError(f"partners {name!r} have shapes {tuple(better.shape)} and {tuple(worse.shape)}")
            hinge = (self.margin - (better.float() - worse.float())).relu()
            total = total + hinge.sum() / max(1, hinge.numel())
        return total
