"""The sections of a recipe."""

from dataclasses import dataclass, field
from typing import Literal


@dataclass(frozen=True, kw_only=True)
class DataSettings:
    """Which captions and items to train on. The network names the feature sets that it reads."""

    collection: str = ""  # folder; usually given on the command line instead
    scheme: str = "default"  # split scheme
    train: str = "train"
    val: str = "val"
    test: str = "test"
    vocabulary_threshold: int = 5  # a word is known if the training captions hold it so often
    concept_threshold: int = 1  # an item shows a concept if its captions name it more often than this
    word_vectors: str = ""  # file of pre-trained vectors that the words start from; see `training.word_vectors`
    thin_captions: bool = False  # train on captions without some of their least telling words; see `encoders.thinning`
    shapes: dict[str, list[int]] = field(default_factory=dict)
    """Row shape of feature sets that no encoder here makes, {regions = [36, 2048]}. Only `train --check` reads it."""

    def __post_init__(self) -> None:
        for name, least in (("vocabulary_threshold", 1), ("concept_threshold", 0)):
            if getattr(self, name) < least:
                raise ValueError(f"{name} must be at least {least}, got {getattr(self, name)}")


LEAST = {
    "seed": 0, "epochs": 1, "samples": 0, "batch_size": 2, "memory": 0, "tower_lr": 0, "weight_decay": 0,
    "decay_every": 1, "halve_after": 0, "clip": 0, "threads": 0, "patience": 0,
}  # fmt: skip
MOST = {"seed": 2**32 - 1, "threads": 1024}


@dataclass(frozen=True, kw_only=True)
class TrainingSettings:
    """How long and how fast to learn."""

    seed: int = 0
    epochs: int = 20
    samples: int = 0  # captions an epoch, drawn anew for each; 0 for all of them
    batch_size: int = 128  # captions a step, each with its item
    distinct_items: bool = False  # no batch holds two captions of one item
    memory: int = 0  # items of earlier steps that are further negatives of a step; 0 for none
    optimizer: Literal["adam", "adamw", "rmsprop"] = "adamw"
    lr: float = 1e-3  # peak, reached after the warm-up
    tower_lr: float = 0.0  # peak for the parameters of CLIP's towers; 0: lr, like all others
    beta2: float = 0.999  # of Adam's second moment
    epsilon: float = 1e-8  # of Adam's denominator
    weight_decay: float = 0.01
    warmup: float = 0.05  # share of all steps
    schedule: Literal["cosine", "cosine_unshifted", "steps", "constant"] = "cosine"  # see `schedule.rate`
    decay: float = 0.1  # "steps": the rate is multiplied by this ...
    decay_every: int = 1  # ... every so many epochs
    halve_after: int = 0  # halve the rate after an epoch without a better score, if it held for so many; 0 for never
    clip: float = 2.0  # total gradient norm; 0 for none
    threads: int = 0  # of PyTorch on a CPU; 0 for its own choice. They decide the order of sums: the last digits
    precision: Literal["auto", "float32", "bf16"] = "auto"  # auto: bf16 on a GPU, float32 elsewhere
    patience: int = 0  # stop after so many epochs without a better validation score; 0 for never
    average: float = 0.0  # decay a step of the moving average of weights that is validated and kept; 0 for none

    def __post_init__(self) -> None:
        for name, least in LEAST.items():
            if getattr(self, name) < least:
                raise ValueError(f"{name} must be at least {least}, got {getattr(self, name)}")
        for name, most in MOST.items():
            if getattr(self, name) > most:
                raise ValueError(f"{name} must be at most {most}, got {getattr(self, name)}")
        for name in ("lr", "epsilon"):
            if getattr(self, name) <= 0:
                raise ValueError(f"{name} must be above 0, got {getattr(self, name)}")
        if not 0 < self.decay <= 1:
            raise ValueError(f"decay must be above 0 and at most 1, got {self.decay}")
        for name in ("warmup", "average", "beta2"):
            if not 0 <= getattr(self, name) < 1:
                raise ValueError(f"{name} must be at least 0 and below 1, got {getattr(self, name)}")
