"""Word embeddings, alone or beside token vectors, and recurrent networks over words."""

import torch
from torch import Tensor, nn

from matchcut.models.bigru import last_state, mean_of_directions, packed
from matchcut.models.inputs import Padded
from matchcut.models.normalise import l2_normalise


class WordEmbedding(nn.Module):
    """A learned vector for each word of a vocabulary, started uniform in +-`init`.

    ids: [N, L] word numbers. Returns [N, L, dim].
    """

    def __init__(self, vocabulary: int, dim: int, *, init: float = 0.1) -> None:
        super().__init__()
        if vocabulary < 1:
            raise ValueError(f"vocabulary must be the number of words, at least 1, got {vocabulary}")
        self.table = nn.Embedding(vocabulary, dim)
        nn.init.uniform_(self.table.weight, -init, init)

    def forward(self, ids: Padded) -> Padded:
        numbers = ids.values.long()
        try:
            return Padded(self.table(numbers), ids.lengths)
        except IndexError as error:  # on a CPU; a GPU says so itself, later
            raise ValueError(
                f"a text has word number {int(numbers.max())}, the vocabulary is of {self.table.num_embeddings} words"
            ) from error

    @torch.no_grad()
    def load(self, vectors: Tensor, known: Tensor) -> None:
        """Start from pre-trained vectors [vocabulary, dim]; words not `known`, bool [vocabulary], get U(-1, 1).

        That rule is from the reference code `danieljf24/dual_encoding`.
        """
        if vectors.shape != self.table.weight.shape:
            raise ValueError(f"word vectors must be {tuple(self.table.weight.shape)}, got {tuple(vectors.shape)}")
        random = torch.empty_like(self.table.weight).uniform_(-1, 1)
        self.table.weight.copy_(torch.where(known.to(random.device)[:, None], vectors.to(random), random))


class WordGRU(nn.Module):
    """Words to one unit vector: embedding, one-direction GRU, the state after the last word.

    Source: Faghri et al., BMVC 2018 (VSE++), reference code `fartashf/vsepp`; VSRN has the same.

    ids: [N, L] word numbers. Returns [N, dim].

    >>> sum(p.numel() for p in WordGRU(8481, word_dim=300, dim=1024).parameters())
    6617772
    """

    def __init__(self, vocabulary: int, *, word_dim: int, dim: int) -> None:
        super().__init__()
        self.embedding = WordEmbedding(vocabulary, word_dim)
        self.gru = nn.GRU(word_dim, dim, batch_first=True)

    def forward(self, ids: Padded) -> Tensor:
        return l2_normalise(last_state(self.gru, self.embedding(ids)))


class WordBiGRU(nn.Module):
    """Words to one vector each: embedding, dropout, biGRU, the mean of its two directions.

    Source: reference codes `kuanghuei/SCAN` and `Paranioar/SGRAF`.

    ids: [N, L] word numbers. Returns [N, L, dim], zero beyond each length.
    """

    def __init__(self, vocabulary: int, *, word_dim: int, dim: int, dropout: float = 0.0) -> None:
        super().__init__()
        self.embedding = WordEmbedding(vocabulary, word_dim)
        self.dropout = nn.Dropout(dropout)
        self.gru = nn.GRU(word_dim, dim, batch_first=True, bidirectional=True)

    def forward(self, ids: Padded) -> Padded:
        words = Padded(self.dropout(self.embedding(ids).values), ids.lengths)
        return Padded(mean_of_directions(packed(self.gru, words)), ids.lengths)
