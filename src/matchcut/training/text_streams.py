"""Streams made from the wording of captions and queries, which no encoder stores: words, bags of words, token ids."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor

from matchcut.collection import Collection
from matchcut.encoders import load_encoder
from matchcut.encoders.clip_inputs import token_ids
from matchcut.encoders.thinning import thin
from matchcut.encoders.vocabulary import SPECIAL, Vocabulary
from matchcut.encoders.word_pieces import piece_words
from matchcut.encoders.words import clean, word_numbers
from matchcut.errors import MatchcutError
from matchcut.models.inputs import Padded
from matchcut.training.data import Memo, PairData, digest, read_manifest
from matchcut.training.pixels import PIXELS
from matchcut.training.recipe import Recipe
from matchcut.training.streams import AnyStream, Bags, Stream

WORDS, BAGS, TOKEN_IDS = "words", "bow", "clip-token-ids"
MADE = (WORDS, BAGS, TOKEN_IDS)
"""Names that stand for streams made here, whatever the network; all other text streams are feature sets."""


def stored_text(recipe: Recipe) -> list[str]:
    """The caption feature sets that a recipe's network reads, without the streams that are made here."""
    return [name for name in recipe.text if name not in MADE]


def stored_item(recipe: Recipe) -> list[str]:
    """The frame feature sets that a recipe's network reads, without pixels."""
    return [name for name in recipe.item if name != PIXELS]


def clip_source(recipe: Recipe) -> str:
    """The checkpoint of the CLIP towers that a recipe's network holds, or ""."""
    towers = getattr(recipe.model, "towers", None)
    return towers.path if towers is not None else ""


def pixels_for(recipe: Recipe) -> str:
    """The checkpoint whose image tower reads the frames themselves, or ""."""
    return clip_source(recipe) if PIXELS in recipe.item else ""


def aligned_with(recipe: Recipe) -> str:
    """The feature set of token vectors whose word pieces the recipe's words stand beside, or ""."""
    tokens = getattr(recipe.model, "tokens", "")
    return tokens if WORDS in recipe.text and tokens in recipe.text else ""


@dataclass(frozen=True)
class TextStreams:
    """Makes the streams `reads`, some of `MADE`, alike for training captions and for a typed query.

    `words`: numbers of `<start>`, the words, `<end>`. Beside token vectors (`tokens`: the name of their feature set,
    `encoder`: its specification) a word is written once for each of its word pieces, so that both are as long.
    `clip-token-ids`: token ids of the CLIP checkpoint `clip`.
    `bow`: how often each word of the vocabulary but the special ones occurs in the cleaned caption; with `bag_by_piece`
    and token vectors it counts once for each of its word pieces.

    >>> made = TextStreams(reads=("words", "bow"), vocabulary=Vocabulary.build([["a", "dog"]], threshold=1))
    >>> made.batch(["A dog, a cat"])["words"].values.tolist()
    [[1, 4, 5, 4, 3, 2]]
    >>> made.batch(["A dog, a cat"])["bow"].values.tolist()
    [[[2.0, 1.0]]]
    """

    reads: tuple[str, ...] = ()
    vocabulary: Vocabulary | None = None
    tokens: str = ""
    encoder: str = ""
    clip: str = ""
    bag_by_piece: bool = False

    @property
    def shapes(self) -> dict[str, tuple[int, ...]]:
        """Row shape of each stream."""
        return {name: (len(self._words) - len(SPECIAL),) if name == BAGS else () for name in self.reads}

    def stream(self, name: str, texts: Sequence[str], lengths: Tensor | None = None) -> AnyStream:
        """One stream of these captions.

        Args:
            name: of `reads`.
            texts: n captions.
            lengths: rows of each caption in the feature set of token vectors, int64 [n]; needed to align words.

        Raises:
            MatchcutError: if words and token vectors are not as many.
        """
        if name == TOKEN_IDS:
            return Stream.of(*token_ids(self.clip, texts))
        if name == BAGS:
            some = len(SPECIAL)
            counted = self._written(texts) if self.bag_by_piece else [clean(text) for text in texts]
            numbers = [[k - some for k in self._words.numbers(words) if k >= some] for words in counted]
            return Bags.of(numbers, size=len(self._words) - some)
        words = self._written(texts)
        values, found = word_numbers(words, self._words)
        if self.tokens and lengths is not None:
            self._check(texts, found, lengths.numpy())
        return Stream.of(values.astype(np.int32), found)

    def batch(self, texts: Sequence[str], stored: Mapping[str, Padded] | None = None) -> dict[str, Padded]:
        """All streams of a few captions or queries; stored: their token vectors, among other things."""
        lengths = (stored or {})[self.tokens].lengths if self.tokens else None
        every = torch.arange(len(texts))
        return {name: self.stream(name, texts, lengths).batch(every) for name in self.reads}

    def identity(self, name: str) -> str:
        """What a stream depends on beside the captions."""
        if name == TOKEN_IDS:
            return f"{name} {self.clip}"
        by_piece = name == WORDS or self.bag_by_piece
        return f"{name} {digest(self._words.words)}" + (f" {self.tokens} {self.encoder}" if by_piece else "")

    def _written(self, texts: Sequence[str]) -> Sequence[Sequence[str]]:
        """The words of each caption, beside token vectors once for each piece."""
        return piece_words(self.encoder, texts) if self.tokens else [clean(text) for text in texts]

    @property
    def _words(self) -> Vocabulary:
        if self.vocabulary is None:
            raise ValueError(f"streams {self.reads} need a vocabulary, got none")
        return self.vocabulary

    def _check(self, texts: Sequence[str], found: np.ndarray, rows: np.ndarray) -> None:
        (wrong,) = np.nonzero(found != rows)
        if len(wrong):
            first = wrong[0]
            raise MatchcutError(
                f"feature set {self.tokens!r}: {len(wrong)} of {len(texts)} captions have other token vectors than "
                f"word pieces, such as {texts[first]!r} with {rows[first]} vectors and {found[first]} pieces; captions "
                f"have changed since they were embedded: `matchcut embed --encoder {self.encoder} --force`"
            )


