import sys
from types import ModuleType, SimpleNamespace

import pytest

from matchcut.encoders import pos_tags
from matchcut.encoders.pos_tags import Word, find_tagger, salience
from matchcut.errors import MatchcutError


def test_every_piece_of_a_salient_word_weighs_two() -> None:
    words = [Word(0, 1, False), Word(2, 8, True), Word(9, 13, False)]
    offsets = [(0, 0), (0, 1), (2, 5), (5, 8), (8, 9), (9, 13), (13, 13)]
    assert salience(words, offsets) == [1, 1, 2, 2, 1, 1, 1]
    assert salience([], offsets) == [1] * 7
    assert salience(words, []) == []


def test_without_a_tagger_the_message_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pos_tags, "find_spec", lambda name: None)
    for which in ("auto", "spacy", "textblob"):
        with pytest.raises(MatchcutError, match=r"pip install 'matchcut\[tags\]'"):
            find_tagger(which)


def test_textblob_finds_nouns_adjectives_and_verbs() -> None:
    pytest.importorskip("textblob", reason="TextBlob is not installed")
    tagger = find_tagger("textblob")
    assert tagger.name.startswith("textblob ")
    captions = ["a man is playing a red guitar, and they don't stop!", "", "..."]
    found = list(tagger.words(captions))
    assert len(found) == 3
    assert found[1] == []
    salient = [captions[0][w.start : w.end] for w in found[0] if w.salient]
    assert salient == ["man", "playing", "red", "guitar", "stop"]
    assert [captions[0][w.start : w.end] for w in found[0]][-4:] == ["they", "don't", "stop", "!"]
    assert not any(word.salient for word in found[2])


class FakePipeline:
    def __init__(self) -> None:
        self.meta = {"version": "1.2.3"}

    def pipe(self, captions):
        tags = {"man": "NOUN", "is": "AUX", "make": "VERB"}
        for caption in captions:
            position, doc = 0, []
            for text in caption.split(" "):
                token = SimpleNamespace(
                    idx=position, text=text, pos_=tags.get(text, "DET"), is_stop=text == "make", is_space=not text
                )
                doc.append(token)
                position += len(text) + 1
            yield doc


def test_spacy_is_used_when_a_model_is_installed(monkeypatch: pytest.MonkeyPatch) -> None:
    spacy = ModuleType("spacy")
    spacy.__version__ = "3.8.0"
    spacy.util = SimpleNamespace(is_package=lambda name: name == "en_core_web_sm")
    spacy.load = lambda model, exclude: FakePipeline()
    monkeypatch.setitem(sys.modules, "spacy", spacy)
    monkeypatch.setattr(pos_tags, "find_spec", lambda name: True)
    pos_tags._spacy_pipeline.cache_clear()
    tagger = find_tagger()
    assert tagger.name == "spacy 3.8.0 en_core_web_sm 1.2.3"
    assert list(tagger.words(["a man make"])) == [[Word(0, 1, False), Word(2, 5, True), Word(6, 10, False)]]
    pos_tags._spacy_pipeline.cache_clear()
