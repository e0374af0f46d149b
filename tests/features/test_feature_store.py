import errno
import os

import numpy as np
import pytest

from matchcut.errors import MatchcutError
from matchcut.features import FeatureSet, FeatureWriter, Manifest

MANIFEST = Manifest(name="f", encoder="e", weights="w", preprocessing="p", of="frames", shape=(3,), dtype="float32")


def replaced(**changes):
    return Manifest(**{field: getattr(MANIFEST, field) for field in MANIFEST.__struct_fields__} | changes)


def some_rows(seed, count, shape=(3,)):
    return np.random.default_rng(seed).standard_normal((count, *shape)).astype(np.float32)


ROWS = {f"v{k}@0": some_rows(k, n) for k, n in enumerate([2, 1, 0, 4, 3, 1, 5])}


@pytest.fixture(params=[1, 40, 10**6], ids=["a shard an id", "a few shards", "one shard"])
def features(request, tmp_path):
    with FeatureWriter(tmp_path / "f", MANIFEST, shard_bytes=request.param) as writer:
        for key, rows in ROWS.items():
            writer.add(key, rows)
    return FeatureSet.open(tmp_path / "f")


def test_gives_back_what_was_added(features):
    assert features.ids == list(ROWS)
    assert len(features) == len(ROWS)
    assert features.lengths.tolist() == [len(rows) for rows in ROWS.values()]
    for key, rows in ROWS.items():
        np.testing.assert_array_equal(features.rows(key), rows)
    np.testing.assert_array_equal(features.array(), np.concatenate(list(ROWS.values())))
    assert "v0@0" in features
    assert "v9@0" not in features


@pytest.mark.parametrize(
    "ids", [[], ["v2@0"], ["v3@0"], ["v6@0", "v0@0", "v3@0"], ["v1@0", "v1@0", "v2@0", "v1@0"], list(ROWS)[::-1]]
)
def test_take_equals_row_by_row(features, ids):
    values, lengths = features.take(ids)
    assert lengths.tolist() == [len(ROWS[key]) for key in ids]
    assert values.shape == (sum(lengths), 3)
    np.testing.assert_array_equal(values, np.concatenate([np.empty((0, 3)), *[ROWS[key] for key in ids]]))


def test_unknown_id_is_named(features):
    with pytest.raises(MatchcutError, match=r"no features of 'v9@0' \(1 of 2 ids"):
        features.take(["v0@0", "v9@0"])
    with pytest.raises(MatchcutError, match="'v9@0'"):
        features.rows("v9@0")


def test_float16_and_rows_of_any_shape(tmp_path):
    manifest = replaced(shape=(4, 5), dtype="float16")
    with FeatureWriter(tmp_path / "f", manifest) as writer:
        writer.add("a", some_rows(0, 2, (4, 5)))
    rows = FeatureSet.open(tmp_path / "f").rows("a")
    assert rows.dtype == np.float16
    np.testing.assert_allclose(rows, some_rows(0, 2, (4, 5)), rtol=1e-3)
    assert isinstance(rows, np.memmap)


def test_empty_set(tmp_path):
    FeatureWriter(tmp_path / "f", MANIFEST).__exit__(None, None, None)
    features = FeatureSet.open(tmp_path / "f")
    assert (len(features), features.array().shape, features.take([])[0].shape) == (0, (0, 3), (0, 3))


def test_writer_goes_on_after_the_last_complete_shard(tmp_path):
    first = FeatureWriter(tmp_path / "f", MANIFEST)
    first.add("a", some_rows(0, 2), stamp="1")
    first.flush()
    first.add("b", some_rows(1, 2))
    del first  # killed: what was not flushed is gone, and so is the lock
    (tmp_path / "f" / "00001.npy").write_bytes(b"half a shard, whose .json was never written")
    (tmp_path / "f" / ".00002.npy.123.part").write_bytes(b"a quarter")
    with FeatureWriter(tmp_path / "f", MANIFEST) as writer:
        assert dict(writer.done) == {"a": "1"}
        writer.add("b", some_rows(2, 1), stamp="2")
    assert not list((tmp_path / "f").glob("*.part"))
    features = FeatureSet.open(tmp_path / "f")
    assert features.ids == ["a", "b"]
    np.testing.assert_array_equal(features.array(), np.concatenate([some_rows(0, 2), some_rows(2, 1)]))


def test_an_interrupted_block_keeps_what_was_added(tmp_path):
    def stopped():
        with FeatureWriter(tmp_path / "f", MANIFEST) as writer:
            writer.add("a", some_rows(0, 1))
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        stopped()
    assert FeatureSet.open(tmp_path / "f").ids == ["a"]


def test_an_id_added_again_replaces_the_older_rows(tmp_path):
    for seed, stamp in ((0, "old"), (1, "new")):
        with FeatureWriter(tmp_path / "f", MANIFEST) as writer:
            writer.add("a", some_rows(seed, 2 + seed), stamp=stamp)
            writer.add(f"b{seed}", some_rows(9, 1))
    features = FeatureSet.open(tmp_path / "f")
    assert features.ids == ["b0", "a", "b1"]
    assert features.stamps == ["", "new", ""]
    np.testing.assert_array_equal(features.rows("a"), some_rows(1, 3))
    expected = np.concatenate([some_rows(9, 1), some_rows(1, 3), some_rows(9, 1)])
    np.testing.assert_array_equal(features.array(), expected)
    np.testing.assert_array_equal(features.take(features.ids)[0], expected)


