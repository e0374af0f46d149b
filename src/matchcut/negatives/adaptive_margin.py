"""Adaptive margins: the more distant two pairs, the larger the margin between them."""

from dataclasses import KW_ONLY, dataclass
from typing import ClassVar, Literal

import torch
from torch import Tensor

from matchcut.negatives.evidence import Captions, Evidence, Of
from matchcut.negatives.pairs import PairTable
from matchcut.negatives.treatment import Treatment, one_of


@dataclass(frozen=True, repr=False)
class AdaptiveMargin(Treatment):
    """A margin for each pair from the distance D = 1 - cos (at least 0) of the two captions, or of the two items.

        zscore:        M = mean + spread * (D - mean(D)) / (std(D) + 1e-6)
        minmax:        M = mean - spread + 2 * spread * (D - min(D)) / (max(D) - min(D) + 1e-6)
        proportional:  M = mean * D / mean(D)

    Statistics over the batch, std unbiased; with no spread in D every M is `mean`. F. He et al., "Improving Video
    Retrieval by Adaptive Margin", SIGIR 2021: the paper's own equation is not known; zscore is that of the one public
    re-implementation, the other two are reconstructed.

    Static evidence is a frozen encoder; dynamic evidence is the network's own features, which may carry a gradient.

    Args:
        evidence: name of the vectors.
        mean: mean margin, usually the fixed margin it stands for.
        spread: None: half the mean, which makes about 2 % of the margins negative before the clamp.
        mapping: "zscore", "minmax" or "proportional".
        gradient: "detach": margins are constants. "joint": the gradient reaches the evidence, as in the
            re-implementation.
        diagonal: count the pairs with themselves, at distance 0, in the statistics, as the re-implementation does: it
            squeezes the margins, the more so the smaller the batch.
        clamp: margins are at least 0.
        statistics: (mean, std) of the distance over a data set, in place of the batch's ("zscore" and "proportional").
        of: "text", "item" or "scores" (of similarities); None: wherever the name is.
        captions: with several captions an item: "best" or "mean".

    >>> table = PairTable.from_ids(text_items=torch.arange(2), items=torch.arange(2))
    >>> evidence = Evidence(text={"bert": torch.tensor([[1.0, 0.0], [0.9, 0.1]])})
    >>> AdaptiveMargin("bert", mean=0.2)(table, evidence, torch.zeros(2, 2)).margin[0, 1]
    tensor(0.2000)
    """

    name: ClassVar[str] = "adaptive_margin"
    evidence: str
    _: KW_ONLY
    mean: float = 0.2
    spread: float | None = None
    mapping: Literal["zscore", "minmax", "proportional"] = "zscore"
    gradient: Literal["detach", "joint"] = "detach"
    diagonal: bool = False
    clamp: bool = True
    statistics: tuple[float, float] | None = None
    of: Of | None = None
    captions: Captions = "best"

    def __post_init__(self) -> None:
        if self.spread is not None and self.spread < 0:
            raise ValueError(f"spread must be at least 0, got {self.spread}: the margin grows with the distance")
        one_of("mapping", self.mapping, ("zscore", "minmax", "proportional"))
        one_of("gradient", self.gradient, ("detach", "joint"))
        if self.statistics is not None:
            object.__setattr__(self, "statistics", tuple(self.statistics))
            if len(self.statistics) != 2 or self.statistics[1] <= 0 or self.mapping == "minmax":
                raise ValueError(f"statistics are a mean and a std above 0, not for minmax; got {self.statistics}")

    @property
    def pairwise(self) -> bool:
        return self.statistics is not None and self.gradient == "detach"

    def __call__(self, table: PairTable, evidence: Evidence, scores: Tensor) -> PairTable:
        with torch.set_grad_enabled(torch.is_grad_enabled() and self.gradient == "joint"):
            similarity = evidence.similarity(self.evidence, of=self.of, captions=self.captions)
            margin = self.margins((1 - similarity).clamp_(min=0), table)
            return table.with_margin(margin.clamp_(min=0) if self.clamp else margin)

    def margins(self, distance: Tensor, table: PairTable) -> Tensor:
        """The mapping from distances [T, V] to margins, before the clamp."""
        outside = None if self.diagonal else table.own() if table.paired else table.positive
        spread = self.mean / 2 if self.spread is None else self.spread
        if self.mapping == "minmax":
            low, high = distance.clone(), distance.clone()
            if outside is not None:
                low, high = low.masked_fill(outside, torch.inf), high.masked_fill(outside, -torch.inf)
            if distance.numel() == 0 or (outside is not None and bool(outside.all())):
                return distance * 0 + self.mean
            smallest, largest = low.amin(), high.amax()
            part = (distance - smallest) / (largest - smallest + 1e-6)
            flat = (largest - smallest) == 0
            return self.mean + spread * torch.where(flat, 0.0, 2 * part - 1)
        if self.statistics is not None:
            middle, deviation = (distance.new_tensor(value) for value in self.statistics)
            centred = distance - middle
        else:
            middle, centred, deviation = _moments(distance, outside, on_diagonal=table.paired and not self.diagonal)
        if self.mapping == "zscore":
            slope = spread / (deviation + 1e-6)
            return (centred * slope if centred.requires_grad else centred.mul_(slope)).add_(self.mean)
        return torch.where(middle > 0, distance * (self.mean / middle.clamp(min=1e-12)), self.mean)


def _moments(distance: Tensor, outside: Tensor | None, *, on_diagonal: bool) -> tuple[Tensor, Tensor, Tensor]:
    """Mean of the entries that are not outside, all entries less the mean, and the unbiased standard deviation.

    The deviation of fewer than two entries is 0.
    """

    def inside(values: Tensor) -> Tensor:
        return values if on_diagonal or outside is None else values.masked_fill(outside, 0.0)

    def diagonal(values: Tensor) -> Tensor:
        return values.diagonal() if on_diagonal else values.new_zeros(1)

    size = distance.numel()
    n = size - min(distance.shape) if on_diagonal else size if outside is None else size - outside.sum()
    count = torch.as_tensor(n, dtype=distance.dtype, device=distance.device)
    mean = (inside(distance).sum() - diagonal(distance).sum()) / count.clamp(min=1)
    centred = distance - mean
    rows = torch.linalg.vector_norm(inside(centred), dim=1)  # one long sum of squares would lose three digits
    squares = rows.square().sum() - diagonal(centred).square().sum()
    return mean, centred, (squares / (count - 1).clamp(min=1)).clamp(min=1e-24).sqrt()
