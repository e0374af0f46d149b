import numpy as np
import pytest
import torch
from tiny_collection import manifest

from matchcut.errors import MatchcutError
from matchcut.features import FeatureWriter
from matchcut.negatives import AdaptiveMargin, PairTable
from matchcut.training import Recipe, train
from matchcut.training.data import load
from matchcut.training.evidence import TrainingEvidence


def part(collection):
    return load(collection, part="train", text=["minilm"], item=["efficientnet-lite0"])


def test_names_of_loaded_and_of_other_feature_sets(collection):
    data = part(collection)
    with FeatureWriter(collection.root / "features" / "other", manifest("other", "captions", 3)) as writer:
        for n, key in enumerate(data.captions):
            writer.add(key, [[n, 0, 1], [n, 2, 1]])
    with FeatureWriter(collection.root / "features" / "seen", manifest("seen", "frames", 1)) as writer:
        for shot in collection.shots():
            writer.add(shot.key, [[float(shot.number)]])
    found = TrainingEvidence.load(collection, data, ["minilm", "efficientnet-lite0", "other", "seen"])
    assert found.text["minilm"].shape == (48, 12)
    assert found.item["efficientnet-lite0"].shape == (24, 12)
    assert found.text["other"][5].tolist() == [5.0, 1.0, 1.0]
    assert found.item["seen"].flatten().tolist() == [0.5] * 24
    index = torch.tensor([4, 0])
    batch = found.batch(index, data.owner[index], None, None, torch.device("cpu"))
    assert torch.equal(batch.text["other"], found.text["other"][index])
    assert torch.equal(batch.item["seen"], found.item["seen"][data.owner[index]])


def test_svd_is_fitted_once_on_the_training_captions(collection):
    with collection.writing() as writer:
        for n, item in enumerate(collection.items()):
            writer.put_captions(item.key, [f"dogs number {n} run", "cats sleeping quietly"])
    data = part(collection)
    vectors = TrainingEvidence.load(collection, data, ["svd"]).text["svd"]
    assert len(vectors) == 48
    file = collection.root / "features" / "svd" / "manifest.json"
    made = file.stat().st_mtime_ns
    assert torch.equal(TrainingEvidence.load(collection, part(collection), ["svd"]).text["svd"], vectors)
    assert file.stat().st_mtime_ns == made
    with collection.writing() as writer:
        writer.put_captions("train0", ["a horse gallops", "fast horses gallop away"])
    changed = TrainingEvidence.load(collection, part(collection), ["svd"]).text["svd"]
    assert changed.shape != vectors.shape or not torch.equal(changed, vectors)


def test_svd_with_another_number_of_components(collection):
    with collection.writing() as writer:
        for n, item in enumerate(collection.items()):
            writer.put_captions(item.key, [f"dogs number {n} run", "cats sleeping quietly", "birds sing"])
    data = part(collection)
    found = TrainingEvidence.load(collection, data, ["svd", "svd:3"]).text
    assert found["svd:3"].shape == (len(data.captions), 3)
    assert found["svd"].shape[1] > 3
    assert (collection.root / "features" / "svd-3").is_dir()
    for wrong in ("svd:", "svd:0", "svd:x"):
        with pytest.raises(
            MatchcutError, match=f"evidence '{wrong}': expected a number of components, such as svd:100"
        ):
            TrainingEvidence.load(collection, data, [wrong])


def test_shuffled_vectors_are_those_of_others_and_the_same_every_time(collection):
    data = part(collection)
    names = ["minilm", "shuffled:minilm", "shuffled:efficientnet-lite0", "all:shuffled:minilm"]
    found = TrainingEvidence.load(collection, data, names)
    plain, shuffled = found.text["minilm"], found.text["shuffled:minilm"]
    assert torch.equal(plain.sort(0).values, shuffled.sort(0).values)
    assert (plain != shuffled).any(1).float().mean() > 0.8
    order = np.random.default_rng(0).permutation(len(plain))
    assert torch.equal(shuffled, plain[order])
    assert torch.equal(
        found.item["shuffled:efficientnet-lite0"].sort(0).values, data.item["efficientnet-lite0"].mean().sort(0).values
    )
    assert "shuffled:efficientnet-lite0" not in found.text
    assert torch.equal(found.all_captions["all:shuffled:minilm"], torch.nn.functional.normalize(shuffled, dim=1))
    again = TrainingEvidence.load(collection, data, ["shuffled:minilm"])
    assert torch.equal(again.text["shuffled:minilm"], shuffled)
    for name in ("model:a", "judged:crowd"):
        with pytest.raises(MatchcutError):
            TrainingEvidence.load(collection, data, [f"shuffled:{name}"])


