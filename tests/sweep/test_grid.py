from pathlib import Path

import pytest

from matchcut.errors import MatchcutError
from matchcut.sweep import Grid
from matchcut.sweep.grid import number

ROOT = Path(__file__).parents[2]


def table(grid, **recipe):
    return {"name": "g", **recipe, "grid": grid}


def test_the_product_of_all_axes_in_the_order_of_the_file(grid_file):
    grid = Grid.read(grid_file)
    assert [cell.name for cell in grid.cells] == ["0.01-all", "0.01-hardest", "0.003-all", "0.003-hardest"]
    assert [axis.name for axis in grid.axes] == ["training.lr", "negatives"]
    cell = grid.cells[2]
    assert cell.choices == {"training.lr": "0.003", "negatives": "all"}
    assert cell.recipe.name == "g-0.003-all"
    assert cell.recipe.training.lr == 0.003
    assert cell.recipe.training.batch_size == 8  # of the base
    assert cell.recipe.objective().terms[0].loss.negatives == "all"
    assert grid.cells[3].recipe.objective().terms[0].loss.negatives == "hardest"


def test_keys_in_quotes_and_inner_tables_say_the_same():
    quoted = Grid.of(table({"training.lr": [0.1, 0.2], "size": {"S": {"model.dim": 8}, "L": {"model.dim": 16}}}))
    nested = Grid.of(
        table({"training": {"lr": [0.1, 0.2]}, "size": {"S": {"model": {"dim": 8}}, "L": {"model": {"dim": 16}}}})
    )
    assert [c.recipe for c in quoted.cells] == [c.recipe for c in nested.cells]
    assert [c.recipe.model.dim for c in quoted.cells] == [8, 16, 8, 16]


def test_a_choice_reaches_into_a_list_and_leaves_the_base_as_it_was():
    objective = {"terms": [{"loss": {"name": "hinge"}, "treatments": []}]}
    grid = Grid.of(table({"objective": {"terms": {"0": {"loss": {"margin": [0.1, 0.3]}}}}}, objective=objective))
    assert [c.recipe.objective().terms[0].loss.margin for c in grid.cells] == [0.1, 0.3]
    assert objective == {"terms": [{"loss": {"name": "hinge"}, "treatments": []}]}


def test_another_network_replaces_the_options_of_the_one_below():
    nets = {"P": {}, "V": {"model": {"name": "vse_infinity"}}}
    grid = Grid.of(table({"network": nets}, model={"name": "projection", "hidden_layers": 0}))
    assert [c.recipe.model_name for c in grid.cells] == ["projection", "vse_infinity"]


def test_values_that_are_lists():
    grid = Grid.of(table({"model": {"text": [["minilm"], ["minilm", "svd"]]}}, model={"name": "projection"}))
    assert [c.name for c in grid.cells] == ["minilm", "minilm+svd"]
    assert grid.cells[1].recipe.text == ("minilm", "svd")


def test_overrides_change_the_recipe_and_the_grid(grid_file):
    grid = Grid.read(grid_file, overrides=["training.epochs=1", "grid.training.lr=[1e-5]", "name=other"])
    assert [cell.recipe.name for cell in grid.cells] == ["other-1e-5-all", "other-1e-5-hardest"]
    assert grid.cells[0].recipe.training.epochs == 1


def test_an_override_that_every_cell_overrides_is_refused(grid_file):
    with pytest.raises(MatchcutError, match=r"training\.lr=1: has no effect, .*--set 'grid\.training\.lr="):
        Grid.read(grid_file, overrides=["training.lr=1"])
    terms = 'objective.terms=[{loss={name="hinge"}}]'
    assert len(Grid.read(grid_file, overrides=[terms]).cells) == 4  # one choice of the axis leaves it as it is


def test_what_is_written_reads_as_the_same_grid(grid_file, tmp_path):
    grid = Grid.read(grid_file, overrides=["training.epochs=7"])
    (tmp_path / "again.toml").write_text(grid.to_toml())
    again = Grid.read(tmp_path / "again.toml")
    assert [(c.name, c.choices, c.recipe.to_dict()) for c in again.cells] == [
        (c.name, c.choices, c.recipe.to_dict()) for c in grid.cells
    ]


