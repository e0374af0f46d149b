"""What a training step minimises: a weighted sum of losses, each with its treatments of the negatives."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import KW_ONLY, dataclass
from typing import Any, cast

import torch
from torch import Tensor, nn

from matchcut.losses.hinge import HingeLoss
from matchcut.losses.loss import Loss, Report, wide
from matchcut.losses.polynomial import PolynomialLoss
from matchcut.losses.ramp import Ramp, weight_at
from matchcut.negatives import Evidence, PairTable, Treatment
from matchcut.negatives.describe import Described, toml
from matchcut.negatives.evidence import NotFiniteError


@dataclass(frozen=True, repr=False)
class Expert(Described):
    """One of several tables that share a reduction: treatments (usually one that sets margins) and a weight.

    Args:
        treatments: applied after those of the term.
        weight: a number, or a `Ramp` that follows the progress.
    """

    treatments: Sequence[Treatment] = ()
    _: KW_ONLY
    weight: float | Ramp = 1.0

    def __post_init__(self) -> None:
        object.__setattr__(self, "treatments", _listed(self.treatments, Treatment))
        _refuse_nan(self, *self.treatments, self.weight)


@dataclass(frozen=True, repr=False)
class Term(Described):
    """A loss with the treatments that prepare its table.

    Args:
        loss: the loss.
        treatments: applied in this order.
        weight: a number, or a `Ramp` that follows the progress.
        scores: which score matrix, if the network has several.
        label: its name in the report; by default the loss's.
        experts: several weighted tables whose costs are added before the hardest is taken (`HingeLoss` only).

    Raises:
        ValueError: experts for a loss that cannot share its reduction; an option that is NaN.
    """

    loss: Loss
    treatments: Sequence[Treatment] = ()
    _: KW_ONLY
    weight: float | Ramp = 1.0
    scores: str | None = None
    label: str | None = None
    experts: Sequence[Expert] = ()

    def __post_init__(self) -> None:
        object.__setattr__(self, "treatments", _listed(self.treatments, Treatment))
        object.__setattr__(self, "experts", _listed(self.experts, Expert))
        if not isinstance(self.loss, Loss):
            raise ValueError(f"a term needs a loss, such as HingeLoss(), got {self.loss!r}")
        if self.experts and not isinstance(self.loss, HingeLoss):
            raise ValueError(
                f"experts share the reduction of a HingeLoss; {type(self.loss).__name__} has none to share"
            )
        _refuse_nan(self, self.loss, *self.treatments, self.weight)


class Objective(nn.Module):
    """A sum of weighted terms. Rows of the scores are texts, columns are items; nothing of a batch is kept.

    Args:
        terms: at least one, or extra parts.
        extra: weights of further parts that the network hands over by name (caption generation, concept prediction); a
            part without a weight here counts 1, and one of weight 0 need not be there.

    >>> from matchcut.negatives import DropSimilar
    >>> objective = Objective([Term(HingeLoss(margin=0.2), [DropSimilar("bert", percent=34)])])
    >>> objective
    Objective([Term(HingeLoss(), [DropSimilar('bert', percent=34)])])
    >>> print(Objective([Term(HingeLoss())]))
    Objective([Term(HingeLoss())])
    # objective = {terms = [{loss = {name = "hinge"}}]}
    >>> evidence = Evidence(text={"bert": torch.tensor([[1.0, 0.0], [0.9, 0.1], [0.0, 1.0]])})
    >>> scores = torch.tensor([[0.5, 0.6, 0.1], [0.6, 0.5, 0.2], [0.1, 0.2, 0.5]])
    >>> objective(scores, PairTable.from_ids(text_items=torch.arange(3), items=torch.arange(3)), evidence)
    tensor(0.)
    >>> round(objective.report["left_out"], 4)
    0.3333
    """

    def __init__(self, terms: Sequence[Term], *, extra: Mapping[str, float | Ramp] | None = None) -> None:
        super().__init__()
        self.terms = _listed(terms, Term)
        self.extra = dict(extra or {})
        if not self.terms and not self.extra:
            raise ValueError("an objective needs at least one term")
        self.losses = nn.ModuleList(term.loss for term in self.terms)
        self._report: dict[str, Tensor | float] = {}

    @property
    def uses(self) -> tuple[str, ...]:
        """The names of the evidence that treatments and losses look at, each once."""
        names: list[str] = []
        for term in self.terms:
            experts = [treatment for expert in term.experts for treatment in expert.treatments]
            names += [name for treatment in (*term.treatments, *experts) for name in treatment.uses]
            names += term.loss.uses
        return tuple(dict.fromkeys(names))

    @property
    def report(self) -> dict[str, float]:
        """The last call in numbers: the total, each part before its weight, and for each term the share of negatives
        left out, the margins' mean, min and max, and what the loss tells. Reading it waits for the device."""
        return {name: float(value) for name, value in self._report.items()}

    def forward(
        self,
        scores: Tensor | Mapping[str, Tensor],
        table: PairTable,
        evidence: Evidence | None = None,
        *,
        progress: float = 0.0,
        extra: Mapping[str, Tensor] | None = None,
        report: bool = True,
    ) -> Tensor:
        """The objective of a batch, shape ().

        Args:
            scores: learned scores [T, V], or several such matrices by name.
            table: from `PairTable.from_ids`.
            evidence: what else is known of the batch.
            progress: how far the training is, from 0 to 1, for weights on a ramp.
            extra: further parts by name, each of shape ().
            report: whether to fill `report`.
        """
        return self._total(scores, None, table, evidence or Evidence(), progress, extra or {}, report)

    def from_embeddings(
        self,
        text: Tensor,
        item: Tensor,
        table: PairTable,
        evidence: Evidence | None = None,
        *,
        progress: float = 0.0,
        extra: Mapping[str, Tensor] | None = None,
        report: bool = True,
        name: str = "score",
    ) -> Tensor:
        """The objective of the scores `text @ item.T`: the same value and gradients, for less work.

        Where only the hardest pairs have a gradient (`Loss.few_pairs`), the scores are computed without a graph and
        the gradient of the embeddings from those pairs alone: one product of B x B x d in place of three, and one
        matrix of B x B floats in place of several. `chunked` does without that one too, for fewer objectives.

        Args:
            text: float [T, d], usually of length 1.
            item: float [V, d].
            name: what a term may call these scores, by default as the networks do.

        The other arguments are those of a call.

        >>> text, item = torch.eye(3).requires_grad_(), torch.ones(3, 3)
        >>> table = PairTable.from_ids(text_items=torch.arange(3), items=torch.arange(3))
        >>> objective = Objective([Term(HingeLoss(margin=0.2))])
        >>> objective(text @ item.T, table), objective.from_embeddings(text, item, table)
        (tensor(1.2000, grad_fn=<AddBackward0>), tensor(1.2000, grad_fn=<AddBackward0>))
        """
        with torch.autocast(device_type=text.device.type, enabled=False):
            text, item = (x if x.dtype == torch.float64 else x.float() for x in (text, item))
            few = 0 not in table.shape and all(term.loss.few_pairs for term in self.terms)
            with torch.set_grad_enabled(torch.is_grad_enabled() and not few):
                scores = text @ item.T
        embeddings = (text, item) if few else None
        return self._total({name: scores}, embeddings, table, evidence or Evidence(), progress, extra or {}, report)

    def _total(
        self,
        scores: Tensor | Mapping[str, Tensor],
        embeddings: tuple[Tensor, Tensor] | None,
        table: PairTable,
        evidence: Evidence,
        progress: float,
        extra: Mapping[str, Tensor],
        report: bool,
    ) -> Tensor:
        wanted = {name for name, weight in self.extra.items() if weight != 0}
        if missing := sorted(wanted - extra.keys()):
            raise ValueError(
                f"the objective weights the part {missing[0]!r}, but the network handed over {sorted(extra) or 'none'}"
            )
        told: dict[str, Tensor | float] = {}
        total = torch.zeros((), device=table.device)
        with torch.autocast(device_type=table.device.type, enabled=False):
            for label, term in zip(self._labels(), self.terms, strict=True):
                matrix = wide(_pick(scores, term.scores), table)
                about: Report | None = {} if report else None
                try:
                    part = _part(term, matrix, embeddings, table, evidence, progress, about)
                except NotFiniteError as error:
                    ids = (table.text_items if error.side == "text" else table.items)[error.rows[:3]].tolist()
                    raise ValueError(f"{error} ({error.side}'s item id: {', '.join(map(str, ids))})") from error
                prefix = f"{label}/" if len(self.terms) > 1 else ""
                told |= {label: part.detach(), **{prefix + name: value for name, value in (about or {}).items()}}
                total = total + weight_at(term.weight, progress) * part
            for name, part in extra.items():
                told[name] = part.detach()
                total = total + weight_at(self.extra.get(name, 1.0), progress) * part.to(total.dtype)
        self._report = {"total": total.detach(), **told} if report else {}
        return total

    def _labels(self) -> list[str]:
        labels: list[str] = []
        for term in self.terms:
            label = term.label or term.loss.name
            labels.append(label if label not in labels else f"{label}_{len(labels) + 1}")
        return labels

    def __repr__(self) -> str:
        extra = f", extra={self.extra!r}" if self.extra else ""
        return f"Objective([{', '.join(map(repr, self.terms))}]{extra})"

    def __str__(self) -> str:
        return f"{self!r}\n# objective = {toml(self.to_recipe())}"

    def to_recipe(self) -> dict[str, Any]:
        """The section of a recipe that builds this."""
        extra = {k: v.to_recipe() if isinstance(v, Ramp) else v for k, v in self.extra.items()}
        return {"terms": [term.to_recipe() for term in self.terms]} | ({"extra": extra} if extra else {})


