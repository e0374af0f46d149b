import json
import shutil

import pytest
import torch
from safetensors.torch import load_file
from tiny_collection import fill_features

from matchcut.collection import Item, Shot
from matchcut.errors import MatchcutError
from matchcut.training import Recipe, TrainedModel, evaluate, train
from matchcut.training.encode import score_split
from matchcut.training.run import Run
from matchcut.training.settings import TrainingSettings


class Killed(Exception):
    """Stands for the end of the process."""


def kill_after(epoch):
    def progress(record):
        if record["epoch"] == epoch:
            raise Killed

    return progress


OBJECTIVES = [
    'preset="vsepp"',
    'terms=[{loss={name="infonce", scale=5.0, learned=true}}]',
    'terms=[{loss={name="hinge"}, treatments=[{name="drop_similar", evidence="minilm", percent=5}]}]',
]


@pytest.mark.parametrize("objective", OBJECTIVES)
def test_killed_and_resumed_ends_with_the_same_weights(collection, recipe_file, objective):
    options = [f"objective={{{objective}}}", "training.average=0.9", "model.dropout=0.3"]
    recipe = Recipe.read(recipe_file, overrides=options)
    whole = train(recipe, collection, name="whole")
    with pytest.raises(Killed):
        train(recipe, collection, name="cut", progress=kill_after(2))
    torch.manual_seed(99)  # whatever the new process had done before
    cut = train(recipe, collection, name="cut")
    assert cut.resumed
    assert not whole.resumed
    for file in ("best.safetensors", "last.safetensors"):
        one, other = load_file(whole.folder / file), load_file(cut.folder / file)
        assert one.keys() == other.keys()
        for name, tensor in one.items():
            assert torch.equal(tensor, other[name]), (file, name)
    steps = [json.loads(line)["step"] for line in (cut.folder / "log.jsonl").read_text().splitlines()]
    assert steps == [6, 12, 18]


def test_a_log_that_ran_ahead_of_the_checkpoint_is_cut_back(collection, recipe_file):
    recipe = Recipe.read(recipe_file)
    with pytest.raises(Killed):
        train(recipe, collection, progress=kill_after(1))
    log = collection.root / "models" / "tiny" / "log.jsonl"
    log.write_text(log.read_text() + '{"step": 12, "epoch": 2, "loss": 1.0}\n{"step": 18, "ep')
    train(recipe, collection)
    assert [json.loads(line)["epoch"] for line in log.read_text().splitlines()] == [1, 2, 3]


def test_it_learns_and_logs(collection, recipe_file):
    treatments = '[{name="drop_similar", evidence="minilm", percent=10}]'
    objective = f'objective={{terms=[{{loss={{name="hinge"}}, treatments={treatments}}}]}}'
    recipe = Recipe.read(recipe_file, overrides=["training.epochs=12", objective])
    records = []
    trained = train(recipe, collection, progress=records.append)
    assert records[-1]["loss"] < 0.5 * records[0]["loss"]
    assert trained.best > 500
    assert 0 < records[0]["objective"]["left_out"] < 0.2
    assert list((trained.folder / "tensorboard").iterdir())
    assert Recipe.read(trained.folder / "recipe.toml").to_dict() == recipe.to_dict()


def test_the_seed_decides(collection, recipe_file):
    def weights(name, seed):
        recipe = Recipe.read(recipe_file, overrides=[f"training.seed={seed}", "training.epochs=1"])
        return load_file(train(recipe, collection, name=name).folder / "best.safetensors")

    first, again, other = weights("a", 1), weights("b", 1), weights("c", 2)
    assert all(torch.equal(first[name], again[name]) for name in first)
    assert not all(torch.equal(first[name], other[name]) for name in first)


def test_batches_without_two_captions_of_one_item(collection, recipe_file, monkeypatch):
    seen = []
    read = Run.read
    monkeypatch.setattr(Run, "read", lambda run, index: (seen.append(run.data.owner[index]), read(run, index))[1])
    train(Recipe.read(recipe_file, overrides=["training.distinct_items=true"]), collection)
    assert len(seen) == 18  # 48 captions in batches of 8, 3 epochs
    assert all(len(owner.unique()) == 8 for owner in seen)
    seen.clear()
    train(Recipe.read(recipe_file), collection, name="plain")
    assert any(len(owner.unique()) < 8 for owner in seen)
    few = ["training.distinct_items=true", "training.batch_size=25"]
    with pytest.raises(MatchcutError, match=r"training\.distinct_items: 24 items are too few for batches of 25"):
        train(Recipe.read(recipe_file, overrides=few), collection, name="few")


