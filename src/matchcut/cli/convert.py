"""`matchcut convert`: the weights of a public reference implementation."""

from pathlib import Path

from matchcut.cli.flags import Many, joined
from matchcut.errors import MatchcutError


def convert(
    checkpoint: Path,
    /,
    *,
    network: str,
    out: Path,
    preset: str = "default",
    set: Many[str] = (),
    collection: Path | None = None,
    vocabulary: Path | None = None,
) -> None:
    """Take over the weights of a public reference implementation.

    Only tensors and plain values are read from the checkpoint; nothing in it can run. Every parameter must find its
    place: one that is missing, unexpected or of another shape is an error. docs/convert.md says which codes are known.

    Without --collection the weights are written as one safetensors file, for Python. With it they become a model of
    that collection, which `matchcut evaluate` and `matchcut search` open.

    Args:
        checkpoint: File of PyTorch (.pth, .pth.tar, .pt, .bin).
        network: Which network it is, such as vsepp, vsrn, sgraf or vse_infinity.
        out: File to write, such as vsepp.safetensors; with --collection the name of the model.
        preset: Settings of the network that the tensors do not tell.
        set: Options of the network over the preset's, such as --set item=regions
        collection: Folder of a collection whose features the network was trained on.
        vocabulary: The reference's words as JSON, for a model that reads words.
    """
    from rich.console import Console

    from matchcut.collection import Collection
    from matchcut.training.convert import convert as run
    from matchcut.training.convert import read_vocabulary, save_model, save_weights

    console = Console()
    if collection is None and out.suffix != ".safetensors":
        raise MatchcutError(f"--out {out}: expected a file.safetensors, or --collection with the name of a model")
    converted = run(checkpoint, network, preset=preset, options=joined(set))
    count = f"{len(converted.tensors):,} tensors, {converted.parameters:,} numbers"
    console.print(f"{network}: {count}; all found their place, none is missing", highlight=False)
    if collection is None:
        save_weights(out, converted)
        console.print(f"weights in {out}; from Python: matchcut.training.convert.open_weights", highlight=False)
        return
    words = read_vocabulary(vocabulary) if vocabulary is not None else None
    folder = save_model(Collection.open(collection), str(out), converted, vocabulary=words)
    console.print(f"model in {folder}; next: matchcut evaluate {collection} --model {folder.name}", highlight=False)
