"""Training states and trained models on disk: safetensors with what is needed to go on, and no pickle."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor, nn
from torch.optim import Optimizer

from matchcut.errors import MatchcutError
from matchcut.files import atomic
from matchcut.models.base import RetrievalModel
from matchcut.training.queue import CaptionQueue

BEST, LAST = "best.safetensors", "last.safetensors"
COUNTERS = ("epoch", "step", "best", "best_epoch", "seconds", "halvings", "held")


def write(path: Path, tensors: Mapping[str, Tensor], facts: Mapping[str, Any]) -> None:
    """Write tensors and JSON facts as one safetensors file, atomically."""
    cpu = {name: tensor.detach().cpu().contiguous().clone() for name, tensor in tensors.items()}
    with atomic(path) as temporary:
        try:
            save_file(cpu, temporary, metadata={"facts": json.dumps(facts)})
        except SafetensorError as error:
            raise OSError(str(error)) from error


def read(path: Path) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """Read what `write` wrote: tensors by name on the CPU, and the facts.

    Raises:
        MatchcutError: if the file is missing, cut off, or not one of ours.
    """
    try:
        with safe_open(path, framework="pt") as file:
            metadata = file.metadata() or {}
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
            return tensors, json.loads(metadata["facts"])
    except FileNotFoundError as error:
        raise MatchcutError(f"{path}: no such checkpoint") from error
    except (SafetensorError, OSError, KeyError, ValueError) as error:
        raise MatchcutError(f"{path}: not a readable checkpoint: {error}") from error


def part(tensors: Mapping[str, Tensor], prefix: str) -> dict[str, Tensor]:
    """The tensors whose name starts with `prefix.`, without it."""
    return {name[len(prefix) + 1 :]: tensor for name, tensor in tensors.items() if name.startswith(f"{prefix}.")}


def named(prefix: str, tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The tensors under names that start with `prefix.`."""
    return {f"{prefix}.{name}": tensor for name, tensor in tensors.items()}


@dataclass
class State:
    """All that changes while training."""

    model: RetrievalModel[Any, Any]
    objective: nn.Module
    optimizer: Optimizer
    average: dict[str, Tensor]  # moving average of the model's weights, empty if none is kept
    queue: CaptionQueue | None = None
    epoch: int = 0  # epochs done
    step: int = 0  # steps done
    best: float = float("-inf")
    best_epoch: int = 0
    seconds: float = 0.0
    halvings: int = 0  # of the learning rate
    held: int = 0  # epochs since the last of them

    def save(self, path: Path, facts: Mapping[str, Any]) -> None:
        """Write everything, the random states included, so that training goes on as if it had never stopped."""
        tensors = named("model", self.model.state_dict())
        tensors |= named("objective", self.objective.state_dict())
        tensors |= named("average", self.average)
        if self.queue is not None:
            tensors |= named("queue", self.queue.state())
        for position, values in self.optimizer.state_dict()["state"].items():
            tensors |= named(f"optimizer.{position}", values)
        tensors["random.cpu"] = torch.get_rng_state()
        if torch.cuda.is_available():
            tensors["random.cuda"] = torch.cuda.get_rng_state()
        counters = {name: getattr(self, name) for name in COUNTERS}
        write(path, tensors, {**facts, "counters": counters})

    def load(self, path: Path) -> None:
        """Take over everything that `save` wrote."""
        tensors, facts = read(path)
        self.model.load_state_dict(part(tensors, "model"))
        self.objective.load_state_dict(part(tensors, "objective"))
        self.average = {name: tensor.to(self.average[name].device) for name, tensor in part(tensors, "average").items()}
        if self.queue is not None:
            self.queue.load(part(tensors, "queue"))
        state = self.optimizer.state_dict()
        stored: dict[int, dict[str, Tensor]] = {}
        for name, tensor in part(tensors, "optimizer").items():
            position, _, key = name.partition(".")
            stored.setdefault(int(position), {})[key] = tensor
        self.optimizer.load_state_dict({"state": stored, "param_groups": state["param_groups"]})
        torch.set_rng_state(tensors["random.cpu"])
        if "random.cuda" in tensors and torch.cuda.is_available():
            torch.cuda.set_rng_state(tensors["random.cuda"])
        for name, value in facts["counters"].items():
            setattr(self, name, value)