def test_a_finished_run_is_left_alone_and_again_starts_anew(collection, recipe_file):
    recipe = Recipe.read(recipe_file, overrides=["training.epochs=1"])
    train(recipe, collection)
    assert train(recipe, collection).resumed
    assert not train(recipe, collection, again=True).resumed


def test_early_stopping(collection, recipe_file):
    recipe = Recipe.read(recipe_file, overrides=["training.epochs=50", "training.patience=2", "training.lr=1e-9"])
    trained = train(recipe, collection)
    assert trained.epochs == trained.best_epoch + 2


def test_the_best_epoch_is_kept_not_the_last(collection, recipe_file):
    recipe = Recipe.read(recipe_file, overrides=["training.epochs=6"])
    records = []
    trained = train(recipe, collection, progress=records.append)
    scores = [record["val"]["rsum"] for record in records]
    assert trained.best == max(scores)
    assert trained.best_epoch == 1 + scores.index(max(scores))
    assert TrainedModel.open(collection, "tiny").epoch == trained.best_epoch


def test_another_recipe_under_the_same_name_is_refused(collection, recipe_file):
    train(Recipe.read(recipe_file), collection)
    with pytest.raises(MatchcutError, match=r"training\.lr was 0\.01 and is now 0\.1; give this one another --name"):
        train(Recipe.read(recipe_file, overrides=["training.lr=0.1"]), collection)


def test_a_run_does_not_go_on_with_other_data(collection, recipe_file):
    recipe = Recipe.read(recipe_file)
    with pytest.raises(Killed):
        train(recipe, collection, progress=kill_after(1))
    with collection.writing() as writer:
        writer.put_split({"test": ["train0"]})
    with pytest.raises(MatchcutError, match="another data: train was '48 captions of 24 items"):
        train(recipe, collection)


def test_a_loss_that_is_not_finite_stops_the_run(collection, recipe_file):
    recipe = Recipe.read(recipe_file, overrides=['objective={terms=[{loss={name="infonce", scale=1e39}}]}'])
    with pytest.raises(MatchcutError, match="the loss is not finite in epoch 1; try a smaller"):
        train(recipe, collection)


@pytest.mark.parametrize("device", ["nonsense", "cuda:99"])
def test_a_device_that_is_not_there_is_one_line(collection, recipe_file, device):
    with pytest.raises(MatchcutError, match=f"--device {device}: cannot be used here: .") as error:
        train(Recipe.read(recipe_file), collection, device=device)
    assert "\n" not in str(error.value)


def test_a_network_that_does_not_fit_into_memory_is_one_line(collection, recipe_file):
    with pytest.raises(MatchcutError, match=r"model .projection.: .") as error:
        train(Recipe.read(recipe_file, overrides=["model.dim=100000000000000"]), collection)
    assert "\n" not in str(error.value)


def test_features_of_other_weights_do_not_fit(collection, recipe_file):
    trained = train(Recipe.read(recipe_file), collection)
    shutil.rmtree(collection.root / "features")
    fill_features(collection, weights="w1")
    with pytest.raises(MatchcutError, match="does not fit model 'tiny': weights is 'w1'"):
        TrainedModel.open(collection, "tiny").check_fits(collection, of="captions")
    with pytest.raises(MatchcutError, match="does not fit model 'tiny': weights is 'w1'"):
        evaluate(collection, "tiny")
    with pytest.raises(MatchcutError, match=r"another features: .*weights was 'w0' and is now 'w1'"):
        train(Recipe.read(recipe_file), collection)
    assert trained.folder.is_dir()


def test_missing_features(collection, recipe_file):
    shutil.rmtree(collection.root / "features" / "minilm")
    with pytest.raises(MatchcutError, match="no feature set 'minilm'; there is efficientnet-lite0"):
        train(Recipe.read(recipe_file), collection)


def test_items_without_features_are_left_out_and_counted(collection, recipe_file):
    with collection.writing() as writer:
        writer.put_item(Item(key="late", kind="video", source="late.mp4"), [Shot(0.0, 1.0, ())])
        writer.put_captions("late", ["not embedded yet"])
        writer.put_split({"train": ["late"]})
    assert train(Recipe.read(recipe_file), collection).left_out == 2  # the item and its caption


def test_a_name_is_no_path(collection, recipe_file):
    with pytest.raises(MatchcutError, match="--name: expected a plain name"):
        train(Recipe.read(recipe_file), collection, name="../elsewhere")


def test_a_missing_part(collection, recipe_file):
    with pytest.raises(MatchcutError, match=r"no items in part 'dev'.*test, train, val"):
        train(Recipe.read(recipe_file, overrides=["data.val=dev"]), collection)


