"""The optimiser of a recipe, with a learning rate of its own for CLIP's towers."""

import torch
from torch import nn
from torch.optim import Optimizer

from matchcut.errors import MatchcutError
from matchcut.training.settings import TrainingSettings

TOWERS = "towers.clip."


def make_optimizer(settings: TrainingSettings, model: nn.Module, objective: nn.Module) -> Optimizer:
    """The optimiser over the parameters of a network and of its objective.

    With `tower_lr` the parameters of CLIP's towers are a second group, as in CLIP4Clip's code (1e-7 beside 1e-4).
    Each group keeps its peak learning rate as `peak`; `set_rate` sets the share of it.

    Raises:
        MatchcutError: if there is a `tower_lr` and the network has no towers.
    """
    named = list(model.named_parameters())
    towers = [p for name, p in named if settings.tower_lr and TOWERS in f".{name}"]
    apart = {id(p) for p in towers}
    groups = [{"params": [p for p in [*model.parameters(), *objective.parameters()] if id(p) not in apart]}]
    groups[0]["peak"] = settings.lr  # type: ignore[assignment]
    if settings.tower_lr:
        if not towers:
            raise MatchcutError("training.tower_lr: the network has no CLIP towers that are trained; leave it out")
        groups.append({"params": towers, "peak": settings.tower_lr})  # type: ignore[dict-item]
    if settings.optimizer == "rmsprop":
        return torch.optim.RMSprop(groups, lr=settings.lr, eps=settings.epsilon, weight_decay=settings.weight_decay)
    kind = torch.optim.AdamW if settings.optimizer == "adamw" else torch.optim.Adam
    betas = (0.9, settings.beta2)
    return kind(
        groups, lr=settings.lr, betas=betas, eps=settings.epsilon, weight_decay=settings.weight_decay, fused=True
    )


def set_rate(optimizer: Optimizer, share: float) -> None:
    """Set every group's learning rate to a share of its peak."""
    for group in optimizer.param_groups:
        group["lr"] = group["peak"] * share
