"""The currency between treatments and losses: for a batch of texts and items, how each pair takes part."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Literal, Self

import torch
from torch import Tensor

Role = Literal["positive", "negative", "left_out"]


@dataclass(frozen=True, eq=False)
class PairTable:
    """How each of the T x V pairs of a batch takes part in a loss. Rows are texts, columns are items.

    A pair that is neither positive nor negative is left out. Ids decide who belongs together, never the position:
    several captions of an item, an item twice, T != V, a queue of earlier items and gathered batches all work alike.

    A text and an item, both looking for their partner, share one table. Where what they see differs (the ten hardest
    of a row are not the ten hardest of a column), `item_side` holds what the items see, in the same [T, V] layout.

    Args:
        positive: bool [T, V], text and item belong together.
        negative: bool [T, V], the pair competes with a positive.
        text_items: int64 [T], the id of each text's item.
        items: int64 [V], the id of each item.
        margin: float [T, V], what a positive must win by against this pair; None: the loss's own constant.
        weight: float [T, V], at least 0, how much the pair counts; None: 1.
        rank_by: float [T, V], what "hardest" is judged by; None: the learned score (plus the margin).
        paired: row i and column i are *the* pair i; further rows or columns are further candidates.
        item_side: the table as the items see it; None: as the texts do.

    Raises:
        ValueError: a shape that does not fit.

    >>> table = PairTable.from_ids(text_items=torch.tensor([3, 3, 8]), items=torch.tensor([3, 8, 5]))
    >>> table.positive.int().tolist()
    [[1, 0, 0], [1, 0, 0], [0, 1, 0]]
    >>> table.paired
    False
    """

    positive: Tensor
    negative: Tensor
    text_items: Tensor
    items: Tensor
    margin: Tensor | None = None
    weight: Tensor | None = None
    rank_by: Tensor | None = None
    paired: bool = False
    item_side: "PairTable | None" = None

    def __post_init__(self) -> None:
        shape = (len(self.text_items), len(self.items))
        for name in ("positive", "negative", "margin", "weight", "rank_by"):
            value = getattr(self, name)
            if value is not None and tuple(value.shape) != shape:
                raise ValueError(
                    f"{name} has shape {tuple(value.shape)}, but there are {shape[0]} texts and {shape[1]} items; "
                    "is there evidence of every item (item_text, text_item)?"
                )

    @classmethod
    def from_ids(cls, *, text_items: Tensor, items: Tensor, paired: bool | None = None) -> Self:
        """The table that ids make: the same id is positive, another id is negative.

        Args:
            text_items: int64 [T], the id of the item that each text describes.
            items: int64 [V], the id of each item.
            paired: row i and column i are one pair. None: found out (T = V and the ids agree position by position); say
                so where further columns follow.
        """
        for name, ids in (("text_items", text_items), ("items", items)):
            if not isinstance(ids, Tensor) or ids.dtype == torch.bool or (ids.dtype.is_floating_point and len(ids)):
                raise ValueError(f"{name} must be a tensor of whole numbers, got {_kind(ids)}")
        if text_items.ndim != 1 or items.ndim != 1:
            raise ValueError(
                f"ids must be of shape [T] and [V], got {tuple(text_items.shape)} and {tuple(items.shape)}"
            )
        positives = same_ids(text_items, items)
        positive = torch.zeros(len(text_items), len(items), dtype=torch.bool, device=items.device)
        positive[positives] = True
        if paired is None:
            paired = len(text_items) == len(items) and torch.equal(text_items, items)
        elif paired and not torch.equal(text_items[: len(items)], items[: len(text_items)]):
            raise ValueError("a paired batch has the id of text i at position i of the items")
        table = cls(positive=positive, negative=~positive, text_items=text_items, items=items, paired=paired)
        table.__dict__["positives"] = positives
        return table

    @property
    def shape(self) -> tuple[int, int]:
        """(T, V)."""
        return len(self.text_items), len(self.items)

    @property
    def device(self) -> torch.device:
        return self.positive.device

    @property
    def T(self) -> "PairTable":
        """The same with items as rows and texts as columns."""
        turned = {name: value.T for name in _MATRICES if (value := getattr(self.items_see, name)) is not None}
        table = PairTable(text_items=self.items, items=self.text_items, paired=self.paired, **turned)
        return table if self.item_side is None else replace(table, item_side=replace(self, item_side=None).T)

    @property
    def items_see(self) -> "PairTable":
        """The table as items see it, still [T, V]."""
        return self if self.item_side is None else self.item_side

    @cached_property
    def positives(self) -> tuple[Tensor, Tensor]:
        """The rows and the columns of all positive pairs, two int64 [P], row by row."""
        rows, columns = self.positive.nonzero(as_tuple=True)
        return rows, columns

    def own(self) -> Tensor:
        """Where text and item are *the* pair, bool [T, V].

        Raises:
            ValueError: the batch is not paired, so that nothing says which of several positives is the pair.
        """
        self.check_paired()
        return torch.eye(*self.shape, dtype=torch.bool, device=self.device)

    def check_paired(self) -> None:
        """Nothing, if text i and item i are a pair.

        Raises:
            ValueError: they are not.
        """
        if not self.paired:
            raise ValueError(
                f"a batch of {self.shape[0]} texts and {self.shape[1]} items that are not paired has no own pairs; "
                "give text i and item i of one pair at the same position, or let the ids decide "
                "(same_item='positive' of a preset)"
            )

    def check(self, matrix: Tensor) -> Tensor:
        """The matrix, if it is of shape [T, V].

        Raises:
            ValueError: it is not.
        """
        if tuple(matrix.shape) != self.shape:
            raise ValueError(
                f"shape {tuple(matrix.shape)} does not fit {self.shape[0]} texts and {self.shape[1]} items; "
                "is there evidence of every item (item_text, text_item)?"
            )
        return matrix

    def leave_out(self, mask: Tensor) -> "PairTable":
        """The table without the negatives where mask, bool [T, V], is true. Positives stay."""
        self.check(mask)
        return self._on_both(lambda table: table._with(negative=table.negative & ~mask))

    def assign(self, mask: Tensor, role: Role) -> "PairTable":
        """The table in which the pairs of mask, bool [T, V], are all "positive", "negative" or "left_out"."""
        self.check(mask)
        return self._on_both(
            lambda table: replace(
                table,
                positive=table.positive | mask if role == "positive" else table.positive & ~mask,
                negative=table.negative | mask if role == "negative" else table.negative & ~mask,
            )
        )

    def with_margin(self, margin: Tensor, *, item: Tensor | None = None) -> "PairTable":
        """The table with these margins, float [T, V]; with other ones for what the items see, if `item` is given."""
        if item is not None:
            return self._with(margin=margin, item_side=self.items_see._with(margin=item, item_side=None))
        return self._on_both(lambda table: table._with(margin=margin))

    def with_weight(self, weight: Tensor) -> "PairTable":
        """The table with its weights, float [T, V], multiplied by these."""
        return self._on_both(
            lambda table: table._with(weight=weight if table.weight is None else table.weight * weight)
        )

    def with_rank_by(self, rank_by: Tensor) -> "PairTable":
        """The table whose hardest negatives are those of the highest value here, float [T, V]."""
        return self._on_both(lambda table: table._with(rank_by=rank_by))

    def with_positive(self, positive: Tensor) -> "PairTable":
        """The table with just these positives, bool [T, V]; none of them is negative, and no other pair becomes so."""
        return self._on_both(lambda table: replace(table, positive=positive, negative=table.negative & ~positive))

    def with_sides(self, *, text: Tensor, item: Tensor) -> "PairTable":
        """The table without the negatives where text (seen by texts) or item (seen by items), bool [T, V], is true."""
        self.check(text)
        self.check(item)
        seen = self.items_see
        texts_see = self._with(negative=self.negative & ~text)
        return texts_see._with(item_side=seen._with(negative=seen.negative & ~item, item_side=None))

    def _on_both(self, change: "Callable[[PairTable], PairTable]") -> "PairTable":
        changed = change(self)
        return changed if self.item_side is None else changed._with(item_side=change(self.item_side))

    def _with(self, **changes: object) -> "PairTable":
        """`replace` that keeps the list of positives, which is not cheap to find."""
        table = replace(self, **changes)  # type: ignore[arg-type]
        if "positives" in self.__dict__ and "positive" not in changes:
            table.__dict__["positives"] = self.positives
        return table

    def __repr__(self) -> str:
        return f"PairTable({self.shape[0]} texts, {self.shape[1]} items{', paired' if self.paired else ''})"


def _kind(value: object) -> str:
    return str(value.dtype) if isinstance(value, Tensor) else f"a {type(value).__name__}"


def same_ids(text_items: Tensor, items: Tensor) -> tuple[Tensor, Tensor]:
    """Rows and columns where the ids agree, row by row; sorting is less work than looking through T x V pairs."""
    ordered, order = items.sort(stable=True)
    first, last = torch.searchsorted(ordered, text_items), torch.searchsorted(ordered, text_items, right=True)
    rows = torch.repeat_interleave(torch.arange(len(text_items), device=items.device), last - first)
    start = torch.cumsum(last - first, 0) - (last - first)
    within = torch.arange(len(rows), device=items.device) - start[rows]
    return rows, order[first[rows] + within]


_MATRICES = ("positive", "negative", "margin", "weight", "rank_by")
