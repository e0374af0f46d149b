"""One training step up to its loss."""

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
    """The loss of a batch, a scalar with its graph.

    Args:
        index: the captions, int64 [B]; each comes with its item. Those whose frames cannot be read are left out.
        progress: share of the training that is done, 0 to 1, for weights on a ramp.
        report: fill `objective.report`.

    Raises:
        MatchcutError: if the network cannot take the streams, or evidence is not finite: it names caption or item.
    """
    index, item_rows = _readable(data, index)
    owner = data.owner[index]
    text_inputs = {name: rows.to(device) for name, rows in data.text_batch(index).items()}
    item_inputs = {name: rows.to(device) for name, rows in item_rows.items()}
    try:
        text = model.encode_text(text_inputs)
        item, item_extra = model.train_item(item_inputs)
    except ValueError as error:  # such as another number of regions than the network is made for
        raise MatchcutError(f"model: {error}") from error
    items = owner
    pairs = torch.arange(len(index), device=device)
    wanted = targets.batch(owner, device)
    extra = model.auxiliary(Step(text_inputs, item_inputs, text, item, pairs, wanted, item_extra=item_extra))
    if queue is None:
        table = PairTable.from_ids(text_items=owner.to(device), items=owner.to(device))
        known = evidence.batch(index, owner, text, item, device)
    else:
        table = queue.table(owner.to(device))
        items, captions = queue.columns(owner, index)
        known = evidence.batch(index, items, text, item, device, captions=captions)
        batch, item = item, queue.extend(item, owner.to(device))
        queue.add(batch, items=owner.to(device), captions=index)
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
