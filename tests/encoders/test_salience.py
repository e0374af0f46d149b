from collections.abc import Iterable, Iterator
from pathlib import Path

import numpy as np
import pytest
from tiny_checkpoints import save_bert, save_clip

from matchcut.encoders import load_encoder, pos_tags, salience
from matchcut.encoders.pos_tags import WORD, Word
from matchcut.errors import MatchcutError


class Nouns:
    """Takes "ball", "box" and "skateboarder" for salient."""

    name = "nouns 1"

    def words(self, captions: Iterable[str]) -> Iterator[list[Word]]:
        for caption in captions:
            found = [(m.start(), m.end(), m.group()) for m in WORD.finditer(caption)]
            yield [Word(start, end, word.lower() in ("ball", "box", "skateboarder")) for start, end, word in found]


@pytest.fixture(autouse=True)
def nouns(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(salience, "find_tagger", Nouns)


def test_one_number_for_each_row_of_the_token_encoder() -> None:
    encoder, tokens = load_encoder("salience:minilm-tokens"), load_encoder("minilm-tokens")
    captions = ["a Skateboarder, jumping", "the ball", ""]
    rows = encoder.encode(captions)
    assert [len(row) for row in rows] == [len(row) for row in tokens.encode(captions)]
    pieces = encoder.tokenizer.convert_ids_to_tokens(encoder.tokenizer(captions[0])["input_ids"])
    assert pieces[2:4] == ["skate", "##board"]
    assert rows[0].ravel().tolist() == [1, 1, 2, 2, 2, 1, 1, 1]
    assert rows[1].ravel().tolist() == [1, 1, 2, 1]


def test_the_manifest_names_the_tagger_and_the_tokens() -> None:
    manifest = load_encoder("salience:minilm-tokens").manifest()
    assert manifest.name == "minilm-tokens-salience"
    assert manifest.encoder == "salience:minilm-tokens"
    assert manifest.shape == (1,)
    assert "nouns 1" in manifest.preprocessing


def test_tokens_of_any_checkpoint(tmp_path: Path) -> None:
    for spec in (f"bert:{save_bert(tmp_path / 'bert')}?vector=tokens", f"clip:{save_clip(tmp_path / 'clip')}"):
        spec = f"{spec}?tower=text&vector=tokens" if spec.startswith("clip") else spec
        encoder = load_encoder(f"salience:{spec}")
        captions = ["a red ball rolls", "a box"]
        lengths = [len(row) for row in load_encoder(spec).encode(captions)]
        rows = encoder.encode(captions)
        assert [len(row) for row in rows] == lengths
        np.testing.assert_array_equal(rows[1].ravel(), [1, 1, 2, 1])


@pytest.mark.parametrize("spec", ["salience:minilm", "salience:efficientnet-lite0"])
def test_encoders_without_token_rows_are_refused(spec: str) -> None:
    with pytest.raises(MatchcutError, match="does not give one row for each token"):
        load_encoder(spec)


def test_the_token_encoder_must_be_named() -> None:
    with pytest.raises(MatchcutError, match="salience:minilm-tokens"):
        load_encoder("salience")


def test_without_a_tagger_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(salience, "find_tagger", pos_tags.find_tagger)
    monkeypatch.setattr(pos_tags, "find_spec", lambda name: None)
    with pytest.raises(MatchcutError, match=r"pip install 'matchcut\[tags\]'"):
        load_encoder("salience:minilm-tokens")
