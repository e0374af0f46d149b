import multiprocessing
import os
import sqlite3
from dataclasses import replace

import pytest

from matchcut.collection import Caption, Collection, Frame, Item, Judgment, Shot
from matchcut.errors import MatchcutError

VIDEO = Item("a", "video", "a.mp4", 10, 2**60, 4.5, 29.97, 64, 48, "adaptive")
SHOTS = [Shot(0.0, 2.5, (Frame(0.0), Frame(0.5)), thumb="thumbs/1.jpg"), Shot(2.5, 4.5, (Frame(2.5, "x/y.jpg"),))]


@pytest.fixture
def collection(tmp_path):
    return Collection.create(tmp_path / "mine")


@pytest.fixture
def filled(collection):
    with collection.writing() as writer:
        writer.put_item(VIDEO, SHOTS)
        writer.put_item(Item("b", "image", "b.jpg"), [Shot(0, 0, (Frame(0.0),))])
        writer.put_item(Item("c", "video", ""), [])
        writer.put_captions("a", ["one", "two", "three"])
        writer.put_captions("b", ["four"])
        writer.put_split({"train": ["a", "c"], "test": ["b"]})
        writer.put_split({"half": ["a"]}, scheme="other")
        judged = [Judgment("a#0", "a", 1.0), Judgment("a#2", "b", 0.5), Judgment("b#0", "a", 0.25)]
        writer.put_judgments("people", judged, complete=False)
    return collection


def test_what_goes_in_comes_out(filled):
    collection = Collection.open(filled.root)  # from the disk
    assert [item.key for item in collection.items()] == ["a", "b", "c"]
    assert collection.items()[0] == VIDEO
    shots = collection.shots()
    assert [shot.key for shot in shots] == ["a@0", "a@1", "b@0"]
    assert shots[:2] == [replace(shot, item="a", number=k) for k, shot in enumerate(SHOTS)]
    assert collection.captions()[:2] == [Caption("a", 0, "one"), Caption("a", 1, "two")]
    assert [caption.key for caption in collection.captions()] == ["a#0", "a#1", "a#2", "b#0"]
    assert collection.splits() == {"default": {"train": 2, "test": 1}, "other": {"half": 1}}
    assert collection.judgments("people") == [
        Judgment("a#0", "a", 1.0),
        Judgment("a#2", "b", 0.5),
        Judgment("b#0", "a", 0.25),
    ]
    assert collection.judged() == {"people": "partial"}
    assert collection.counts() == {
        "items": 3, "shots": 3, "frames": 4, "captions": 4, "judgments": 3, "failures": 0,
    }  # fmt: skip


def test_one_part_of_a_split(filled):
    assert [item.key for item in filled.items(split="train")] == ["a", "c"]
    assert [shot.key for shot in filled.shots(split="test")] == ["b@0"]
    assert [caption.key for caption in filled.captions(split="half", scheme="other")] == ["a#0", "a#1", "a#2"]
    assert filled.items(split="val") == filled.shots(split="train", scheme="none") == []


def test_an_error_takes_back_the_whole_transaction(filled):
    before = (filled.items(), filled.shots(), filled.captions(), filled.counts(), filled.facts())
    with pytest.raises(ZeroDivisionError), filled.writing() as writer:  # noqa: PT012
        writer.put_item(Item("d", "video", "d.mp4"), SHOTS)
        writer.put_item(VIDEO, [])
        writer.put_captions("a", ["other"])
        writer.remove_item("b")
        writer.put_failure("e.mp4", "broken")
        writer.put_fact("colour", "blue")
        raise ZeroDivisionError
    assert (filled.items(), filled.shots(), filled.captions(), filled.counts(), filled.facts()) == before


def test_an_item_put_again_keeps_captions_splits_and_judgments(filled):
    judged = filled.judgments("people")
    with filled.writing() as writer:
        writer.put_item(replace(VIDEO, size=11), SHOTS[1:])
    assert filled.items()[0].size == 11
    assert [item.key for item in filled.items()] == ["a", "b", "c"]
    assert [(shot.key, shot.start) for shot in filled.shots()] == [("a@0", 2.5), ("b@0", 0.0)]
    assert filled.counts()["frames"] == 2  # none left over from the old shots
    assert len(filled.captions()) == 4
    assert filled.splits()["default"] == {"train": 2, "test": 1}
    assert filled.judgments("people") == judged


