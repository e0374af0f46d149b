"""Every recipe of the project builds its network and takes a step; every cell of every grid is a recipe."""

import re
from dataclasses import fields, replace
from functools import cache
from pathlib import Path

import pytest
import torch

from matchcut.config import read_toml
from matchcut.models.clip_towers import TowersConfig
from matchcut.models.partners import PartnersConfig
from matchcut.sweep.grid import Grid
from matchcut.training.check import check
from matchcut.training.recipe import Recipe

RECIPES = Path(__file__).parents[2] / "recipes"
FILES = sorted(path.relative_to(RECIPES).as_posix() for path in RECIPES.rglob("*.toml"))
GRIDS = [name for name in FILES if "grid" in Path(name).stem]
SINGLE = [name for name in FILES if name not in GRIDS]
NARROW = {
    "word_dim": 6, "dim": 8, "item_hidden": 5, "text_hidden": 4, "filters": 3, "similarity_dim": 6, "caption_hidden": 5,
    "feed_forward": 16, "layers": 1, "hidden": 8,
}  # fmt: skip
# How Gong and Cosma's table of settings reads, row by row: rate, epochs between decays, epochs, batch.
OWN = {
    "vsepp": {"flickr30k coco": (2e-3, 2, 30, 128), "iapr": (8e-4, 8, 30, 128)},
    "vsrn": {"flickr30k": (4e-4, 5, 30, 128), "coco": (4e-4, 6, 30, 128), "iapr": (5e-4, 20, 30, 128)},
    "sgr": {"flickr30k": (4e-4, 30, 40, 84), "coco": (4e-4, 10, 20, 84), "iapr": (4e-4, 20, 40, 128)},
    "saf": {"flickr30k": (4e-4, 20, 30, 84), "coco": (4e-4, 10, 20, 84), "iapr": (4e-4, 20, 40, 128)},
    "vse_infinity": {"flickr30k coco": (8e-4, 10, 30, 128), "iapr": (8e-4, 10, 30, 84)},
}
ORIGINAL = {
    "vsepp": {"flickr30k coco": (2e-4, 15, 30, 128)},
    "vsrn": {"flickr30k": (2e-4, 10, 30, 128), "coco": (2e-4, 15, 30, 128)},
    "sgr": {"flickr30k": (2e-4, 30, 40, 128), "coco": (2e-4, 10, 20, 128)},
    "saf": {"flickr30k": (2e-4, 20, 30, 128), "coco": (2e-4, 10, 20, 128)},
    "vse_infinity": {"flickr30k coco": (5e-4, 15, 25, 128)},
}


@pytest.fixture(scope="module")
def tiny_clip(tmp_path_factory: pytest.TempPathFactory) -> str:
    """The configuration of a small CLIP: the published towers take 2 to 2.5 GB and up to 15 s of computing each."""
    from transformers import CLIPConfig

    side = {"hidden_size": 16, "intermediate_size": 64, "num_hidden_layers": 2, "num_attention_heads": 2}
    text = side | {"vocab_size": 60, "eos_token_id": 59, "bos_token_id": 58}
    vision = side | {"image_size": 32, "patch_size": 8}
    folder = tmp_path_factory.mktemp("clip")
    CLIPConfig(text_config=text, vision_config=vision, projection_dim=16).save_pretrained(folder)
    return str(folder)


@cache
def read(name: str) -> Recipe:
    return Recipe.read(RECIPES / name)


@cache
def read_grid(name: str) -> Grid:
    return Grid.read(RECIPES / name)


@cache
def first_of_its_kind() -> set[str]:
    """One recipe for each network that is unlike all others, the size of the vocabulary apart."""
    kinds: dict[object, str] = {}
    for name in SINGLE:
        model = read(name).model
        kinds.setdefault(repr(replace(model, vocabulary=0) if hasattr(model, "vocabulary") else model), name)
    return set(kinds.values())


def narrow(recipe: Recipe) -> Recipe:
    """The same recipe with the widths of its network made small."""
    known = {f.name for f in fields(recipe.model)}
    return replace(recipe, model=replace(recipe.model, **{k: v for k, v in NARROW.items() if k in known}))


def with_towers(recipe: Recipe, path: str) -> Recipe:
    towers = getattr(recipe.model, "towers", None)
    if towers is None:
        return recipe
    model = replace(recipe.model, towers=replace(towers, path=path, start="random"), layers=1, heads=2)
    return replace(recipe, model=model)


@pytest.mark.parametrize("name", SINGLE)
def test_recipe_takes_a_step(name, tiny_clip):
    """Each network at its published size once; recipes that differ in nothing else run at small widths."""
    recipe = read(name)
    if getattr(recipe.model, "towers", None) is not None:
        recipe = with_towers(recipe, tiny_clip)
    elif name not in first_of_its_kind():
        recipe = narrow(recipe)
    seen = check(recipe, pairs=2)
    assert seen.loss >= 0
    assert seen.trained > 0


