"""Parts of speech of captions, and from them how much each word counts in DMAE's textual attention."""

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from importlib import import_module
from importlib.metadata import version
from importlib.util import find_spec
from typing import Any, Literal, Protocol

from matchcut.errors import MatchcutError

SPACY_MODELS = ("en_core_web_md", "en_core_web_lg", "en_core_web_trf", "en_core_web_sm")
"""Tried in this order; DMAE's released code uses the first."""

WORD = re.compile(r"\w+(?:['’-]\w+)*|[^\w\s]")


@dataclass(frozen=True)
class Word:
    """A word of a caption: characters start to end, and whether it is salient.

    Salient: a noun, an adjective or a verb that is no stop word (Jiang et al. 2023, released code).
    """

    start: int
    end: int
    salient: bool


class Tagger(Protocol):
    """What finds salient words; `name` says with which package and model, and is recorded with the result."""

    name: str

    def words(self, captions: Iterable[str]) -> Iterator[list[Word]]: ...


def find_tagger(which: Literal["auto", "spacy", "textblob"] = "auto") -> Tagger:
    """The best tagger that is installed: spaCy with an English model, else TextBlob, which needs no download.

    Raises:
        MatchcutError: if the one asked for, or any, is not installed.
    """
    if which in ("auto", "spacy") and find_spec("spacy") is not None:
        spacy = import_module("spacy")
        for model in SPACY_MODELS:
            if spacy.util.is_package(model):
                return SpacyTagger(model)
    if which in ("auto", "textblob") and find_spec("textblob") is not None:
        return TextBlobTagger()
    wanted = {"auto": "part-of-speech tagger", "spacy": "spaCy with an English model", "textblob": "TextBlob"}[which]
    raise MatchcutError(
        f"{wanted} is not installed; `pip install 'matchcut[tags]'` needs no model, spaCy needs {SPACY_MODELS[0]}"
    )


class SpacyTagger:
    """spaCy's tags NOUN, ADJ and VERB, and spaCy's stop words."""

    def __init__(self, model: str) -> None:
        spacy = import_module("spacy")
        self._pipeline = _spacy_pipeline(model)
        self.name = f"spacy {spacy.__version__} {model} {self._pipeline.meta['version']}"

    def words(self, captions: Iterable[str]) -> Iterator[list[Word]]:
        """One list of words a caption; a caption without words gives an empty one."""
        for doc in self._pipeline.pipe(captions):
            yield [
                Word(t.idx, t.idx + len(t.text), t.pos_ in ("NOUN", "ADJ", "VERB") and not t.is_stop)
                for t in doc
                if not t.is_space
            ]


@cache
def _spacy_pipeline(model: str) -> Any:
    return import_module("spacy").load(model, exclude=["ner", "parser", "lemmatizer"])


class TextBlobTagger:
    """TextBlob's pattern tagger (Penn tags NN, JJ, VB and their kin), and scikit-learn's stop words.

    A lexicon with rules, shipped in the package. It knows less of the context than spaCy.
    """

    def __init__(self) -> None:
        from sklearn.feature_extraction.text import ENGLISH_STOP_WORDS

        self._tagger = import_module("textblob.taggers").PatternTagger()
        self._stop_words = ENGLISH_STOP_WORDS
        self.name = f"textblob {version('textblob')} pattern"

    def words(self, captions: Iterable[str]) -> Iterator[list[Word]]:
        """One list of words a caption; a caption without words gives an empty one."""
        for caption in captions:
            found = list(WORD.finditer(caption))
            # Joined by spaces and not tokenised again, so that there is one tag for each word found here.
            tags = self._tagger.tag(" ".join(match.group() for match in found), tokenize=False) if found else []
            yield [
                Word(match.start(), match.end(), tag[:2] in ("NN", "JJ", "VB") and self._counts(match.group()))
                for match, (_, tag) in zip(found, tags, strict=True)
            ]

    def _counts(self, word: str) -> bool:
        stem = re.split("n?['’]", word.lower())[0]  # don't -> do, she's -> she
        return word[0].isalnum() and stem not in self._stop_words


def salience(words: Sequence[Word], offsets: Sequence[tuple[int, int]]) -> list[int]:
    """What each token weighs in textual attention: 2 if it is a piece of a salient word, else 1.

    Every piece of a word gets the word's weight (reconstructed; the released code aligns character by character).

    Args:
        words: of one caption, from a tagger.
        offsets: start and end of each token in the caption, in characters, as a fast tokenizer gives them; an empty
            span is a special token and weighs 1.

    >>> salience([Word(0, 1, False), Word(2, 8, True)], [(0, 0), (0, 1), (2, 5), (5, 8), (0, 0)])
    [1, 1, 2, 2, 1]
    """
    spans = [(word.start, word.end) for word in words if word.salient]
    return [2 if any(start < e and s < end for s, e in spans) and end > start else 1 for start, end in offsets]
