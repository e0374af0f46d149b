"""Hard-negative exclusion: the most similar captions of a batch are no negatives of each other."""

import math
from dataclasses import KW_ONLY, dataclass
from typing import ClassVar, Literal

import torch
from torch import Tensor

from matchcut.negatives.evidence import Captions, Evidence, Kind, Of
from matchcut.negatives.order_statistic import Region, nth_largest
from matchcut.negatives.pairs import PairTable
from matchcut.negatives.treatment import Treatment, one_of

Population = Literal["unordered", "ordered", "full", "unordered_diagonal"]
_REGIONS: dict[Population, Region] = {
    "unordered": "upper",
    "ordered": "off_diagonal",
    "full": "all",
    "unordered_diagonal": "upper_diagonal",
}


@dataclass(frozen=True, repr=False)
class DropSimilar(Treatment):
    """Leaves out the x % most similar pairs of the batch.

    With c_i the vector of caption i, S_ij = cos(c_i, c_j), N the number of similarities counted:

        k = floor(x / 100 * N),   p = the (k+1)-th largest S,   pair (i, j) is no negative if S_ij > p

    so that exactly k similarities are left out, barring ties; ties at p stay.

    D. Galanopoulos and V. Mezaris, "Hard-Negatives or Non-Negatives?", ICCV Workshops 2021 (paper). Which pairs are
    counted, the order statistic and `select="learned"` are reconstructed: the paper leaves them open, and its last
    sentence on the step says `select="evidence"`.

    Args:
        evidence: name of the caption vectors (or of other evidence).
        percent: x, 0 to 100. At 0 nothing is left out.
        threshold: p itself, in place of `percent`: pooled over batches (`similarity_threshold`) or an absolute one.
        population: which similarities are counted: "unordered", each pair of the batch once; "ordered", twice;
            "full", with the diagonal; "unordered_diagonal", i <= j. Where S is not symmetric (T != V, several
            captions an item, stored scores) each entry counts once whose text and item do not belong together.
        rule: "order_statistic", or "quantile" (linear interpolation, as numpy and torch do: usually one pair more).
        select: the hardest of what remains is that of the highest "learned" score or of the highest "evidence"
            similarity.
        empty: an anchor whose negatives would all be left out has "none" and contributes 0, or keeps "all".
        kind: "cosine" or "dot".
        of: where the evidence is: "text", "item", "scores"; None: wherever the name is.
        captions: with several captions an item: "best" or "mean".

    Raises:
        ValueError: not exactly one of percent and threshold; percent outside 0 to 100.

    >>> table = PairTable.from_ids(text_items=torch.arange(3), items=torch.arange(3))
    >>> evidence = Evidence(text={"bert": torch.tensor([[1.0, 0.0], [0.9, 0.1], [0.0, 1.0]])})
    >>> DropSimilar("bert", percent=34)(table, evidence, torch.zeros(3, 3)).negative.int().tolist()
    [[0, 0, 1], [0, 0, 1], [1, 1, 0]]
    """

    name: ClassVar[str] = "drop_similar"
    evidence: str
    _: KW_ONLY
    percent: float | None = None
    threshold: float | None = None
    population: Population = "unordered"
    rule: Literal["order_statistic", "quantile"] = "order_statistic"
    select: Literal["learned", "evidence"] = "learned"
    empty: Literal["none", "all"] = "none"
    kind: Kind = "cosine"
    of: Of | None = None
    captions: Captions = "best"

    def __post_init__(self) -> None:
        if (self.percent is None) == (self.threshold is None):
            raise ValueError("DropSimilar needs either percent or threshold, for example percent=1")
        if self.percent is not None and not 0 <= self.percent <= 100:
            raise ValueError(f"percent must be from 0 to 100, got {self.percent}; 1 leaves out the most similar 1 %")
        one_of("population", self.population, tuple(_REGIONS))
        one_of("rule", self.rule, ("order_statistic", "quantile"))
        one_of("select", self.select, ("learned", "evidence"))
        one_of("empty", self.empty, ("none", "all"))

    @property
    def pairwise(self) -> bool:
        return self.threshold is not None and self.empty == "none"

    @torch.no_grad()
    def __call__(self, table: PairTable, evidence: Evidence, scores: Tensor) -> PairTable:
        similarity = evidence.similarity(self.evidence, self.kind, of=self.of, captions=self.captions).detach()
        table.check(similarity)
        if self.threshold is not None:
            table = self._without(table, similarity > self.threshold)
        elif self.percent:
            square = table.paired and table.shape[0] == table.shape[1]
            symmetric = square and evidence.symmetric(self.evidence, of=self.of)
            table = self._without(table, self._most_similar(similarity, table, symmetric))
        return table.with_rank_by(similarity) if self.select == "evidence" else table

    def _without(self, table: PairTable, mask: Tensor) -> PairTable:
        if self.empty == "none":
            return table.leave_out(mask)
        text, item = ((seen.negative & ~mask).any(k, keepdim=True) for k, seen in ((1, table), (0, table.items_see)))
        return table.with_sides(text=mask & text, item=mask & item)

    def _most_similar(self, similarity: Tensor, table: PairTable, symmetric: bool) -> Tensor:
        named = _REGIONS[self.population]
        region = named if symmetric else ~table.positive
        size = _region_size(named, len(similarity)) if symmetric else similarity.numel() - len(table.positives[0])
        assert self.percent is not None
        rank, part = _rank(self.percent, size, self.rule)
        if rank >= size:
            return torch.ones_like(table.negative)
        places = [rank, min(rank + 1, size - 1)] if part else [rank]
        values = nth_largest(similarity, places, region=region)
        return similarity > _between(values[0], values[-1], part)


def similarity_threshold(
    values: Tensor, percent: float, *, rule: Literal["order_statistic", "quantile"] = "order_statistic"
) -> float:
    """The value p that `percent` % of the values are above: for a threshold pooled over many batches.

    Args:
        values: float [N], similarities of pairs, each pair once.

    >>> similarity_threshold(torch.tensor([0.1, 0.9, 0.5, 0.7]), 50)
    0.5
    """
    ordered = values.flatten().sort(descending=True).values
    rank, part = _rank(percent, len(ordered), rule)
    if percent >= 100 or rank >= len(ordered):
        return float("-inf")
    return float(_between(ordered[rank], ordered[min(rank + 1, len(ordered) - 1)], part))


def _region_size(region: Region, n: int) -> int:
    return {"all": n * n, "off_diagonal": n * (n - 1), "upper": n * (n - 1) // 2, "upper_diagonal": n * (n + 1) // 2}[
        region
    ]


def _rank(percent: float, size: int, rule: str) -> tuple[int, float]:
    """How many of `size` values come before the cut, and how far it lies towards the next value; the small term keeps
    29 % of 100 from becoming 28."""
    if rule == "order_statistic":
        return math.floor(percent * size / 100 + 1e-9), 0.0
    exact = percent * max(0, size - 1) / 100
    rank = math.floor(exact + 1e-9)
    return rank, max(exact - rank, 0.0)


def _between(upper: Tensor, lower: Tensor, part: float) -> Tensor:
    return upper + part * (lower - upper) if part else upper
