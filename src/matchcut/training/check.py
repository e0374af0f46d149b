"""A look at a recipe before it is trained: its network part by part, one step on made-up data, and what it needs."""

import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, fields, replace
from typing import Any, Literal

import torch
from torch import Tensor, nn

from matchcut.collection import Collection
from matchcut.errors import MatchcutError
from matchcut.features.manifest import Manifest
from matchcut.models.base import RetrievalModel
from matchcut.models.inputs import Padded
from matchcut.training.build import build_model
from matchcut.training.made_up import SMALL, MadeUp, make_up
from matchcut.training.needs import Need, at_hand, needs
from matchcut.training.optimizers import TOWERS, make_optimizer
from matchcut.training.recipe import Recipe
from matchcut.training.step import step_loss
from matchcut.training.targets import CONCEPTS, Targets
from matchcut.training.text_streams import check_thinning

Network = RetrievalModel[Any, Any]


@dataclass(frozen=True)
class Part:
    """A module: its name and class, its parameters, and the shapes that went in and came out, "" if not called."""

    name: str
    kind: str
    parameters: int
    trained: int  # of the parameters
    takes: str = ""
    gives: str = ""


@dataclass(frozen=True)
class Checked:
    """What `check` saw."""

    parts: list[Part]
    parameters: int
    trained: int
    embeddings: dict[str, str]  # of "text" and "item", what the scores are made of: shapes
    pairs: int
    loss: float
    losses: dict[str, float]  # each part of it before its weight
    seconds: float  # of the step
    megabytes: float  # of weights, gradients and what the optimiser keeps, at four bytes a number
    needs: list[Need]
    notes: list[str]


def check(
    recipe: Recipe, collection: Collection | None = None, *, pairs: int = 4, network: Network | None = None
) -> Checked:
    """Build the network of a recipe at its real size and train it for one step on made-up pairs.

    The step is a whole one: both encoders, scores, the network's own losses, the objective with made-up evidence of
    every kind it names, gradients, clipping and the optimiser, which keeps its state for one parameter at a time only.
    Weights of CLIP are random if the checkpoint is not at hand.

    Args:
        collection: where feature sets are looked for; without it, the shapes of rows come from the recipe.
        pairs: captions in the batch, each with an item; at least 2.
        network: one built before for the same options and shapes, to save the time.

    Raises:
        MatchcutError: if a stream's shape is not known, the network cannot take it, or a loss or gradient is not a
            finite number.

    >>> seen = check(Recipe.of({"name": "small", "model": {"dim": 8, "hidden": 8}}))
    >>> [part.name for part in seen.parts], seen.embeddings
    (['text', 'item'], {'text': '4 x 8', 'item': '4 x 8'})
    """
    if pairs < 2:
        raise ValueError(f"pairs must be at least 2, got {pairs}")
    check_thinning(recipe)
    notes = []
    made = make_up(recipe, _stored(collection), pairs=pairs)
    if {"words", "bow"} & set(recipe.text) and not getattr(recipe.model, "vocabulary", 0):
        notes.append(
            f"the vocabulary is made up, {SMALL} words; the real one comes from the captions, more parameters too"
        )
    options, note = _towers(made.model)
    notes += note
    torch.manual_seed(recipe.training.seed)
    shapes = {**made.data.text_shapes, **made.data.item_shapes}
    built = replace(recipe, model=options)
    model = network or build_model(built, made.data.text_shapes, made.data.item_shapes)
    started = time.perf_counter()
    loss, losses, parts, embeddings = _step(recipe, model, made)
    seconds = time.perf_counter() - started
    parameters = sum(p.numel() for p in model.parameters())
    trained = sum(p.numel() for p in model.parameters() if p.requires_grad)
    kept = {"adam": 2, "adamw": 2, "rmsprop": 1}[recipe.training.optimizer]
    return Checked(
        parts=parts,
        parameters=parameters,
        trained=trained,
        embeddings=embeddings,
        pairs=pairs,
        loss=loss,
        losses=losses,
        seconds=seconds,
        megabytes=4 * (parameters + (1 + kept) * trained) / 2**20,
        needs=needs(recipe, collection, shapes),
        notes=notes,
    )


def _step(recipe: Recipe, model: Network, made: MadeUp) -> tuple[float, dict[str, float], list[Part], dict[str, str]]:
    objective = recipe.objective()
    every = torch.arange(len(made.data.captions))
    targets = Targets({name: _target(model, name, len(every)) for name in model.target_names})
    model.train()
    try:
        with _watched(model) as watched:
            loss = step_loss(
                model, objective, made.data, made.evidence, targets, every,
                progress=0.0, device=torch.device("cpu"), report=True,
            )  # fmt: skip
    except ValueError as error:
        raise MatchcutError(f"{recipe.source}: {error}") from error
    loss.backward()  # type: ignore[no-untyped-call]
    _update(recipe, {**dict(model.named_parameters()), **dict(objective.named_parameters())})
    labels = [*(term.label or term.loss.name for term in objective.terms), *model.auxiliary_names]
    return float(loss.detach()), {name: objective.report[name] for name in labels}, *watched()


