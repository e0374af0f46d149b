"""The built-in world: short videos of coloured shapes, captions, and the exact relevance of every pair."""

import json
import os
from collections.abc import Callable
from dataclasses import asdict
from functools import partial
from pathlib import Path

from matchcut.collection import Collection, Frame, Item, Judgment, Shot
from matchcut.datasets.report import Report
from matchcut.datasets.store import Entry, store
from matchcut.datasets.world_meaning import Scene
from matchcut.datasets.world_plan import PARTS, Video, World, plan, relevant
from matchcut.errors import MatchcutError
from matchcut.files import write_text
from matchcut.media.pool import run

RULE = "one shot, every 0.5 s"
STEP = 0.5  # seconds between the frames that stand for a video
VIDEOS_A_PROCESS = 32  # fewer are not worth the start of a process

Progress = Callable[[int, int], None]  # (videos done, videos in all)
Job = tuple[Path, Scene, str]  # file, what happens, seed


def make(
    root: Path,
    *,
    train: int = World.train,
    val: int = World.val,
    test: int = World.test,
    captions: int = World.captions,
    share: float = World.share,
    alike: int = World.alike,
    vague: float = World.vague,
    size: int = World.size,
    seconds: float = World.seconds,
    fps: int = World.fps,
    seed: int = World.seed,
    processes: int | None = None,
    progress: Progress | None = None,
) -> Collection:
    """Make a collection that holds a built-in world; the parameters are those of `World`.

    >>> import tempfile
    >>> collection = make(Path(tempfile.mkdtemp()), train=2, val=1, test=1, captions=2, size=32)
    >>> collection.splits()["default"], collection.judged()
    ({'test': 1, 'train': 2, 'val': 1}, {'exact': 'complete'})

    Args:
        root: folder of the collection; the videos go to its folder `videos`.
        processes: how many draw at the same time; one for each core by default.
        progress: called with (videos done, videos in all).

    Raises:
        MatchcutError: if the folder holds a world with other parameters.
        ValueError: if a parameter is impossible, or more meanings are asked for than there are.
    """
    world = World(train, val, test, captions, share, alike, vague, size, seconds, fps, seed)
    collection = Collection.create(root)
    fill(collection, world, processes=processes, progress=progress)
    return collection


def fill(
    collection: Collection, world: World, *, processes: int | None = None, progress: Progress | None = None
) -> Report:
    """Put a built-in world into a collection. Videos that are there already are kept, so it can be started again."""
    videos = plan(world)
    folder = (collection.root / "videos").resolve()
    _claim(folder / "world.json", world)
    _render(_missing(collection, folder, videos), folder, world, processes, progress)
    times = tuple(Frame(k * STEP) for k in range(max(1, -int(-world.seconds // STEP))))
    judgments = _judgments(videos)
    others = len(judgments) - len(videos) * world.captions
    return store(
        collection,
        "world",
        [_entry(video, folder, world, times) for video in videos],
        splits={"default": {part: [video.key for video in videos if video.part == part] for part in PARTS}},
        judgments={"exact": judgments},
        complete=("exact",),
        notes=(f"{others:,} times a caption of one video is exactly true of another one",),
    )


def _entry(video: Video, folder: Path, world: World, times: tuple[Frame, ...]) -> Entry:
    path = folder / f"{video.key}.mp4"
    status = path.stat()
    item = Item(
        key=video.key,
        kind="video",
        source=str(path),
        size=status.st_size,
        mtime_ns=status.st_mtime_ns,
        duration=world.seconds,
        fps=world.fps,
        width=world.size,
        height=world.size,
        rule=RULE,
    )
    return Entry(item, video.texts, [Shot(0.0, world.seconds, times)])


def _claim(path: Path, world: World) -> None:
    """Write down what is being made, or make sure that it is the same that was begun here."""
    text = json.dumps(asdict(world), indent=1)
    if not path.exists():
        write_text(path, text)
    elif path.read_text(encoding="utf-8") != text:
        raise MatchcutError(
            f"{path}: a world with other parameters was made here; ask for the same ones or use another folder"
        )


def _missing(collection: Collection, folder: Path, videos: list[Video]) -> list[Video]:
    """Videos without a file, or whose file has not the size that the catalogue remembers."""
    known = {item.source: item.size for item in collection.items()}
    missing = []
    for video in videos:
        path = folder / f"{video.key}.mp4"
        size = path.stat().st_size if path.is_file() else 0
        if size == 0 or known.get(str(path), size) != size:
            missing.append(video)
    return missing


def _render(videos: list[Video], folder: Path, world: World, processes: int | None, progress: Progress | None) -> None:
    jobs = [(folder / f"{video.key}.mp4", video.scene, f"world/{world.seed}/{video.key}") for video in videos]
    work = partial(_write, size=world.size, seconds=world.seconds, fps=world.fps)
    workers = min(processes or os.cpu_count() or 1, 1 + len(jobs) // VIDEOS_A_PROCESS)
    for number, _ in enumerate(run(work, jobs, workers=workers, crashed=_crashed), start=1):
        if progress is not None:
            progress(number, len(jobs))


def _write(job: Job, *, size: int, seconds: float, fps: int) -> None:
    from matchcut.datasets.world_render import write_video  # PyAV is not needed to plan a world

    path, scene, seed = job
    write_video(path, scene, size=size, seconds=seconds, fps=fps, seed=seed)


def _crashed(job: Job) -> None:
    raise MatchcutError(f"{job[0]}: the encoder crashed while writing it; run the same command again to go on")


def _judgments(videos: list[Video]) -> list[Judgment]:
    keys = relevant(videos)
    return [
        Judgment(f"{video.key}#{number}", key, 1.0)
        for video in videos
        for number, claim in enumerate(video.claims)
        for key in keys[claim]
    ]
