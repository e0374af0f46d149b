"""The sections of a recipe."""

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True, kw_only=True)
class DataSettings:
    """Which captions and items to train on. The network names the feature sets that it reads."""

    collection: str = ""  # folder; usually given on the command line instead
    scheme: str = "default"  # split scheme
    train: str = "train"
    val: str = "val"
    test: str = "test"


@dataclass(frozen=True, kw_only=True)
class TrainingSettings:
    """How long and how fast to learn."""

    seed: int = 0
    epochs: int = 20
    batch_size: int = 128  # captions a step, each with its item
    optimizer: Literal["adam", "adamw", "rmsprop"] = "adamw"
    lr: float = 1e-3  # peak, reached after the warm-up
    weight_decay: float = 0.01
    warmup: float = 0.05  # share of all steps
    schedule: Literal["cosine", "constant"] = "cosine"
    clip: float = 2.0  # total gradient norm; 0 for none
    precision: Literal["auto", "float32", "bf16"] = "auto"  # auto: bf16 on a GPU, float32 elsewhere
    patience: int = 0  # stop after so many epochs without a better validation score; 0 for never
    average: float = 0.0  # decay a step of the moving average of weights that is validated and kept; 0 for none

    def __post_init__(self) -> None:
        for name, least in (("epochs", 1), ("batch_size", 2), ("patience", 0), ("clip", 0), ("weight_decay", 0)):
            if getattr(self, name) < least:
                raise ValueError(f"{name} must be at least {least}, got {getattr(self, name)}")
        if self.lr <= 0:
            raise ValueError(f"lr must be above 0, got {self.lr}")
        for name in ("warmup", "average"):
            if not 0 <= getattr(self, name) < 1:
                raise ValueError(f"{name} must be at least 0 and below 1, got {getattr(self, name)}")
