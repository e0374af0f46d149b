import io
import os
import threading
import zipfile

import av
import numpy as np
import pytest
from PIL import Image

from matchcut.collection import Collection, Frame, Item, Shot
from matchcut.encoders.base import Encoder
from matchcut.encoders.embed import embed
from matchcut.errors import MatchcutError
from matchcut.features import FeatureSet

COLOURS = {"a": (250, 10, 20), "b": (20, 240, 30), "c": (0, 30, 200), "d": (90, 90, 90)}


class MeanColour(Encoder):
    """An encoder one can check by eye; notes what it was given."""

    of, shape, weights, preprocessing, batch_size = "frames", (3,), "w", "mean", 2
    spec = name = "colour"

    def __init__(self, *, stop_after=10**9):
        self.sizes, self.threads, self.stop_after = [], set(), stop_after

    def prepare(self, one):
        self.threads.add(threading.current_thread())
        return one.mean(axis=(0, 1))

    def run(self, prepared):
        if len(self.sizes) >= self.stop_after:
            raise KeyboardInterrupt
        self.sizes.append(len(prepared))
        return [np.asarray(one, dtype=np.float32)[None] for one in prepared]


class Lengths(Encoder):
    """A row for every word: its length."""

    of, shape, weights, preprocessing, batch_size = "captions", (1,), "w", "", 3
    spec = name = "lengths"

    def prepare(self, one):
        return one

    def run(self, prepared):
        return [np.array([[len(word)] for word in text.split()], dtype=np.float32) for text in prepared]


def image(colour):
    buffer = io.BytesIO()
    Image.new("RGB", (20, 10), colour).save(buffer, "PNG")
    return buffer.getvalue()


def video(path, colours):
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=10, options={"qp": "0"})
        stream.width, stream.height, stream.pix_fmt = 32, 32, "yuv444p"
        for colour in colours:
            picture = np.full((32, 32, 3), colour, dtype=np.uint8)
            container.mux(stream.encode(av.VideoFrame.from_ndarray(picture)))
        container.mux(stream.encode())


@pytest.fixture
def collection(tmp_path):
    """Four images, a zip with frames of one item, and a video of two shots; captions; two parts."""
    made = Collection.create(tmp_path / "made")
    for name, colour in COLOURS.items():
        (tmp_path / f"{name}.png").write_bytes(image(colour))
    with zipfile.ZipFile(tmp_path / "z.zip", "w") as archive:
        for name, colour in COLOURS.items():
            archive.writestr(f"v/{name}.png", image(colour))
    video(tmp_path / "v.mp4", [COLOURS["a"]] * 10 + [COLOURS["c"]] * 10)
    with made.writing() as writer:
        for name in COLOURS:
            writer.put_item(Item(name, "image", str(tmp_path / f"{name}.png")), [Shot(0, 0, (Frame(0.0),))])
        members = tuple(Frame(float(k), f"v/{name}.png") for k, name in enumerate(COLOURS))
        writer.put_item(Item("z", "video", str(tmp_path / "z.zip")), [Shot(0, 4, members)])
        shots = [Shot(0, 1, (Frame(0.0), Frame(0.5))), Shot(1, 2, (Frame(1.5),)), Shot(2, 2, ())]
        writer.put_item(Item("v", "video", str(tmp_path / "v.mp4")), shots)
        writer.put_captions("a", ["red", "a red square"])
        writer.put_captions("v", ["first red then blue"])
        writer.put_split({"train": ["a", "b", "z"], "test": ["c", "d", "v"]})
    return made


IDS = ["a@0", "b@0", "c@0", "d@0", "z@0", "v@0", "v@1"]  # the shot without frames has no features


@pytest.mark.parametrize("batch_size", [None, 1, 3, 100])
def test_every_shot_has_the_rows_of_its_frames(collection, batch_size):
    encoder, seen = MeanColour(), []
    done = embed(
        collection, encoder, dtype="float32", batch_size=batch_size, progress=lambda *counts: seen.append(counts)
    )
    assert (done.new, done.kept, done.inputs, done.failed) == (7, 0, 11, ())
    features = FeatureSet.open(collection.root / "features" / "colour")
    assert features.ids == IDS
    assert features.lengths.tolist() == [1, 1, 1, 1, 4, 2, 1]
    for name in COLOURS:
        np.testing.assert_allclose(features.rows(f"{name}@0"), [COLOURS[name]])
    np.testing.assert_allclose(features.rows("z@0"), list(COLOURS.values()))
    np.testing.assert_allclose(features.rows("v@0"), [COLOURS["a"]] * 2, atol=4)
    np.testing.assert_allclose(features.rows("v@1"), [COLOURS["c"]], atol=4)
    assert sum(encoder.sizes) == 11
    assert max(encoder.sizes) <= (batch_size or encoder.batch_size)
    assert seen[-1] == (7, 7)
    assert threading.main_thread() not in encoder.threads  # decoded while the network runs


def test_captions_have_a_row_a_word(collection):
    done = embed(collection, Lengths())
    assert done.features.ids == ["a#0", "a#1", "v#0"]
    assert done.features.rows("a#1")[:, 0].tolist() == [1, 3, 6]
    assert done.features.manifest.of == "captions"