def test_a_caption_that_changes_loses_its_judgments_only(filled):
    with filled.writing() as writer:
        writer.put_captions("a", ["one", "deux", "drei", "vier"])
    assert [caption.text for caption in filled.captions()] == ["one", "deux", "drei", "vier", "four"]
    assert [judgment.caption for judgment in filled.judgments("people")] == ["a#0", "b#0"]
    with filled.writing() as writer:
        writer.put_captions("a", [])
    assert [caption.key for caption in filled.captions()] == ["b#0"]
    assert [judgment.caption for judgment in filled.judgments("people")] == ["b#0"]


def test_removing_an_item_removes_what_belongs_to_it(filled):
    with filled.writing() as writer:
        writer.remove_item("a")
        with pytest.raises(MatchcutError, match="item 'a': not in this collection"):
            writer.put_captions("a", ["x"])
    assert filled.counts() == {"items": 2, "shots": 1, "frames": 1, "captions": 1, "judgments": 0, "failures": 0}
    assert filled.splits() == {"default": {"test": 1, "train": 1}}


def test_splits_move_and_many_at_once(filled):
    keys = [f"item{k}" for k in range(501)]  # more than one statement takes
    with filled.writing() as writer:
        for key in keys:
            writer.put_item(Item(key, "video", ""), [])
        writer.put_split({"train": keys, "test": ["a"]})
    assert filled.splits() == {"default": {"train": 502, "test": 2}, "other": {"half": 1}}
    with filled.writing() as writer:
        writer.put_split({"val": keys})
    assert filled.splits()["default"] == {"val": 501, "train": 1, "test": 2}
    with filled.writing() as writer:
        writer.put_split({})


def test_judgments_are_replaced_by_source(filled):
    with filled.writing() as writer:
        writer.put_judgments("exact", [Judgment("b#0", "b", 1.0)], complete=True)
        writer.put_judgments("people", [Judgment("b#0", "c", 1.0)], complete=False)
    assert filled.judgments("people") == [Judgment("b#0", "c", 1.0)]
    assert filled.judgments("exact") == [Judgment("b#0", "b", 1.0)]
    assert filled.judgments("nobody") == []
    assert filled.judged() == {"exact": "complete", "people": "partial"}
    with (
        pytest.raises(MatchcutError, match="judgment of 'exact' for caption 'b#9': no such caption"),
        filled.writing() as w,
    ):
        w.put_judgments("exact", [Judgment("b#9", "b", 1.0)], complete=True)
    assert filled.judgments("exact") == [Judgment("b#0", "b", 1.0)]


@pytest.mark.parametrize(
    ("judgments", "message"),
    [
        (
            [Judgment("b#0", "b", 1.0), Judgment("b#0", "b", 0.5)],
            "'b#0' and item 'b': is there twice; judge a pair once",
        ),
        ([Judgment("b#0", "b", float("nan"))], "relevance nan, must be 0 to 1"),
        ([Judgment("b#0", "b", 2.0)], "relevance 2.0, must be 0 to 1"),
    ],
)
def test_wrong_judgments_change_nothing(filled, judgments, message):
    before = filled.judgments("people")
    with pytest.raises(MatchcutError, match=message), filled.writing() as writer:
        writer.put_judgments("people", judgments, complete=True)
    assert (filled.judgments("people"), filled.judged()) == (before, {"people": "partial"})


def test_unknown_items_are_named(filled):
    for change in (
        lambda writer: writer.put_captions("z", ["x"]),
        lambda writer: writer.put_split({"train": ["z"]}),
        lambda writer: writer.remove_item("z"),
        lambda writer: writer.put_judgments("s", [Judgment("a#0", "z", 1.0)], complete=False),
    ):
        with pytest.raises(MatchcutError, match="item 'z': not in this collection"), filled.writing() as writer:
            change(writer)


def test_failures_and_facts(collection):
    with collection.writing() as writer:
        writer.put_failure("b.mp4", "empty")
        writer.put_failure("a.mp4", "cut off")
        writer.put_failure("b.mp4", "still empty")
        writer.put_fact("made:by", "hand")
        writer.put_fact("made_by", "machine")
    assert [(f.source, f.reason) for f in collection.failures()] == [("a.mp4", "cut off"), ("b.mp4", "still empty")]
    assert collection.failures()[0].at.endswith("+00:00")
    assert collection.facts("made_") == {"made_by": "machine"}  # the underscore stands for itself
    with collection.writing() as writer:
        writer.clear_failure("a.mp4")
        writer.clear_failure("never.mp4")
    assert [f.source for f in collection.failures()] == ["b.mp4"]


