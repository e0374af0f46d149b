"""Sizes of a network, read from its parameters."""

from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from typing import Any

from torch import Tensor

from matchcut.models.partners import PartnersConfig

State = Mapping[str, Tensor]
Shape = tuple[int, ...]


@dataclass(frozen=True)
class Sized:
    """A network's options with the sizes of a checkpoint, and the shapes of the rows that it reads."""

    config: Any
    text_shapes: dict[str, Shape]
    item_shapes: dict[str, Shape]


def read_sizes(name: str, config: Any, state: State) -> Sized:
    """Fill in what the parameters say: widths, number of words, kernels' filters. What they do not say stays.

    Args:
        name: of the network, a key of `CONVERTERS`.
        config: its options, usually a preset.
        state: its parameters by their names here.

    Raises:
        ValueError: if a parameter is missing that every network of that kind has, or has not its dimensions.

    >>> import torch
    >>> from matchcut.models.vsepp import VSEPPConfig
    >>> state = {"item.weight": torch.zeros(8, 24), "text.embedding.table.weight": torch.zeros(12, 6)}
    >>> sized = read_sizes("vsepp", VSEPPConfig(item="regions", regions=4), state)
    >>> sized.config.vocabulary, sized.config.dim, sized.item_shapes
    (12, 8, {'regions': (4, 6)})
    """
    try:
        return _READERS[name](config, state)
    except KeyError as error:
        raise ValueError(f"no parameter {error} of a network {name!r}") from error
    except (IndexError, TypeError) as error:  # of a shape with too few dimensions
        raise ValueError(f"a parameter has fewer dimensions than that of a network {name!r}") from error


def _matrix(state: State, key: str) -> tuple[int, int]:
    rows, columns = state[key].shape[0], state[key].shape[1]
    return rows, columns


def _words(config: Any, state: State) -> dict[str, Any]:
    if config.words not in config.text_streams:
        return {}
    vocabulary, word_dim = _matrix(state, "text.embedding.table.weight")
    return {"vocabulary": vocabulary, "word_dim": word_dim}


def _with(config: Any, **found: Any) -> Any:
    known = {field.name for field in fields(config)}
    return replace(config, **{key: value for key, value in found.items() if key in known})


