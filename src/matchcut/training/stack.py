"""Models of the same network and the same batches, trained side by side in one process, their forward passes as one."""

import warnings
from collections.abc import Callable, Mapping, Sequence
from copy import deepcopy
from dataclasses import fields, is_dataclass, replace
from typing import Any

import torch
from torch import Tensor, nn
from torch.func import functional_call

from matchcut.collection import Collection
from matchcut.errors import MatchcutError
from matchcut.models.base import RetrievalModel
from matchcut.models.bigru import StackedGRU
from matchcut.training.loop import threads
from matchcut.training.recipe import Recipe
from matchcut.training.run import Run, Trained, autocast
from matchcut.training.shared import SharedData
from matchcut.training.step import Batch, Encoded, encode

STACKED = ("projection", "dual_encoding", "hybrid_space", "vsepp", "clip_video", "dmae", "multimodal_transformer")
"""Networks that can be stacked; in the others shapes depend on weights or on chance."""

Outcome = Trained | Exception
Progress = Callable[[str, dict[str, Any]], None]


def agreement(recipe: Recipe) -> dict[str, Any]:
    """What must be equal in recipes that are stacked: network, data, and all that decides on the batches.

    Objectives, optimisers, learning rates and schedules may differ.

    Raises:
        MatchcutError: if the network cannot be stacked.
    """
    if recipe.model_name not in STACKED:
        raise MatchcutError(
            f"{recipe.source}: --stack: {recipe.model_name!r} cannot be stacked, only {', '.join(STACKED)} can"
        )
    table, training = recipe.to_dict(), recipe.training
    batches = [training.seed, training.epochs, training.samples, training.batch_size, training.distinct_items]
    return {
        "model": table["model"],
        "data": table["data"],
        "training": [*batches, training.precision],
        "threads": training.threads,
    }


def train_stack(
    recipes: Sequence[Recipe],
    collection: Collection,
    *,
    again: bool = False,
    device: str | None = None,
    progress: Progress | None = None,
    shared: SharedData | None = None,
) -> list[Outcome]:
    """Train models that agree (see `agreement`), all on the same batches: each batch is read once and encoded at once.

    Every model has its own weights, objective, optimiser, log and checkpoints, as `train` makes them. Without dropout
    it ends with the weights that `train` gives it, but for rounding; with dropout, with other random numbers. Runs that
    were stopped go on where they were; those that are not as far are trained first.

    Args:
        progress: called with a recipe's name and the record of its epoch.

    Returns:
        For each recipe how it ended, or the error that ended it while the others went on.

    Raises:
        ValueError: if the recipes do not agree.
    """
    if any(agreement(recipe) != agreement(recipes[0]) for recipe in recipes[1:]):
        raise ValueError("recipes that are stacked must agree in network, data, seed, epochs and batches")
    shared = shared or SharedData(collection)
    found: dict[int, Outcome] = {}
    runs: dict[int, Run] = {}
    with threads(recipes[0].training.threads):
        try:
            for position, recipe in enumerate(recipes):
                try:
                    runs[position] = Run(recipe, collection, again=again, device=device, shared=shared)
                except MatchcutError as error:
                    found[position] = error
            while going := {p: run for p, run in runs.items() if p not in found and not run.done}:
                least = min(run.state.epoch for run in going.values())
                side = {p: run for p, run in going.items() if run.state.epoch == least}
                found |= _epoch(side, progress)
        finally:
            for run in runs.values():
                run.close()
    return [found.get(position) or runs[position].result() for position in range(len(recipes))]


