import pytest

from matchcut.errors import MatchcutError
from matchcut.models import MODELS, presets
from matchcut.training import Recipe

CASES = {
    "[training]\nepoch = 3\n": r"training: epoch: unknown key; did you mean 'epochs'\?",
    '[training]\nepochs = "three"\n': "training: epochs: expected a whole number, got text",
    '[training]\noptimizer = "sgd"\n': "training: optimizer: expected one of 'adam', 'adamw', 'rmsprop'; got 'sgd'",
    "[training]\nlr = -1.0\n": "training: lr must be above 0",
    "[training]\nlr = nan\n": "training: lr: expected a finite number, got nan",
    "[model]\ndropout = inf\n": "model: dropout: expected a finite number, got inf",
    '[objective]\npreset = "vsepp"\nmargin = nan\n': "objective: margin: expected a finite number, got nan",
    "[objective.extra]\nconcepts = -inf\n": r"objective: extra\.concepts: expected a finite number, got -inf",
    '[[objective.terms]]\nloss = {name = "infonce", scale = inf}\n': (
        r"objective: terms\[0\]\.loss\.scale: expected a finite number, got inf"
    ),
    "[trainning]\nlr = 1.0\n": "trainning: unknown section; known are",
    "training = 3\n": r"training: expected a table",
    '[model]\nname = "projecton"\n': "model: name: 'projecton' is not known; did you mean 'projection'",
    "[model]\ndims = 3\n": "model: dims: unknown key; did you mean 'dim'",
    '[model]\npreset = "linaer"\n': "model: preset: name: 'linaer' is not known; did you mean 'linear'",
    "[grid.training]\nlr = [1e-3]\n": "grid: makes many recipes; `matchcut sweep` trains them",
    '[objective]\npreset = "vsep"\n': "objective: preset: name: 'vsep' is not known; did you mean 'vsepp'",
    '[objective]\npreset = "vsepp"\nmargins = 1\n': (
        r"objective: margins: unknown key; did you mean 'margin'\? Known keys: margin"
    ),
    '[objective]\npreset = "exclusion_2021"\nevidence = "minilm"\npercent = "x"\n': (
        "objective: percent: expected a number, got text"
    ),
    '[objective]\npreset = "lseh"\nsame_item = "no"\n': "objective: same_item: expected one of 'positive', 'left_out'",
    '[objective]\npreset = "exclusion_2021"\n': "objective: evidence: missing; it has no default",
    '[[objective.terms]]\nloss = {name = "hinge", margin = "x"}\n': r"terms\[0\]: loss: margin: expected a number",
    '[[objective.terms]]\nloss = {name = "hinge", margin = -1.0}\n': r"terms\[0\]: loss: margin must be at least 0",
    '[[objective.terms]]\nlos = {name = "hinge"}\n': r"terms\[0\]: los: unknown key",
    '[[objective.terms]]\nloss = {name = "hinge"}\ntreatments = [{name = "drop"}]\n': r"treatments\[0\]: name: 'drop'",
    '[[objective.terms]]\nloss = {name = "hinge"}\ntreatments = [{name = "drop_similar", percent = 1}]\n': (
        r"treatments\[0\]: evidence: missing"
    ),
    '[[objective.terms]]\nloss = {name = "hinge"}\nweight = "high"\n': r"weight: expected a number or a ramp",
    '[[objective.terms]]\nloss = {name = "hinge"}\nexperts = [{treatment = []}]\n': (
        r"experts\[0\]: treatment: unknown key"
    ),
    '[[objective.terms]]\nloss = {name = "hinge"}\ntreatments = 3\n': r"terms\[0\]: treatments: expected a list",
    '[[objective.terms]]\nloss = {name = "hinge"}\nexperts = {}\n': r"terms\[0\]: experts: expected a list of tables",
    '[[objective.terms]]\nloss = {name = "hinge"}\nlabel = 3\n': r"terms\[0\]: label: expected a name, got 3",
    '[[objective.terms]]\nloss = {name = "hinge"}\ntreatments = [{name = "reweight", evidence = "a", of = "b"}]\n': (
        r"treatments\[0\]: of: expected one of 'text', 'item', 'scores'; got 'b'"
    ),
    "[training]\nseed = 99999999999\n": "training: seed must be at most",
    'name = "a\\nb"\n': "name: expected a plain name",
    "[training\n": "not a TOML file",
    'name = "../x"\n': "name: expected a plain name",
    'base = "none.toml"\n': r"none\.toml: cannot be read",
    'base = "recipe.toml"\n': "base: builds on itself",
}


