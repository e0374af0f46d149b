"""Checkpoints of public reference implementations, taken over as models or as weights alone."""

import argparse
import json
import pickle
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, is_dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from matchcut.collection import Collection
from matchcut.config import decode, override, plain
from matchcut.encoders.vocabulary import SPECIAL, Vocabulary
from matchcut.errors import MatchcutError
from matchcut.files import write_text
from matchcut.models import MODELS, config_class, presets
from matchcut.models.base import RetrievalModel
from matchcut.models.convert import CONVERTERS
from matchcut.models.convert.sizes import Shape, Sized, read_sizes
from matchcut.training import checkpoint
from matchcut.training.checkpoint import BEST
from matchcut.training.data import read_manifest
from matchcut.training.recipe import Recipe, plain_name
from matchcut.training.text_streams import BAGS, WORDS, stored_item, stored_text

PLACES = ("model", "state_dict", "model_state_dict")  # keys below which checkpoints keep their tensors


@dataclass(frozen=True)
class Converted:
    """A network's options and parameters, all of which its reference checkpoint gave."""

    name: str  # of the network
    source: str  # the checkpoint's file
    sized: Sized
    tensors: dict[str, Tensor]

    @property
    def parameters(self) -> int:
        """How many numbers there are."""
        return sum(tensor.numel() for tensor in self.tensors.values())

    def recipe(self, name: str) -> Recipe:
        """A recipe with the network's options, for a model of that name."""
        model = {"name": self.name, **plain(asdict(self.sized.config))}
        return Recipe.of({"name": name, "model": model}, source=self.source)


def read_checkpoint(path: Path) -> Any:
    """The tensors of a checkpoint: a state dictionary, or a list of them.

    Only tensors and plain values are read, with `weights_only`: beside them the options of a command line
    (`argparse.Namespace`) and NumPy numbers, which such files hold, and nothing that could run.

    Raises:
        MatchcutError: if the file is missing, damaged, or holds anything else.
    """
    # Old files name NumPy's numbers by the module they were in before NumPy 2.
    multiarray: Any = getattr(np, "_core").multiarray  # noqa: B009
    scalar = multiarray.scalar
    kinds = [type(np.dtype(kind)) for kind in ("float64", "float32", "int64", "int32", "bool")]
    allowed = [argparse.Namespace, scalar, (scalar, "numpy.core.multiarray.scalar"), np.dtype, *kinds]
    try:
        with torch.serialization.safe_globals(allowed), warnings.catch_warnings():
            warnings.simplefilter("ignore")  # about the age of the file; what matters is an error
            loaded = torch.load(path, map_location="cpu", weights_only=True)
    except OSError as error:
        reason = "there is no such file" if isinstance(error, FileNotFoundError) else error.strerror or error
        raise MatchcutError(f"{path}: {reason}") from error
    except Exception as error:  # a damaged file may fail anywhere in the unpickler, with any error
        if "TorchScript" in str(error):
            raise MatchcutError(f"{path}: a TorchScript archive, which holds code; save its state_dict()") from error
        if isinstance(error, pickle.UnpicklingError) and "Unsupported operand" not in str(error):
            raise MatchcutError(f"{path}: not read: {_reason(error)}") from error
        raise MatchcutError(f"{path}: not a checkpoint of PyTorch, or a damaged one") from error
    for place in PLACES:
        if isinstance(loaded, Mapping) and isinstance(loaded.get(place), Mapping | list | tuple):
            loaded = loaded[place]
    parts = loaded if isinstance(loaded, list | tuple) else [loaded]
    for part in parts:
        if not isinstance(part, Mapping) or not all(map(_plain_tensor, part.values())):
            raise MatchcutError(f"{path}: no state dictionary in it, nor below {', '.join(map(repr, PLACES))}")
    return loaded


def _plain_tensor(value: object) -> bool:
    return isinstance(value, Tensor) and value.layout == torch.strided and not value.is_quantized


def _reason(error: Exception) -> str:
    """What PyTorch refused, without its advice to read the file anyway."""
    lines = [line.strip() for line in str(error).splitlines() if "GLOBAL" in line]
    found = (lines or str(error).splitlines() or [""])[0].removeprefix("WeightsUnpickler error: ")
    return f"it holds more than tensors and plain values ({found.partition(' was not')[0].partition('. ')[0]})"


