import pytest
import torch

from matchcut.models.inputs import Padded
from matchcut.models.words import WordEmbedding


def test_a_word_beyond_the_vocabulary_is_named():
    with pytest.raises(ValueError, match="word number 7, the vocabulary is of 5 words"):
        WordEmbedding(5, 2)(Padded(torch.tensor([[1, 7]]), torch.tensor([2])))
