import struct

import numpy as np
import pytest

from matchcut.errors import MatchcutError
from matchcut.features import FeatureSet, FeatureWriter, Manifest
from matchcut.features.arrays import open_npz
from matchcut.features.bigfile import open_bigfile, read_id_feature_text, read_video2frames
from matchcut.features.convert import from_bigfile, from_npz

# The golden sample of the format: two rows of three numbers, and its text precursor.
GOLDEN = {"a": [1.0, 2.33, 3.89935], "b": [0.5, 3.0, 4.35394]}
TEXT = "a 1.00000001 2.33 3.89935\nb  0.5 3 4.35394\n"


def bigfile(folder, rows, ids):
    folder.mkdir(exist_ok=True)
    values = [value for row in rows for value in row]
    (folder / "feature.bin").write_bytes(struct.pack(f"<{len(values)}f", *values))
    (folder / "id.txt").write_text(" ".join(ids))
    (folder / "shape.txt").write_text(f"{len(rows)} {len(rows[0])}\n")
    return folder


def golden(tmp_path):
    return bigfile(tmp_path / "f1", list(GOLDEN.values()), list(GOLDEN))


def test_golden_sample(tmp_path):
    features = open_bigfile(golden(tmp_path))
    assert features.ids == ["a", "b"]
    np.testing.assert_array_equal(features.array(), np.array(list(GOLDEN.values()), dtype=np.float32))
    assert features.take(["b"])[0].tolist() == [np.float32([0.5, 3.0, 4.35394]).tolist()]
    assert features.manifest.shape == (3,)
    assert (tmp_path / "f1" / "feature.bin").stat().st_size == 24


def test_text_precursor(tmp_path):
    (tmp_path / "id.feature.txt").write_text(TEXT + "a 9 9 9\nc 1 nan 2\n")
    ids, values = read_id_feature_text(tmp_path / "id.feature.txt")
    assert ids == ["a", "b"]
    np.testing.assert_array_equal(values, np.array(list(GOLDEN.values()), dtype=np.float32))


@pytest.mark.parametrize(
    ("text", "message"),
    [("a 1 2\nb 1\n", "line 2: 1 values"), ("a 1 x\n", "line 1: could not convert"), ("\n", "no features")],
)
def test_text_precursor_that_is_wrong(tmp_path, text, message):
    (tmp_path / "id.feature.txt").write_text(text)
    with pytest.raises(MatchcutError, match=message):
        read_id_feature_text(tmp_path / "id.feature.txt")


@pytest.mark.parametrize("text", ["{'v': ['v_1', 'v_0'], 'w': ['w_0']}", '{"v": ["v_1", "v_0"], "w": ["w_0"]}'])
def test_frames_are_gathered_by_video(tmp_path, text):
    folder = bigfile(tmp_path / "f", [[0, 0], [1, 1], [2, 2]], ["v_0", "w_0", "v_1"])
    (folder / "video2frames.txt").write_text(text)
    features = open_bigfile(folder)
    assert features.ids == ["v", "w"]
    assert features.rows("v").tolist() == [[2, 2], [0, 0]]
    assert features.rows("w").tolist() == [[1, 1]]


def test_video2frames_is_never_executed(tmp_path):
    (tmp_path / "video2frames.txt").write_text(f"open({str(tmp_path / 'made')!r}, 'w')")
    with pytest.raises(MatchcutError, match="neither a Python dict literal nor JSON"):
        read_video2frames(tmp_path / "video2frames.txt")
    assert not (tmp_path / "made").exists()
    (tmp_path / "video2frames.txt").write_text("['v']")
    with pytest.raises(MatchcutError, match="must be a dict"):
        read_video2frames(tmp_path / "video2frames.txt")


@pytest.mark.parametrize(
    ("file", "content", "message"),
    [
        ("shape.txt", "2 three", "must be two numbers"),
        ("shape.txt", "2 4", "24 bytes, but shape.txt says 2 x 4 float32 = 32"),
        ("id.txt", "a b c", "3 ids, but shape.txt says 2"),
        ("feature.bin", "", "0 bytes"),
        ("feature.bin", None, "0 bytes"),
        ("id.txt", None, "missing; a BigFile directory has"),
        ("video2frames.txt", "{'v': ['a', 'z']}", "frame 'z' is not in id.txt"),
    ],
)
def test_wrong_files_are_named(tmp_path, file, content, message):
    folder = golden(tmp_path)
    if content is None:
        (folder / file).unlink()
    else:
        (folder / file).write_text(content)
    with pytest.raises(MatchcutError, match=message) as caught:
        open_bigfile(folder)
    assert file.split(".")[0] in str(caught.value)


def test_repeated_ids_keep_the_first_row(tmp_path):
    features = open_bigfile(bigfile(tmp_path / "f", [[1], [2], [3]], ["a", "b", "a"]))
    assert (features.ids, features.array().tolist()) == (["a", "b"], [[1], [2]])


def test_conversion_into_the_store(tmp_path):
    manifest = Manifest(name="f", encoder="x", weights="", preprocessing="", of="frames", shape=(3,), dtype="float32")
    np.savez(tmp_path / "more.npz", ids=["b", "c"], values=np.ones((3, 3), dtype="float32"), lengths=[1, 2])
    with FeatureWriter(tmp_path / "f", manifest) as writer:
        assert from_bigfile(golden(tmp_path), writer) == 2
        assert from_npz(tmp_path / "more.npz", writer) == 1
    features = FeatureSet.open(tmp_path / "f")
    assert features.ids == ["a", "b", "c"]
    assert features.rows("b").tolist() == [np.float32(GOLDEN["b"]).tolist()]
    assert features.rows("c").tolist() == [[1, 1, 1]] * 2


@pytest.mark.parametrize(
    ("arrays", "message"),
    [
        ({"ids": ["a"]}, "no array 'values'"),
        ({"ids": ["a"], "values": np.zeros((2, 3))}, "2 rows of values"),
        ({"ids": ["a", "a"], "values": np.zeros((2, 3))}, "an id is repeated"),
        ({"ids": ["a"], "values": np.zeros((1, 3), dtype=int)}, "must be floats"),
    ],
)
def test_npz_that_is_wrong(tmp_path, arrays, message):
    np.savez(tmp_path / "f.npz", **arrays)
    with pytest.raises(MatchcutError, match=message):
        open_npz(tmp_path / "f.npz")


def test_npz_types_and_damage(tmp_path):
    np.savez(tmp_path / "f.npz", ids=["a"], values=np.ones((1, 2), dtype=np.float64))
    assert open_npz(tmp_path / "f.npz").array().dtype == np.float32
    np.savez(tmp_path / "f.npz", ids=["a"], values=np.ones((1, 2), dtype=np.float16))
    assert open_npz(tmp_path / "f.npz", of="captions").manifest.dtype == "float16"
    (tmp_path / "f.npz").write_bytes((tmp_path / "f.npz").read_bytes()[:-30])
    with pytest.raises(MatchcutError, match="not a readable"):
        open_npz(tmp_path / "f.npz")