def convert(path: Path, network: str, *, preset: str = "default", options: Sequence[str] = ()) -> Converted:
    """Take over a checkpoint: rename its tensors, read the network's sizes from them, and check that they fit.

    Args:
        network: a key of `matchcut.models.convert.CONVERTERS`.
        preset: settings that the tensors do not tell.
        options: "key=value" over the preset, such as "item=regions".

    Raises:
        MatchcutError: if a parameter is missing, unexpected, of another shape or kind of number, or not finite, or the
            tensors are not of a size that `options` name.
    """
    if network not in CONVERTERS:
        known = f"known are {', '.join(CONVERTERS)}"
        why = "no layout of it is known" if network in MODELS else "there is no such network"
        raise MatchcutError(f"--network {network}: {why}; {known}")
    there = presets(network)
    if preset not in there:
        raise MatchcutError(f"--preset {preset}: {network} has {', '.join(there)}")
    table = plain(asdict(there[preset]))
    override(table, options)
    if network in ("clip_video", "dmae") and not table.get("towers"):
        raise MatchcutError(
            f"{network}: say which CLIP it was made from: --set towers.path=openai/clip-vit-base-patch32"
        )
    config = decode(config_class(network), table, where="--set")
    states = read_checkpoint(path)
    try:
        keep = {"unused_norm": True} if getattr(config, "unused_norm", False) else {}
        tensors = CONVERTERS[network](states, **keep)  # type: ignore[operator]
        sized = read_sizes(network, config, tensors)
        with torch.device("meta"):
            expected = sized.config.build(sized.text_shapes, sized.item_shapes).state_dict()
    except (ValueError, OSError) as error:
        raise MatchcutError(f"{path}: {error}") from error
    for key in expected.keys() - tensors.keys():
        if key.endswith("num_batches_tracked"):  # a counter that PyTorch before 0.4.1 did not keep
            tensors[key] = torch.tensor(0)
    _same(path, network, expected, tensors)
    _overruled(path, options, config, sized.config)
    for key, tensor in tensors.items():
        if not bool(tensor.isfinite().all()):
            raise MatchcutError(f"{path}: {key} holds numbers that are not finite: its training broke down")
    return Converted(network, str(path), sized, {key: tensors[key] for key in expected})


def _same(path: Path, network: str, expected: Mapping[str, Tensor], found: Mapping[str, Tensor]) -> None:
    wrong = [
        f"{len(missing)} missing, such as {missing[0]}" for missing in [sorted(expected.keys() - found)] if missing
    ]
    wrong += [f"{len(more)} unexpected, such as {more[0]}" for more in [sorted(found.keys() - expected)] if more]
    for key in expected.keys() & found.keys():
        if expected[key].shape != found[key].shape:
            shapes = (" x ".join(map(str, x[key].shape)) for x in (found, expected))
            wrong.append("{} is {} and not {}".format(key, *shapes))
        elif expected[key].is_floating_point() != found[key].is_floating_point():
            wrong.append(f"{key} holds numbers of type {str(found[key].dtype).removeprefix('torch.')}")
    if wrong:
        raise MatchcutError(
            f"{path}: does not fit {network} with these options: {'; '.join(wrong[:4])}; try another --preset or --set"
        )


def _overruled(path: Path, options: Sequence[str], asked: Any, sized: Any) -> None:
    """Sizes are read from the tensors: one that was asked for and is not theirs is an error, not forgotten."""
    for key in (option.partition("=")[0].strip() for option in options):
        if "." not in key and not is_dataclass(getattr(asked, key)) and getattr(asked, key) != getattr(sized, key):
            raise MatchcutError(f"--set {key}: {getattr(asked, key)} was asked for, {path} has {getattr(sized, key)}")


def save_weights(path: Path, converted: Converted) -> None:
    """Write the weights with the network's options as one safetensors file, for `open_weights`."""
    shapes = {"text": converted.sized.text_shapes, "item": converted.sized.item_shapes}
    facts = {"network": converted.name, "options": plain(asdict(converted.sized.config)), "shapes": shapes}
    checkpoint.write(path, converted.tensors, facts)


