"""What another caption of the same item is to a text: a positive, nothing, or a rival."""

from dataclasses import dataclass
from typing import ClassVar, Literal

import torch
from torch import Tensor

from matchcut.negatives.evidence import Evidence
from matchcut.negatives.pairs import PairTable, same_ids
from matchcut.negatives.treatment import Treatment, one_of


@dataclass(frozen=True, repr=False, kw_only=True)
class SameItem(Treatment):
    """Decides about the pairs of one item that are not *the* pair.

    VSE++, dual encoding and CLIP-style code know only the diagonal: other captions of the same item compete at the full
    margin ("negative"); LSEH lets them compete at margin 0 ("margin_zero") (all reference code). A table from ids
    has them as positives. A pair that is left out already stays so: an entry of a `Memory` never comes back. In a batch
    that is not paired, each item there once, a text has no pair of its item but its own: nothing is to be decided.

    Args:
        role: "positive", "left_out", "margin_zero" or "negative".
        margin: with "margin_zero", the margin of all other pairs, if no earlier treatment has set margins.

    Raises:
        ValueError: when called on a batch that is not paired and has an item twice, but for "positive"; or
            "margin_zero" without any margin.

    >>> table = PairTable.from_ids(text_items=torch.tensor([3, 3]), items=torch.tensor([3, 3]))
    >>> SameItem(role="negative")(table, Evidence(), torch.zeros(2, 2)).negative
    tensor([[False,  True],
            [ True, False]])
    """

    name: ClassVar[str] = "same_item"
    role: Literal["positive", "left_out", "margin_zero", "negative"] = "positive"
    margin: float | None = None

    def __post_init__(self) -> None:
        one_of("role", self.role, ("positive", "left_out", "margin_zero", "negative"))

    @property
    def pairwise(self) -> bool:
        return self.role == "positive"

    def __call__(self, table: PairTable, evidence: Evidence, scores: Tensor) -> PairTable:
        rows, columns = same_ids(table.text_items, table.items)
        if self.role != "positive" and not table.paired:
            if len(table.items.unique()) < len(table.items):  # type: ignore[no-untyped-call]
                table.check_paired()
            rows, columns = rows[:0], columns[:0]
        taking_part = (table.positive, table.negative, table.items_see.negative)
        concerned = torch.stack([mask[rows, columns] for mask in taking_part]).any(0)
        concerned &= ~table.positive[rows, columns] if self.role == "positive" else rows != columns
        if self.role == "margin_zero":
            table = self._at_zero(table, rows[concerned], columns[concerned])
        if not concerned.any():
            return table
        pairs = torch.zeros_like(table.positive)
        pairs[rows[concerned], columns[concerned]] = True
        return table.assign(pairs, "negative" if self.role == "margin_zero" else self.role)

    def _at_zero(self, table: PairTable, rows: Tensor, columns: Tensor) -> PairTable:
        if table.margin is None and self.margin is not None:
            table = table.with_margin(torch.full(table.shape, self.margin, device=table.device))
        text, item = table.margin, table.items_see.margin
        if text is None or item is None:
            raise ValueError("SameItem(role='margin_zero') needs margin= or an earlier treatment that sets margins")
        if len(rows) == 0:
            return table
        at = (rows, columns)
        zero = text.new_zeros(())
        changed = text.index_put(at, zero)
        return table.with_margin(changed, item=None if table.item_side is None else item.index_put(at, zero))
