import numpy as np
import pytest

from matchcut.evaluation.guard import check_captions, check_gallery, check_ids, check_pictures, check_selection
from matchcut.evaluation.protocols import PROTOCOLS, paragraphs


def test_overlap_of_ids():
    assert check_ids(["a"], ["b"]) == []
    (found,) = check_ids(["a", "b", "c"], ["c", "b", "x"])
    assert (found.kind, found.count, found.examples) == ("ids", 2, ("b", "c"))


def test_overlap_of_captions_ignores_case_and_spaces():
    assert check_captions(["a dog"], ["a dog."]) == []
    (found,) = check_captions(["A dog runs"], ["a  DOG runs", "a cat", "a dog runs "])
    assert found.count == 2
    assert "2 of 3 test captions" in str(found)


def test_overlap_of_pictures():
    rng = np.random.default_rng(0)
    train, test = rng.normal(size=(30, 16)), rng.normal(size=(5, 16))
    assert check_pictures(train, test, "abcde") == []
    test[3] = 7 * train[11] + 0.01 * rng.normal(size=16)
    (found,) = check_pictures(train, test, "abcde")
    assert found.examples == ("d",)
    assert check_pictures(np.zeros((2, 3)), np.zeros((1, 3)), "a") == []
    with pytest.raises(ValueError, match="1 test_ids for 5"):
        check_pictures(train, test, "a")


@pytest.mark.parametrize("name", PROTOCOLS)
def test_a_complete_gallery_is_silent(name):
    assert check_gallery(name, items=PROTOCOLS[name].items, texts=PROTOCOLS[name].texts) == []


def test_another_gallery_is_said():
    items, texts = check_gallery("msvd", items=600, texts=670)
    assert "a smaller gallery is easier" in items.message
    assert "670 text queries instead of the 27763" in texts.message
    assert "harder" in check_gallery("didemo", items=2000, texts=1004)[0].message
    with pytest.raises(ValueError, match="no protocol 'msr'"):
        check_gallery("msr", items=1, texts=1)


def test_other_texts_are_said_of_the_same_gallery():
    """All 20 captions of the 1,000 test videos are not the protocol of one sentence each."""
    (found,) = check_gallery("msrvtt-1ka", items=1000, texts=20_000)
    assert (found.kind, found.count) == ("gallery", 19_000)
    assert found.message.startswith("20000 text queries instead of the 1000 of MSR-VTT 1k-A: not comparable")


def test_selection_on_test():
    assert check_selection(selected_on="val", tested_on="test") == []
    assert "too good" in str(check_selection(selected_on="test", tested_on="test")[0])


def test_paragraphs_join_sentences():
    assert paragraphs({"v": ["One. ", " Two."], "w": []}) == {"v": "One. Two.", "w": ""}


def test_protocols_match_the_shared_files(shared_data):
    test = (shared_data / "msvd" / "test_list.txt").read_text().split()
    assert len(test) == PROTOCOLS["msvd"].items
