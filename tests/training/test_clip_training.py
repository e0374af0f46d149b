"""CLIP's towers, tiny and random, fine-tuned from pictures and captions."""

import io
import os
import zipfile

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import load_file
from tiny_checkpoints import save_clip

from matchcut.collection import Collection, Frame, Item, Shot
from matchcut.encoders import clip_inputs
from matchcut.errors import MatchcutError
from matchcut.search import Searcher
from matchcut.training import Recipe, TrainedModel, evaluate, train
from matchcut.training.pixels import PixelStream, Unreadable
from matchcut.training.shared import SharedData

COLOURS = {"red": (200, 30, 30), "blue": (30, 30, 200)}
PARTS = {"train": 6, "val": 2, "test": 3}
NETWORKS = {
    "clip_video": {},
    "dmae": {"partners": {"max_words": 10, "max_visual": 4}},
}


@pytest.fixture(scope="module")
def clip(tmp_path_factory):
    return save_clip(tmp_path_factory.mktemp("checkpoint") / "clip")


def picture(colour, seed):
    pixels = np.clip(np.array(colour) + np.random.default_rng(seed).integers(-20, 20, size=(40, 48, 3)), 0, 255)
    return Image.fromarray(pixels.astype(np.uint8))


@pytest.fixture
def pictures(tmp_path):
    """Videos of two frames in one zip archive, and images as files: red and blue ones in turn."""
    made = Collection.create(tmp_path / "collection")
    archive, keys = (
        tmp_path / "frames.zip",
        {part: [f"{part}{n}" for n in range(count)] for part, count in PARTS.items()},
    )
    with zipfile.ZipFile(archive, "w") as zipped, made.writing() as writer:
        for number, key in enumerate(key for part in keys.values() for key in part):
            colour = list(COLOURS)[number % 2]
            if number % 4 < 2:
                members = [f"{key}/{n}.png" for n in (0, 1)]
                for n, member in enumerate(members):
                    memory = io.BytesIO()
                    picture(COLOURS[colour], 10 * number + n).save(memory, "png")
                    zipped.writestr(member, memory.getvalue())
                shots = [Shot(0.0, 1.0, tuple(Frame(float(n), member) for n, member in enumerate(members)))]
                writer.put_item(Item(key=key, kind="video", source=str(archive), duration=1.0), shots)
            else:
                file = tmp_path / f"{key}.png"
                picture(COLOURS[colour], 10 * number).save(file)
                writer.put_item(Item(key=key, kind="image", source=str(file)), [Shot(0.0, 0.0, (Frame(0.0),))])
            writer.put_captions(key, [f"a {colour} ball", f"the {colour} box falls to the left to the left"])
        writer.put_split(keys)
    return made


def recipe_of(clip, name="clip_video", *, training=None, towers=None, **options):
    model = {"name": name, "dim": 0, "towers": {"path": str(clip), **(towers or {})}, **NETWORKS[name], **options}
    training = {"epochs": 2, "batch_size": 4, "lr": 1e-3, **(training or {})}
    objective = {"terms": [{"loss": {"name": "infonce"}}]}
    return Recipe.of({"name": name, "model": model, "training": training, "objective": objective})


@pytest.mark.parametrize("name", NETWORKS)
def test_networks_on_clip_towers_train_evaluate_and_search(pictures, clip, name):
    before = TrainedTowers(clip)
    records = []
    train(recipe_of(clip, name), pictures, progress=records.append)
    assert np.isfinite(records[-1]["loss"])
    assert not torch.equal(
        before.weights, TrainedModel.open(pictures, name).network.trunk.towers.clip.visual_projection.weight
    )
    assert evaluate(pictures, name, samples=10).metrics["paired"].text_to_item.queries == 6
    searcher = Searcher(pictures, name)
    assert len(searcher) == 11
    assert {moment.item for moment in searcher.search("a red ball", k=11)} == {item.key for item in pictures.items()}


class TrainedTowers:
    def __init__(self, clip):
        self.weights = load_file(clip / "model.safetensors")["visual_projection.weight"]


def test_it_learns_colours(pictures, clip):
    train(recipe_of(clip, training={"epochs": 20, "lr": 3e-3}), pictures)
    found = Searcher(pictures, "clip_video").search("a blue ball", k=5)
    assert [int(moment.item[-1]) % 2 for moment in found] == [1] * 5


