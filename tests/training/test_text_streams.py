from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
import torch
import torch.multiprocessing
from safetensors.torch import load_file

from matchcut.collection import Judgment
from matchcut.encoders.thinning import thin
from matchcut.encoders.vocabulary import Vocabulary
from matchcut.encoders.word_pieces import piece_words
from matchcut.encoders.words import bag_of_words, clean
from matchcut.errors import MatchcutError
from matchcut.features import FeatureWriter, Manifest
from matchcut.training import Recipe, TrainedModel, evaluate, train
from matchcut.training import text_streams as module
from matchcut.training.check import check
from matchcut.training.data import load
from matchcut.training.run import Run
from matchcut.training.shared import SharedData
from matchcut.training.streams import Bags

ITEM = "efficientnet-lite0"
SMALL = {
    "dual_encoding": {"word_dim": 4, "item_hidden": 4, "text_hidden": 4, "filters": 2, "dim": 8},
    "hybrid_space": {"word_dim": 4, "item_hidden": 4, "text_hidden": 4, "filters": 2, "dim": 8, "concepts": 3},
    "vsepp": {"item": ITEM, "image": "mean", "word_dim": 4, "dim": 8},
    "vsrn": {"item": ITEM, "word_dim": 4, "dim": 8, "caption_hidden": 4, "blocks": 1},
    "sgraf": {"item": ITEM, "region_norm": "feature", "word_dim": 4, "dim": 8, "similarity_dim": 4},
    "vse_infinity": {"item": ITEM, "tokens": "", "word_dim": 4, "dim": 8},
}
OBJECTIVES = {
    "hybrid_space": {
        "terms": [
            {"loss": {"name": "hinge"}, "scores": "latent"},
            {"loss": {"name": "hinge"}, "scores": "concept"},
        ]
    }
}
SUBJECTS, VERBS = ["a red dog", "two dogs", "the small cat"], ["runs", "sleeps", "jumps over snowboards"]


@pytest.fixture
def worded(collection):
    """The tiny collection with sentences for captions."""
    with collection.writing() as writer:
        for n, item in enumerate(collection.items()):
            verb = VERBS[n % 3]
            writer.put_captions(item.key, [f"{SUBJECTS[n // 3 % 3]} {verb}.", f"{SUBJECTS[n // 3 % 3]} {verb} again"])
        tests = [item.key for item in collection.items(split="test")]
        writer.put_judgments(
            "exact", [Judgment(f"{key}#{n}", key, 1.0) for key in tests for n in (0, 1)], complete=True
        )
    return collection


def recipe_of(name, *, training=None, data=None, **options):
    return Recipe.of(
        {
            "name": name,
            "model": {"name": name, **SMALL[name], **options},
            "data": {"vocabulary_threshold": 2, **(data or {})},
            "objective": OBJECTIVES.get(name, {"preset": "vsepp"}),
            "training": {"epochs": 2, "batch_size": 8, "lr": 0.01, **(training or {})},
        }
    )


def embed_tokens(collection, *, cut=0, encoder="minilm-tokens"):
    """Made-up token vectors, as many as the packaged encoder would make, of a fixed size for each word piece."""
    kind = Manifest(name="t", encoder=encoder, weights="w0", preprocessing="p", of="captions", shape=(6,))
    captions = collection.captions()
    pieces = piece_words("minilm-tokens", [c.text for c in captions])
    with FeatureWriter(collection.root / "features" / "minilm-tokens", kind, force=True) as writer:
        for caption, words in zip(captions, pieces, strict=True):
            rows = [np.full(6, len(word)) for word in ["", *words, ""]]
            writer.add(caption.key, rows[: len(rows) - cut])


@pytest.mark.parametrize("name", SMALL)
def test_networks_on_words_train_and_evaluate(worded, name):
    records = []
    train(recipe_of(name), worded, progress=records.append)
    assert np.isfinite(records[-1]["loss"])
    assert evaluate(worded, name, samples=10).metrics["paired"].text_to_item.queries == 16


def test_it_learns_from_words_alone(worded):
    records = []
    train(recipe_of("vsepp", training={"epochs": 25}), worded, progress=records.append)
    assert records[-1]["loss"] < 0.8 * records[0]["loss"]