def check_thinning(recipe: Recipe) -> None:
    """Refuse to thin captions for a network that reads stored vectors of them, which were made from all words.

    Raises:
        MatchcutError: naming such a stream.
    """
    stored = [name for name in stored_text(recipe) if name != getattr(recipe.model, "salience", None)]
    if recipe.data.thin_captions and stored:
        raise MatchcutError(
            f"{recipe.source}: data.thin_captions: the network reads {stored[0]!r}, made from whole captions; "
            f"only streams made in training can be thinned: {', '.join(MADE)}"
        )


def thin_text_streams(data: PairData, text: TextStreams, recipe: Recipe, collection: Collection) -> PairData:
    """The training data with streams made anew from thinned captions; the texts themselves, and evidence, stay whole.

    Salience, which is stored, is made anew too, by the encoder that its feature set names.

    Raises:
        MatchcutError: as `check_thinning`.
    """
    check_thinning(recipe)
    salience = getattr(recipe.model, "salience", None)
    texts = thin(data.texts, data.owner.tolist(), seed=recipe.training.seed)
    made: dict[str, AnyStream] = {name: text.stream(name, texts) for name in text.reads}
    if salience:
        encoder = load_encoder(read_manifest(collection, salience, of="captions").encoder)
        rows = [np.asarray(row) for row in encoder.run([encoder.prepare(one) for one in texts])]
        made[salience] = Stream.of(np.concatenate(rows), [len(row) for row in rows])
    return replace(data, text={**data.text, **made})


def add_text_streams(data: PairData, text: TextStreams, *, memo: Memo | None = None) -> PairData:
    """The data with the streams that are made from its captions; memo as for `load`."""
    memo, made = {} if memo is None else memo, {}
    for name in text.reads:
        key = (text.identity(name), digest(data.captions))
        if key not in memo:
            tokens = data.text[text.tokens] if text.tokens else None
            lengths = tokens.offsets.diff() if isinstance(tokens, Stream) else None
            memo[key] = text.stream(name, data.texts, lengths)
        made[name] = memo[key]
    return replace(data, text={**data.text, **made}) if made else data
