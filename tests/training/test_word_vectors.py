import gzip

import numpy as np
import pytest
import torch
from torch import nn

from matchcut.errors import MatchcutError
from matchcut.models.words import WordEmbedding
from matchcut.training import Recipe, checkpoint, train
from matchcut.training.check import check
from matchcut.training.word_vectors import read_word_vectors, start_words

WORDS = ["<pad>", "dog", "cat", "runs"]
TEXT = "cat 1 2 3\nthe 9 9 9\ndog -1 0.5 2e-1\n"


def bigfile(folder):
    folder.mkdir()
    np.array([[1, 2, 3], [-1, 0.5, 0.2]], dtype="<f4").tofile(folder / "feature.bin")
    (folder / "id.txt").write_text("cat dog")
    (folder / "shape.txt").write_text("2 3")
    return folder


def files(tmp_path):
    (tmp_path / "glove.txt").write_text(TEXT)
    (tmp_path / "w2v.vec").write_text("3 3\n" + TEXT)
    (tmp_path / "glove.txt.gz").write_bytes(gzip.compress(TEXT.encode()))
    return [tmp_path / "glove.txt", tmp_path / "w2v.vec", tmp_path / "glove.txt.gz", bigfile(tmp_path / "big")]


def test_every_format_gives_the_vectors_of_the_words(tmp_path):
    for path in files(tmp_path):
        vectors, known = read_word_vectors(path, WORDS)
        assert known.tolist() == [False, True, True, False], path
        torch.testing.assert_close(vectors, torch.tensor([[0, 0, 0], [-1, 0.5, 0.2], [1, 2, 3], [0, 0, 0]]).float())


def test_words_start_from_them_and_others_at_random(tmp_path):
    path = files(tmp_path)[0]
    model = nn.Sequential(WordEmbedding(6, 3))  # two rows more than words
    assert start_words(model, path, WORDS) == 2
    weight = model[0].table.weight
    torch.testing.assert_close(weight[1:3], torch.tensor([[-1, 0.5, 0.2], [1.0, 2, 3]]))
    assert (weight[[0, 3, 4, 5]].abs() <= 1).all()
    assert weight[[0, 3, 4, 5]].abs().max() > 0.1  # not the start without vectors


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("the 1 2 3\n", "has none of the 4 words"),
        ("cat 1 2 3\ndog 1 2\n", "line 2: 2 numbers; the first line says 3"),
        ("cat 1 2 x\n", "not readable as word vectors"),
        ("", "has none of the 4 words"),
        ("cat 1 2\n", "vectors of 2 numbers; the network's words have 3 (model.word_dim)"),
    ],
)
def test_a_file_that_does_not_fit_is_one_line(tmp_path, text, message):
    path = tmp_path / "v.txt"
    path.write_text(text)
    with pytest.raises(MatchcutError) as found:
        start_words(nn.Sequential(WordEmbedding(4, 3)), path, WORDS)
    assert message in str(found.value)
    assert str(path) in str(found.value)


def test_no_file_and_no_words_are_said(tmp_path):
    with pytest.raises(MatchcutError, match=r"not readable as word vectors: .*No such file"):
        read_word_vectors(tmp_path / "none.txt", WORDS)
    with pytest.raises(MatchcutError, match="the network reads no words"):
        start_words(nn.Linear(2, 2), files(tmp_path)[0], WORDS)


def test_a_recipe_names_the_file(collection, tmp_path):
    path = tmp_path / "v.txt"
    path.write_text("again 5 6 7\n")
    table = {
        "name": "worded",
        "model": {"name": "vsepp", "item": "efficientnet-lite0", "image": "mean", "word_dim": 3, "dim": 4},
        "data": {"vocabulary_threshold": 1, "word_vectors": str(path)},
        "objective": {"preset": "vsepp"},
        "training": {"epochs": 1, "batch_size": 8, "lr": 1e-9, "weight_decay": 0.0},
    }
    recipe = Recipe.of(table)
    trained = train(recipe, collection)
    tensors, facts = checkpoint.read(trained.folder / checkpoint.LAST)
    row = facts["vocabulary"].index("again")
    (name,) = (key for key in tensors if key.endswith("embedding.table.weight") and key.startswith("model"))
    torch.testing.assert_close(tensors[name][row], torch.tensor([5.0, 6.0, 7.0]), atol=1e-4, rtol=0)
    (need,) = (need for need in check(recipe).needs if need.what == "word vectors")
    assert (need.name, need.shape, need.there) == (str(path), (3,), True)
    with pytest.raises(MatchcutError, match="the network reads no words"):
        train(Recipe.of({**table, "name": "none", "model": {"name": "projection", "dim": 4}}), collection)
