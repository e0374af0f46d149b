"""Pre-trained vectors that the words of a network start from."""

import gzip
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from matchcut.errors import MatchcutError
from matchcut.features.bigfile import open_bigfile
from matchcut.models.words import WordEmbedding


def start_words(model: nn.Module, path: Path | str, words: Sequence[str]) -> int:
    """Let the word embeddings of a network start from a file's vectors, all other words from U(-1, 1).

    Source of the rule: reference code `danieljf24/dual_encoding`, whose vectors are a BigFile folder.

    Args:
        path: see `read_word_vectors`.
        words: the vocabulary, by number.

    Returns:
        How many of the words the file has.

    Raises:
        MatchcutError: if the network has no words, or the file has none of them or vectors of another size.
    """
    tables = [module for module in model.modules() if isinstance(module, WordEmbedding)]
    if not tables or not words:
        raise MatchcutError("data.word_vectors: the network reads no words; leave it out")
    vectors, known = read_word_vectors(path, words)
    size, wanted = vectors.shape[1], tables[0].table.embedding_dim
    if size != wanted:
        raise MatchcutError(f"{path}: vectors of {size} numbers; the network's words have {wanted} (model.word_dim)")
    if not known.any():
        raise MatchcutError(f"{path}: has none of the {len(words):,} words of the vocabulary")
    for table in tables:
        spare = table.table.num_embeddings - len(words)  # rows that nothing uses
        table.load(nn.functional.pad(vectors, (0, 0, 0, spare)), nn.functional.pad(known, (0, spare)))
    return int(known.sum())


def read_word_vectors(path: Path | str, words: Sequence[str]) -> tuple[Tensor, Tensor]:
    """The vectors of some words, float32 [n, d], zero where there is none, and which have one, bool [n].

    Args:
        path: a text file of word2vec or GloVe (a line a word: the word and d numbers; a first line of two numbers is
            passed over; `.gz` too), or a BigFile folder with words for ids.

    Raises:
        MatchcutError: naming file and line, if it cannot be read.
    """
    path = Path(path)
    place = {word: number for number, word in enumerate(words)}
    found = dict(_of_bigfile(path, place) if path.is_dir() else _of_text(path, place))
    size = next((len(vector) for vector in found.values()), 0)
    vectors, known = torch.zeros(len(words), size), torch.zeros(len(words), dtype=torch.bool)
    for word, vector in found.items():
        vectors[place[word]] = torch.from_numpy(vector)
        known[place[word]] = True
    if not size:
        raise MatchcutError(f"{path}: has none of the {len(words):,} words of the vocabulary")
    return vectors, known


def _of_bigfile(path: Path, wanted: dict[str, int]) -> Iterator[tuple[str, np.ndarray]]:
    features = open_bigfile(path)
    for word in wanted.keys() & set(features.ids):
        yield word, np.array(features.rows(word)[0], dtype=np.float32)


def _of_text(path: Path, wanted: dict[str, int]) -> Iterator[tuple[str, np.ndarray]]:
    size = 0
    try:
        with gzip.open(path, "rb") if path.suffix == ".gz" else open(path, "rb") as file:
            for number, line in enumerate(file, start=1):
                if number == 1:
                    first = line.split()
                    size = int(first[1]) if len(first) == 2 else len(first) - 1
                    if len(first) == 2:
                        continue
                word = line.partition(b" ")[0].decode("utf-8", "replace")  # few of millions of lines are looked at
                if word in wanted:
                    values = line.split()[1:]
                    if len(values) != size or size < 1:
                        raise MatchcutError(f"{path}, line {number}: {len(values)} numbers; the first line says {size}")
                    yield word, np.array(values, dtype=np.float32)
    except (OSError, EOFError, ValueError) as error:
        raise MatchcutError(f"{path}: not readable as word vectors: {error}") from error
