"""Finding videos and images in folders, and giving each a key."""

import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from matchcut.collection.records import Failure
from matchcut.errors import MatchcutError

VIDEOS = frozenset({".mp4", ".avi", ".mkv", ".webm", ".mov", ".gif"})
IMAGES = frozenset({".jpg", ".jpeg", ".png", ".webp"})
KNOWN = ", ".join(sorted(suffix[1:] for suffix in VIDEOS | IMAGES))


@dataclass(frozen=True)
class Source:
    """A file to take in: its absolute path, and the key it goes by in the collection."""

    path: str
    base: str  # the folder that was given, or the folder of a file that was given
    key: str = ""


def find(paths: Sequence[Path]) -> tuple[list[Source], list[Failure]]:
    """All videos and images among files and below folders, in the order given, each once; folders by name.

    Links are followed; a file that is found by several ways is taken by the one without a link, or else the first.
    Hidden files, files of other kinds and other collections within a folder are passed over. A path that is missing
    or of another kind comes back as a failure.

    Raises:
        MatchcutError: if a path is itself a collection, or nothing was found at all.
    """
    sources: dict[str, Source] = {}
    failures: list[Failure] = []
    for path in paths:
        absolute = os.path.abspath(path)
        if os.path.isdir(absolute):
            if os.path.exists(os.path.join(absolute, "catalogue.db")):
                raise MatchcutError(f"{path}: a collection, not a folder of videos; name the folder its videos are in")
            found, base = _walk(absolute, failures), absolute
        elif not os.path.exists(absolute):
            failures.append(Failure(_printable(absolute), "no such file or folder"))
            continue
        elif not _is_media(absolute):
            failures.append(Failure(_printable(absolute), f"not a video or image by its name; known are {KNOWN}"))
            continue
        else:
            found, base = iter([absolute]), os.path.dirname(absolute)
        for file in found:
            if _printable(file) != file:
                failures.append(Failure(_printable(file), "the file name is not valid UTF-8; rename the file"))
            else:
                real = os.path.realpath(file)
                source = Source(file, base)
                if real not in sources or _links(source) < _links(sources[real]):
                    sources[real] = source  # the file itself, with what lies beside it, rather than a link to it
    if not sources and not failures:
        raise MatchcutError(f"{', '.join(map(str, paths))}: no video or image here; known are {KNOWN}")
    return list(sources.values()), failures


def assign_keys(sources: Iterable[Source], taken: Mapping[str, str]) -> tuple[list[Source], list[str]]:
    """Give each source a key of its own: its path below the given folder, with parent folders where that is taken.

    Args:
        sources: as `find` gives them.
        taken: the keys in use and the path of the file behind each. A file that is there keeps its key.

    Returns:
        the sources with keys, and a line for each that needed a longer key than usual.

    >>> files = [Source("/a/x.mp4", "/a"), Source("/b/x.mp4", "/b")]
    >>> [source.key for source in assign_keys(files, {})[0]]
    ['x.mp4', 'b/x.mp4']
    """
    owner = dict(taken)
    known = {path: key for key, path in taken.items()}
    named, notes = [], []
    for source in sources:
        key = known.get(source.path) or next(k for k in _keys(source) if owner.get(k, source.path) == source.path)
        owner[key] = source.path
        usual = usual_key(source)
        if key != usual and source.path not in known:
            notes.append(f"{source.path}: goes by {key!r}, as {usual!r} is {owner[usual]}")
        named.append(replace(source, key=key))
    return named, notes


def usual_key(source: Source) -> str:
    """The key a source has unless that is taken: its path below the given folder, or the name of a file."""
    return next(_keys(source))


def _keys(source: Source) -> Iterator[str]:
    """Shorter to longer; the last, the whole path, is always free."""
    key = Path(source.path).relative_to(source.base).as_posix()
    yield key
    for parent in reversed(Path(source.base).parts[1:]):
        key = f"{parent}/{key}"
        yield key
    yield source.path


def _walk(folder: str, failures: list[Failure]) -> Iterator[str]:
    """Folders that are links are followed, each target once, and never back up."""
    top, followed = os.path.realpath(folder), set[str]()

    def wanted(path: str) -> bool:
        if os.path.basename(path).startswith(".") or os.path.exists(os.path.join(path, "catalogue.db")):
            return False
        if os.path.islink(path):
            target = os.path.realpath(path)
            if target in followed or os.path.commonpath([target, top]) == target:
                return False
            followed.add(target)
        return True

    def unreadable(error: OSError) -> None:
        failures.append(Failure(_printable(str(error.filename)), f"the folder cannot be read: {error.strerror}"))

    for current, folders, files in os.walk(folder, onerror=unreadable, followlinks=True):
        folders[:] = sorted(name for name in folders if wanted(os.path.join(current, name)))
        for file in sorted(files):
            if not file.startswith(".") and _is_media(file):
                yield os.path.join(current, file)


def _links(source: Source) -> tuple[bool, bool]:
    """Whether the file is a link, and whether one leads to it from the folder that was given."""
    straight = os.path.join(os.path.realpath(source.base), os.path.relpath(source.path, source.base))
    return os.path.islink(source.path), os.path.realpath(source.path) != straight


def is_image(path: str) -> bool:
    """Whether a file is an image, by its name."""
    return os.path.splitext(path)[1].lower() in IMAGES


def _is_media(path: str) -> bool:
    return os.path.splitext(path)[1].lower() in VIDEOS | IMAGES


def _printable(path: str) -> str:
    return os.fsencode(path).decode("utf-8", "replace")