def _vsepp(config: Any, state: State) -> Sized:
    dim, width = _matrix(state, "item.weight")
    if config.image == "flatten" and width % config.regions:
        raise ValueError(
            f"an item has {width} numbers, no {config.regions} equal regions; --set regions=..., or --preset pooled"
        )
    shape: Shape = (config.regions, width // config.regions) if config.image == "flatten" else (width,)
    return Sized(_with(config, dim=dim, **_words(config, state)), {config.words: ()}, {config.item: shape})


def _vsrn(config: Any, state: State) -> Sized:
    dim, width = _matrix(state, "reasoning.linear.weight")
    sized = _with(config, dim=dim, captions=False, **_words(config, state))  # checkpoints leave the caption task out
    return Sized(sized, {config.words: ()}, {config.item: (width,)})


def _sgraf(config: Any, state: State) -> Sized:
    dim, width = _matrix(state, "item.weight")
    regions = len(state["item_whole.local_norm.weight"])
    found = {"dim": dim, "similarity_dim": len(state["local.weight"]), "regions": regions}
    return Sized(_with(config, **found, **_words(config, state)), {config.words: ()}, {config.item: (regions, width)})


def _vse_infinity(config: Any, state: State) -> Sized:
    dim, width = _matrix(state, "item.linear.weight")
    text: dict[str, Shape] = {config.words: ()}
    if config.tokens:
        text = {config.tokens: (state["text.weight"].shape[1],)}
    return Sized(_with(config, dim=dim, **_words(config, state)), text, {config.item: (width,)})


def _levels(config: Any, state: State, space: str) -> Sized:
    """Dual encoding and the hybrid space; space: what its layers into the (latent) space begin with."""
    item, text = state["item.levels.gru.weight_ih_l0"], state["text.levels.gru.weight_ih_l0"]
    filters = len(state["item.levels.convolutions.convs.0.weight"])
    dim, text_width = _matrix(state, f"text_{space}.weight")
    text_hidden = state["text.levels.gru.weight_hh_l0"].shape[1]
    found = {"dim": dim, "filters": filters, "text_hidden": text_hidden}
    found |= {"item_hidden": state["item.levels.gru.weight_hh_l0"].shape[1], **_words(config, state)}
    if "item_spaces.concepts.0.weight" in state:
        found["concepts"] = len(state["item_spaces.concepts.0.weight"])
    sized = _with(config, **found)
    shapes: dict[str, Shape] = {config.words: ()} if config.words else {}
    if config.tokens:
        shapes[config.tokens] = (text.shape[1] - (sized.word_dim if config.words else 0),)
    if config.bag_of_words:
        shapes[config.bag_of_words] = (text_width - 2 * text_hidden - filters * len(config.text_kernels),)
    return Sized(sized, shapes, {config.frames: (item.shape[1],)})


def _multimodal_transformer(config: Any, state: State) -> Sized:
    reduced = [state[f"video.reduce.{i}.weight"] for i in range(len(config.experts))]
    layers = {key.split(".")[2] for key in state if key.startswith("video.layers.")}
    found = {
        "dim": len(reduced[0]),
        "layers": len(layers),
        "feed_forward": len(state["video.layers.0.widen.weight"]),
        "positions": len(state["video.position.weight"]),
        "batch_norm": "text.units.0.norm.weight" in state,
    }
    items: dict[str, Shape] = {name: (x.shape[1],) for name, x in zip(config.experts, reduced, strict=True)}
    items |= {name: () for name in config.times if name}
    return Sized(_with(config, **found), {config.text: (state["text.weigh.weight"].shape[1],)}, items)


def _clip_video(config: Any, state: State) -> Sized:
    towers = config.towers
    vision = "trunk.towers.clip.vision_model.embeddings."
    patch = state[f"{vision}patch_embedding.weight"]
    cells = len(state[f"{vision}position_embedding.weight"]) - 1
    edge = round(cells**0.5) * patch.shape[-1]
    sized = replace(config, dim=0, towers=replace(towers, start="random"))
    if "trunk.temporal.positions.weight" in state:
        blocks = {key.split(".")[3] for key in state if key.startswith("trunk.temporal.blocks.")}
        sized = replace(sized, layers=len(blocks), positions=len(state["trunk.temporal.positions.weight"]))
    layers = [key for key in state if key.startswith("word_weights.score.") and key.endswith(".weight")]
    sized = replace(sized, weight_depth=len(layers) or sized.weight_depth)
    return Sized(sized, {towers.token_ids: ()}, {towers.pixels: (patch.shape[1], edge, edge)})


def _dmae(config: Any, state: State) -> Sized:
    sized = _clip_video(config, state)
    partners = None  # of use in training alone, so a checkpoint without them is whole
    if "word_importance.mix.weight" in state:
        words, visual = _matrix(state, "word_importance.mix.weight")
        partners = replace(config.partners or PartnersConfig(), max_words=words, max_visual=visual)
    text: dict[str, Shape] = {**sized.text_shapes, **({config.salience: (1,)} if config.salience else {})}
    return replace(sized, config=replace(sized.config, partners=partners), text_shapes=text)


_READERS = {
    "dual_encoding": lambda config, state: _levels(config, state, "space.linear"),
    "hybrid_space": lambda config, state: _levels(config, state, "spaces.latent.linear"),
    "vsepp": _vsepp,
    "vsrn": _vsrn,
    "sgraf": _sgraf,
    "vse_infinity": _vse_infinity,
    "clip_video": _clip_video,
    "dmae": _dmae,
    "multimodal_transformer": _multimodal_transformer,
}
