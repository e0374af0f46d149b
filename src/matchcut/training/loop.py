"""Training one model from stored features."""

import math
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from matchcut.collection import Collection
from matchcut.errors import MatchcutError
from matchcut.evaluation import retrieval_metrics
from matchcut.files import write_text
from matchcut.models.base import RetrievalModel
from matchcut.negatives import Memory
from matchcut.training import checkpoint
from matchcut.training.build import build_model
from matchcut.training.checkpoint import BEST, LAST, State
from matchcut.training.data import PairData, digest, read_manifest
from matchcut.training.encode import score_split
from matchcut.training.log import RunLog
from matchcut.training.optimizers import make_optimizer, set_rate
from matchcut.training.queue import CaptionQueue
from matchcut.training.recipe import Recipe, plain_name
from matchcut.training.schedule import halve, rate
from matchcut.training.settings import TrainingSettings
from matchcut.training.shared import SharedData
from matchcut.training.step import step_loss
from matchcut.training.text_streams import stored_item, stored_text

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
    shared: SharedData | None = None,
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
        shared: what was read from this collection for other trainings, and will be for more.

    Raises:
        MatchcutError: if features are missing, a run of that name was made with another recipe, or there is no such
            device.
    """
    settings = recipe.training
    where = _device(device)
    folder = collection.root / "models" / plain_name(name or recipe.name, where="--name")
    shared = shared or SharedData(collection)
    text = shared.text(recipe)
    data = shared.pairs(recipe, recipe.data.train, text)
    held_out = shared.pairs(recipe, recipe.data.val, text)
    evidence = shared.evidence(recipe, data)

    torch.manual_seed(settings.seed)
    threads = torch.get_num_threads()
    torch.set_num_threads(settings.threads or threads)
    words = list(text.vocabulary.words) if text.vocabulary is not None else []
    model = build_model(recipe, data.text_shapes, data.item_shapes, words=len(words)).to(where)
    targets = shared.targets(recipe, data, model.target_names)
    objective = recipe.objective().to(where)
    optimizer = make_optimizer(settings, model, objective)
    average = {k: v.detach().clone() for k, v in model.state_dict().items()} if settings.average else {}
    state = State(model, objective, optimizer, average, _queue(recipe, model))
    data_facts = {recipe.data.train: data.fingerprint(), recipe.data.val: held_out.fingerprint()}
    facts: dict[str, Any] = {"recipe": recipe.to_dict(), "features": _features(recipe, collection), "data": data_facts}
    facts |= {"vocabulary": words, "targets": dict(targets.facts)}
    resumed = (folder / LAST).exists() and not again
    if resumed:
        _check_same(folder, facts)
        state.load(folder / LAST)
    write_text(folder / "recipe.toml", recipe.to_toml())

    count = min(settings.samples or len(data.captions), len(data.captions))
    batch = min(settings.batch_size, count)
    steps = count // batch
    total = steps * settings.epochs
    autocast = _autocast(settings, where)
    log = RunLog(folder, after_step=state.step)
    try:
        while state.epoch < settings.epochs and not _stale(state, settings):
            started = time.perf_counter()
            model.train()
            losses: list[Tensor] = []
            for index in _batches(data, count, batch, seed=settings.seed, epoch=state.epoch):
                share = rate(settings, state.step, total, halvings=state.halvings)
                set_rate(optimizer, share)
                with autocast():
                    last = (state.step + 1) % steps == 0  # what the objective reports is logged once an epoch
                    loss = step_loss(
                        model, objective, data, evidence, targets, index,
                        progress=state.step / total, device=where, report=last, queue=state.queue,
                    )  # fmt: skip
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
            state.held += 1
            if halve(settings, better=better, held=state.held):
                state.halvings, state.held = state.halvings + 1, 0
            record: dict[str, Any] = {"step": state.step, "epoch": state.epoch, "loss": mean}
            record |= {"lr": settings.lr * share, "val": {"rsum": score}}
            record |= {"objective": objective.report, "best": better, "seconds": round(state.seconds, 3)}
            log.write(record)
            state.save(folder / LAST, facts)
            if progress is not None:
                progress({**record, "epochs": settings.epochs})
    finally:
        torch.set_num_threads(threads)
        log.close()
    left_out = data.left_out + held_out.left_out + len(data.unreadable)
    return Trained(folder, state.epoch, state.best_epoch, state.best, state.seconds, left_out, resumed)


def _device(name: str | None) -> torch.device:
    found = name or ("cuda" if torch.cuda.is_available() else "cpu")
    try:
        return torch.empty(0, device=found).device
    except (RuntimeError, AssertionError) as error:
        raise MatchcutError(f"--device {found}: cannot be used here: {str(error).splitlines()[0]}") from error


def _batches(data: PairData, count: int, batch: int, *, seed: int, epoch: int) -> Iterator[Tensor]:
    """`count` captions, each once in random order; a last batch that is not full is left for another epoch."""
    order = torch.randperm(len(data.captions), generator=torch.Generator().manual_seed(1_000_003 * seed + epoch))
    for start in range(0, count - batch + 1, batch):
        yield order[start : start + batch]


def _queue(recipe: Recipe, model: RetrievalModel[Any, Any]) -> CaptionQueue | None:
    if not recipe.training.memory:
        return None
    if not model.factorises or len(model.score_names) > 1:
        raise MatchcutError(
            f"{recipe.source}: training.memory: keeps one vector an item, which {recipe.model_name!r} does not have"
        )
    return CaptionQueue(Memory(size=recipe.training.memory))


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
    sides = [("captions", stored_text(recipe)), ("frames", stored_item(recipe))]
    return {n: read_manifest(collection, n, of=of).identity() for of, names in sides for n in names}


def _check_same(folder: Path, facts: Mapping[str, Any]) -> None:
    _, stored = checkpoint.read(folder / LAST)
    # A recipe of an older version lacks options that have come since: they get their defaults.
    stored["recipe"] = Recipe.of(stored["recipe"], source=str(folder)).to_dict()
    for section in ("recipe", "features", "data", "vocabulary", "targets"):
        old, new = stored.get(section) or {}, facts[section] or {}
        if old != new:
            raise MatchcutError(
                f"{folder}: holds a run with another {section}: {_difference(old, new)}; "
                "give this one another --name, or --again to replace that run"
            )


def _difference(old: Any, new: Any, path: str = "") -> str:
    if isinstance(old, dict) and isinstance(new, dict):
        for key in [*old, *new]:
            if old.get(key) != new.get(key):
                return _difference(old.get(key), new.get(key), f"{path}.{key}" if path else key)
    return f"{path} was {_short(old)} and is now {_short(new)}".strip()


def _short(value: Any) -> str:
    """A long list of words by its length and a hash."""
    return f"{len(value)} words, {digest(value)}" if isinstance(value, list) and len(value) > 8 else repr(value)
