"""What an encoder is fed from a collection: each id with its prepared pictures or its sentence."""

import hashlib
import os
import threading
from collections import deque
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence, Set
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import closing, suppress
from dataclasses import dataclass, replace
from itertools import islice
from queue import Full, Queue
from typing import Any

from matchcut.collection import Collection, Item, Shot
from matchcut.errors import MatchcutError
from matchcut.media.frames import FrameReader

WAITING = 32  # pieces of one item that may wait for the network


@dataclass(frozen=True)
class Piece:
    """One id of a feature set, what it is made from, and a stamp that changes when its source does."""

    key: str
    stamp: str
    inputs: Sequence[Any]


@dataclass(frozen=True)
class Failed:
    """An item whose pictures could not be read."""

    item: Item
    reason: str


@dataclass(frozen=True)
class Job:
    """Shots of one item that want embedding."""

    item: Item
    shots: tuple[Shot, ...]


@dataclass(frozen=True)
class Source:
    """All that an encoder may be fed: the ids with their stamps, and the pieces of the ids that are wanted."""

    stamps: Mapping[str, str]
    pieces: Callable[[Set[str]], Iterator[Piece | Failed]]


def captions(collection: Collection, split: str | None, *, scheme: str = "default") -> Source:
    """All captions, or those of one part; a stamp is of the wording."""
    pieces = [Piece(one.key, _digest(one.text), [one.text]) for one in collection.captions(split=split, scheme=scheme)]
    stamps = {piece.key: piece.stamp for piece in pieces}
    return Source(stamps, lambda wanted: (piece for piece in pieces if piece.key in wanted))


def frames(
    collection: Collection,
    split: str | None,
    prepare: Callable[[Any], Any],
    *,
    scheme: str = "default",
    threads: int | None = None,
) -> Source:
    """All shots that have frames, or those of one part; a stamp is of the frames and of the file's size and time.

    Args:
        collection: where they are.
        split, scheme: a part of a split scheme, or None for all.
        prepare: applied to each picture [height, width, 3], in the thread that decoded it.
        threads: that decode and prepare, each an item at a time; one a core, at most 16, by default.
    """
    shots: dict[str, list[Shot]] = {}
    for shot in collection.shots(split=split, scheme=scheme):
        if shot.frames:
            shots.setdefault(shot.item, []).append(shot)
    jobs = [
        Job(item, tuple(shots[item.key])) for item in collection.items(split=split, scheme=scheme) if item.key in shots
    ]
    stamps = {shot.key: _stamp(job.item, shot) for job in jobs for shot in job.shots}

    def pieces(wanted: Set[str]) -> Iterator[Piece | Failed]:
        some = [replace(job, shots=tuple(shot for shot in job.shots if shot.key in wanted)) for job in jobs]
        return _read([job for job in some if job.shots], prepare, threads)

    return Source(stamps, pieces)


def _read(jobs: Sequence[Job], prepare: Callable[[Any], Any], threads: int | None) -> Iterator[Piece | Failed]:
    """The shots of all jobs in order, decoded and prepared ahead."""
    threads = threads or min(len(os.sched_getaffinity(0)), 16)
    own = threading.local()
    readers: list[FrameReader] = []

    def produce(job: Job, put: Callable[[Piece | Failed], None]) -> None:
        if not hasattr(own, "reader"):
            own.reader = FrameReader()
            readers.append(own.reader)
        try:
            for shot, pictures in own.reader.shots(job.item, job.shots):
                put(Piece(shot.key, _stamp(job.item, shot), [prepare(picture) for picture in pictures]))
        except MatchcutError as error:
            put(Failed(job.item, str(error)))

    try:
        with closing(_ahead(jobs, produce, threads)) as pieces:
            yield from pieces
    finally:
        for reader in readers:
            reader.__exit__(None, None, None)


def _ahead(jobs: Sequence[Job], produce: Callable[..., None], threads: int) -> Generator[Piece | Failed, None, None]:
    """Run jobs in threads, twice as many started as there are threads, and give what they put in the order of jobs."""
    stop = threading.Event()
    running: deque[tuple[Future[None], Queue[Piece | Failed | None]]] = deque()

    def work(job: Job, pieces: Queue[Piece | Failed | None]) -> None:
        def put(piece: Piece | Failed | None) -> None:
            while not stop.is_set():
                with suppress(Full):
                    return pieces.put(piece, timeout=0.1)
            raise InterruptedError("nobody wants the rest")

        try:
            produce(job, put)
        finally:
            put(None)

    waiting = iter(jobs)
    with ThreadPoolExecutor(threads, thread_name_prefix="decode") as pool:

        def start(count: int) -> None:
            for job in islice(waiting, count):
                pieces: Queue[Piece | Failed | None] = Queue(WAITING)
                running.append((pool.submit(work, job, pieces), pieces))

        try:
            start(2 * threads)
            while running:
                future, pieces = running.popleft()
                while (piece := pieces.get()) is not None:
                    yield piece
                future.result()
                start(1)
        finally:
            stop.set()


def _stamp(item: Item, shot: Shot) -> str:
    return _digest(f"{item.size} {item.mtime_ns} {[(frame.time, frame.member) for frame in shot.frames]}")


def _digest(text: str) -> str:
    return hashlib.blake2b(text.encode(), digest_size=6).hexdigest()