@pytest.mark.parametrize("text", CASES)
def test_what_is_wrong_is_said(text, tmp_path):
    path = tmp_path / "recipe.toml"
    path.write_text(text)
    with pytest.raises(MatchcutError, match=CASES[text]) as error:
        Recipe.read(path)
    assert "\n" not in str(error.value)
    assert ".toml" in str(error.value)


def test_a_recipe_builds_on_another_and_the_command_line_wins(tmp_path):
    (tmp_path / "below.toml").write_text("[training]\nlr = 0.5\nepochs = 7\n[model]\ndim = 32\n")
    (tmp_path / "above.toml").write_text('base = "below.toml"\n[training]\nlr = 0.25\n')
    recipe = Recipe.read(tmp_path / "above.toml", overrides=["model.dim=8", "training.precision=bf16"])
    assert recipe.name == "above"
    assert (recipe.training.lr, recipe.training.epochs, recipe.model.dim) == (0.25, 7, 8)
    assert recipe.training.precision == "bf16"


def test_another_network_drops_the_options_of_the_one_below(tmp_path):
    (tmp_path / "below.toml").write_text('[model]\nname = "projection"\ndim = 32\n[objective]\npreset = "vsepp"\n')
    (tmp_path / "above.toml").write_text('base = "below.toml"\n[model]\nname = "vsepp"\n')
    assert Recipe.read(tmp_path / "above.toml").model_name == "vsepp"


def test_overrides_reach_into_lists(tmp_path):
    path = tmp_path / "recipe.toml"
    path.write_text('[[objective.terms]]\nloss = {name = "hinge"}\n')
    recipe = Recipe.read(path, overrides=["objective.terms.0.loss.margin=0.3"])
    assert "margin=0.3" in repr(recipe.objective())
    with pytest.raises(MatchcutError, match="'1' is not a position in a list of 1"):
        Recipe.read(path, overrides=["objective.terms.1.loss.margin=0.3"])
    with pytest.raises(MatchcutError, match="expected KEY=VALUE"):
        Recipe.read(path, overrides=["objective"])


def test_every_objective_survives_its_own_recipe():
    table = {
        "terms": [
            {
                "loss": {"name": "hinge", "margin": 0.3},
                "treatments": [{"name": "drop_similar", "evidence": "bert", "percent": 1}],
                "weight": {"name": "ramp", "start": 0.5},
            },
            {"loss": {"name": "infonce", "scale": 10.0}, "weight": 0.5},
        ]
    }
    objective = Recipe.of({"objective": table}).objective()
    again = Recipe.of({"objective": objective.to_recipe()}).objective()
    assert repr(again) == repr(objective)


@pytest.mark.parametrize("name", MODELS)
def test_every_network_names_its_streams(name):
    recipe = Recipe.of({"model": {"name": name}})
    assert recipe.text
    assert recipe.item
    assert all(isinstance(stream, str) and stream for stream in (*recipe.text, *recipe.item))


@pytest.mark.parametrize("network", MODELS)
def test_every_preset_of_a_network_is_a_recipes(network):
    for preset, config in presets(network).items():
        assert Recipe.of({"model": {"name": network, "preset": preset}}).model == config


def test_what_the_recipe_says_wins_over_the_preset():
    model = {"name": "dmae", "preset": "base", "dim": 64, "partners": {"max_words": 9}}
    found = Recipe.of({"model": model})
    assert (found.model.interaction, found.model.dim, found.model.partners.max_words) == ("ti", 64, 9)
    assert Recipe.of(found.to_dict()).model == found.model
