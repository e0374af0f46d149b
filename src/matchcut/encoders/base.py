"""What an encoder is: a frozen network that turns pictures or sentences into rows of a feature set."""

import hashlib
from abc import ABC, abstractmethod
from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from numpy.typing import NDArray

from matchcut.features.manifest import Manifest

Rows = NDArray[np.float32]


class Encoder(ABC):
    """A frozen tower. The attributes are what a feature set's manifest records.

    To write one, set the attributes and implement `prepare` and `run`.
    """

    spec: str  # what `load_encoder` makes it from again
    name: str  # the usual name of its feature sets
    of: Literal["frames", "captions"]
    shape: tuple[int, ...]  # of one row
    weights: str  # hash of the weights
    preprocessing: str  # in words
    batch_size: int  # inputs a batch that suit it on this machine

    @abstractmethod
    def prepare(self, one: Any) -> Any:
        """The part of the work that needs no network, for one input. Safe to call from several threads.

        Frames come as uint8 arrays [height, width, 3], RGB; captions as strings.
        """

    @abstractmethod
    def run(self, prepared: Sequence[Any]) -> list[Rows]:
        """The rows of prepared inputs, each float32 [n, *shape]."""

    def encode(self, batch: Sequence[Any]) -> list[Rows]:
        """The rows of each picture (one row) or sentence (one row, or one a token): float32 [n, *shape]."""
        return self.run([self.prepare(one) for one in batch]) if len(batch) else []

    def manifest(self, *, name: str | None = None, dtype: Literal["float16", "float32"] = "float16") -> Manifest:
        """The manifest of a feature set made with it."""
        return Manifest(
            name=name or self.name,
            encoder=self.spec,
            weights=self.weights,
            preprocessing=self.preprocessing,
            of=self.of,
            shape=self.shape,
            dtype=dtype,
        )


def device() -> torch.device:
    """Where frozen networks run: the GPU if there is one."""
    return torch.device("cuda" if torch.cuda.is_available() else "cpu")


def precision(where: torch.device) -> AbstractContextManager[Any]:
    """bfloat16 on a GPU, full precision on a CPU."""
    return torch.autocast(where.type, torch.bfloat16) if where.type == "cuda" else nullcontext()


def hash_file(path: Path) -> str:
    """The first 16 hex digits of a file's SHA-256."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()[:16]


def hash_parameters(network: torch.nn.Module) -> str:
    """The first 16 hex digits of a SHA-256 over a network's parameters, whatever they are called.

    Names are left out, and so are buffers, because both change from one version of a library to the next.
    """
    parts = []
    for tensor in network.parameters():
        flat = tensor.detach().cpu().contiguous().flatten()
        head = f"{tensor.dtype} {list(tensor.shape)}".encode()
        parts.append(hashlib.sha256(head + flat.view(torch.uint8).numpy().tobytes()).digest())
    return hashlib.sha256(b"".join(sorted(parts))).hexdigest()[:16]
