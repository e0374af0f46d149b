"""One model in training: its state, what it is trained on, and the parts of its loop."""

import math
import time
from collections.abc import Callable
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
from matchcut.training.batches import Batches
from matchcut.training.build import build_model
from matchcut.training.checkpoint import BEST, LAST, State
from matchcut.training.data import PairData
from matchcut.training.encode import score_split
from matchcut.training.facts import check_same, features_of
from matchcut.training.log import RunLog
from matchcut.training.optimizers import make_optimizer, set_rate
from matchcut.training.queue import CaptionQueue
from matchcut.training.recipe import Recipe, plain_name
from matchcut.training.schedule import halve, rate
from matchcut.training.settings import TrainingSettings
from matchcut.training.shared import SharedData
from matchcut.training.step import Batch, Encoded, batch_loss, read_batch
from matchcut.training.text_streams import thin_text_streams
from matchcut.training.word_vectors import start_words


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


class Run:
    """A training that a loop moves on: batch by batch, epoch by epoch, until it is `done`.

    Where a run of that name was stopped it goes on. `close` it at the end. Parameters as of `train`.
    """

    def __init__(
        self,
        recipe: Recipe,
        collection: Collection,
        *,
        name: str | None = None,
        again: bool = False,
        device: str | None = None,
        shared: SharedData | None = None,
    ) -> None:
        self.recipe, self.settings = recipe, recipe.training
        self.device = find_device(device)
        self.folder = collection.root / "models" / plain_name(name or recipe.name, where="--name")
        shared = shared or SharedData(collection)
        text = shared.text(recipe)
        self.data = shared.pairs(recipe, recipe.data.train, text)
        self.held_out = shared.pairs(recipe, recipe.data.val, text)
        self.evidence = shared.evidence(recipe, self.data)
        if recipe.data.thin_captions:
            self.data = thin_text_streams(self.data, text, recipe, collection)
        self.batches = _batches(self.settings, self.data)

        torch.manual_seed(self.settings.seed)
        words = list(text.vocabulary.words) if text.vocabulary is not None else []
        model = build_model(recipe, self.data.text_shapes, self.data.item_shapes, words=len(words)).to(self.device)
        if recipe.data.word_vectors:
            start_words(model, recipe.data.word_vectors, words)
        self.targets = shared.targets(recipe, self.data, model.target_names)
        objective = recipe.objective().to(self.device)
        optimizer = make_optimizer(self.settings, model, objective)
        average = {k: v.detach().clone() for k, v in model.state_dict().items()} if self.settings.average else {}
        self.objective, self.optimizer = objective, optimizer
        self.state = State(model, objective, optimizer, average, _queue(recipe, model))
        data = {recipe.data.train: self.data.fingerprint(), recipe.data.val: self.held_out.fingerprint()}
        self.facts: dict[str, Any] = {"recipe": recipe.to_dict(), "features": features_of(recipe, collection)}
        self.facts |= {"data": data, "vocabulary": words, "targets": dict(self.targets.facts)}
        self.resumed = (self.folder / LAST).exists() and not again
        if self.resumed:
            check_same(self.folder, self.facts)
            self.state.load(self.folder / LAST)
        write_text(self.folder / "recipe.toml", recipe.to_toml())
        self.log = RunLog(self.folder, after_step=self.state.step)

        self.steps = self.batches.steps  # of an epoch
        self.losses: list[Tensor] = []
        self.started = 0.0
        self.rate = 1.0  # of the last step, as a share of the peak

    @property
    def model(self) -> RetrievalModel[Any, Any]:
        return self.state.model

    @property
    def done(self) -> bool:
        """Whether all epochs are done, or the last `patience` of them brought nothing."""
        patience, state = self.settings.patience, self.state
        return state.epoch >= self.settings.epochs or 0 < patience <= state.epoch - state.best_epoch

    def begin_epoch(self) -> list[Tensor]:
        """The batches of the next epoch, int64 [B] each: captions in random order, each at most once.

        A last batch that is not full is left for another epoch.
        """
        self.started = time.perf_counter()
        self.losses = []
        self.model.train()
        return self.batches.epoch(self.state.epoch)

    def read(self, index: Tensor) -> Batch:
        """The streams of a batch."""
        return read_batch(self.data, index, self.device)

    def loss(self, batch: Batch, encoded: Encoded) -> Tensor:
        """The loss of a step, from what `model` makes of the batch."""
        report = (self.state.step + 1) % self.steps == 0  # what the objective reports is logged once an epoch
        progress = self.state.step / (self.steps * self.settings.epochs)
        return batch_loss(
            self.model, self.objective, self.data, self.evidence, self.targets, batch, encoded,
            progress=progress, report=report, queue=self.state.queue,
        )  # fmt: skip

    def update(self, loss: Tensor) -> None:
        """Move the weights by the gradients that are there."""
        if self.settings.clip:
            nn.utils.clip_grad_norm_([*self.model.parameters(), *self.objective.parameters()], self.settings.clip)
        total = self.steps * self.settings.epochs
        self.rate = rate(self.settings, self.state.step, total, halvings=self.state.halvings)
        set_rate(self.optimizer, self.rate)
        self.optimizer.step()
        self.optimizer.zero_grad(set_to_none=True)
        self.state.step += 1
        if self.state.average:
            _update(self.state.average, self.model, self.settings.average)
        self.losses.append(loss.detach())

    def end_epoch(self, *, models: int = 1) -> dict[str, Any]:
        """Validate, save and log; returns the log's record. models: that shared the time of this epoch.

        Raises:
            MatchcutError: if the loss was not finite; the state before is kept.
        """
        state, settings = self.state, self.settings
        mean = float(torch.stack(self.losses).mean())
        if not math.isfinite(mean):
            raise MatchcutError(
                f"{self.folder}: the loss is not finite in epoch {state.epoch + 1}; try a smaller training.lr than "
                f"{settings.lr:g}, and look for such numbers in the features; the state before is kept"
            )
        state.epoch += 1
        score = _validate(state, self.held_out, self.device)
        better = score > state.best
        if better:
            state.best, state.best_epoch = score, state.epoch
            kept = state.average or self.model.state_dict()
            facts = {**self.facts, "epoch": state.epoch}
            checkpoint.write(self.folder / BEST, checkpoint.named("model", kept), facts)
        state.seconds += (time.perf_counter() - self.started) / models
        state.held += 1
        if halve(settings, better=better, held=state.held):
            state.halvings, state.held = state.halvings + 1, 0
        record: dict[str, Any] = {"step": state.step, "epoch": state.epoch, "loss": mean}
        record |= {"lr": settings.lr * self.rate, "val": {"rsum": score}}
        record |= {"objective": self.objective.report, "best": better, "seconds": round(state.seconds, 3)}
        self.log.write(record)
        state.save(self.folder / LAST, self.facts)
        return {**record, "epochs": settings.epochs}

    def close(self) -> None:
        """Close the log."""
        self.log.close()

    def result(self) -> Trained:
        """How far it has come."""
        left_out = self.data.left_out + self.held_out.left_out + len(self.data.unreadable)
        state = self.state
        return Trained(self.folder, state.epoch, state.best_epoch, state.best, state.seconds, left_out, self.resumed)