def test_bags_equal_dense_ones():
    captions = [clean(c) for c in ("a dog and a dog", "...", "zebra", "the dog")]
    vocabulary = Vocabulary.build(captions[:1], threshold=1, special=False)
    dense = bag_of_words(captions, vocabulary)
    bags = Bags.of([vocabulary.numbers(c) for c in captions], size=len(vocabulary))
    index = torch.tensor([3, 0, 1, 0, 2])
    batch = bags.batch(index)
    assert batch.values.shape == (5, 1, len(vocabulary))
    assert torch.equal(batch.values[:, 0], torch.from_numpy(dense)[index])
    assert batch.lengths.tolist() == [1] * 5
    assert bags.batch(index[:0]).values.shape == (0, 1, len(vocabulary))
    with pytest.raises(MatchcutError, match="bags of words are not made dense"):
        bags.mean()


def test_streams_of_captions_and_of_a_query_are_the_same(worded):
    shared, recipe = SharedData(worded), recipe_of("dual_encoding")
    text = shared.text(recipe)
    data = shared.pairs(recipe, "train", text)
    index = torch.tensor([5, 0])
    query = text.batch([data.texts[5], data.texts[0]])
    for name, padded in data.text_batch(index).items():
        assert torch.equal(padded.values, query[name].values)
        assert torch.equal(padded.lengths, query[name].lengths)
    assert data.text_batch(index)["words"].values.dtype == torch.int64


@pytest.mark.parametrize("by_piece", [False, True])
def test_bags_count_words_or_pieces(worded, by_piece):
    embed_tokens(worded)
    recipe = recipe_of("dual_encoding", tokens="minilm-tokens", bag_by_piece=by_piece)
    text = SharedData(worded).text(recipe)
    caption = "two dogs jumps over snowboards, over snowboards"
    made = text.batch([caption], {"minilm-tokens": SimpleNamespace(lengths=torch.tensor([12]))})
    bag, words = made["bow"].values[0, 0], text.vocabulary.words
    pieces = piece_words("minilm-tokens", [caption])[0]
    assert pieces.count("snowboards") == 4
    assert bag[words.index("snowboards") - 4] == (4 if by_piece else 2)
    assert bag[words.index("over") - 4] == 2
    counted = torch.bincount(made["words"].values[0], minlength=len(words))[4:]
    assert torch.equal(bag.long(), counted) == by_piece
    train(recipe, worded)
    query = TrainedModel.open(worded, "dual_encoding").text.batch(
        [caption], {"minilm-tokens": SimpleNamespace(lengths=torch.tensor([12]))}
    )
    assert torch.equal(query["bow"].values, made["bow"].values)


def test_the_vocabulary_is_of_the_training_captions_alone(worded):
    with worded.writing() as writer:
        writer.put_captions("val0", ["zebra zebra zebra"] * 3)
    recipe = recipe_of("vsepp")
    train(recipe, worded)
    words = TrainedModel.open(worded, "vsepp").text.vocabulary.words
    assert "dog" in words
    assert "zebra" not in words
    assert words == Vocabulary.build([clean(c.text) for c in worded.captions(split="train")], threshold=2).words


@pytest.mark.parametrize("name", ["dual_encoding", "vse_infinity"])
def test_killed_and_resumed_ends_with_the_same_weights(worded, name):
    class Killed(Exception):
        pass

    def kill(record):
        if record["epoch"] == 1:
            raise Killed

    recipe = recipe_of(name, training={"average": 0.9})
    whole = train(recipe, worded, name="whole")
    with pytest.raises(Killed):
        train(recipe, worded, name="cut", progress=kill)
    torch.manual_seed(99)
    cut = train(recipe, worded, name="cut")
    for file in ("best.safetensors", "last.safetensors"):
        one, other = load_file(whole.folder / file), load_file(cut.folder / file)
        assert all(torch.equal(tensor, other[key]) for key, tensor in one.items())


def test_a_run_does_not_go_on_with_another_vocabulary(worded):
    recipe = recipe_of("vsepp")
    train(recipe, worded)
    with worded.writing() as writer:
        writer.put_captions("train0", ["zebra zebra", "zebra sleeps"])
    with pytest.raises(MatchcutError, match=r"another vocabulary: was \d+ words, \w+ and is now \d+ words, \w+; give"):
        train(recipe, worded)


def test_a_run_of_an_older_recipe_goes_on(worded, recipe_file):
    from matchcut.training import checkpoint

    recipe = Recipe.read(recipe_file)
    trained = train(recipe, worded)
    tensors, facts = checkpoint.read(trained.folder / "last.safetensors")
    del facts["recipe"]["data"]["vocabulary_threshold"], facts["vocabulary"], facts["targets"]
    checkpoint.write(trained.folder / "last.safetensors", tensors, facts)
    assert train(recipe, worded).resumed


