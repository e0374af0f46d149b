"""A guard against numbers that mislead: leaks between training and test, smaller galleries, selection on test."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np

from matchcut.evaluation.arrays import row_blocks, to_numpy
from matchcut.evaluation.protocols import PROTOCOLS, Protocol


@dataclass(frozen=True)
class Finding:
    """One reason for doubt: its kind (ids, captions, pictures, gallery, selection) and how many are concerned."""

    kind: str
    message: str
    count: int = 0
    examples: tuple[str, ...] = ()

    def __str__(self) -> str:
        return self.message + (f" (for example {', '.join(self.examples)})" if self.examples else "")


def check_ids(train: Iterable[str], test: Iterable[str]) -> list[Finding]:
    """Items that are in both parts.

    >>> print(check_ids(["a", "b"], ["b", "c"])[0])
    1 test items are also training items (for example b)
    """
    shared = sorted(set(train) & set(test))
    if not shared:
        return []
    return [Finding("ids", f"{len(shared)} test items are also training items", len(shared), tuple(shared[:3]))]


def check_captions(train: Iterable[str], test: Iterable[str]) -> list[Finding]:
    """Test captions that stand, to the letter apart from case and spaces, in the training part.

    Not always a leak (short captions recur), but such a query was seen with another item as its answer.

    >>> check_captions(["A dog runs."], ["a dog  runs.", "a cat"])[0].count
    1
    """
    known = {_plain(c) for c in train}
    given = list(test)
    found = [c for c in given if _plain(c) in known]
    if not found:
        return []
    message = f"{len(found)} of {len(given)} test captions are identical with training captions"
    return [Finding("captions", message, len(found), tuple(dict.fromkeys(found[:3])))]


def _plain(caption: str) -> str:
    return " ".join(caption.lower().split())


def check_pictures(train: Any, test: Any, test_ids: Iterable[str], *, threshold: float = 0.99) -> list[Finding]:
    """Test items whose feature vector nearly equals a training item's: cosine of at least `threshold`.

    Args:
        train: [N, D], test: [M, D]: one vector an item, from the same frozen encoder. test_ids: [M].

    >>> check_pictures([[1.0, 0.0]], [[2.0, 0.0], [0.0, 1.0]], ["a", "b"])[0].examples
    ('a',)
    """
    a, b, names = _unit(train), _unit(test), list(test_ids)
    if len(names) != len(b):
        raise ValueError(f"{len(names)} test_ids for {len(b)} test vectors")
    found = []
    for part in row_blocks(len(b), max(1, len(a))):
        near = (b[part] @ a.T).max(axis=1, initial=-1.0) >= threshold
        found += [names[part.start + int(i)] for i in np.flatnonzero(near)]
    if not found:
        return []
    message = f"{len(found)} test items look like a training item (cosine {threshold:g} or more)"
    return [Finding("pictures", message, len(found), tuple(found[:3]))]


def _unit(vectors: Any) -> Any:
    array = to_numpy(vectors).astype(np.float32)
    norm = np.linalg.norm(array, axis=1, keepdims=True)
    return array / np.where(norm > 0, norm, 1)


def check_gallery(protocol: str | Protocol, *, items: int, texts: int) -> list[Finding]:
    """A gallery or query set of another size than the published protocol: fewer items are easier to search, and other
    queries, such as all 20 captions a video for the one sentence of MSR-VTT 1k-A, are another task.

    >>> print(check_gallery("didemo", items=824, texts=824)[0])
    824 items instead of the 1004 of DiDeMo: not comparable with published numbers, a smaller gallery is easier
    """
    if isinstance(protocol, str):
        if protocol not in PROTOCOLS:
            raise ValueError(f"no protocol {protocol!r}; there are {', '.join(PROTOCOLS)}")
        protocol = PROTOCOLS[protocol]
    found = []
    if items != protocol.items:
        ease = "a smaller gallery is easier" if items < protocol.items else "a larger gallery is harder"
        message = f"{items} items instead of the {protocol.items} of {protocol.title}: "
        message += f"not comparable with published numbers, {ease}"
        found.append(Finding("gallery", message, abs(items - protocol.items)))
    if texts != protocol.texts:
        message = f"{texts} text queries instead of the {protocol.texts} of {protocol.title}: "
        message += f"not comparable with published numbers ({protocol.how})"
        found.append(Finding("gallery", message, abs(texts - protocol.texts)))
    return found


def check_selection(*, selected_on: str, tested_on: str) -> list[Finding]:
    """A model, epoch or fusion chosen on the very part it is tested on.

    >>> check_selection(selected_on="val", tested_on="test")
    []
    """
    if selected_on != tested_on:
        return []
    message = (
        f"chosen on {selected_on!r}, the part it is tested on: the numbers are too good; choose on validation data"
    )
    return [Finding("selection", message)]
