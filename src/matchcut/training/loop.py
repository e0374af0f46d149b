"""Training one model from stored features."""

import math
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from matchcut.collection import Collection
from matchcut.errors import MatchcutError
from matchcut.evaluation import retrieval_metrics
from matchcut.files import write_text
from matchcut.losses import Objective
from matchcut.models.base import RetrievalModel, Step
from matchcut.negatives import PairTable
from matchcut.training import checkpoint
from matchcut.training.checkpoint import BEST, LAST, State
from matchcut.training.data import PairData, load, open_features
from matchcut.training.encode import score_split
from matchcut.training.evidence import TrainingEvidence
from matchcut.training.log import RunLog
from matchcut.training.recipe import Recipe, plain_name
from matchcut.training.settings import TrainingSettings

Progress = Callable[[dict[str, Any]], None]


@dataclass(frozen=True)
class Trained:
    """A finished run."""

    folder: Path  # COLLECTION/models/NAME
    epochs: int  # epochs done
    best_epoch: int
    best: float  # validation score of the best epoch: the sum of recalls at 1, 5 and 10, both directions, 0 to 600
    seconds: float  # spent training, over all interruptions
    left_out: int  # captions and items without features
    resumed: bool


def train(
    recipe: Recipe,
    collection: Collection,
    *,
    name: str | None = None,
    again: bool = False,
    device: str | None = None,
    progress: Progress | None = None,
) -> Trained:
    """Train the model of a recipe on a collection's features; a run that was stopped goes on where it was.

    After each epoch the validation part is ranked and the state is saved, so that a run that was killed and started
    again ends with the same weights as one that was not (on a CPU). Everything lies in `COLLECTION/models/NAME`:
    `best.safetensors`, `last.safetensors`, `recipe.toml`, `log.jsonl`, `tensorboard/`.

    Args:
        name: of the model, by default the recipe's.
        again: train anew even if there is a finished or interrupted run of that name.
        device: "cpu", "cuda", ...; by default a GPU if there is one.
        progress: called with each epoch's log record.

    Raises:
        MatchcutError: if features are missing, or a run of that name was made with another recipe.
    """
    settings = recipe.training
    where = torch.device(device or ("cuda" if torch.cuda.is_available() else "cpu"))
    folder = collection.root / "models" / plain_name(name or recipe.name, where="--name")
    data = _load(recipe, collection, recipe.data.train)
    held_out = _load(recipe, collection, recipe.data.val)
    evidence = TrainingEvidence.load(collection, data, recipe.evidence())

    torch.manual_seed(settings.seed)
    model = build_model(recipe, data).to(where)
    objective = recipe.objective().to(where)
    optimizer = _optimizer(settings, [*model.parameters(), *objective.parameters()])
    average = {k: v.detach().clone() for k, v in model.state_dict().items()} if settings.average else {}
    state = State(model, objective, optimizer, average)
    data_facts = {recipe.data.train: data.fingerprint(), recipe.data.val: held_out.fingerprint()}
    facts = {"recipe": recipe.to_dict(), "features": _features(recipe, collection), "data": data_facts}
    resumed = (folder / LAST).exists() and not again
    if resumed:
        _check_same(folder, facts)
        state.load(folder / LAST)
    write_text(folder / "recipe.toml", recipe.to_toml())

    batch = min(settings.batch_size, len(data.captions))
    steps = len(data.captions) // batch
    total = steps * settings.epochs
    autocast = _autocast(settings, where)
    log = RunLog(folder, after_step=state.step)
    try:
        while state.epoch < settings.epochs and not _stale(state, settings):
            started = time.perf_counter()
            model.train()
            losses: list[Tensor] = []
            for index in _batches(len(data.captions), batch, seed=settings.seed, epoch=state.epoch):
                lr = settings.lr * rate(settings, state.step, total)
                for group in optimizer.param_groups:
                    group["lr"] = lr
                with autocast():
                    last = (state.step + 1) % steps == 0  # what the objective reports is logged once an epoch
                    loss = _loss(model, objective, data, evidence, index, state.step / total, where, last)
                optimizer.zero_grad(set_to_none=True)
                loss.backward()  # type: ignore[no-untyped-call]
                if settings.clip:
                    nn.utils.clip_grad_norm_([*model.parameters(), *objective.parameters()], settings.clip)
                optimizer.step()
                state.step += 1
                if average:
                    _update(state.average, model, settings.average)
                losses.append(loss.detach())
            mean = float(torch.stack(losses).mean())
            if not math.isfinite(mean):
                raise MatchcutError(
                    f"{folder}: the loss is not finite in epoch {state.epoch + 1}; try a smaller training.lr than "
                    f"{settings.lr:g}, and look for such numbers in the features; the state before is kept"
                )
            state.epoch += 1
            score = _validate(state, held_out, where)
            better = score > state.best
            if better:
                state.best, state.best_epoch = score, state.epoch
                kept = state.average or model.state_dict()
                checkpoint.write(folder / BEST, checkpoint.named("model", kept), {**facts, "epoch": state.epoch})
            state.seconds += time.perf_counter() - started
            record = {"step": state.step, "epoch": state.epoch, "loss": mean, "lr": lr, "val": {"rsum": score}}
            record |= {"objective": objective.report, "best": better, "seconds": round(state.seconds, 3)}
            log.write(record)
            state.save(folder / LAST, facts)
            if progress is not None:
                progress({**record, "epochs": settings.epochs})
    finally:
        log.close()
    left_out = data.left_out + held_out.left_out
    return Trained(folder, state.epoch, state.best_epoch, state.best, state.seconds, left_out, resumed)


