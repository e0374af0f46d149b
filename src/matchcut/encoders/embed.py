"""Running a frozen encoder over a collection, into the feature store."""

import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Literal

import numpy as np

from matchcut.collection import Collection
from matchcut.encoders import load_encoder
from matchcut.encoders.base import Encoder, Rows
from matchcut.encoders.pieces import Failed, Piece, captions, frames
from matchcut.errors import MatchcutError
from matchcut.features import FeatureSet, FeatureWriter

FLUSH_SECONDS = 60.0  # a job that is killed loses at most this much work
Progress = Callable[[int, int], None]


@dataclass(frozen=True)
class Embedded:
    """What a run of `embed` did."""

    features: FeatureSet
    new: int  # ids embedded by this run
    kept: int  # ids that the set had already
    inputs: int  # pictures or sentences encoded by this run
    seconds: float
    failed: tuple[Failed, ...]  # items that could not be read, or not to the end


def embed(
    collection: Collection,
    encoder: Encoder | str,
    *,
    name: str | None = None,
    dtype: Literal["float16", "float32"] = "float16",
    batch_size: int | None = None,
    split: str | None = None,
    scheme: str = "default",
    force: bool = False,
    progress: Progress | None = None,
) -> Embedded:
    """Embed the shots (or captions) of a collection that the feature set lacks, or whose source has changed since.

    Pictures are decoded and prepared by threads of their own while the network runs. A file that cannot be read is
    recorded in the catalogue as a failure, and the job goes on. A job that was killed goes on after the last complete
    shard.

    Args:
        collection: where shots and captions come from and where the feature set goes.
        encoder: an encoder or its specification, see `load_encoder`.
        name: name of the feature set; the encoder's own by default.
        dtype: how the rows are stored.
        batch_size: pictures or sentences the network sees at once; what suits the encoder by default.
        split, scheme: embed only this part of this split scheme; None: everything.
        force: throw away a set of that name and make it anew.
        progress: called after every batch with (ids done, ids to do).

    Raises:
        MatchcutError: if the encoder cannot be loaded, a set of that name was made otherwise, there is nothing to
            embed, a number is not finite, or the disk is full.
        ValueError: if batch_size is below 1.

    Example::

        done = embed(Collection.open("films"), "efficientnet-lite0")
        done.features.rows("holiday.mp4@0")  # float16 [frames, 1280]
    """
    if batch_size is not None and batch_size < 1:
        raise ValueError(f"batch_size must be at least 1, got {batch_size}")
    if isinstance(encoder, str):
        encoder = load_encoder(encoder)
    manifest = encoder.manifest(name=name, dtype=dtype)
    if manifest.name in ("", ".", "..") or "/" in manifest.name:
        raise MatchcutError(f"feature set name {manifest.name!r}: must be the name of a folder, without /")
    prepare = encoder.prepare
    source = (
        captions(collection, split, scheme=scheme)
        if encoder.of == "captions"
        else frames(collection, split, prepare, scheme=scheme)
    )
    if not source.stamps:
        where = f"part {split!r} of {collection.root}" if split else str(collection.root)
        raise MatchcutError(f"{where}: has no {encoder.of} to embed; `matchcut info` shows what there is")
    folder = collection.root / "features" / manifest.name
    size = batch_size or encoder.batch_size
    began = flushed = time.monotonic()
    failed: list[Failed] = []
    new = inputs = 0
    with FeatureWriter(folder, manifest, force=force) as writer:
        todo = {key for key, stamp in source.stamps.items() if writer.done.get(key) != stamp}
        for batch in _batches(source.pieces(todo), size):
            good = [piece for piece in batch if isinstance(piece, Piece)]
            failed += [piece for piece in batch if isinstance(piece, Failed)]
            rows = _run(encoder, good, size)
            for piece in good:
                try:
                    writer.add(piece.key, np.concatenate([next(rows) for _ in piece.inputs]), stamp=piece.stamp)
                except ValueError as error:  # the checkpoint's weights are damaged, or too large for float16
                    raise MatchcutError(f"encoder {encoder.spec}: {error}") from error
                inputs += len(piece.inputs)
            new += len(good)
            if time.monotonic() - flushed > FLUSH_SECONDS:
                writer.flush()
                flushed = time.monotonic()
            if progress:
                progress(new, len(todo))
    _record(collection, manifest.name, failed, split, scheme)
    kept = len(source.stamps) - len(todo)
    return Embedded(FeatureSet.open(folder), new, kept, inputs, time.monotonic() - began, tuple(failed))


def _batches(pieces: Iterable[Piece | Failed], size: int) -> Iterator[list[Piece | Failed]]:
    """Lists of pieces that together have at least `size` inputs, the last one perhaps fewer."""
    batch: list[Piece | Failed] = []
    count = 0
    for piece in pieces:
        batch.append(piece)
        count += len(piece.inputs) if isinstance(piece, Piece) else 0
        if count >= size:
            yield batch
            batch, count = [], 0
    if batch:
        yield batch


def _run(encoder: Encoder, pieces: list[Piece], size: int) -> Iterator[Rows]:
    inputs = [one for piece in pieces for one in piece.inputs]
    for first in range(0, len(inputs), size):
        yield from encoder.run(inputs[first : first + size])


def _record(collection: Collection, name: str, failed: list[Failed], split: str | None, scheme: str) -> None:
    """Put this run's failures into the catalogue and take out those of earlier runs, which have been tried again."""
    mark = f"embed {name}: "
    old = [failure.source for failure in collection.failures() if failure.reason.startswith(mark)]
    if old and split is not None:
        tried = {item.key for item in collection.items(split=split, scheme=scheme)}
        old = [source for source in old if source in tried]
    if not old and not failed:
        return
    with collection.writing() as writer:
        for source in old:
            writer.clear_failure(source)
        for failure in failed:
            writer.put_failure(failure.item.key, mark + failure.reason)
