import pytest
import torch
from tiny_collection import manifest

from matchcut.collection import Judgment
from matchcut.errors import MatchcutError
from matchcut.features import FeatureWriter
from matchcut.models.base import score_all
from matchcut.negatives import DropAbovePositive, PairTable
from matchcut.training import Recipe, train
from matchcut.training.data import load
from matchcut.training.encode import encode_items, encode_texts
from matchcut.training.evidence import TrainingEvidence
from matchcut.training.trained_model import TrainedModel

CPU = torch.device("cpu")


def part(collection):
    return load(collection, part="train", text=["minilm"], item=["efficientnet-lite0"])


def batch(evidence, data, index):
    return evidence.batch(index, data.owner[index], None, None, CPU)


@pytest.fixture
def uneven(collection):
    """The third item has a caption more."""
    extra = {"train2": ["this is train2", "train2 again", "and again"]}
    with collection.writing() as writer:
        for key, captions in extra.items():
            writer.put_captions(key, captions)
    with FeatureWriter(collection.root / "features" / "wide", manifest("wide", "captions", 3)) as writer:
        generator = torch.Generator().manual_seed(0)
        for caption in collection.captions():
            writer.add(caption.key, torch.randn(1, 3, generator=generator).numpy())
    with FeatureWriter(collection.root / "features" / "minilm", manifest("minilm", "captions", 12)) as writer:
        writer.add("train2#2", [[0.5] * 12])
    return collection


@pytest.mark.parametrize("captions", ["best", "mean"])
def test_a_caption_is_compared_with_all_captions_of_an_item(uneven, captions):
    data = part(uneven)
    evidence = TrainingEvidence.load(uneven, data, ["all:wide"])
    vectors = torch.nn.functional.normalize(TrainingEvidence.load(uneven, data, ["wide"]).text["wide"], dim=1)
    index = torch.tensor([5, 0, 30, 4])
    found = batch(evidence, data, index).similarity("all:wide", captions=captions)
    for row, text in enumerate(index):
        for column, item in enumerate(data.owner[index]):
            each = [float(vectors[text] @ vectors[other]) for other in range(len(vectors)) if data.owner[other] == item]
            expected = max(each) if captions == "best" else sum(each) / len(each)
            assert found[row, column] == pytest.approx(expected, abs=1e-6)


def test_judgments_count_and_unjudged_pairs_count_0(collection):
    with collection.writing() as writer:
        judged = [Judgment("train0#0", "train1", 0.7), Judgment("train1#1", "train1", 0.2)]
        writer.put_judgments("people", judged, complete=False)
    data = part(collection)
    evidence = TrainingEvidence.load(collection, data, ["judged:people"])
    index = torch.tensor([data.captions.index(key) for key in ("train0#0", "train1#1", "train5#0")])
    found = batch(evidence, data, index).similarity("judged:people")
    expected = torch.tensor([[1.0, 0.7, 0.0], [0.0, 1.0, 0.0], [0.0, 0.0, 1.0]])
    assert torch.allclose(found, expected)
    with pytest.raises(MatchcutError, match="no judgments 'experts'; there is exact, people"):
        TrainingEvidence.load(collection, data, ["judged:experts"])


def test_scores_of_trained_models_guide(collection, recipe_file):
    recipe = Recipe.read(recipe_file)
    train(recipe, collection, name="a")
    train(Recipe.read(recipe_file, overrides=["training.seed=1", "model.dim=12"]), collection, name="b")
    data = part(collection)
    whole = []
    for name in ("a", "b"):
        network = TrainedModel.open(collection, name).network
        whole.append(score_all(network, encode_texts(network, data), encode_items(network, data)))
    index = torch.tensor([7, 3, 40])
    evidence = batch(TrainingEvidence.load(collection, data, ["model:a", "model:a+b"]), data, index)
    pairs = index[:, None], data.owner[index][None, :]
    assert torch.allclose(evidence.similarity("model:a"), whole[0][pairs], atol=1e-5)
    assert torch.allclose(evidence.similarity("model:a+b"), (whole[0] + whole[1])[pairs] / 2, atol=1e-5)
    table = PairTable.from_ids(text_items=data.owner[index], items=data.owner[index])
    left = DropAbovePositive("model:a")(table, evidence, torch.zeros(3, 3)).negative
    above = whole[0][pairs] > whole[0][pairs].diag()[:, None]
    assert torch.equal(left, table.negative & ~above)


@pytest.mark.parametrize(
    "term",
    [
        '{loss={name="soft_targets", teachers="model:guide"}}',
        '{loss={name="hinge"}, treatments=[{name="drop_above_positive", guide="model:guide"}]}',
        '{loss={name="hinge"}, treatments=[{name="drop_similar", evidence="all:minilm", percent=5}]}',
        '{loss={name="infonce"}, treatments=[{name="relevant_positives", evidence="judged:exact", threshold=0.5}]}',
    ],
)
def test_recipes_name_such_evidence(collection, recipe_file, term):
    train(Recipe.read(recipe_file, overrides=["training.epochs=1"]), collection, name="guide")
    recipe = Recipe.read(recipe_file, overrides=[f"objective.terms=[{term}]"])
    assert train(recipe, collection, name="student").epochs == 3


def test_a_guide_that_is_not_there_is_named(collection):
    with pytest.raises(MatchcutError, match="no model 'x'"):
        TrainingEvidence.load(collection, part(collection), ["model:x"])
    with pytest.raises(MatchcutError, match="'efficientnet-lite0' are not vectors of captions"):
        TrainingEvidence.load(collection, part(collection), ["all:efficientnet-lite0"])
