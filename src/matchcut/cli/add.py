"""`matchcut add`: videos and images into a collection."""

from pathlib import Path
from typing import Literal

from matchcut.cli.visible import visible
from matchcut.errors import MatchcutError


def add(
    videos: list[Path],
    /,
    *,
    collection: Path = Path("collection"),
    captions: Path | None = None,
    shots: Literal["adaptive", "none"] = "adaptive",
    every: float | Literal["avs"] = 0.5,
    frames: int | None = None,
    at_most: int = 16,
    workers: int | None = None,
) -> None:
    """Put videos and images into a collection.

    Videos (mp4, avi, mkv, webm, mov, gif) are split into shots, and some frames stand for each shot. Images (jpg, png,
    webp) are items of one frame. Captions are taken from name.txt beside name.mp4, one a line, or from a table.

    Files that cannot be read are listed at the end and recorded in the collection; the exit code is 2 then. Run the
    command again to go on after an interruption, or to add only what is new or has changed.

    Args:
        videos: Files, and folders with all that is below them.
        collection: Folder of the collection; made if it is not there.
        captions: CSV, TSV or JSONL with file, caption and, if you like, split (train, val, test).
        shots: How to find shots; "none" makes each file one shot.
        every: Seconds between the frames of a shot, or "avs" for the rule of the Ad-hoc Video Search feature sets.
        frames: Take this many frames from each shot, evenly, instead of one every so many seconds.
        at_most: Most frames a shot; more are thinned evenly.
        workers: Files to read at the same time; by default one for each core.
    """
    if not videos:
        raise MatchcutError("no videos given; name files or folders, such as `matchcut add videos/`")
    if not (every == "avs" or 0.001 <= every < float("inf")):
        raise MatchcutError(f"--every {every}: must be 0.001 seconds or more, or avs")
    for name, value in (("--frames", frames), ("--at-most", at_most), ("--workers", workers)):
        if value is not None and value < 1:
            raise MatchcutError(f"{name} {value}: must be 1 or more")

    from rich.console import Console
    from rich.markup import escape
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

    from matchcut.media.ingest import ingest

    console = Console()
    columns = (
        TextColumn("reading"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TextColumn("{task.fields[key]}"),
    )
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as bar:
        task = bar.add_task("", total=None, key="")
        report = ingest(
            collection,
            videos,
            shots=shots,
            every=every,
            frames=frames,
            at_most=at_most,
            captions=captions,
            workers=workers,
            progress=lambda done, total, key: bar.update(task, completed=done, total=total, key=visible(key)),
        )
    parts = [f"{len(report.added)} added", f"{len(report.unchanged)} unchanged"]
    if report.changed:
        parts.insert(1, f"{len(report.changed)} changed")
    if report.failed:
        parts.append(f"[red]{len(report.failed)} failed[/red]")
    console.print(f"[bold]{escape(str(collection))}[/bold]: {', '.join(parts)}", highlight=False, soft_wrap=True)
    if report.added or report.changed:
        console.print(f"  {report.shots} shots, {report.frames} frames", highlight=False)
    if report.captions:
        console.print(f"  {report.captions} captions", highlight=False)
    for note in report.notes:
        console.print(f"  note: {visible(note)}", markup=False, highlight=False, soft_wrap=True)
    for failure in report.failed:
        line = visible(f"  failed: {failure.source}: {failure.reason}")
        console.print(line, markup=False, highlight=False, soft_wrap=True)
    if report.failed:
        count = len(report.failed)
        raise MatchcutError(
            f"{count} {'file' if count == 1 else 'files'} could not be taken in (listed above and in "
            f"`matchcut info {collection}`); everything else was"
        )
    console.print(f"Next: matchcut embed {collection}", markup=False, highlight=False, soft_wrap=True)
