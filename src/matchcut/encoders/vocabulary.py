"""The words a network knows, by number; saved beside its weights as JSON."""

import json
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from matchcut.errors import MatchcutError
from matchcut.files import atomic

PAD, START, END, UNKNOWN = "<pad>", "<start>", "<end>", "<unk>"
SPECIAL = (PAD, START, END, UNKNOWN)
"""Numbers 0 to 3 of a vocabulary of sequences, as in the reference codes of dual encoding, SCAN and VSE++."""


@dataclass(frozen=True)
class Vocabulary:
    """Words in the order of their numbers. One of sequences begins with `SPECIAL`; one of a bag of words does not.

    Build it from training captions only: public code once read the test captions too (fartashf/vsepp#29).

    >>> vocabulary = Vocabulary.build([["a", "dog"], ["a", "cat"]], threshold=2)
    >>> vocabulary.words, vocabulary.numbers(["a", "zebra"])
    (('<pad>', '<start>', '<end>', '<unk>', 'a'), [4, 3])
    """

    words: tuple[str, ...]
    _number: dict[str, int] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        number = {word: i for i, word in enumerate(self.words)}
        if len(number) != len(self.words):
            twice = next(word for word, count in Counter(self.words).items() if count > 1)
            raise ValueError(f"a vocabulary holds each word once, {twice!r} is there {self.words.count(twice)} times")
        object.__setattr__(self, "_number", number)

    @classmethod
    def build(cls, captions: Iterable[Sequence[str]], *, threshold: int = 5, special: bool = True) -> "Vocabulary":
        """Words that occur at least `threshold` times, the most frequent first, equals by the alphabet.

        captions: each as a list of words, such as `words.clean` gives. special: for sequences, not for bags of words.
        """
        if threshold < 1:
            raise ValueError(f"threshold must be at least 1, got {threshold}")
        counts = Counter(word for caption in captions for word in caption)
        kept = sorted((word for word in counts if counts[word] >= threshold), key=lambda word: (-counts[word], word))
        return cls((*(SPECIAL if special else ()), *(word for word in kept if word not in SPECIAL)))

    @property
    def special(self) -> bool:
        """Whether it begins with padding, start, end and unknown."""
        return self.words[: len(SPECIAL)] == SPECIAL

    def __len__(self) -> int:
        return len(self.words)

    def __contains__(self, word: str) -> bool:
        return word in self._number

    def numbers(self, words: Sequence[str]) -> list[int]:
        """The number of each word; for one it does not hold that of `<unk>`, or nothing if it has no `<unk>`."""
        unknown = self._number.get(UNKNOWN)
        found = (self._number.get(word, unknown) for word in words)
        return [number for number in found if number is not None]

    def save(self, path: Path) -> None:
        """Write `{"words": [...]}`."""
        with atomic(path) as part:
            part.write_text(json.dumps({"words": self.words}, ensure_ascii=False, indent=0) + "\n", encoding="utf-8")

    @classmethod
    def load(cls, path: Path) -> "Vocabulary":
        """Read what `save` wrote."""
        try:
            content = json.loads(path.read_text(encoding="utf-8"))
        except FileNotFoundError:
            raise MatchcutError(f"{path}: there is no such file; a vocabulary is saved beside its network") from None
        except ValueError as error:
            raise MatchcutError(f"{path}: this is no JSON ({error}); a vocabulary is {{'words': [...]}}") from None
        words = content.get("words") if isinstance(content, dict) else None
        if not isinstance(words, list) or not all(isinstance(word, str) for word in words):
            raise MatchcutError(f"{path}: no list of words; a vocabulary is {{'words': [...]}}")
        try:
            return cls(tuple(words))
        except ValueError as error:
            raise MatchcutError(f"{path}: {error}") from None
