"""The learning rate of each step."""

import math

from matchcut.training.settings import TrainingSettings


def rate(settings: TrainingSettings, step: int, total: int, *, halvings: int = 0) -> float:
    """Learning rate at a step as a share of the peak: a linear warm-up, then the schedule.

        cosine:            (1 + cos(pi * (step - w) / (total - w))) / 2 after w steps of warm-up
        cosine_unshifted:  (1 + cos(pi * step / total)) / 2, not moved by the warm-up (BertAdam, in CLIP4Clip's code)
        steps:             decay ** floor(epoch / decay_every), the epoch counted from 0
        constant:          1

    and half of that for each of the `halvings` that `halve` has asked for.

    Args:
        step: steps done before this one.
        total: steps of the whole training.

    >>> s = TrainingSettings(warmup=0.5)
    >>> [round(rate(s, step, 8), 2) for step in range(8)]
    [0.25, 0.5, 0.75, 1.0, 1.0, 0.85, 0.5, 0.15]
    >>> s = TrainingSettings(warmup=0, schedule="steps", decay=0.1, decay_every=2, epochs=4)
    >>> [round(rate(s, step, 8), 2) for step in range(8)]
    [1.0, 1.0, 1.0, 1.0, 0.1, 0.1, 0.1, 0.1]
    """
    warmup = round(settings.warmup * total)
    if step < warmup:
        return (step + 1) / warmup * 0.5**halvings
    share = 1.0
    if settings.schedule == "cosine":
        share = 0.5 * (1 + math.cos(math.pi * (step - warmup) / max(1, total - warmup)))
    elif settings.schedule == "cosine_unshifted":
        share = 0.5 * (1 + math.cos(math.pi * step / total))
    elif settings.schedule == "steps":
        epoch = step * settings.epochs // total
        share = settings.decay ** (epoch // settings.decay_every)
    return share * 0.5**halvings


def halve(settings: TrainingSettings, *, better: bool, held: int) -> bool:
    """Whether the rate is halved after an epoch.

    Source: reference code `danieljf24/dual_encoding`, whose `halve_after` is 3; an improvement does not start the count
    anew.

    Args:
        better: whether the epoch brought the best validation score so far.
        held: epochs since the last halving, this one included.

    >>> settings = TrainingSettings(halve_after=3)
    >>> [halve(settings, better=False, held=held) for held in (1, 2, 3)]
    [False, False, True]
    """
    return settings.halve_after > 0 and not better and held >= settings.halve_after