def _part(
    term: Term,
    scores: Tensor,
    embeddings: tuple[Tensor, Tensor] | None,
    table: PairTable,
    evidence: Evidence,
    progress: float,
    about: Report | None,
) -> Tensor:
    """One term before its weight; what there is to tell goes to `about`."""
    before, known = table, scores.detach()
    for treatment in term.treatments:
        table = treatment(table, evidence, known)
    tables = [(1.0, table)]
    if term.experts:
        tables = []
        for expert in term.experts:
            seen = table
            for treatment in expert.treatments:
                seen = treatment(seen, evidence, known)
            tables.append((weight_at(expert.weight, progress), seen))
    if about is not None:
        about |= _shares(before, [seen for _, seen in tables])
    if isinstance(term.loss, HingeLoss):
        return term.loss.summed(scores, tables, embeddings=embeddings, report=about)
    if isinstance(term.loss, PolynomialLoss):
        return term.loss.of_pairs(scores, table, embeddings=embeddings, report=about)
    return cast(Tensor, term.loss(scores, table, evidence, report=about))


def _listed(values: Any, kind: type) -> tuple[Any, ...]:
    """A list of objects of one kind as a tuple, with a word to whoever gives one alone or something else."""
    if not isinstance(values, Sequence) or not all(isinstance(value, kind) for value in values):
        raise ValueError(f"expected a list of {kind.__name__}s, [{kind.__name__}(...)], got {values!r}")
    return tuple(values)