def test_a_part_of_any_scheme_is_embedded_alone(collection):
    with collection.writing() as writer:
        writer.put_split({"test": ["v"]}, scheme="one", captions={"test": ["v#0"]})
    assert embed(collection, Lengths(), split="test", scheme="one").features.ids == ["v#0"]
    assert {key[0] for key in embed(collection, MeanColour(), split="test", scheme="one").features.ids} == {"v"}


def test_again_embeds_only_what_is_new_or_changed(collection):
    embed(collection, MeanColour(), split="train")
    done = embed(collection, MeanColour())
    assert (done.new, done.kept) == (4, 3)
    assert embed(collection, MeanColour()).new == 0
    path = collection.items()[0].source
    with open(path, "wb") as file:
        file.write(image((1, 2, 3)))
    with collection.writing() as writer:
        writer.put_item(Item("a", "image", path, mtime_ns=1), [Shot(0, 0, (Frame(0.0),))])
    done = embed(collection, MeanColour())
    assert (done.new, done.kept) == (1, 6)
    assert done.features.rows("a@0").tolist() == [[1, 2, 3]]
    embed(collection, Lengths())
    with collection.writing() as writer:
        writer.put_captions("a", ["red", "something else entirely"])
    done = embed(collection, Lengths())
    assert (done.new, done.features.rows("a#1")[:, 0].tolist()) == (1, [9, 4, 8])


def test_a_stopped_job_goes_on(collection):
    with pytest.raises(KeyboardInterrupt):
        embed(collection, MeanColour(stop_after=2))
    done = embed(collection, MeanColour())
    assert (done.new, done.kept) == (3, 4)
    assert sorted(done.features.ids) == sorted(IDS)
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("decode")]


def test_broken_files_are_recorded_and_the_rest_goes_on(collection, tmp_path):
    whole = (tmp_path / "b.png").read_bytes()
    (tmp_path / "b.png").write_bytes(whole[:40])
    (tmp_path / "v.mp4").write_bytes(b"no video")
    os.remove(tmp_path / "d.png")
    with zipfile.ZipFile(tmp_path / "z.zip", "w") as archive:
        archive.writestr("v/a.png", b"no image")
    done = embed(collection, MeanColour())
    assert done.features.ids == ["a@0", "c@0"]
    assert [failure.item.key for failure in done.failed] == ["b", "d", "z", "v"]
    recorded = {failure.source: failure.reason for failure in collection.failures()}
    assert sorted(recorded) == ["b", "d", "v", "z"]
    assert "z.zip, entry 'v/a.png': cannot be read as an image" in recorded["z"]
    assert all(reason.startswith("embed colour: ") for reason in recorded.values())
    (tmp_path / "b.png").write_bytes(whole)
    done = embed(collection, MeanColour(), split="train")
    assert (done.new, [failure.item.key for failure in done.failed]) == (1, ["z"])
    assert [failure.source for failure in collection.failures()] == ["d", "v", "z"]


def test_other_weights_are_refused_and_force_makes_it_anew(collection):
    embed(collection, MeanColour(), split="train")
    other = MeanColour()
    other.weights = "x"
    with pytest.raises(MatchcutError, match="weights 'w', now asked for 'x'; choose another --name, or --force"):
        embed(collection, other)
    assert embed(collection, other, name="second").new == 7
    done = embed(collection, other, force=True)
    assert (done.new, done.kept, done.features.manifest.weights) == (7, 0, "x")


def test_nothing_to_embed_and_wrong_arguments(collection):
    with pytest.raises(MatchcutError, match=r"part 'val' of .*: has no frames to embed"):
        embed(collection, MeanColour(), split="val")
    assert not (collection.root / "features").exists()
    with pytest.raises(MatchcutError, match="must be the name of a folder"):
        embed(collection, MeanColour(), name="../escape")
    with pytest.raises(ValueError, match="batch_size must be at least 1, got 0"):
        embed(collection, MeanColour(), batch_size=0)


def test_many_items_keep_their_order(tmp_path):
    collection = Collection.create(tmp_path / "many")
    with zipfile.ZipFile(tmp_path / "z.zip", "w") as archive:
        for k in range(200):
            archive.writestr(f"{k}.png", image((k, 0, 0)))
    with collection.writing() as writer:
        for k in range(200):
            writer.put_item(Item(f"i{k}", "image", str(tmp_path / "z.zip")), [Shot(0, 0, (Frame(0.0, f"{k}.png"),))])
    features = embed(collection, MeanColour(), dtype="float32").features
    assert features.ids == [f"i{k}@0" for k in range(200)]
    assert features.array()[:, 0].tolist() == list(range(200))


def test_numbers_that_are_not_finite_stop_the_job(collection):
    encoder = MeanColour()
    encoder.prepare = lambda one: one.mean(axis=(0, 1)) * 1000
    with pytest.raises(
        MatchcutError, match="encoder colour: a@0: a value is not finite in float16; use dtype='float32'"
    ):
        embed(collection, encoder)
    assert embed(collection, encoder, dtype="float32", force=True).new == 7