def test_only(grid_file):
    grid = Grid.read(grid_file)
    assert [c.name for c in grid.only(["*-all"])] == ["0.01-all", "0.003-all"]
    assert len(grid.only([])) == 4
    with pytest.raises(MatchcutError, match=r"--only x\*: fits no cell; the first is called '0.01-all'"):
        grid.only(["x*"])


@pytest.mark.parametrize(
    ("grid", "message"),
    [
        (None, "grid: no such table"),
        ({"training": {"lr": 0.1}}, r"grid.training.lr: expected a list of values, got 0.1"),
        ({"training": {"lr": []}}, r"grid.training.lr: expected a list of values, got \[\]"),
        ({"training": {"lr": [0.1, 0.1]}}, r"grid.training.lr: 0.1 is there twice"),
        ({"training": {"lrr": [0.1]}}, r"file.toml: cell 0.1: training: lrr: unknown key; did you mean 'lr'"),
        ({"training": {"lr": [0.1, -1.0]}}, r"file.toml: cell -1.0: training: lr must be above 0, got -1.0"),
        ({"training": {"optimizer": ["adam", "sgd"]}}, r"cell sgd: training: optimizer: expected one of 'adam'"),
        ({"lr": [0.1, 0.2]}, r"grid.lr: expected choices, .* such as training.lr = \[...\]"),
        ({"size": {"S": 3}}, r"grid.size.S: expected a table of what it sets, got 3"),
        ({"size": {"S": {"modell": {"dim": 3}}}}, r"grid.size.S: modell: unknown section"),
        ({"size": {"a/b": {}}}, r"grid.size: 'a/b': expected letters"),
        ({"training": {"lr": [0.1]}, "r": {"A": {"training.lr": 0.3}}}, "training.lr is set by both 'training.lr'"),
        ({"a": {"A": {"objective.preset": "vsepp"}}, "b": {"B": {"objective": {}}}}, "is set by both 'a' and 'b'"),
        ({"objective": {"terms": [[{"loss": {"name": "hinge"}}]]}}, r"makes no name; name the choices"),
        ({"objective": {"terms": {"3": {"weight": [0.1]}}}}, r"cell 0.1: '3' is not a position in a list of 1"),
        ({"training": {"seed": list(range(200)), "epochs": list(range(1, 200))}}, "39,800 cells"),
    ],
)  # fmt: skip
def test_what_is_wrong_is_said_with_file_key_and_cell(grid, message):
    made = table(grid, objective={"terms": [{"loss": {"name": "hinge"}}]})
    with pytest.raises(MatchcutError, match=message):
        Grid.of({k: v for k, v in made.items() if v is not None}, source="file.toml")


@pytest.mark.parametrize(
    ("file", "rates"),
    [("exclusion_2021_grid", (1e-4, 5e-5, 1e-5)), ("exclusion_2021_grid_small", (1e-3, 5e-4, 1e-4))],
)
def test_the_published_grid_has_72_models(file, rates):
    grid = Grid.read(ROOT / "recipes" / f"{file}.toml")
    assert len({cell.name for cell in grid.cells}) == 72
    assert [len(axis.choices) for axis in grid.axes] == [2, 2, 2, 3, 3]
    by_name = {cell.name: cell.recipe for cell in grid.cells}
    first = f"ATT-BERT-adam-{number(rates[0])}"
    last = f"ATV-W2V+BERT-rmsprop-{number(rates[2])}"
    assert (by_name[f"{first}-x0"].model.attention_in, by_name[f"{last}-x0"].model.attention_in) == ("text", "item")
    assert (by_name[f"{first}-x0"].model.words, by_name[f"{last}-x0"].model.words) == ("", "words")
    assert (by_name[f"{first}-x0"].training.lr, by_name[f"{last}-x0"].training.lr) == (rates[0], rates[2])
    kept = {x: by_name[f"{last}-{x}"].objective().terms[0].treatments for x in ("x0", "x1", "x2")}
    assert [len(treatments) for treatments in kept.values()] == [1, 2, 2]
    assert (kept["x1"][1].percent, kept["x2"][1].percent) == (1, 2)
    for x in ("x1", "x2"):
        assert by_name[f"{last}-{x}"].training == by_name[f"{last}-x0"].training
