"""The split lists of MSR-VTT beside its official split: 7k and 9k for training, JSFUSION's (1k-A) for the test.

Yu, Kim and Kim, "A joint sequence fusion model for video question answering and retrieval", 2018: 1,000 videos with one
given sentence each. Files: MSRVTT_train.7k.csv and MSRVTT_train.9k.csv with the column video_id,
MSRVTT_JSFUSION_test.csv with video_id and sentence.
"""

from collections.abc import Container, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from matchcut.datasets.report import differences
from matchcut.datasets.shipped import look, plain, rows_of
from matchcut.errors import MatchcutError

TRAIN = {"7k": "MSRVTT_train.7k.csv", "9k": "MSRVTT_train.9k.csv"}  # all of them test on JSFUSION's list
TEST = "MSRVTT_JSFUSION_test.csv"
# Counted in the files as shipped.
EXPECTED = {"7k": 7_010, "9k": 9_000, "jsfusion": 1_000}

Schemes = dict[str, dict[str, list[str]]]  # scheme -> part -> keys of videos, or of captions


@dataclass(frozen=True)
class Lists:
    """The lists that are there, each video -> its sentence ("" where the list has none)."""

    train: Mapping[str, Mapping[str, str]]  # by scheme
    test: Mapping[str, str] | None

    @classmethod
    def read(cls, folder: Path) -> "Lists":
        """Read them.

        Raises:
            MatchcutError: if one is not laid out as it should be, lists a video twice or an empty sentence.
        """
        found = {scheme: _read(folder, name) for scheme, name in TRAIN.items()}
        return cls({scheme: videos for scheme, videos in found.items() if videos is not None}, _read(folder, TEST))

    @property
    def sentences(self) -> Mapping[str, str]:
        """The sentence of each test video, where the list has them."""
        return self.test if self.test and all(self.test.values()) else {}

    def schemes(self, here: Container[str]) -> tuple[Schemes, list[str]]:
        """The videos of each scheme and part that are here, and what to say."""
        found: Schemes = {}
        notes = []
        for scheme, name in {**TRAIN, "jsfusion": TEST}.items():
            videos = self.test if scheme == "jsfusion" else self.train.get(scheme)
            if videos is None:
                notes.append(f"no {name} here, so no split scheme {scheme}")
                continue
            notes += differences({f"videos in {scheme}": len(videos)}, {f"videos in {scheme}": EXPECTED[scheme]})
            found[scheme] = {"test" if scheme == "jsfusion" else "train": [key for key in videos if key in here]}
            count = sum(map(len, found[scheme].values()))
            if count < len(videos):
                lack = f": no test part in {', '.join(found)}" if scheme == "jsfusion" and not count else ""
                notes.append(f"{count:,} of the {len(videos):,} videos in {name} are here{lack}")
        for scheme in self.train:
            found[scheme]["test"] = found.get("jsfusion", {"test": []})["test"]
        return found, notes


@dataclass(frozen=True)
class Sentences:
    """JSFUSION's sentences among the captions of their videos.

    named: a caption key each. apart: video -> the sentence that is none of its captions, to be stored as one more that
    only the schemes which name it use. letter, spaces: how many are a caption to the letter, or but for white space.
    """

    named: list[str] = field(default_factory=list)
    apart: dict[str, list[str]] = field(default_factory=dict)
    letter: int = 0
    spaces: int = 0

    @classmethod
    def find(cls, sentences: Mapping[str, str], captions: Mapping[str, Sequence[str]]) -> "Sentences":
        """Look for each sentence among its video's captions; of equal ones the first.

        A sentence that differs in more than white space is another query: encoders read a hyphen or a colon.

        >>> found = Sentences.find({"v": "a t shirt", "w": "a dog"}, {"v": ["a t-shirt"], "w": ["a cat", "a  dog"]})
        >>> found.named, found.apart
        (['v#1', 'w#1'], {'v': ['a t shirt']})
        """
        named, apart, letter, spaces = [], {}, 0, 0
        for key, sentence in sentences.items():
            texts = list(captions[key])
            alike = [plain(text) for text in texts]
            if sentence in texts:
                number, letter = texts.index(sentence), letter + 1
            elif plain(sentence) in alike:
                number, spaces = alike.index(plain(sentence)), spaces + 1
            else:
                number, apart[key] = len(texts), [sentence]
            named.append(f"{key}#{number}")
        return cls(named, apart, letter, spaces)

    def note(self) -> str:
        """How many are what."""
        said = f"of {len(self.named):,} sentences in {TEST} {self.letter:,} are captions of their video to the letter"
        said += f", {self.spaces:,} but for spaces" if self.spaces else ""
        if self.apart:
            said += f"; {len(self.apart):,} are worded otherwise and were added, for the parts that name them only"
        return said


def _read(folder: Path, name: str) -> dict[str, str] | None:
    shipped = look(folder, [name])
    if shipped is None:
        return None
    where, data = shipped
    found: dict[str, str] = {}
    for line, row in rows_of(where, data, ["video_id"]):
        key = row["video_id"]
        if not key or key in found:
            raise MatchcutError(f"{where}, line {line}: {f'{key} is listed twice' if key else 'names no video'}")
        if row.get("sentence") == "":
            raise MatchcutError(f"{where}, line {line}: {key} has an empty sentence")
        found[key] = row.get("sentence", "")
    return found
