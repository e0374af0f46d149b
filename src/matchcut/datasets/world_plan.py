"""Which videos a built-in world has and what its captions say: decided before a single pixel is drawn."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from matchcut.datasets.world_grammar import say
from matchcut.datasets.world_meaning import Scene, Thing, double_scenes, is_true, single_scenes
from matchcut.datasets.world_random import StableRandom

PARTS = ("train", "val", "test")
ATTEMPTS = 8  # sentences made for each caption, to find one that the video does not have yet


@dataclass(frozen=True)
class World:
    """How large the built-in world is and how often its videos mean the same."""

    train: int = 400
    """Number of training videos."""
    val: int = 100
    """Number of validation videos."""
    test: int = 200
    """Number of test videos."""
    captions: int = 5
    """Captions a video."""
    share: float = 0.3
    """Share of the videos of each part that mean the same as another video of that part, to the last detail."""
    alike: int = 3
    """How many videos share one meaning, where they do."""
    vague: float = 0.2
    """Share of the captions that leave something out, and so may be true of many videos."""
    size: int = 112
    """Width and height of the videos, in pixels."""
    seconds: float = 2.0
    """Length of a video."""
    fps: int = 12
    """Frames a second."""
    seed: int = 0
    """The same seed gives the same captions, meanings and splits everywhere."""

    def __post_init__(self) -> None:
        for name in (*PARTS, "seed"):
            if getattr(self, name) < 0:
                raise ValueError(f"{name} must be at least 0, got {getattr(self, name)}")
        if self.captions < 1:
            raise ValueError(f"captions must be at least 1, got {self.captions}")
        for name in ("share", "vague"):
            if not 0 <= getattr(self, name) <= 1:
                raise ValueError(f"{name} must be between 0 and 1, got {getattr(self, name)}")
        if self.alike < 2:
            raise ValueError(f"alike must be at least 2, got {self.alike}")
        if self.size < 32 or self.size % 2:
            raise ValueError(f"size must be even and at least 32, got {self.size}; H.264 needs even sides")
        if self.fps < 1 or round(self.seconds * self.fps) < 1:
            raise ValueError(f"{self.seconds} seconds at {self.fps} frames a second is not one frame")


@dataclass(frozen=True)
class Video:
    """One video of a world: what it shows and what its captions claim and say."""

    key: str
    part: str
    scene: Scene
    claims: tuple[Scene, ...]
    texts: tuple[str, ...]


def plan(world: World) -> list[Video]:
    """All videos of a world, in order. No two parts have a meaning in common.

    >>> first = plan(World(train=4, val=0, test=0, captions=2))[0]
    >>> first.key, len(first.texts)
    ('world00000', 2)
    """
    rng = StableRandom(f"world/{world.seed}/scenes")
    groups = {part: group_sizes(getattr(world, part), world.share, world.alike) for part in PARTS}
    scenes = iter(_draw(sum(map(len, groups.values())), rng))
    shown: list[tuple[str, Scene]] = []
    for part, sizes in groups.items():
        here = [(part, scene) for size in sizes for scene in [next(scenes)] * size]
        rng.shuffle(here)
        shown += here
    count = len(shown) * world.captions
    slots = list(range(count))
    rng.shuffle(slots)
    vague = set(slots[: round(world.vague * count)])
    videos = []
    for number, (part, scene) in enumerate(shown):
        words = StableRandom(f"world/{world.seed}/captions/{number}")
        first = number * world.captions
        claims = tuple(vaguer(scene, words) if first + k in vague else scene for k in range(world.captions))
        texts = _texts(claims, words)
        videos.append(Video(f"world{number:05d}", part, scene, claims, texts))
    return videos


def group_sizes(videos: int, share: float, alike: int) -> list[int]:
    """How many videos each meaning gets, so that `round(share * videos)` of them share theirs.

    >>> group_sizes(10, 0.5, 2)
    [3, 2, 1, 1, 1, 1, 1]
    """
    shared = round(share * videos)
    if shared < 2:  # one video alone shares its meaning with nobody
        return [1] * videos
    count = max(1, shared // alike)
    sizes = [shared // count + (k < shared % count) for k in range(count)]
    return sizes + [1] * (videos - shared)


def vaguer(scene: Scene, rng: StableRandom) -> Scene:
    """A claim that is true of the scene and leaves something out: colours, shapes, the way, or one of two things."""
    blanks: list[dict[str, str]] = [{"colour": ""}, {"shape": ""}]
    if not scene.relation:
        thing = scene.things[0]
        blanks += [{"action": "", "becomes": ""}, {"becomes": ""} if thing.becomes else {"colour": "", "shape": ""}]
        return Scene((replace(thing, **rng.choice(blanks)),))
    if scene.relation in ("follows", "passes"):
        blanks.append({"action": ""})
    ways = [Scene(tuple(replace(thing, **blank) for thing in scene.things), scene.relation) for blank in blanks]
    ways += [Scene((_alone(thing),)) for thing in scene.things]
    return rng.choice(ways)


def relevant(videos: Sequence[Video]) -> dict[Scene, list[str]]:
    """For each claim of the captions, the keys of all videos that it is true of."""
    keys: dict[Scene, list[str]] = {}
    for video in videos:
        keys.setdefault(video.scene, []).append(video.key)
    claims = dict.fromkeys(claim for video in videos for claim in video.claims)
    return {claim: sorted(key for scene in keys if is_true(claim, scene) for key in keys[scene]) for claim in claims}


def _texts(claims: Sequence[Scene], rng: StableRandom) -> tuple[str, ...]:
    """One sentence for each claim, no sentence twice as far as the grammar knows enough of them."""
    texts: list[str] = []
    for claim in claims:
        ways = [say(claim, rng) for _ in range(ATTEMPTS)]
        texts.append(next((way for way in ways if way not in texts), ways[0]))
    return tuple(texts)


def _alone(thing: Thing) -> Thing:
    return replace(thing, action="") if thing.action == "orbit" else thing


def _draw(count: int, rng: StableRandom) -> list[Scene]:
    """That many different scenes, a third of them with two things, all actions and relations about as often."""
    singles, doubles = single_scenes(), double_scenes()
    if count > len(singles) + len(doubles):
        raise ValueError(f"{count} different meanings asked for, this world has {len(singles) + len(doubles)}")
    alone = max(min(len(singles), count - count // 3), count - len(doubles))
    drawn = _evenly(singles, alone, rng) + _evenly(doubles, count - alone, rng)
    rng.shuffle(drawn)
    return drawn


def _evenly(scenes: list[Scene], count: int, rng: StableRandom) -> list[Scene]:
    """Draw without repeating, in turns from each kind of event."""
    kinds: dict[object, list[Scene]] = {}
    for scene in scenes:
        kinds.setdefault((scene.relation, *(thing.action for thing in scene.things)), []).append(scene)
    for kind in kinds.values():
        rng.shuffle(kind)
    turns = [kind[k] for k in range(max(map(len, kinds.values()))) for kind in kinds.values() if k < len(kind)]
    return turns[:count]