def test_a_vocabulary_larger_than_the_networks_is_refused(worded):
    with pytest.raises(MatchcutError, match=r"model\.vocabulary: is 5, but the training captions give \d+ words"):
        train(recipe_of("vsepp", vocabulary=5), worded)
    train(recipe_of("vsepp", vocabulary=50), worded)
    assert len(TrainedModel.open(worded, "vsepp").network.text.embedding.table.weight) == 50


def test_too_few_concepts_are_said(worded):
    with pytest.raises(MatchcutError, match=r"model\.concepts: .* name \d+ concepts, 512 are asked for"):
        train(recipe_of("hybrid_space", concepts=512), worded)


def test_words_beside_token_vectors_are_one_for_each_piece(worded):
    embed_tokens(worded)
    recipe = recipe_of("dual_encoding", tokens="minilm-tokens")
    train(recipe, worded)
    trained = TrainedModel.open(worded, "dual_encoding")
    data = trained.data(worded, "train")
    batch = data.text_batch(torch.arange(len(data.texts)))
    assert torch.equal(batch["words"].lengths, batch["minilm-tokens"].lengths)
    vocabulary = trained.text.vocabulary
    caption = data.texts.index("the small cat jumps over snowboards.")
    numbers = batch["words"].values[caption, : batch["words"].lengths[caption]].tolist()
    expected = ["<start>", "the", "small", "cat", "jumps", "over", "snowboards", "snowboards", "<unk>", "<end>"]
    assert [vocabulary.words[n] for n in numbers] == expected
    assert evaluate(worded, "dual_encoding", samples=10).metrics["paired"].text_to_item.queries == 16


def test_token_vectors_of_other_captions_are_refused(worded):
    embed_tokens(worded, cut=1)
    recipe = recipe_of("dual_encoding", tokens="minilm-tokens")
    with pytest.raises(
        MatchcutError, match=r"48 of 48 captions have other token vectors .* '.*' with \d+ vectors and \d+"
    ):
        train(recipe, worded)


def test_an_encoder_without_word_pieces_is_refused(worded):
    embed_tokens(worded, encoder="clip:somewhere?vector=tokens")
    with pytest.raises(MatchcutError, match=r"words can be aligned with minilm-tokens and bert:SOURCE\?vector=tokens"):
        train(recipe_of("dual_encoding", tokens="minilm-tokens"), worded)


def test_word_numbers_are_no_evidence(worded):
    recipe = recipe_of("vsepp").to_dict()
    recipe["objective"] = {
        "terms": [
            {"loss": {"name": "hinge"}, "treatments": [{"name": "drop_similar", "evidence": "words", "percent": 1}]}
        ]
    }
    with pytest.raises(MatchcutError, match="evidence: a stream of word or token numbers"):
        train(Recipe.of(recipe), worded)


def test_trainings_that_share_data_end_with_the_same_weights(worded):
    embed_tokens(worded)
    recipes = [
        recipe_of("dual_encoding"),
        recipe_of("dual_encoding", tokens="minilm-tokens"),
        recipe_of("hybrid_space"),
    ]
    shared = SharedData(worded)
    for n, recipe in enumerate(recipes):
        together = train(recipe, worded, name=f"together{n}", shared=shared)
        alone = train(recipe, worded, name=f"alone{n}")
        one, other = (load_file(run.folder / "last.safetensors") for run in (together, alone))
        assert all(torch.equal(tensor, other[key]) for key, tensor in one.items())


def test_recipes_share_the_streams_they_have_in_common(worded, monkeypatch):
    embed_tokens(worded)
    shared = SharedData(worded)
    one, other = recipe_of("dual_encoding", tokens="minilm-tokens", words=""), recipe_of("vsepp")
    first = shared.pairs(one, "train", shared.text(one))
    second = shared.pairs(other, "train", shared.text(other))
    assert first.text.keys() == {"minilm-tokens", "bow"}
    assert second.text.keys() == {"words"}
    assert first.item[ITEM].values is second.item[ITEM].values
    shared.prepare(one)
    before = {id(tensor) for tensor in shared.tensors()}
    shared.prepare(one)
    assert {id(tensor) for tensor in shared.tensors()} == before


def _train_elsewhere(shared, recipe, name):
    torch.set_num_threads(1)
    assert all(tensor.is_shared() for tensor in shared.tensors())
    train(recipe, shared.collection, name=name, shared=shared)


def test_shared_data_are_sent_to_another_process(worded):
    recipe, shared = recipe_of("dual_encoding", training={"epochs": 1, "threads": 1}), SharedData(worded)
    shared.prepare(recipe)
    shared.share_memory()
    assert len(shared.tensors()) > 8
    context = torch.multiprocessing.get_context("spawn")
    process = context.Process(target=_train_elsewhere, args=(shared, recipe, "there"))
    process.start()
    here = train(recipe, worded, name="here", shared=shared)
    process.join(60)
    assert process.exitcode == 0
    one, other = load_file(here.folder / "best.safetensors"), load_file(worded.root / "models/there/best.safetensors")
    assert all(torch.allclose(tensor, other[key]) for key, tensor in one.items())