def _refuse_nan(*parts: object) -> None:
    """A word to whoever sets an option to NaN, which would make every loss NaN."""
    for part in parts:
        for option in getattr(part, "__dataclass_fields__", {}):
            value = getattr(part, option)
            numbers = value if isinstance(value, (tuple, list)) else [value]
            if any(isinstance(x, float) and math.isnan(x) for x in numbers):
                raise ValueError(f"{option} must be a number, got {part!r}")


def _pick(scores: Tensor | Mapping[str, Tensor], name: str | None) -> Tensor:
    if isinstance(scores, Tensor):
        if name is not None:
            raise ValueError(f"the term asks for the scores {name!r}, but there is one unnamed matrix")
        return scores
    if not isinstance(scores, Mapping):
        raise ValueError(f"scores must be a tensor [T, V], or several by name, got a {type(scores).__name__}")
    if name is None and len(scores) == 1:
        return next(iter(scores.values()))
    if name is None or name not in scores:
        raise ValueError(f"the term asks for the scores {name!r}; there are {', '.join(sorted(scores))}")
    return scores[name]


def _shares(before: PairTable, after: Sequence[PairTable]) -> dict[str, Tensor]:
    """What the treatments did, without waiting for the device."""
    told: dict[str, Tensor] = {}
    if after[0].negative is not before.negative:
        left_out = _count(before.negative & ~after[0].negative)
        told["left_out"] = left_out / _count(before.negative).clamp(min=1)
    for index, table in enumerate(after):
        if table.margin is not None and table.margin.numel():
            margin, which = table.margin.detach(), "" if len(after) == 1 else f"_{index + 1}"
            mean = torch.where(table.negative, margin, 0.0).sum() / _count(table.negative).clamp(min=1)
            low, high = torch.where(table.negative, margin, mean).aminmax()
            told |= {f"margin_min{which}": low, f"margin_max{which}": high, f"margin_mean{which}": mean}
    return told


def _count(mask: Tensor) -> Tensor:
    return mask.count_nonzero()
