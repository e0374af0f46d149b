"""What a feature set is: which encoder made it, from what, and how."""

from pathlib import Path
from typing import Literal

import msgspec

from matchcut.errors import MatchcutError
from matchcut.files import write_text

FILE = "manifest.json"
FORMAT = 1


class Manifest(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The identity of a feature set. Two sets with equal manifests hold comparable vectors.

    >>> manifest = Manifest(name="a", encoder="minilm", weights="1a2b", preprocessing="", of="captions", shape=(384,))
    >>> manifest.dtype
    'float16'
    """

    name: str  # name of its folder below features/
    encoder: str  # the encoder's specification, such as "clip:openai/clip-vit-base-patch32"
    weights: str  # hash of the weights
    preprocessing: str  # in words: size, crop, scaling, pooling
    of: Literal["frames", "captions"]  # ids are shot keys or caption keys
    shape: tuple[int, ...]  # of one row
    dtype: Literal["float16", "float32"] = "float16"
    format: int = FORMAT  # of the files on disk

    def save(self, folder: Path) -> None:
        """Write `manifest.json` into the folder."""
        write_text(folder / FILE, msgspec.json.format(msgspec.json.encode(self), indent=2).decode() + "\n")

    @classmethod
    def load(cls, folder: Path) -> "Manifest":
        """Read `manifest.json` of the folder.

        Raises:
            MatchcutError: if there is none, it is damaged, or another version of Matchcut wrote it.
        """
        path = folder / FILE
        try:
            manifest = msgspec.json.decode(path.read_bytes(), type=cls)
        except FileNotFoundError as error:
            raise MatchcutError(f"{folder}: no feature set here (no {FILE}); make one with `matchcut embed`") from error
        except (OSError, msgspec.DecodeError) as error:
            raise MatchcutError(f"{path}: not a readable manifest: {error}; make the set anew with --force") from error
        if manifest.format != FORMAT:
            raise MatchcutError(f"{path}: format {manifest.format}, this Matchcut reads format {FORMAT}")
        return manifest

    def identity(self) -> dict[str, object]:
        """What must agree for vectors to be comparable, as plain values; a model keeps it of its training sets."""
        return {
            "encoder": self.encoder,
            "weights": self.weights,
            "preprocessing": self.preprocessing,
            "of": self.of,
            "shape": list(self.shape),
        }

    def refuse_other(self, wanted: "Manifest", folder: Path) -> None:
        """Raise a `MatchcutError` that names both values if `wanted` is not what this set holds.

        Equal weights at another place are the same encoder.
        """
        fields = ["weights", "preprocessing", "of", "shape", "dtype"]
        if self.weights != wanted.weights or not wanted.weights:
            fields.insert(0, "encoder")
        for field in fields:
            there, asked = getattr(self, field), getattr(wanted, field)
            if there != asked:
                raise MatchcutError(
                    f"{folder}: made with {field} {_show(there)}, now asked for {_show(asked)}; "
                    "choose another --name, or --force to make the set anew"
                )


def _show(value: object) -> str:
    return " x ".join(map(str, value)) if isinstance(value, tuple) else repr(value)