@pytest.mark.parametrize("name", GRIDS)
def test_every_cell_of_a_grid_is_a_recipe(name, tiny_clip):
    """Reading the grid checks all numbers; objectives that differ in nothing else take one step."""
    grid = read_grid(name)
    assert len(grid.cells) >= 3
    networks = {
        (repr(r.model), re.sub(r"[\d.]+", "", repr(r.objective_table))): r for r in (c.recipe for c in grid.cells)
    }
    for recipe in networks.values():
        seen = check(with_towers(recipe, tiny_clip) if "dmae" in name else narrow(recipe), pairs=2)
        assert seen.loss >= 0


CONTROLS = {
    "lseh/grid_controls_vsepp": {
        "loss": "hard all_negatives margin_0.185 margin_0.21 masked lseh lseh_shuffled lseh_distinct",
        "schedule": "own original",
    },
    "cmgsd/grid": {
        "margins": "all fixed static_text static_item dynamic_text dynamic_item no_ramp joint hardest "
        "shuffled constant one_hinge no_fixed"
    },
    "cmgsd/grid_mapping": {"mapping": "zscore minmax proportional relevance step"},
}


@pytest.mark.parametrize("name", CONTROLS)
def test_controls_and_ablations_of_the_pages_are_there(name):
    axes = {axis.name: " ".join(axis.choices) for axis in read_grid(f"{name}.toml").axes}
    assert axes.items() >= CONTROLS[name].items()


def cell(grid, start):
    return next(cell.recipe for cell in read_grid(grid).cells if cell.name.startswith(start))


def test_controls_differ_in_what_they_control_alone():
    """LSEH's shuffled margins name other vectors, and CMGSD's constant ones have no spread; all else is equal."""
    lseh, shuffled = (
        cell("lseh/grid_controls_sgr.toml", name).objective_table for name in ("lseh-own", "lseh_shuffled-own")
    )
    assert repr(lseh).replace("'svd'", "'shuffled:svd'") == repr(shuffled)
    distinct = cell("lseh/grid_controls_sgr.toml", "lseh_distinct-own")
    assert (distinct.objective_table, distinct.training.distinct_items) == (lseh, True)
    terms = {name: cell("cmgsd/grid.toml", name).objective().terms[0] for name in ("all", "shuffled", "constant")}
    for plain, other, constant in zip(*(terms[name].experts[1:] for name in terms), strict=True):
        (margin,), (control,), (flat,) = plain.treatments, other.treatments, constant.treatments
        assert control == replace(margin, evidence=f"shuffled:{margin.evidence}")
        assert flat == replace(margin, spread=0.0)
        assert plain.weight == other.weight == constant.weight


@pytest.mark.parametrize(("table", "end"), [(OWN, ""), (ORIGINAL, "_original")])
def test_lseh_settings_are_those_of_the_page(table, end):
    for network, rows in table.items():
        for names, (lr, every, epochs, batch) in rows.items():
            for data in names.split():
                for loss in ("hard", "lseh"):
                    training = read(f"lseh/{network}_{loss}_{data}{end}.toml").training
                    found = (training.lr, training.decay_every, training.epochs, training.batch_size)
                    assert found == (lr, every, epochs, batch), (network, loss, data, end)
                    assert (training.schedule, training.decay, training.clip) == ("steps", 0.1, 2.0)


def test_the_grids_of_lseh_are_the_single_recipes():
    for data in ("flickr30k", "coco", "iapr"):
        for cell in read_grid(f"lseh/grid_{data}.toml").cells:
            if cell.choices["training.seed"] != "seed0":
                continue
            single = read(f"lseh/{cell.choices['network']}_{cell.choices['loss']}_{data}.toml")
            assert cell.recipe.model == single.model
            assert cell.recipe.training == replace(single.training, threads=1)
            assert repr(cell.recipe.objective()) == repr(single.objective())


def test_lseh_counts_at_the_published_vocabulary():
    """Parameters of the methods page; the sum of VSRN's parts holds the caption task."""
    published = {"vsepp": 82_116_268, "vsrn": 125_601_401, "sgr": 18_109_175, "saf": 17_517_306}
    for network, count in published.items():
        model = read(f"lseh/{network}_lseh_flickr30k.toml").model
        with torch.device("meta"):
            built = model.build({"words": ()}, {"regions": (36, 2048)})
        assert sum(p.numel() for p in built.parameters()) == count


@pytest.mark.parametrize(("towers", "clip"), [("b32", 151_277_313), ("b16", 149_620_737)])
def test_dmae_is_built_on_whole_clips(towers, clip):
    """Counted on the network at its real size, without memory for it; CLIP's counts are those of the checkpoints."""
    model = read(f"dmae/msrvtt_vit_{towers}.toml").model
    assert isinstance(model.towers, TowersConfig)
    assert isinstance(model.partners, PartnersConfig)
    with torch.device("meta"):
        model = replace(model, towers=replace(model.towers, start="random"))
        built = model.build({"clip-token-ids": (), "clip-salience": (1,)}, {"clip-pixels": (3, 224, 224)})
    assert sum(p.numel() for p in built.trunk.towers.clip.parameters()) == clip
    assert built.trunk.width == 512
    assert model.partners.max_visual == 12 * (1 + model.towers.patches)


def test_names_in_recipes_are_those_of_their_files():
    assert all("name" not in read_toml(RECIPES / name) for name in SINGLE if "/" in name)
