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
        step:          M = the margin of the largest distance listed in `steps` that is not above D

    Statistics over the batch, std unbiased; with no spread in D every M is `mean`. A step needs no statistics, nor mean
    and spread. F. He et al., "Improving Video Retrieval by Adaptive Margin", SIGIR 2021: the paper's own equation is
    not known; zscore is that of the one public re-implementation, the others are reconstructed.

    Static evidence is a frozen encoder; dynamic evidence is the network's own features, which may carry a gradient.

    Args:
        evidence: name of the vectors.
        mean: mean margin, usually the fixed margin it stands for.
        spread: None: half the mean, which makes about 2 % of the margins negative before the clamp.
        mapping: "zscore", "minmax", "proportional" or "step".
        steps: for "step", pairs (distance, margin): distances rising from 0.0, margins that do not fall.
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
    mapping: Literal["zscore", "minmax", "proportional", "step"] = "zscore"
    steps: tuple[tuple[float, float], ...] = ()
    gradient: Literal["detach", "joint"] = "detach"
    diagonal: bool = False
    clamp: bool = True
    statistics: tuple[float, float] | None = None
    of: Of | None = None
    captions: Captions = "best"

    def __post_init__(self) -> None:
        if self.spread is not None and self.spread < 0:
            raise ValueError(f"spread must be at least 0, got {self.spread}: the margin grows with the distance")
        one_of("mapping", self.mapping, ("zscore", "minmax", "proportional", "step"))
        one_of("gradient", self.gradient, ("detach", "joint"))
        self._check_steps()
        if self.statistics is not None:
            object.__setattr__(self, "statistics", tuple(self.statistics))
            if len(self.statistics) != 2 or self.statistics[1] <= 0 or self.mapping in ("minmax", "step"):
                raise ValueError(
                    f"statistics are a mean and a std above 0, for zscore and proportional; got {self.statistics}"
                )

    def _check_steps(self) -> None:
        steps = tuple(tuple(step) for step in self.steps)
        object.__setattr__(self, "steps", steps)
        if bool(steps) != (self.mapping == "step"):
            raise ValueError(
                "mapping='step' and steps=[[0.0, 0.1], [0.5, 0.2]], pairs of distance and margin, belong together; "
                f"got {self.mapping!r} and {len(steps)} steps"
            )
        if not steps:
            return
        if any(len(step) != 2 for step in steps):
            raise ValueError(f"each of the steps is a pair of distance and margin, got {steps}")
        distances, margins = ([step[k] for step in steps] for k in (0, 1))
        if distances[0] != 0 or distances != sorted(set(distances)):
            raise ValueError(f"the distances of steps must rise from 0.0, got {distances}")
        if margins != sorted(margins):
            raise ValueError(f"the margins of steps must not fall: the margin grows with the distance; got {margins}")
        if self.gradient == "joint" or self.diagonal or self.spread is not None:
            raise ValueError(
                "a step has no gradient, no statistics and no spread; leave out gradient, diagonal, spread"
            )

    @property
    def pairwise(self) -> bool:
        return self.mapping == "step" or (self.statistics is not None and self.gradient == "detach")

    def __call__(self, table: PairTable, evidence: Evidence, scores: Tensor) -> PairTable:
        with torch.set_grad_enabled(torch.is_grad_enabled() and self.gradient == "joint"):
            similarity = evidence.similarity(self.evidence, of=self.of, captions=self.captions)
            margin = self.margins((1 - similarity).clamp_(min=0), table)
            return table.with_margin(margin.clamp_(min=0) if self.clamp else margin)

    def margins(self, distance: Tensor, table: PairTable) -> Tensor:
        """The mapping from distances [T, V] to margins, before the clamp."""
        if self.mapping == "step":
            margin = torch.full_like(distance, self.steps[0][1])
            for least, value in self.steps[1:]:
                margin.masked_fill_(distance >= least, value)
            return margin
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
