"""Parts of a split that name their captions, and catalogues from before there was such a thing."""

import multiprocessing
import random
import sqlite3

import pytest

from matchcut.collection import Caption, Collection, Item, Judgment
from matchcut.collection.summary import summarize
from matchcut.errors import MatchcutError

# The tables that differed in version 1, as it made them.
VERSION_1 = """
CREATE TABLE meta ("key" VARCHAR NOT NULL, value TEXT NOT NULL, PRIMARY KEY ("key"));
CREATE TABLE captions (
    id INTEGER NOT NULL, item_id INTEGER NOT NULL, number INTEGER NOT NULL, text TEXT NOT NULL,
    PRIMARY KEY (id), UNIQUE (item_id, number), FOREIGN KEY(item_id) REFERENCES items (id) ON DELETE CASCADE
);
CREATE TABLE splits (
    scheme VARCHAR NOT NULL, item_id INTEGER NOT NULL, part VARCHAR NOT NULL,
    PRIMARY KEY (scheme, item_id), FOREIGN KEY(item_id) REFERENCES items (id) ON DELETE CASCADE
);
CREATE INDEX ix_splits_part ON splits (scheme, part);
INSERT INTO meta VALUES ('schema_version', '1');
INSERT INTO captions VALUES (1, 1, 0, 'one'), (2, 1, 1, 'two'), (3, 2, 0, 'three');
INSERT INTO splits VALUES ('default', 1, 'train'), ('default', 2, 'test');
"""


def keys(collection, part=None, scheme="default"):
    return [caption.key for caption in collection.captions(split=part, scheme=scheme)]


@pytest.fixture
def collection(tmp_path):
    """Items a (train), b and c (test) with two captions each; in the scheme "one" the test names one of each."""
    made = Collection.create(tmp_path / "mine")
    with made.writing() as writer:
        for key in "abc":
            writer.put_item(Item(key, "video", ""), [])
        writer.put_captions("a", ["a0", "a1"])
        writer.put_captions("b", ["b0", "b1"])
        writer.put_captions("c", ["c0", "c1"], named_only=["c apart"])
        writer.put_split({"train": ["a"], "test": ["b", "c"]})
        writer.put_split({"train": ["a"], "test": ["b", "c"]}, scheme="one", captions={"test": ["b#1", "c#2"]})
    return made


@pytest.fixture
def old(tmp_path):
    """A catalogue of version 1."""
    made = Collection.create(tmp_path / "old")
    with made.writing() as writer:
        for key in "ab":
            writer.put_item(Item(key, "video", ""), [])
    database = sqlite3.connect(made.root / "catalogue.db")
    database.executescript("DROP TABLE split_captions; DROP TABLE captions; DROP TABLE splits; DROP TABLE meta;")
    database.executescript(VERSION_1)
    database.close()
    return made.root


def test_a_part_uses_the_captions_it_names(collection):
    assert keys(collection, "test", "one") == ["b#1", "c#2"]
    assert keys(collection, "train", "one") == ["a#0", "a#1"]
    assert keys(collection, "test") == ["b#0", "b#1", "c#0", "c#1"]  # the one apart is for those that name it
    assert collection.captions()[-2:] == [Caption("c", 1, "c1"), Caption("c", 2, "c apart", named_only=True)]
    assert [item.key for item in collection.items(split="test", scheme="one")] == ["b", "c"]
    assert collection.named_captions() == {"one": {"test": 2}}
    assert collection.splits()["one"] == {"train": 1, "test": 2}


def test_an_item_without_a_named_caption_stays_in_the_part(collection):
    with collection.writing() as writer:
        writer.put_split({"test": ["b", "c"]}, scheme="one", captions={"test": ["c#0", "c#0"]})
    assert keys(collection, "test", "one") == ["c#0"]
    assert [item.key for item in collection.items(split="test", scheme="one")] == ["b", "c"]
    with collection.writing() as writer:
        writer.put_split({"test": ["b", "c"]}, scheme="one", captions={"test": []})
    assert keys(collection, "test", "one") == []
    assert collection.named_captions() == {"one": {"test": 0}}


def test_a_part_put_again_replaces_what_it_named(collection):
    with collection.writing() as writer:
        writer.put_split({"val": ["b"]}, scheme="one")  # moved, and all its captions count
    assert keys(collection, "val", "one") == ["b#0", "b#1"]
    assert keys(collection, "test", "one") == ["c#2"]
    with collection.writing() as writer:
        writer.put_split({"test": ["b", "c"]}, scheme="one", captions={"test": ["b#0", "c#2"]})
    assert keys(collection, "test", "one") == ["b#0", "c#2"]


def test_captions_put_again_stay_named_as_long_as_they_are_the_same(collection):
    with collection.writing() as writer:
        writer.put_judgments("people", [Judgment("c#2", "b", 1.0)], complete=False)
        writer.put_captions("c", ["c0", "c1"], named_only=["c apart"])
    assert keys(collection, "test", "one") == ["b#1", "c#2"]
    assert len(collection.judgments("people")) == 1
    with collection.writing() as writer:
        writer.put_captions("c", ["c0", "c1", "c apart"])  # the same words, but one of its captions now
    assert keys(collection, "test", "one") == ["b#1"]  # never the others in its place
    assert keys(collection, "test")[-1] == "c#2"
    with collection.writing() as writer:
        writer.put_captions("b", ["b0", "other"])
    assert keys(collection, "test", "one") == []
    with collection.writing() as writer:
        writer.remove_item("c")
    assert collection.splits()["one"] == {"train": 1, "test": 1}