def find_device(name: str | None) -> torch.device:
    """The device of that name; by default a GPU if there is one."""
    found = name or ("cuda" if torch.cuda.is_available() else "cpu")
    try:
        return torch.empty(0, device=found).device
    except (RuntimeError, AssertionError) as error:
        raise MatchcutError(f"--device {found}: cannot be used here: {str(error).splitlines()[0]}") from error


def autocast(settings: TrainingSettings, device: torch.device) -> Callable[[], Any]:
    """What makes the context of a forward pass in the precision of a recipe."""
    bf16 = settings.precision == "bf16" or (settings.precision == "auto" and device.type == "cuda")
    return lambda: torch.autocast(device.type, dtype=torch.bfloat16, enabled=bf16)


def _batches(settings: TrainingSettings, data: PairData) -> Batches:
    count = min(settings.samples or len(data.captions), len(data.captions))
    size = min(settings.batch_size, count)
    return Batches(data.owner, count, size, seed=settings.seed, distinct_items=settings.distinct_items)


def _queue(recipe: Recipe, model: RetrievalModel[Any, Any]) -> CaptionQueue | None:
    if not recipe.training.memory:
        return None
    if not model.factorises or len(model.score_names) > 1:
        raise MatchcutError(
            f"{recipe.source}: training.memory: keeps one vector an item, which {recipe.model_name!r} does not have"
        )
    return CaptionQueue(Memory(size=recipe.training.memory))


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