def test_vocabularies_of_different_training_parts_are_different(worded):
    with worded.writing() as writer:
        writer.put_split({"train": ["train0"], "val": ["val0"]}, scheme="one")
    shared = SharedData(worded)
    whole, one = (shared.text(recipe_of("vsepp", data={"scheme": scheme})) for scheme in ("default", "one"))
    assert set(one.vocabulary.words) < set(whole.vocabulary.words)


def test_a_step_gets_the_concepts_of_its_items(worded, monkeypatch):
    from matchcut.models.hybrid_space import HybridSpace

    steps = []
    auxiliary = HybridSpace.auxiliary
    monkeypatch.setattr(HybridSpace, "auxiliary", lambda self, step: steps.append(step) or auxiliary(self, step))
    shared, recipe = SharedData(worded), recipe_of("hybrid_space", training={"epochs": 1})
    train(recipe, worded, shared=shared)
    data = shared.pairs(recipe, "train", shared.text(recipe))
    labels = shared.targets(recipe, data, ("concepts",)).of_items["concepts"]
    frames = data.item_batch(torch.arange(len(data.items)))[ITEM].values[:, 0]
    for step in steps:
        seen = step.item_inputs[ITEM].values[:, 0]
        items = (seen[:, None] == frames[None]).all(2).float().argmax(1)
        assert torch.equal(step.targets["concepts"], labels[items])
    assert 0 < labels.mean() < 1


class LengthEncoder:
    """Stands for an encoder of one number a token: the length of each word."""

    def prepare(self, text):
        return text

    def run(self, prepared):
        return [[[float(len(word))] for word in text.split()] for text in prepared]


def test_training_captions_are_thinned_and_no_others(worded):
    recipe = recipe_of("vsepp", data={"thin_captions": True}, training={"seed": 3, "epochs": 1})
    run, plain = Run(recipe, worded), Run(recipe_of("vsepp"), worded, name="plain")
    texts = thin(plain.data.texts, plain.data.owner.tolist(), seed=3)
    assert texts != plain.data.texts
    every = torch.arange(len(texts))
    shared = SharedData(worded).text(recipe)
    assert shared.vocabulary == SharedData(worded).text(recipe_of("vsepp")).vocabulary  # of whole captions
    expected = shared.batch(texts)["words"]
    assert torch.equal(run.data.text_batch(every)["words"].values, expected.values)
    assert not torch.equal(run.data.text["words"].values, plain.data.text["words"].values)
    assert run.data.texts == plain.data.texts
    assert torch.equal(run.held_out.text["words"].values, plain.held_out.text["words"].values)
    run.close(), plain.close()
    assert train(recipe, worded, again=True).epochs == 1


def test_stored_vectors_of_captions_cannot_be_thinned(worded):
    stored = Recipe.of({"name": "x", "model": {"dim": 8}, "data": {"thin_captions": True}}, source="my.toml")
    with pytest.raises(
        MatchcutError, match=r"my\.toml: data\.thin_captions: the network reads 'minilm', made from whole"
    ):
        train(stored, worded)
    with pytest.raises(MatchcutError, match=r"my\.toml: data\.thin_captions: the network reads 'minilm'"):
        check(stored)


def test_salience_of_thinned_captions_is_made_anew(worded, monkeypatch):
    kind = Manifest(name="t", encoder="salience:x", weights="w0", preprocessing="p", of="captions", shape=(1,))
    with FeatureWriter(worded.root / "features" / "kinds", kind) as writer:
        for caption in worded.captions():
            writer.add(caption.key, LengthEncoder().run([caption.text])[0])
    monkeypatch.setattr(module, "load_encoder", lambda spec: LengthEncoder())
    data = load(worded, part="train", text=["kinds"], item=[ITEM])
    recipe = replace(recipe_of("vsepp"), model=SimpleNamespace(salience="kinds", text_streams=("words", "kinds")))
    shared = SharedData(worded).text(recipe_of("vsepp"))
    thinned = module.thin_text_streams(data, shared, recipe, worded)
    texts = thin(data.texts, data.owner.tolist(), seed=0)
    assert thinned.text["kinds"].values.flatten().tolist() == [len(word) for text in texts for word in text.split()]
    assert thinned.text["kinds"].offsets.diff().tolist() == [len(text.split()) for text in texts]