def test_shuffled_own_embeddings_are_those_of_the_next_pair_with_their_gradient(collection):
    data = part(collection)
    found = TrainingEvidence.load(collection, data, ["shuffled:own"])
    index = torch.tensor([6, 2, 9])
    text, item = torch.randn(3, 4, requires_grad=True), torch.randn(3, 4)
    batch = found.batch(index, data.owner[index], text, item, torch.device("cpu"))
    assert set(batch.text) == set(batch.item) == {"shuffled:own"}
    assert torch.equal(batch.text["shuffled:own"], text[[2, 0, 1]])
    assert torch.equal(batch.item["shuffled:own"], item[[2, 0, 1]])
    batch.text["shuffled:own"].sum().backward()
    assert text.grad is not None


def test_a_shuffled_margin_has_the_same_distribution(collection):
    """The control of adaptive margins: the same margins for other pairs."""
    data = part(collection)
    found = TrainingEvidence.load(collection, data, ["own", "shuffled:own"])
    index = torch.arange(0, 12, 2)
    batch = found.batch(index, data.owner[index], torch.randn(6, 4), torch.randn(6, 4), torch.device("cpu"))
    table = PairTable.from_ids(text_items=data.owner[index], items=data.owner[index])
    margins = [
        AdaptiveMargin(name, of="text", mean=0.2)(table, batch, torch.zeros(6, 6)).margin
        for name in ("own", "shuffled:own")
    ]
    off = ~torch.eye(6, dtype=torch.bool)
    torch.testing.assert_close(margins[0][off].sort().values, margins[1][off].sort().values)
    assert not torch.allclose(margins[0], margins[1])


def test_an_unknown_name_says_what_there_could_be(collection):
    with pytest.raises(MatchcutError, match="no evidence 'bert': it is neither a feature set nor 'own' or 'svd'"):
        TrainingEvidence.load(collection, part(collection), ["bert"])


@pytest.mark.parametrize("preset", ["lseh", "cmgsd", "negnce", "infonce"])
def test_published_presets_train(collection, recipe_file, preset):
    with collection.writing() as writer:
        for n, item in enumerate(collection.items()):
            writer.put_captions(item.key, [f"dogs number {n} run", "cats sleeping quietly"])
    recipe = Recipe.read(recipe_file, overrides=[f'objective={{preset="{preset}"}}', "training.epochs=1"])
    records = []
    train(recipe, collection, progress=records.append)
    assert records[0]["loss"] > 0


@pytest.mark.parametrize(
    ("evidence", "memory", "named"),
    [("odd", 0, r"\(train3#1\)"), ("odd", 16, "train3"), ("all:odd", 0, "train3"), ("seen", 0, r"\(train3#")],
)
def test_the_caption_or_item_with_evidence_that_is_not_finite_is_named(
    collection, recipe_file, evidence, memory, named
):
    for name, of, records in (("odd", "captions", collection.captions()), ("seen", "frames", collection.shots())):
        with FeatureWriter(collection.root / "features" / name, manifest(name, of, 1)) as writer:
            for record in records:
                writer.add(record.key, [[7.0 if record.key in ("train3#1", "train3@0") else 1.0]])
        file = collection.root / "features" / name / "00000.npy"  # the store itself refuses such a number
        values = np.load(file)
        np.save(file, np.where(values == 7, np.float32("nan"), values))
    treatment = f'[{{name="drop_similar", evidence="{evidence}", percent=5}}]'
    objective = f'objective.terms=[{{loss={{name="hinge"}}, treatments={treatment}}}]'
    recipe = Recipe.read(recipe_file, overrides=[objective, f"training.memory={memory}"])
    with pytest.raises(MatchcutError, match=f"evidence '{evidence}'.* not finite .*{named}") as error:
        train(recipe, collection)
    assert "item id" not in str(error.value)