@pytest.mark.parametrize(
    ("changes", "both"),
    [
        ({"weights": "x"}, "weights 'w', now asked for 'x'"),
        ({"encoder": "d", "weights": "x"}, "encoder 'e', now asked for 'd'"),
        ({"preprocessing": "crop"}, "preprocessing 'p', now asked for 'crop'"),
        ({"of": "captions"}, "of 'frames', now asked for 'captions'"),
        ({"shape": (49, 3)}, "shape 3, now asked for 49 x 3"),
        ({"dtype": "float16"}, "dtype 'float32', now asked for 'float16'"),
    ],
)
def test_another_manifest_is_refused(tmp_path, changes, both):
    with FeatureWriter(tmp_path / "f", MANIFEST) as writer:
        writer.add("a", some_rows(0, 1))
    with pytest.raises(MatchcutError, match=f"{both}; choose another --name, or --force"):
        FeatureWriter(tmp_path / "f", replaced(**changes))
    assert FeatureSet.open(tmp_path / "f").ids == ["a"]
    with FeatureWriter(tmp_path / "f", replaced(**changes), force=True) as writer:
        assert not writer.done
    assert FeatureSet.open(tmp_path / "f").manifest == replaced(**changes)


def test_equal_weights_at_another_place_are_the_same_encoder(tmp_path):
    with FeatureWriter(tmp_path / "f", MANIFEST) as writer:
        writer.add("a", some_rows(0, 1))
    with FeatureWriter(tmp_path / "f", replaced(encoder="moved")) as writer:
        assert "a" in writer.done


def test_two_writers_at_once_are_refused(tmp_path):
    with FeatureWriter(tmp_path / "f", MANIFEST), pytest.raises(MatchcutError, match="another process is writing"):
        FeatureWriter(tmp_path / "f", MANIFEST)
    FeatureWriter(tmp_path / "f", MANIFEST).__exit__(None, None, None)


@pytest.mark.parametrize("damage", ["cut off", "empty", "missing", "other shape", "bad index", "uneven index"])
def test_damaged_shard_is_named(tmp_path, damage):
    with FeatureWriter(tmp_path / "f", MANIFEST) as writer:
        writer.add("a", some_rows(0, 50))
    values, index = tmp_path / "f" / "00000.npy", tmp_path / "f" / "00000.json"
    if damage == "cut off":
        values.write_bytes(values.read_bytes()[:-100])
    elif damage == "empty":
        values.write_bytes(b"")
    elif damage == "missing":
        values.unlink()
    elif damage == "other shape":
        np.save(values, some_rows(0, 49))
    elif damage == "bad index":
        index.write_text('{"ids": ["a"], "lengths": [')
    else:
        index.write_text('{"ids": ["a", "b"], "lengths": [50], "stamps": ["", ""]}')
    with pytest.raises(MatchcutError, match=r"00000\.(npy|json): damaged.*delete this shard's"):
        FeatureSet.open(tmp_path / "f")


def test_no_set_and_damaged_manifest(tmp_path):
    with pytest.raises(MatchcutError, match="no feature set here"):
        FeatureSet.open(tmp_path / "f")
    (tmp_path / "f").mkdir()
    (tmp_path / "f" / "manifest.json").write_text('{"name": "f"}')
    with pytest.raises(MatchcutError, match="not a readable manifest"):
        FeatureSet.open(tmp_path / "f")
    replaced(format=99).save(tmp_path / "f")
    with pytest.raises(MatchcutError, match="format 99"):
        FeatureSet.open(tmp_path / "f")


def test_full_disk_loses_nothing_that_was_written(tmp_path, monkeypatch):
    def full(*_):
        raise OSError(errno.ENOSPC, "No space left on device")

    def run():
        with FeatureWriter(tmp_path / "f", MANIFEST) as writer:
            writer.add("a", some_rows(0, 1))
            writer.flush()
            writer.add("b", some_rows(1, 1))
            monkeypatch.setattr(os, "fsync", full)
            writer.flush()

    with pytest.raises(MatchcutError, match="No space left"):
        run()
    monkeypatch.undo()
    assert FeatureSet.open(tmp_path / "f").ids == ["a"]
    assert not list((tmp_path / "f").glob(".*.part"))
    with FeatureWriter(tmp_path / "f", MANIFEST) as writer:
        writer.add("b", some_rows(1, 1))
    assert FeatureSet.open(tmp_path / "f").ids == ["a", "b"]


def test_wrong_rows_are_refused(tmp_path):
    with FeatureWriter(tmp_path / "f", replaced(dtype="float16")) as writer:
        with pytest.raises(ValueError, match=r"rows of shape \[2, 4\]"):
            writer.add("a", np.zeros((2, 4)))
        with pytest.raises(ValueError, match="not finite in float16"):
            writer.add("a", np.full((1, 3), 1e6))
        with pytest.raises(ValueError, match="not finite"):
            writer.add("a", np.full((1, 3), np.nan))
        assert not writer.done
    with pytest.raises(ValueError, match="shard_bytes"):
        FeatureWriter(tmp_path / "g", MANIFEST, shard_bytes=0)
