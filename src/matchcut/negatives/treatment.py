"""What every treatment of negatives is: a small object from a table and the batch's evidence to a table."""

from torch import Tensor

from matchcut.negatives.describe import Described
from matchcut.negatives.evidence import Evidence
from matchcut.negatives.pairs import PairTable


class Treatment(Described):
    """Changes how the pairs of a batch take part: leaves out, sets margins or weights, turns into positives.

    Subclasses are frozen dataclasses with keyword-only options (the name of the evidence may stand first). They hold
    nothing of a batch.
    """

    @property
    def uses(self) -> tuple[str, ...]:
        """The names of the evidence it looks at."""
        name = getattr(self, "evidence", None)
        return () if name is None else (name,)

    @property
    def pairwise(self) -> bool:
        """Whether each pair is decided alone, so that a block of rows can be treated by itself (`losses.chunked`)."""
        return False

    def __call__(self, table: PairTable, evidence: Evidence, scores: Tensor) -> PairTable:
        """The changed table.

        Args:
            table: what earlier treatments left, [T, V].
            evidence: what is known of the batch.
            scores: the learned scores, float32 [T, V], for treatments that go by them; treated as constants.
        """
        raise NotImplementedError


def one_of(option: str, value: str, allowed: tuple[str, ...]) -> None:
    """Refuse a word that is not among the allowed ones."""
    if value not in allowed:
        raise ValueError(f"{option} must be one of {', '.join(map(repr, allowed))}, got {value!r}")