def _epoch(runs: Mapping[int, Run], progress: Progress | None) -> dict[int, Outcome]:
    """Train all runs for one epoch; returns the errors of those that failed."""
    failed: dict[int, Outcome] = {}
    first = next(iter(runs.values()))
    forward, stack = autocast(first.settings, first.device), Stack([run.model for run in runs.values()])
    orders = [run.begin_epoch() for run in runs.values()]
    for index in orders[0]:
        batch = first.read(index)
        losses: dict[int, Tensor] = {}
        with forward():
            for (position, run), encoded in zip(runs.items(), stack.encode(batch), strict=True):
                if position not in failed:
                    try:
                        losses[position] = run.loss(batch, encoded)
                    except MatchcutError as error:
                        failed[position] = error
        if not losses:
            break
        torch.stack(list(losses.values())).sum().backward()  # type: ignore[no-untyped-call]
        for position, loss in losses.items():
            runs[position].update(loss)
    for position, run in runs.items():
        if position not in failed:
            try:
                record = run.end_epoch(models=len(runs))
            except MatchcutError as error:
                failed[position] = error
            else:
                if progress is not None:
                    progress(run.recipe.name, record)
    return failed


class Stack:
    """Networks of the same shape, whose encoders are called as one.

    Their weights are stacked for each pass and the gradient reaches each network's own. Batch statistics of each are
    kept. Dropout draws other numbers for each.
    """

    def __init__(self, models: Sequence[RetrievalModel[Any, Any]]) -> None:
        self.models = models
        self.skeleton = _Encoders(_with_stacked_grus(deepcopy(models[0])))

    def encode(self, batch: Batch) -> list[Encoded]:
        """What each network makes of a batch."""
        if len(self.models) == 1:
            return [encode(self.models[0], batch)]
        parameters = _stacked([dict(model.named_parameters()) for model in self.models])
        own = [dict(model.named_buffers()) for model in self.models]
        buffers = _stacked(own)
        build: list[Callable[[Sequence[Tensor]], Encoded]] = []

        def call(parameters: dict[str, Tensor], buffers: dict[str, Tensor]) -> tuple[Tensor, ...]:
            weights = {f"model.{name}": value for name, value in {**parameters, **buffers}.items()}
            encoded = functional_call(self.skeleton, weights, (batch,))
            tensors: list[Tensor] = []
            build.append(_flatten(encoded, tensors))
            return tuple(tensors)

        with warnings.catch_warnings():  # an operation that is looped over the models costs little here
            warnings.filterwarnings("ignore", message=".*batching rule")
            every = torch.vmap(call, randomness="different")(parameters, buffers)
        with torch.no_grad():
            for k, named in enumerate(own):
                for name, value in named.items():
                    value.copy_(buffers[name][k])
        return [build[0]([tensor[k] for tensor in every]) for k in range(len(self.models))]


class _Encoders(nn.Module):
    """Both encoders of a network as one call."""

    def __init__(self, model: RetrievalModel[Any, Any]) -> None:
        super().__init__()
        self.model = model

    def forward(self, batch: Batch) -> Encoded:
        return encode(self.model, batch)


def _stacked(named: Sequence[Mapping[str, Tensor]]) -> dict[str, Tensor]:
    return {name: torch.stack([tensors[name] for tensors in named]) for name in named[0]}


def _with_stacked_grus(model: RetrievalModel[Any, Any]) -> RetrievalModel[Any, Any]:
    for module in list(model.modules()):
        for name, child in list(module.named_children()):
            if isinstance(child, nn.GRU):
                setattr(module, name, StackedGRU(child))
    return model


def _flatten(value: Any, into: list[Tensor]) -> Callable[[Sequence[Tensor]], Any]:
    """Add the tensors that are anywhere in an embedding to a list; returns what puts such a list together again."""
    if isinstance(value, Tensor):
        into.append(value)
        place = len(into) - 1
        return lambda tensors: tensors[place]
    if is_dataclass(value) and not isinstance(value, type):
        inner = {f.name: _flatten(getattr(value, f.name), into) for f in fields(value)}
        return lambda tensors: replace(value, **{name: build(tensors) for name, build in inner.items()})
    if isinstance(value, dict):
        entries = {key: _flatten(entry, into) for key, entry in value.items()}
        return lambda tensors: {key: build(tensors) for key, build in entries.items()}
    if isinstance(value, tuple):
        parts = [_flatten(entry, into) for entry in value]
        return lambda tensors: tuple(build(tensors) for build in parts)
    return lambda tensors: value
