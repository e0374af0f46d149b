"""Training one model from stored features."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import torch

from matchcut.collection import Collection
from matchcut.training.recipe import Recipe
from matchcut.training.run import Run, Trained, autocast
from matchcut.training.shared import SharedData
from matchcut.training.step import encode

Progress = Callable[[dict[str, Any]], None]


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
    with threads(recipe.training.threads):
        run = Run(recipe, collection, name=name, again=again, device=device, shared=shared)
        forward = autocast(run.settings, run.device)
        try:
            while not run.done:
                for index in run.begin_epoch():
                    batch = run.read(index)
                    with forward():
                        loss = run.loss(batch, encode(run.model, batch))
                    loss.backward()  # type: ignore[no-untyped-call]
                    run.update(loss)
                record = run.end_epoch()
                if progress is not None:
                    progress(record)
        finally:
            run.close()
    return run.result()


@contextmanager
def threads(count: int) -> Iterator[None]:
    """Let PyTorch use so many threads; 0: as many as before."""
    before = torch.get_num_threads()
    torch.set_num_threads(count or before)
    try:
        yield
    finally:
        torch.set_num_threads(before)
