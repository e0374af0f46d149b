"""An objective of a batch so large that its score matrix must not exist."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional
from torch.utils.checkpoint import checkpoint

from matchcut.losses.dots import dots
from matchcut.losses.hardest import argmax
from matchcut.losses.hinge import HingeLoss
from matchcut.losses.infonce import InfoNCE
from matchcut.losses.loss import Loss, directions
from matchcut.losses.objective import Objective, Term
from matchcut.losses.polynomial import PolynomialLoss
from matchcut.losses.ramp import weight_at
from matchcut.losses.sigmoid import SigmoidLoss
from matchcut.negatives import Evidence, PairTable, Treatment
from matchcut.negatives.pairs import same_ids


def chunked(
    objective: Objective,
    text: Tensor,
    item: Tensor,
    *,
    text_items: Tensor,
    items: Tensor,
    evidence: Evidence | None = None,
    progress: float = 0.0,
    chunk: int = 512,
) -> Tensor:
    """The objective of the scores `text @ item.T`, computed in blocks of rows, forward and backward.

    Equal to the objective on the whole matrix, in memory of a few times chunk x V floats. For this each pair must be
    decided alone: treatments with `pairwise` (fixed thresholds and statistics, no percentiles), and the losses
    `HingeLoss` on the hardest negative, `PolynomialLoss`, `InfoNCE` with the mean over positives, and `SigmoidLoss`.

    Args:
        objective: of one score matrix, without experts.
        text: float [T, d], usually of length 1.
        item: float [V, d].
        text_items: int64 [T].
        items: int64 [V].
        evidence: of the batch, see `Evidence`.
        progress: see `Objective`.
        chunk: rows of a block.

    Raises:
        ValueError: a part of the objective that needs the whole matrix, by name.

    >>> from matchcut.losses import presets
    >>> ids, text, item = torch.arange(4), torch.eye(4), torch.eye(4)
    >>> objective = presets.infonce(scale=1.0, same_item="positive")
    >>> whole = objective(text @ item.T, PairTable.from_ids(text_items=ids, items=ids))
    >>> torch.allclose(whole, chunked(objective, text, item, text_items=ids, items=ids, chunk=3))
    True
    """
    if chunk < 1:
        raise ValueError(f"chunk must be at least 1, got {chunk}")
    if objective.extra:
        raise ValueError("extra parts do not depend on the scores; add them to the chunked objective yourself")
    total = torch.zeros((), device=text.device)
    with torch.autocast(device_type=text.device.type, enabled=False):
        batch = Batch(_wide(text), _wide(item), text_items, items, evidence or Evidence(), chunk)
        for term in objective.terms:
            _check(term)
            total = total + weight_at(term.weight, progress) * _term(term.loss, term.treatments, batch)
    return total


@dataclass(frozen=True)
class Batch:
    """Embeddings, ids and evidence, seen in blocks of rows."""

    text: Tensor
    item: Tensor
    text_items: Tensor
    items: Tensor
    evidence: Evidence
    chunk: int

    def rows(self) -> Iterator[slice]:
        return (slice(k, min(k + self.chunk, len(self.text))) for k in range(0, len(self.text), self.chunk))

    def table(self, rows: slice, treatments: tuple[Treatment, ...], scores: Tensor) -> PairTable:
        table = PairTable.from_ids(text_items=self.text_items[rows], items=self.items, paired=False)
        evidence = self.evidence.rows(rows)
        for treatment in treatments:
            table = treatment(table, evidence, scores)
        return table


def _term(loss: Loss, treatments: Any, batch: Batch) -> Tensor:
    treatments = tuple(treatments)
    if isinstance(loss, HingeLoss | PolynomialLoss):
        return _by_hardest(loss, treatments, batch)
    if isinstance(loss, InfoNCE):
        return _infonce(loss, treatments, batch)
    assert isinstance(loss, SigmoidLoss)
    return _sigmoid(loss, treatments, batch)


@torch.no_grad()
def _positives(treatments: tuple[Treatment, ...], batch: Batch) -> tuple[Tensor, Tensor]:
    if not treatments:
        return same_ids(batch.text_items, batch.items)
    rows, columns = [], []
    for part in batch.rows():
        row, column = batch.table(part, treatments, batch.text[part] @ batch.item.T).positives
        rows.append(row + part.start)
        columns.append(column)
    empty = batch.text_items.new_empty(0)
    return torch.cat([*rows, empty]), torch.cat([*columns, empty])


def _dots(batch: Batch, rows: Tensor, columns: Tensor) -> Tensor:
    return dots(batch.text, batch.item, rows, columns)


def _reduced(each: Tensor, anchors: Tensor, size: int, reduction: str) -> Tensor:
    count = torch.zeros(size, dtype=each.dtype, device=each.device).index_add_(
        0, anchors, torch.ones_like(each.detach())
    )
    share = (each / count[anchors]).sum()
    return share if reduction == "sum" else share / (count > 0).sum().clamp(min=1)


def _by_hardest(loss: HingeLoss | PolynomialLoss, treatments: tuple[Treatment, ...], batch: Batch) -> Tensor:
    rows, columns = _positives(treatments, batch)
    positive = _dots(batch, rows, columns)
    total = positive.new_zeros(())
    for way, (partner, margin, weight, found) in zip(("t2i", "i2t"), _hardest(loss, treatments, batch), strict=True):
        if way not in directions(loss.direction):
            continue
        anchors = rows if way == "t2i" else columns
        own = torch.arange(len(partner), device=partner.device)
        negative = _dots(batch, own, partner) if way == "t2i" else _dots(batch, partner, own)
        cost = loss.cost(positive, negative[anchors], margin[anchors], weight[anchors], found[anchors])
        total = total + _reduced(cost, anchors, len(partner), loss.reduction)
    return total


@torch.no_grad()
def _hardest(
    loss: HingeLoss | PolynomialLoss, treatments: tuple[Treatment, ...], batch: Batch
) -> list[tuple[Tensor, Tensor, Tensor, Tensor]]:
    """For texts and for items: the hardest negative, its margin, its weight, and whether there is one."""
    sides = []
    for n in (len(batch.text), len(batch.item)):
        best = batch.text.new_full((n,), -torch.inf)
        sides.append([best, torch.zeros_like(best, dtype=torch.int64), torch.zeros_like(best), torch.ones_like(best)])
    for part in batch.rows():
        scores = batch.text[part] @ batch.item.T
        table = batch.table(part, treatments, scores)
        key = scores if table.margin is None else scores + table.margin
        key = key if table.rank_by is None else table.rank_by
        allowed = table.negative if table.weight is None else table.negative & (table.weight > 0)
        key = torch.where(allowed, key, -torch.inf)
        for side, turned in ((0, key), (1, key.T)):
            if 0 in turned.shape:
                continue
            at = argmax(turned)
            anchor = torch.arange(len(at), device=at.device)
            row, column = (anchor, at) if side == 0 else (at, anchor)
            new = [turned[anchor, at], at if side == 0 else at + part.start]
            new.append(
                torch.full_like(new[0], loss.margin)
                if table.margin is None
                else table.margin[row, column].to(new[0].dtype)
            )
            new.append(torch.ones_like(new[0]) if table.weight is None else table.weight[row, column].to(new[0].dtype))
            known = sides[side]
            if side == 0:
                for whole, value in zip(known, new, strict=True):
                    whole[part] = value
            else:
                better = new[0] > known[0]
                sides[side] = [torch.where(better, a, b) for a, b in zip(new, known, strict=True)]
    return [(partner, margin, weight, ~best.isneginf()) for best, partner, margin, weight in sides]


def _infonce(loss: InfoNCE, treatments: tuple[Treatment, ...], batch: Batch) -> Tensor:
    rows, columns = _positives(treatments, batch)
    scale = torch.as_tensor(loss.current_scale(), dtype=batch.text.dtype, device=batch.text.device)
    sums = _LogSumExp.apply(batch.text, batch.item, scale, treatments, batch)  # type: ignore[no-untyped-call]
    by_row, by_column = sums
    positive = scale * _dots(batch, rows, columns)
    ways = directions(loss.direction)
    total = positive.new_zeros(())
    for way in ways:
        anchors, everything = (rows, by_row) if way == "t2i" else (columns, by_column)
        total = total + _reduced(everything[anchors] - positive, anchors, len(everything), loss.reduction)
    return total / len(ways)


class _LogSumExp(torch.autograd.Function):
    """log sum exp over each row and each column of the treated logits; the backward computes the blocks again."""

    @staticmethod
    def forward(ctx: Any, text: Tensor, item: Tensor, scale: Tensor, treatments: Any, batch: Batch) -> Any:
        rows, column = [], item.new_full((len(item),), -torch.inf)
        for part in batch.rows():
            logits, _ = _logits(text[part] @ item.T, scale, batch, part, treatments)
            rows.append(logits.logsumexp(1))
            column = torch.logaddexp(column, logits.logsumexp(0))
        row = torch.cat([*rows, text.new_empty(0)])
        ctx.save_for_backward(text, item, scale, row, column)
        ctx.treatments, ctx.batch = treatments, batch
        return row, column

    @staticmethod
    def backward(ctx: Any, *gradients: Any) -> Any:
        text, item, scale, row, column = ctx.saved_tensors
        to_text, to_item, to_scale = torch.zeros_like(text), torch.zeros_like(item), torch.zeros_like(scale)
        row, column = (x.masked_fill(x.isneginf(), torch.inf) for x in (row, column))  # nothing there: no share
        for part in ctx.batch.rows():
            logits, pushed = _logits(text[part] @ item.T, scale, ctx.batch, part, ctx.treatments)
            share = (logits - row[part, None]).exp_().mul_(gradients[0][part, None])
            share += (logits.sub_(column)).exp_().mul_(gradients[1])
            to_scale += (share * pushed).sum()
            share *= scale
            to_text[part] = share @ item
            to_item += share.T @ text[part]
        return to_text, to_item, to_scale, None, None


def _logits(scores: Tensor, scale: Tensor, batch: Batch, part: slice, treatments: Any) -> tuple[Tensor, Tensor]:
    """Logits as `Side.logits` has them, and the scores with their margins."""
    table = batch.table(part, treatments, scores)
    if table.margin is not None:
        scores = scores + table.margin.masked_fill(~table.negative, 0.0)
    logits = scale * scores
    if table.weight is not None:
        logits += table.weight.masked_fill(~table.negative, 1.0).log()
    return (logits.masked_fill_(~(table.positive | table.negative), -torch.inf) if treatments else logits), scores


def _sigmoid(loss: SigmoidLoss, treatments: tuple[Treatment, ...], batch: Batch) -> Tensor:
    scale, bias = (loss.log_scale.exp(), loss.learned_bias) if loss.learned else (loss.scale, loss.bias)

    def block(text: Tensor, item: Tensor, part: slice) -> Tensor:
        scores = text @ item.T
        table = batch.table(part, treatments, scores.detach())
        pushed = scores if table.margin is None else scores + table.margin.masked_fill(~table.negative, 0.0)
        each = functional.softplus(torch.where(table.positive, -(scale * pushed + bias), scale * pushed + bias))
        if table.weight is not None:
            each = each * table.weight.masked_fill(~table.negative, 1.0)
        return each.masked_fill(~(table.positive | table.negative), 0.0).sum()

    total = batch.text.new_zeros(())
    for part in batch.rows():
        total = total + checkpoint(block, batch.text[part], batch.item, part, use_reentrant=False)
    return total / max(1, len(batch.text))


def _check(term: Term) -> None:
    loss = term.loss
    if term.experts or term.scores is not None:
        raise ValueError("a chunked objective has one score matrix and no experts")
    if isinstance(loss, HingeLoss):
        fits = loss.negatives == "hardest" and loss.positives == "mean" and loss.reduction != "mean_terms"
    elif isinstance(loss, InfoNCE):
        fits = loss.positives == "mean" and loss.hardness == 0
    else:
        fits = isinstance(loss, SigmoidLoss | PolynomialLoss)
    if not fits:
        raise ValueError(f"{loss!r} needs the whole score matrix; a chunked objective cannot have it")
    for treatment in term.treatments:
        if not treatment.pairwise:
            raise ValueError(f"{treatment!r} looks at more than one pair at a time; a chunked objective cannot have it")


def _wide(x: Tensor) -> Tensor:
    return x if x.dtype == torch.float64 else x.float()
