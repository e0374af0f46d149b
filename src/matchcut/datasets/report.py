"""What an import found, to be shown to the user."""

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True)
class Report:
    """What came into a collection, and all that differs from what was expected."""

    name: str
    items: int
    captions: int
    splits: Mapping[str, Mapping[str, int]] = field(default_factory=dict)  # scheme -> part -> items
    named: Mapping[str, Mapping[str, int]] = field(
        default_factory=dict
    )  # the same -> captions, of parts that name them
    judgments: Mapping[str, int] = field(default_factory=dict)  # source -> judged pairs
    notes: tuple[str, ...] = ()  # one sentence each


def differences(found: Mapping[str, int], expected: Mapping[str, int]) -> tuple[str, ...]:
    """One sentence for each count that is not the known one.

    >>> differences({"train images": 5998, "test images": 1000}, {"train images": 6000, "test images": 1000})
    ('expected 6,000 train images, found 5,998',)
    """
    return tuple(
        f"expected {count:,} {what}, found {found[what]:,}" for what, count in expected.items() if found[what] != count
    )
