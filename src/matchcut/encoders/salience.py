"""What each token of a caption weighs in DMAE's textual attention, as a feature set beside the tokens' vectors."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from matchcut.encoders.base import Encoder, Rows
from matchcut.encoders.pos_tags import find_tagger, salience
from matchcut.encoders.spec import Spec
from matchcut.errors import MatchcutError


class Salience(Encoder):
    """Captions to one number a token: 2 for pieces of salient words, 1 for the rest (see `pos_tags.salience`).

    There is one row for each row of the token encoder's own feature set. The tagger that was used stands in the
    manifest's preprocessing.
    """

    of = "captions"
    shape = (1,)

    def __init__(self, tokens: Encoder) -> None:
        """tokens: an encoder of captions to token vectors, with a tokenizer that knows where tokens stand."""
        tokenizer: Any = getattr(tokens, "tokenizer", None)
        if tokenizer is None or getattr(tokens, "vector", "tokens") != "tokens" or getattr(tokens, "full", False):
            raise MatchcutError(f"encoder salience:{tokens.spec}: {tokens.spec} does not give one row for each token")
        if not tokenizer.is_fast:
            raise MatchcutError(f"encoder salience:{tokens.spec}: its tokenizer does not say where tokens stand")
        self.tokenizer = tokenizer
        self.max_length: int = tokens.max_length  # type: ignore[attr-defined]
        self.tagger = find_tagger()
        self.spec, self.name = f"salience:{tokens.spec}", f"{tokens.name}-salience"
        self.weights = tokens.weights
        self.preprocessing = f"at most {self.max_length} tokens, tagged by {self.tagger.name}"
        self.batch_size = tokens.batch_size

    def prepare(self, one: str) -> str:
        """Nothing: captions are tagged many at a time."""
        return one

    def run(self, prepared: Sequence[str]) -> list[Rows]:
        """Captions to float32 [n, 1] each."""
        captions = list(prepared)
        split = self.tokenizer(captions, truncation=True, max_length=self.max_length, return_offsets_mapping=True)
        weights = map(salience, self.tagger.words(captions), split["offset_mapping"])
        return [np.asarray(row, dtype=np.float32)[:, None] for row in weights]


def load(spec: Spec) -> Encoder:
    """The encoder of `salience:TOKENS`, TOKENS being the specification of a token encoder."""
    if not spec.source:
        raise MatchcutError(f"encoder {str(spec)!r}: name a token encoder, such as salience:minilm-tokens")
    from matchcut.encoders import load_encoder

    return Salience(load_encoder(str(spec).removeprefix("salience:")))