def test_streams_hold_what_the_processor_and_the_tokenizer_give(pictures, clip):
    recipe, shared = recipe_of(clip), SharedData(pictures)
    data = shared.pairs(recipe, "train", shared.text(recipe))
    assert data.item_shapes == {"clip-pixels": (3, 32, 32)}
    assert data.text_shapes == {"clip-token-ids": ()}
    batch = data.item_batch(torch.tensor([3, 0, 3]))["clip-pixels"]
    assert batch.lengths.tolist() == [1, 2, 1]
    prepare = clip_inputs.prepare_with(str(clip))
    expected = prepare(np.asarray(picture(COLOURS["blue"], 30)))
    np.testing.assert_array_equal(batch.values[0, 0].numpy(), expected)
    np.testing.assert_array_equal(batch.values[2, 0].numpy(), expected)
    assert not batch.values[0, 1].any()
    ids = data.text_batch(torch.tensor([0, 1]))["clip-token-ids"]
    assert ids.values[0, :5].tolist() == [2, 4, 5, 7, 3]  # [CLS] a red ball [SEP]
    assert ids.lengths.tolist() == [5, 10]  # cut to the positions there are, the end kept
    assert ids.values[1, 9] == 3


def test_the_towers_have_a_learning_rate_of_their_own(pictures, clip):
    frozen = {"tower_lr": 1e-12, "weight_decay": 0.0}
    train(recipe_of(clip, dim=4, training=frozen), pictures)
    there = TrainedModel.open(pictures, "clip_video").network.state_dict()
    start = load_file(clip / "model.safetensors")
    for name, value in start.items():
        assert torch.allclose(there[f"trunk.towers.clip.{name}"], value, atol=1e-8), name
    assert there["trunk.text_projection.bias"].abs().min() > 1e-4  # started at zero


def test_a_tower_rate_without_towers_is_refused(collection, recipe_file):
    with pytest.raises(MatchcutError, match=r"training\.tower_lr: the network has no CLIP towers"):
        train(Recipe.read(recipe_file, overrides=["training.tower_lr=1e-7"]), collection)


def test_killed_and_resumed_ends_with_the_same_weights(pictures, clip):
    class Killed(Exception):
        pass

    def kill(record):
        raise Killed

    recipe = recipe_of(clip, training={"tower_lr": 1e-4})
    whole = train(recipe, pictures, name="whole")
    with pytest.raises(Killed):
        train(recipe, pictures, name="cut", progress=kill)
    cut = train(recipe, pictures, name="cut")
    one, other = (load_file(run.folder / "last.safetensors") for run in (whole, cut))
    assert all(torch.equal(tensor, other[key]) for key, tensor in one.items())


def test_broken_pictures_are_left_out_of_training_and_counted(pictures, clip, tmp_path):
    (tmp_path / "train2.png").write_bytes(b"no picture")
    os.remove(tmp_path / "train3.png")
    assert train(recipe_of(clip), pictures).left_out == 1 + 3  # train2; train3 and its two captions
    assert len(Searcher(pictures, "clip_video")) == 9


def test_a_broken_picture_of_the_test_part_is_named(pictures, clip, tmp_path):
    train(recipe_of(clip), pictures)
    broken = next(item for item in pictures.items(split="test") if item.source.endswith(".png"))
    (tmp_path / f"{broken.key}.png").write_bytes(b"no picture")
    with pytest.raises(MatchcutError, match=rf"{broken.key}\.png"):
        evaluate(pictures, "clip_video")


def test_unreadable_entries_are_told_by_position(pictures, clip, tmp_path):
    items = {item.key: item for item in pictures.items()}
    jobs = [(items[shot.item], (shot,)) for shot in pictures.shots()]
    stream = PixelStream(jobs, str(clip))
    assert len(stream) == 11
    (tmp_path / "train2.png").unlink()
    with pytest.raises(Unreadable) as caught:
        stream.batch(torch.tensor([1, 2]))
    assert caught.value.positions == [2]
    assert list(stream.unreadable) == [2]
    assert stream.batch(torch.tensor([], dtype=torch.int64)).values.shape == (0, 0, 3, 32, 32)


def test_a_checkpoint_that_is_not_there_is_one_line(pictures, tmp_path):
    with pytest.raises(MatchcutError, match="no such folder"):
        train(recipe_of(tmp_path / "nowhere"), pictures)