def test_against_plain_loops(tmp_path):
    rng = random.Random(0)
    collection = Collection.create(tmp_path / "c")
    texts = {f"v{i}": [f"v{i} {k}" for k in range(rng.randrange(4))] for i in range(30)}
    apart = {key: [f"{key} apart"] * rng.randrange(2) for key in texts}
    expected = {}
    with collection.writing() as writer:
        for key in texts:
            writer.put_item(Item(key, "video", ""), [])
            writer.put_captions(key, texts[key], named_only=apart[key])
        for scheme in ("x", "y"):
            part_of = {key: rng.choice(["train", "test", "other"]) for key in texts}
            every = {key: [f"{key}#{k}" for k in range(len(texts[key]) + len(apart[key]))] for key in texts}
            named = {
                part: [c for key in texts if part_of[key] == part for c in every[key] if rng.random() < 0.4]
                for part in ("train", "test")
            }
            parts = {part: [key for key in texts if part_of[key] == part] for part in ("train", "test", "other")}
            writer.put_split(parts, scheme=scheme, captions=named)
            usual = [f"{key}#{k}" for key in parts["other"] for k in range(len(texts[key]))]
            expected |= {(scheme, part): named.get(part, usual) for part in parts}
    for (scheme, part), wanted in expected.items():
        assert keys(collection, part, scheme) == wanted
    assert collection.named_captions() == {
        scheme: {part: len(expected[scheme, part]) for part in ("test", "train")} for scheme in ("x", "y")
    }


@pytest.mark.parametrize(
    ("captions", "message"),
    [
        ({"test": ["b#9"]}, "split 'one', part 'test': no such caption 'b#9'"),
        ({"test": ["a#0"]}, "caption 'a#0' is named for 'test', its item is not in it"),
        ({"vals": ["b#0"]}, "caption 'b#0' is named for 'vals', its item is not in it"),
    ],
)
def test_wrong_names_change_nothing(collection, captions, message):
    with pytest.raises(MatchcutError, match=message), collection.writing() as writer:
        writer.put_split({"train": ["a"], "test": ["b", "c"]}, scheme="one", captions=captions)
    assert keys(collection, "test", "one") == ["b#1", "c#2"]


def test_the_summary_tells_them_apart(collection):
    found = summarize(collection)
    assert found["captions"] == {"all": 7, "items": 3, "min": 2, "mean": 2.0, "max": 2, "named_only": 1}
    assert found["named_captions"] == {"one": {"test": 2}}


def test_an_older_catalogue_is_read_as_it_is(old):
    before = (old / "catalogue.db").read_bytes()
    collection = Collection.open(old)
    assert keys(collection) == ["a#0", "a#1", "b#0"]
    assert collection.captions(split="test") == [Caption("b", 0, "three")]
    assert collection.named_captions() == {}
    assert summarize(collection)["captions"] == {
        "all": 3, "items": 2, "min": 1, "mean": 1.5, "max": 2, "named_only": 0,
    }  # fmt: skip
    assert (old / "catalogue.db").read_bytes() == before


def columns(root):
    with Collection.open(root).reading() as connection:
        return {
            table: {tuple(row)[1:] for row in connection.exec_driver_sql(f"PRAGMA table_info({table})")}
            for table in ("captions", "splits", "split_captions")
        }


def test_an_older_catalogue_is_upgraded_when_written_to(old, collection):
    with pytest.raises(ZeroDivisionError), Collection.open(old).writing() as writer:
        writer.put_fact("x", 1 // 0)
    assert sqlite3.connect(old / "catalogue.db").execute("SELECT * FROM meta").fetchall() == [("schema_version", "1")]
    assert "split_captions" not in str(sqlite3.connect(old / "catalogue.db").execute("SELECT * FROM sqlite_master"))
    with Collection.open(old).writing() as writer:
        writer.put_captions("a", ["one", "two"], named_only=["apart"])
        writer.put_split({"test": ["a"]}, scheme="one", captions={"test": ["a#2"]})
    again = Collection.open(old)
    assert again.facts() == {"schema_version": 2}
    assert keys(again, "test", "one") == ["a#2"]
    assert keys(again, "train") == ["a#0", "a#1"]
    assert keys(again, "test") == ["b#0"]
    assert columns(old) == columns(collection.root)


def _write(root, number, barrier):
    opened = Collection.open(root)
    barrier.wait()
    with opened.writing() as writer:
        writer.put_fact(f"by {number}", "yes")


def test_several_that_upgrade_at_once(old):
    context = multiprocessing.get_context("fork")
    barrier = context.Barrier(4)
    processes = [context.Process(target=_write, args=(old, number, barrier)) for number in range(4)]
    for process in processes:
        process.start()
    for process in processes:
        process.join()
    assert [process.exitcode for process in processes] == [0] * 4
    assert len(Collection.open(old).facts("by ")) == 4
    assert keys(Collection.open(old), "train") == ["a#0", "a#1"]