def test_a_batch_of_one_item_gives_no_loss_and_no_error(collection, recipe_file):
    with collection.writing() as writer:
        writer.put_split({"only": ["train0"]}, scheme="one")
        writer.put_split({"val": ["val0"]}, scheme="one")
    overrides = ["data.scheme=one", "data.train=only", "training.epochs=1"]
    records = []
    train(Recipe.read(recipe_file, overrides=overrides), collection, progress=records.append)
    assert records[0]["loss"] == 0.0


def test_evaluate_against_pairing_and_exact_relevance(collection, recipe_file):
    train(Recipe.read(recipe_file, overrides=["training.epochs=8"]), collection)
    result = evaluate(collection, "tiny", samples=200)
    assert set(result.metrics) == {"paired", "exact"}
    paired, exact = (result.metrics[name].text_to_item for name in ("paired", "exact"))
    assert paired.queries == exact.queries == 16
    assert exact.recall[1] >= paired.recall[1]
    interval = result.intervals["paired"]["text_to_item"]["R@1"]
    assert interval.low <= interval.value <= interval.high
    assert interval.units == 8  # items are resampled, not captions
    json.dumps(result.to_json())


def test_evaluate_ranks_items_by_the_best_caption_of_each(collection, recipe_file):
    train(Recipe.read(recipe_file, overrides=["training.epochs=1"]), collection)
    trained = TrainedModel.open(collection, "tiny")
    data = trained.data(collection, "test")
    scores = score_split(trained.network, data).numpy()
    best = scores.reshape(8, 2, 8).max(1)  # [items by their best caption, items]
    rank = 1 + (best > best.diagonal()).sum(0)
    found = evaluate(collection, "tiny", samples=10, item_to_text="groups").metrics["paired"].item_to_text
    assert found.recall[5] == pytest.approx(100 * (rank <= 5).mean())
    assert found.recall[5] != evaluate(collection, "tiny", samples=10).metrics["paired"].item_to_text.recall[5]


def test_partial_judgments_are_refused(collection, recipe_file):
    train(Recipe.read(recipe_file, overrides=["training.epochs=1"]), collection)
    with collection.writing() as writer:
        writer.put_judgments("crowd", [], complete=False)
    with pytest.raises(MatchcutError, match="no complete judgments 'crowd'"):
        evaluate(collection, "tiny", relevance="crowd")


def test_a_damaged_checkpoint_is_said(collection, recipe_file):
    trained = train(Recipe.read(recipe_file, overrides=["training.epochs=1"]), collection)
    whole = (trained.folder / "best.safetensors").read_bytes()
    (trained.folder / "best.safetensors").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(MatchcutError, match=r"best\.safetensors: not a readable checkpoint"):
        TrainedModel.open(collection, "tiny")


def test_a_full_disk_keeps_the_last_whole_checkpoint(collection, recipe_file, monkeypatch):
    recipe = Recipe.read(recipe_file)
    with pytest.raises(Killed):
        train(recipe, collection, progress=kill_after(1))
    last = collection.root / "models" / "tiny" / "last.safetensors"
    before = last.read_bytes()

    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("matchcut.files.os.replace", full)
    with pytest.raises(MatchcutError, match="cannot be written: No space left on device"):
        train(recipe, collection)
    assert last.read_bytes() == before
    assert not list(last.parent.glob("*.part"))
    monkeypatch.undo()
    assert train(recipe, collection).resumed


@pytest.mark.parametrize("bad", [{"lr": 0.0}, {"epochs": 0}, {"batch_size": 1}, {"warmup": 1.0}, {"clip": -1.0}])
def test_settings_refuse_what_cannot_be(bad):
    with pytest.raises(ValueError, match=next(iter(bad))):
        TrainingSettings(**bad)


def test_items_of_another_shape_than_the_network_takes_are_refused_in_one_line(collection, recipe_file):
    recipe = Recipe.of({"name": "v", "model": {"name": "vsepp", "item": "efficientnet-lite0"}})
    with pytest.raises(MatchcutError, match="model: flattening needs 36 regions an item, got 3"):
        train(recipe, collection)


NETWORKS = {
    "multimodal_transformer": {"dim": 8, "heads": 2, "layers": 1, "feed_forward": 8},
    "vse_infinity": {"tokens": "minilm", "item": "efficientnet-lite0", "dim": 8},
    "clip_video": {"words": "minilm", "dim": 8},
    "dmae": {"words": "minilm", "dim": 8},
}


@pytest.mark.parametrize("name", NETWORKS)
def test_networks_on_stored_features_train_and_evaluate(collection, name):
    table = {"name": name, "model": {"name": name, **NETWORKS[name]}, "training": {"epochs": 1, "batch_size": 8}}
    train(Recipe.of(table), collection)
    assert evaluate(collection, name, samples=10).metrics["paired"].text_to_item.queries == 16