def build_model(recipe: Recipe, data: PairData) -> RetrievalModel[Any, Any]:
    """The network of a recipe for the row shapes of these streams.

    Raises:
        MatchcutError: if the network cannot take such streams.
    """
    text = {name: stream.shape for name, stream in data.text.items()}
    item = {name: stream.shape for name, stream in data.item.items()}
    try:
        model: RetrievalModel[Any, Any] = recipe.model.build(text, item)
    except ValueError as error:
        raise MatchcutError(f"{recipe.source}: model: {error}") from error
    return model


def rate(settings: TrainingSettings, step: int, total: int) -> float:
    """Learning rate at a step as a share of the peak: a linear warm-up, then half a cosine down to 0, or constant.

    >>> s = TrainingSettings(warmup=0.5)
    >>> [round(rate(s, step, 8), 2) for step in range(8)]
    [0.25, 0.5, 0.75, 1.0, 1.0, 0.85, 0.5, 0.15]
    """
    warmup = round(settings.warmup * total)
    if step < warmup:
        return (step + 1) / warmup
    if settings.schedule == "constant":
        return 1.0
    return 0.5 * (1 + math.cos(math.pi * (step - warmup) / max(1, total - warmup)))


def _load(recipe: Recipe, collection: Collection, part: str) -> PairData:
    return load(collection, part=part, scheme=recipe.data.scheme, text=recipe.text, item=recipe.item)


def _loss(
    model: RetrievalModel[Any, Any],
    objective: Objective,
    data: PairData,
    evidence: TrainingEvidence,
    index: Tensor,
    progress: float,
    device: torch.device,
    report: bool,
) -> Tensor:
    owner = data.owner[index]
    text_inputs = {name: rows.to(device) for name, rows in data.text_batch(index).items()}
    item_inputs = {name: rows.to(device) for name, rows in data.item_batch(owner).items()}
    text = model.encode_text(text_inputs)
    item, item_extra = model.train_item(item_inputs)
    table = PairTable.from_ids(text_items=owner.to(device), items=owner.to(device))
    known = evidence.batch(index, owner, text, item, device)
    pairs = torch.arange(len(index), device=device)
    extra = model.auxiliary(Step(text_inputs, item_inputs, text, item, pairs, item_extra=item_extra))
    loss: Tensor
    if model.factorises and len(model.score_names) == 1:
        loss = objective.from_embeddings(text, item, table, known, progress=progress, extra=extra, report=report)
    else:
        loss = objective(model.scores(text, item), table, known, progress=progress, extra=extra, report=report)
    return loss


def _batches(count: int, batch: int, *, seed: int, epoch: int) -> Iterator[Tensor]:
    """Each caption once in random order; a last batch that is not full is left for another epoch."""
    order = torch.randperm(count, generator=torch.Generator().manual_seed(1_000_003 * seed + epoch))
    for start in range(0, count - batch + 1, batch):
        yield order[start : start + batch]


def _optimizer(settings: TrainingSettings, parameters: list[nn.Parameter]) -> Optimizer:
    if settings.optimizer == "rmsprop":
        return torch.optim.RMSprop(parameters, lr=settings.lr, weight_decay=settings.weight_decay)
    kind = torch.optim.AdamW if settings.optimizer == "adamw" else torch.optim.Adam
    return kind(parameters, lr=settings.lr, weight_decay=settings.weight_decay)


def _autocast(settings: TrainingSettings, device: torch.device) -> Callable[[], Any]:
    bf16 = settings.precision == "bf16" or (settings.precision == "auto" and device.type == "cuda")
    return lambda: torch.autocast(device.type, dtype=torch.bfloat16, enabled=bf16)


def _update(average: dict[str, Tensor], model: nn.Module, decay: float) -> None:
    with torch.no_grad():
        for name, value in model.state_dict().items():
            if value.is_floating_point():
                average[name].lerp_(value, 1 - decay)
            else:
                average[name].copy_(value)


def _validate(state: State, data: PairData, device: torch.device) -> float:
    model = state.model
    own = {name: value.clone() for name, value in model.state_dict().items()} if state.average else {}
    if state.average:
        model.load_state_dict(state.average)
    scores = score_split(model, data, device=device)
    if state.average:
        model.load_state_dict(own)
    return float(retrieval_metrics(scores, data.owner, torch.arange(len(data.items))).rsum)


def _stale(state: State, settings: TrainingSettings) -> bool:
    return settings.patience > 0 and state.epoch - state.best_epoch >= settings.patience


def _features(recipe: Recipe, collection: Collection) -> dict[str, dict[str, Any]]:
    sides = [("captions", recipe.text), ("frames", recipe.item)]
    return {n: open_features(collection, n, of=of).manifest.identity() for of, names in sides for n in names}


def _check_same(folder: Path, facts: Mapping[str, Any]) -> None:
    _, stored = checkpoint.read(folder / LAST)
    for section in ("recipe", "features", "data"):
        if stored[section] != facts[section]:
            raise MatchcutError(
                f"{folder}: holds a run with another {section}: {_difference(stored[section], facts[section])}; "
                "give this one another --name, or --again to replace that run"
            )


def _difference(old: Any, new: Any, path: str = "") -> str:
    if isinstance(old, dict) and isinstance(new, dict):
        for key in [*old, *new]:
            if old.get(key) != new.get(key):
                return _difference(old.get(key), new.get(key), f"{path}.{key}" if path else key)
    return f"{path} was {old!r} and is now {new!r}"
