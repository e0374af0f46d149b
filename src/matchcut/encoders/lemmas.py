"""Which concept a word stands for: nouns, adjectives and verbs that are no stop words, without their endings."""

from collections import Counter
from collections.abc import Iterable, Sequence

from matchcut.encoders.concepts import Lemma
from matchcut.encoders.pos_tags import find_tagger


def find_lemma(captions: Iterable[Sequence[str]]) -> tuple[str, Lemma]:
    """What names concepts, in words to be recorded, and the concept of each word of these captions.

    The hybrid space takes lemmatised nouns, verbs and adjectives that are no stop words (Dong et al., TPAMI 2021).
    Lemmatisers need downloads, so the stem stands for the lemma (a choice of this project: Snowball's English
    stemmer), written as the most frequent of its words, and each word is tagged on its own.

    captions: each as a list of words.

    >>> _, lemma = find_lemma([["the", "dogs", "run"], ["a", "dog", "running"], ["the", "dog"]])
    >>> lemma("dogs"), lemma("the")
    ('dog', None)

    Raises:
        MatchcutError: if no part-of-speech tagger is installed.
    """
    from importlib.metadata import version

    from nltk.stem.snowball import SnowballStemmer

    tagger, stemmer = find_tagger(), SnowballStemmer("english")
    counts = Counter(word for caption in captions for word in caption)
    ordered = sorted(counts, key=lambda word: (-counts[word], word))
    concept: dict[str, str] = {}
    written: dict[str, str] = {}  # stem -> its most frequent word
    for word, tagged in zip(ordered, tagger.words(ordered), strict=True):
        if any(one.salient for one in tagged):
            concept[word] = written.setdefault(stemmer.stem(word), word)
    return f"{tagger.name}, nltk {version('nltk')} snowball", concept.get