def open_weights(path: Path) -> RetrievalModel[Any, Any]:
    """The network of a file that `save_weights` wrote, in evaluation mode.

    Raises:
        MatchcutError: if it is not one.
    """
    tensors, facts = checkpoint.read(path)
    if not {"network", "options", "shapes"} <= facts.keys():
        raise MatchcutError(f"{path}: holds no converted weights; a trained model is opened by its folder")
    config = decode(config_class(facts["network"]), facts["options"], where=str(path))
    text, item = ({name: tuple(shape) for name, shape in facts["shapes"][side].items()} for side in ("text", "item"))
    model: RetrievalModel[Any, Any] = config.build(text, item)
    model.load_state_dict(tensors)
    return model.eval()


def save_model(
    collection: Collection, name: str, converted: Converted, *, vocabulary: Vocabulary | None = None
) -> Path:
    """Write a model of a collection, which `evaluate` and `search` open; return its folder.

    The collection's feature sets are taken to be what the network was trained on: only their row shapes can be checked.

    Args:
        name: of its folder, which must not be there.
        vocabulary: the reference's own words, for a network that reads words.

    Raises:
        MatchcutError: if a feature set is missing or has other rows, or words are needed and not given.
    """
    folder = collection.root / "models" / plain_name(name, where="--out")
    if folder.exists():
        raise MatchcutError(f"{folder}: is there already; choose another --out")
    recipe = converted.recipe(name)
    sides = [("captions", stored_text(recipe), converted.sized.text_shapes)]
    sides.append(("frames", stored_item(recipe), converted.sized.item_shapes))
    features: dict[str, dict[str, object]] = {}
    for of, names, shapes in sides:
        for stream in names:
            manifest = read_manifest(collection, stream, of=of)
            if manifest.shape != shapes[stream] and not _rows_of(shapes[stream], manifest.shape):
                raise MatchcutError(
                    f"{collection.root / 'features' / stream}: has rows of {_shown(manifest.shape)}, the network reads "
                    f"{_shown(shapes[stream])}; name other streams with --set"
                )
            features[stream] = manifest.identity()
    words = _words(recipe, converted, vocabulary)
    facts = {"recipe": recipe.to_dict(), "features": features, "data": {}, "vocabulary": words, "targets": {}}
    write_text(folder / "recipe.toml", recipe.to_toml())
    checkpoint.write(folder / BEST, checkpoint.named("model", converted.tensors), {**facts, "epoch": 0})
    return folder


def _words(recipe: Recipe, converted: Converted, vocabulary: Vocabulary | None) -> list[str]:
    if BAGS in recipe.text:
        raise MatchcutError(
            "the network counts words in an order that only its own code's pickled vocabulary knows; without "
            "--collection its weights alone are written"
        )
    if WORDS not in recipe.text:
        return []
    if vocabulary is None:
        raise MatchcutError(
            "--vocabulary: not given; the network reads words, and only its own list tells their numbers"
        )
    known = converted.sized.config.vocabulary
    if len(vocabulary) != known:
        raise MatchcutError(f"--vocabulary: has {len(vocabulary):,} words, the network knows {known:,}")
    return list(vocabulary.words)


def read_vocabulary(path: Path) -> Vocabulary:
    """A reference code's vocabulary as JSON, {"word2idx": {word: number}} as SCAN and SGRAF have it, or one of ours.

    Raises:
        MatchcutError: if it is neither (pickled ones are not read), or does not begin with the special words.
    """
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        numbers = content["word2idx"] if isinstance(content, dict) and "word2idx" in content else None
    except (OSError, ValueError) as error:
        raise MatchcutError(f"{path}: not a vocabulary in JSON ({error}); pickled ones are not read") from error
    if numbers is None:
        return Vocabulary.load(path)
    known = numbers if isinstance(numbers, dict) else {}
    words = [word for _, word in sorted((number, word) for word, number in known.items() if isinstance(number, int))]
    if [known[word] for word in words] != list(range(len(known))) or tuple(words[:4]) != SPECIAL:
        raise MatchcutError(f"{path}: word2idx: expected the numbers from 0 on, the first {', '.join(SPECIAL)}")
    return Vocabulary(tuple(words))


def _rows_of(one: Shape, other: Shape) -> bool:
    """Whether one is a row of the other: a picture's regions may be stored together or each as a row."""
    return one[-1:] == other[-1:] and min(len(one), len(other)) == 1


def _shown(shape: Shape) -> str:
    return " x ".join(map(str, shape)) or "single numbers"