def test_create_opens_what_is_there(filled):
    assert len(Collection.create(filled.root).items()) == 3


def test_a_folder_of_any_name(tmp_path):
    root = tmp_path / "what? 50% #1 & ü"
    Collection.create(root)
    assert sorted(path.name for path in root.iterdir()) == [".lock", "catalogue.db"]
    assert Collection.open(root).items() == []


def test_no_collection(tmp_path):
    with pytest.raises(MatchcutError, match="no collection here; make one with `matchcut add` or `matchcut import`"):
        Collection.open(tmp_path)
    (tmp_path / "file").touch()
    with pytest.raises(MatchcutError, match=r"file: cannot be written"):
        Collection.create(tmp_path / "file")


def test_another_schema_version(filled):
    with filled.writing() as writer:
        writer.put_fact("schema_version", 99)
    with pytest.raises(MatchcutError, match="schema version 99, this Matchcut reads versions 1 to 2;"):
        Collection.open(filled.root)


@pytest.mark.parametrize("content", [b"", b"not a database" * 100, None])
def test_a_damaged_catalogue(filled, content):
    path = filled.root / "catalogue.db"
    if content is None:
        content = path.read_bytes()[:3000]
    path.write_bytes(content)
    with pytest.raises(MatchcutError, match=r"catalogue.db: not a readable catalogue: "):
        Collection.open(filled.root)


def test_damage_that_shows_while_reading(filled):
    with filled.reading() as connection:
        root_page = connection.exec_driver_sql(
            "SELECT rootpage FROM sqlite_master WHERE name = 'captions'"
        ).scalar_one()
        size = connection.exec_driver_sql("PRAGMA page_size").scalar_one()
    with open(filled.root / "catalogue.db", "rb+") as file:
        file.seek((root_page - 1) * size)
        file.write(b"\xff" * size)
    with pytest.raises(MatchcutError, match=r"catalogue.db: cannot be read: database disk image is malformed"):
        Collection.open(filled.root).captions()


def _create(root, barrier):
    barrier.wait()
    with Collection.create(root).writing() as writer:
        writer.put_item(Item(str(os.getpid()), "video", "a.mp4"), [])


def test_two_that_make_it_at_once_make_one(tmp_path):
    context = multiprocessing.get_context("fork")
    barrier = context.Barrier(4)
    processes = [context.Process(target=_create, args=(tmp_path / "c", barrier)) for _ in range(4)]
    for process in processes:
        process.start()
    for process in processes:
        process.join()
    assert len(Collection.open(tmp_path / "c").items()) == 4


def test_two_writers_wait_for_each_other(filled):
    other = sqlite3.connect(filled.root / "catalogue.db", isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    with filled.reading() as connection:
        connection.exec_driver_sql("PRAGMA busy_timeout = 50")
    message = r"cannot be written: database is locked; nothing was changed"
    with pytest.raises(MatchcutError, match=message), filled.writing() as writer:
        writer.put_fact("x", "y")
    other.execute("COMMIT")
    other.close()
    with filled.writing() as writer:
        writer.put_fact("x", "y")


def _die_within_a_transaction(root):
    import os

    with Collection.open(root).writing() as writer:
        writer.put_item(Item("d", "video", "d.mp4"), SHOTS)
        writer.put_captions("a", [])
        os._exit(9)


def test_killed_within_a_transaction(filled):
    before = (filled.items(), filled.shots(), filled.captions())
    process = multiprocessing.get_context("fork").Process(target=_die_within_a_transaction, args=(filled.root,))
    process.start()
    process.join()
    assert process.exitcode == 9
    again = Collection.open(filled.root)
    assert (again.items(), again.shots(), again.captions()) == before


def test_shots_without_frames_are_the_same_otherwise(tmp_path):
    collection = Collection.create(tmp_path / "c")
    with collection.writing() as writer:
        shots = [Shot(0.0, 1.0, (Frame(0.0), Frame(0.5)), thumb="t.jpg"), Shot(1.0, 2.0, ())]
        writer.put_item(Item(key="a", kind="video", source="a.mp4"), shots)
        writer.put_split({"train": ["a"]})
    full, bare = collection.shots(), collection.shots(split="train", frames=False)
    assert [len(shot.frames) for shot in full] == [2, 0]
    assert bare == [replace(shot, frames=()) for shot in full]