def _target(model: Network, name: str, count: int) -> Tensor:
    if name != CONCEPTS:
        raise MatchcutError(f"model: nobody knows how to make up the target {name!r}")
    config: Any = model.config
    return torch.rand(count, config.concepts)


def _update(recipe: Recipe, parameters: Mapping[str, nn.Parameter]) -> None:
    """Clip all gradients, then step with one optimiser a parameter, so that only one state is held at a time."""
    settings = recipe.training
    given = {name: p for name, p in parameters.items() if p.grad is not None}
    norm = nn.utils.get_total_norm([p.grad for p in given.values() if p.grad is not None])
    if not bool(torch.isfinite(norm)):
        raise MatchcutError(f"{recipe.source}: the gradient of one step on made-up data is not finite")
    if settings.clip:
        nn.utils.clip_grads_with_norm_(given.values(), settings.clip, norm)
    for name, parameter in given.items():
        alone = nn.Module()
        alone.register_parameter("parameter", parameter)
        lr = settings.tower_lr if settings.tower_lr and TOWERS in f".{name}" else settings.lr
        make_optimizer(replace(settings, lr=lr, tower_lr=0), alone, nn.Module()).step()
        parameter.grad = None


@contextmanager
def _watched(model: Network) -> Iterator[Callable[[], tuple[list[Part], dict[str, str]]]]:
    """Note the shapes that go through each module and come out of the encoders; gives a function that tells them."""
    seen: dict[str, tuple[str, str]] = {}
    embeddings: dict[str, str] = {}

    def watch(name: str) -> Callable[..., None]:
        def hook(module: nn.Module, args: Any, kwargs: Any, output: Any) -> None:
            seen.setdefault(name, (describe([*args, *kwargs.values()]), describe(output)))

        return hook

    def noted(side: str, encode: Callable[[Any], Any]) -> Callable[[Any], Any]:
        def call(inputs: Any) -> Any:
            output = encode(inputs)
            embeddings[side] = describe(output[0] if side == "item" else output)
            return output

        return call

    modules = [(name, module) for name, module in model.named_modules() if name]
    handles = [module.register_forward_hook(watch(name), with_kwargs=True) for name, module in modules]
    encoders = {"encode_text": noted("text", model.encode_text), "train_item": noted("item", model.train_item)}
    vars(model).update(encoders)
    try:
        yield lambda: (list(_parts(model, "", seen)), embeddings)
    finally:
        for handle in handles:
            handle.remove()
        for name in encoders:
            del vars(model)[name]


def _parts(module: nn.Module, prefix: str, seen: Mapping[str, tuple[str, str]]) -> Iterator[Part]:
    """Children that were called, or have nothing below them that was; of the others, what they hold."""
    for name, child in module.named_children():
        path = f"{prefix}{name}"
        holds = path not in seen and any(key.startswith(f"{path}.") for key in seen)
        own = list(child.parameters(recurse=not holds))
        count, trained = (sum(p.numel() for p in own if p.requires_grad or every) for every in (True, False))
        if count or not holds:
            yield Part(path, type(child).__name__, count, trained, *seen.get(path, ("", "")))
        if holds:
            yield from _parts(child, f"{path}.", seen)


def describe(value: Any) -> str:
    """Shapes of tensors in whatever holds them.

    >>> describe([torch.zeros(2, 3), {"words": torch.zeros(4)}])
    '2 x 3, words 4'
    """
    if isinstance(value, Tensor):
        return " x ".join(map(str, value.shape)) or "1"
    if isinstance(value, Padded):
        return describe(value.values)
    if isinstance(value, nn.utils.rnn.PackedSequence):
        return f"{describe(value.data)} in {len(value.batch_sizes)} steps"
    if isinstance(value, Mapping):
        return ", ".join(f"{key} {described}" for key, v in value.items() if (described := describe(v)))
    if isinstance(value, list | tuple):
        return ", ".join(described for v in value if (described := describe(v)))
    if hasattr(value, "__dataclass_fields__"):
        return describe({f.name: getattr(value, f.name) for f in fields(value)})
    return ""


def _stored(collection: Collection | None) -> dict[str, tuple[int, ...]]:
    """Shapes of the rows of a collection's feature sets."""
    if collection is None:
        return {}
    folders = [path for path in sorted((collection.root / "features").glob("*")) if path.is_dir()]
    return {path.name: Manifest.load(path).shape for path in folders}


def _towers(model: Any) -> tuple[Any, list[str]]:
    """The options with random towers if their checkpoint is not at hand, and a note that says so."""
    towers = getattr(model, "towers", None)
    if towers is None or at_hand(towers.path):
        return model, []
    random: Literal["random"] = "random"
    note = f"{towers.path} is not at hand: CLIP's towers have its architecture and random weights here"
    return replace(model, towers=replace(towers, start=random)), [note]
