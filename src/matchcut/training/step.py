"""One training step up to its loss."""

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from matchcut.errors import MatchcutError
from matchcut.losses import Objective
from matchcut.models.base import RetrievalModel, Step
from matchcut.models.inputs import Padded
from matchcut.negatives import PairTable
from matchcut.negatives.evidence import NotFiniteError
from matchcut.training.data import PairData
from matchcut.training.evidence import TrainingEvidence
from matchcut.training.pixels import Unreadable
from matchcut.training.queue import CaptionQueue
from matchcut.training.targets import Targets


@dataclass(frozen=True)
class Batch:
    """Captions of one step, each with its item: B pairs, and their streams on the device of the network."""

    index: Tensor  # captions, int64 [B], on the CPU
    owner: Tensor  # their items, int64 [B], on the CPU
    text: dict[str, Padded]
    item: dict[str, Padded]


@dataclass(frozen=True)
class Encoded:
    """What a network makes of a batch."""

    text: Any
    item: Any
    item_extra: Any = None


def read_batch(data: PairData, index: Tensor, device: torch.device) -> Batch:
    """The streams of captions index [B] and their items; those whose frames cannot be read are left out."""
    index, item_rows = _readable(data, index)
    text = {name: rows.to(device) for name, rows in data.text_batch(index).items()}
    item = {name: rows.to(device) for name, rows in item_rows.items()}
    return Batch(index, data.owner[index], text, item)


def encode(model: RetrievalModel[Any, Any], batch: Batch) -> Encoded:
    """Embeddings of a batch.

    Raises:
        MatchcutError: if the network cannot take the streams, such as another number of regions than it is made for.
    """
    try:
        return Encoded(model.encode_text(batch.text), *model.train_item(batch.item))
    except ValueError as error:
        raise MatchcutError(f"model: {error}") from error


def batch_loss(
    model: RetrievalModel[Any, Any],
    objective: Objective,
    data: PairData,
    evidence: TrainingEvidence,
    targets: Targets,
    batch: Batch,
    encoded: Encoded,
    *,
    progress: float,
    report: bool = False,
    queue: CaptionQueue | None = None,
) -> Tensor:
    """The loss of an encoded batch, a scalar with its graph.

    Args:
        progress: share of the training that is done, 0 to 1, for weights on a ramp.
        report: fill `objective.report`.

    Raises:
        MatchcutError: if evidence is not finite: it names caption or item.
    """
    index, owner, text, item = batch.index, batch.owner, encoded.text, encoded.item
    device = next(iter(batch.text.values())).lengths.device
    items = owner
    pairs = torch.arange(len(index), device=device)
    wanted = targets.batch(owner, device)
    extra = model.auxiliary(Step(batch.text, batch.item, text, item, pairs, wanted, item_extra=encoded.item_extra))
    if queue is None:
        table = PairTable.from_ids(text_items=owner.to(device), items=owner.to(device))
        known = evidence.batch(index, owner, text, item, device)
    else:
        table = queue.table(owner.to(device))
        items, captions = queue.columns(owner, index)
        known = evidence.batch(index, items, text, item, device, captions=captions)
        item = queue.extend(encoded.item, owner.to(device))
        queue.add(encoded.item, items=owner.to(device), captions=index)
    try:
        if model.factorises and len(model.score_names) == 1:
            loss = objective.from_embeddings(text, item, table, known, progress=progress, extra=extra, report=report)
        else:
            loss = objective(model.scores(text, item), table, known, progress=progress, extra=extra, report=report)
    except ValueError as error:
        cause = error.__cause__
        if isinstance(cause, NotFiniteError):
            raise MatchcutError(f"objective: {cause} ({_keys(data, cause, index, items)})") from error
        raise MatchcutError(f"objective: {error}") from error
    return loss


def step_loss(
    model: RetrievalModel[Any, Any],
    objective: Objective,
    data: PairData,
    evidence: TrainingEvidence,
    targets: Targets,
    index: Tensor,
    *,
    progress: float,
    device: torch.device,
    report: bool = False,
    queue: CaptionQueue | None = None,
) -> Tensor:
    """`read_batch`, `encode` and `batch_loss` in one: the loss of captions index, int64 [B]."""
    batch = read_batch(data, index, device)
    return batch_loss(
        model, objective, data, evidence, targets, batch, encode(model, batch),
        progress=progress, report=report, queue=queue,
    )  # fmt: skip


def _keys(data: PairData, error: NotFiniteError, captions: Tensor, items: Tensor) -> str:
    """The captions, or the items, whose evidence is not finite: of a batch with these positions."""
    keys, positions = (data.captions, captions) if error.side == "text" else (data.items, items)
    return ", ".join(dict.fromkeys(keys[k] for k in positions[error.rows[:3]].tolist()))


def _readable(data: PairData, index: Tensor) -> tuple[Tensor, dict[str, Padded]]:
    """The captions whose items can be read, and the streams of these items."""
    while True:
        bad = torch.tensor(list(data.unreadable), dtype=torch.int64)
        index = index[~torch.isin(data.owner[index], bad)]
        if not len(index):
            raise MatchcutError(f"no frame of a whole batch can be read: {next(iter(data.unreadable.values()))}")
        try:
            return index, data.item_batch(data.owner[index])
        except Unreadable:
            continue  # they are in data.unreadable now
