"""What the training of a recipe needs from a collection and beside it, and what of it is there."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from matchcut.collection import Collection
from matchcut.features.manifest import Manifest
from matchcut.training.evidence import ALL, SHUFFLED, SVD
from matchcut.training.made_up import asked
from matchcut.training.recipe import Recipe

Shapes = Mapping[str, tuple[int, ...]]

# What training makes itself, from what.
MADE = {
    "words": "made in training: words by number",
    "bow": "made in training: word counts",
    "clip-token-ids": "made in training by the checkpoint's tokenizer",
    "clip-pixels": "made in training from the frames",
    "svd": "made in training from the captions",
    "own": "made in training: the network's own embeddings",
}
WEIGHTS = ("model.safetensors", "pytorch_model.bin")  # a checkpoint's files in the hub's cache
PACKAGED = ("minilm", "minilm-tokens", "efficientnet-lite0", "efficientnet-lite0-grid")


@dataclass(frozen=True)
class Need:
    """One thing: what it is, its name, the shape of a row, where it comes from, and whether it is there if looked."""

    what: str
    name: str
    shape: tuple[int, ...] | None
    source: str
    there: bool | None


def needs(recipe: Recipe, collection: Collection | None, shapes: Shapes) -> list[Need]:
    """What the real training reads.

    Args:
        collection: where to look, or None.
        shapes: of a row of each stream, as the network was built for.
    """
    found = [_parts(recipe, collection)]
    found += [_stream(recipe, name, "captions", shapes[name], collection) for name in recipe.text]
    found += [_stream(recipe, name, "frames", shapes[name], collection) for name in recipe.item]
    for name, of in asked(recipe).items():
        if name not in (*recipe.text, *recipe.item):
            found.append(_evidence(recipe, name, of, collection))
    if vectors := recipe.data.word_vectors:
        size = getattr(recipe.model, "word_dim", None)
        there = Path(vectors).exists()
        found.append(Need("word vectors", vectors, (size,) if size else None, "word2vec, GloVe or a BigFile", there))
    towers = getattr(recipe.model, "towers", None)
    if towers is not None:
        found.append(Need("checkpoint", towers.path, None, "a local folder, or the hub", at_hand(towers.path)))
    return found


def _parts(recipe: Recipe, collection: Collection | None) -> Need:
    wanted = (recipe.data.train, recipe.data.val)
    there = None
    if collection is not None:
        there = set(wanted) <= set(collection.splits().get(recipe.data.scheme, {}))
    source = f"split {recipe.data.scheme!r}: matchcut import, or matchcut add --captions"
    return Need("parts", ", ".join(wanted), None, source, there)


def _stream(recipe: Recipe, name: str, of: str, shape: tuple[int, ...], collection: Collection | None) -> Need:
    if name in MADE:
        return Need(of, name, shape, MADE[name], None if collection is None else True)
    towers = getattr(recipe.model, "towers", None)
    vector = "tokens" if name == getattr(recipe.model, "tokens", "") else "cls"
    source = _source(name, towers="" if towers is None else towers.path, vector=vector)
    return Need(of, name, shape, source, _there(name, of, shape, collection))


def _evidence(recipe: Recipe, name: str, of: str | None, collection: Collection | None) -> Need:
    if name.startswith(SHUFFLED):
        return replace(_evidence(recipe, name.removeprefix(SHUFFLED), of, collection), name=name)
    kind, _, rest = name.partition(":")
    if name in MADE or kind == SVD:
        return Need("evidence", name, None, MADE[kind], None if collection is None else True)
    if kind == "model" and rest:
        there = None
        if collection is not None:
            there = all((collection.root / "models" / part).is_dir() or Path(part).is_dir() for part in rest.split("+"))
        return Need("evidence", name, None, "trained models of the collection", there)
    if kind == "judged" and rest:
        return Need("evidence", name, None, "judgments", None if collection is None else rest in collection.judged())
    plain = name.removeprefix(ALL).removeprefix(SHUFFLED)
    side = "frames" if of == "item" else "captions"
    shape = tuple(recipe.data.shapes[plain]) if plain in recipe.data.shapes else None
    return Need("evidence", name, shape, _source(plain), _there(plain, side, shape, collection))


def _there(name: str, of: str, shape: tuple[int, ...] | None, collection: Collection | None) -> bool | None:
    if collection is None:
        return None
    folder = collection.root / "features" / name
    if not folder.is_dir():
        return False
    manifest = Manifest.load(folder)
    return manifest.of == of and shape in (None, manifest.shape)


def _source(name: str, *, towers: str = "", vector: str = "mean") -> str:
    """Where a feature set comes from; towers: the CLIP that the network trains, if any; vector: what of BERT it is."""
    if name in PACKAGED or name.startswith(("clip:", "bert:", "salience:")):
        return f"matchcut embed --encoder {name}"
    if name.endswith("-salience"):
        tokens = f"clip:{towers}?tower=text&vector=tokens" if towers else name.removesuffix("-salience")
        return f"matchcut embed --encoder 'salience:{tokens}' --name {name}"
    if name == "bert":
        return f"matchcut embed --encoder 'bert:CHECKPOINT?vector={vector}' --name {name}"
    return "made elsewhere, see docs/features.md"


def at_hand(path: str) -> bool:
    """Whether a checkpoint is a local folder or in the cache of the hub."""
    if Path(path).is_dir():
        return True
    from huggingface_hub import try_to_load_from_cache
    from huggingface_hub.errors import HFValidationError

    try:
        return any(isinstance(try_to_load_from_cache(path, name), str) for name in WEIGHTS)
    except HFValidationError:
        return False
