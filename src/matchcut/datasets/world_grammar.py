"""From a claim to an English sentence: a small grammar with synonyms and paraphrases."""

from random import Random

from matchcut.datasets.world_meaning import Scene, Thing

COLOUR_WORDS = {
    "red": ("red", "red", "crimson"),
    "orange": ("orange",),
    "yellow": ("yellow", "yellow", "golden"),
    "green": ("green",),
    "blue": ("blue", "blue", "azure"),
    "purple": ("purple", "purple", "violet"),
    "pink": ("pink", "pink", "rose-coloured"),
    "white": ("white",),
}
SHAPE_WORDS = {
    "": ("shape", "thing", "object"),
    "circle": ("circle", "ball", "disc"),
    "square": ("square", "box"),
    "triangle": ("triangle",),
    "star": ("star", "five-pointed star"),
    "heart": ("heart", "heart shape"),
    "cross": ("cross", "plus sign"),
    "ring": ("ring", "hoop"),
    "crescent": ("crescent", "crescent moon"),
}
# What a thing does: (as in "it moves", as in "it is moving").
ACTION_WORDS = {
    "left": (
        ("moves left", "moving left"),
        ("moves to the left", "moving to the left"),
        ("slides left", "sliding left"),
        ("glides towards the left", "gliding towards the left"),
        ("goes to the left side", "going to the left side"),
    ),
    "right": (
        ("moves right", "moving right"),
        ("moves to the right", "moving to the right"),
        ("slides right", "sliding right"),
        ("glides towards the right", "gliding towards the right"),
        ("goes to the right side", "going to the right side"),
    ),
    "up": (
        ("moves up", "moving up"),
        ("rises", "rising"),
        ("goes upwards", "going upwards"),
        ("floats to the top", "floating to the top"),
    ),
    "down": (
        ("moves down", "moving down"),
        ("falls", "falling"),
        ("goes downwards", "going downwards"),
        ("sinks to the bottom", "sinking to the bottom"),
    ),
    "grow": (("grows", "growing"), ("gets bigger", "getting bigger"), ("becomes larger", "becoming larger")),
    "shrink": (("shrinks", "shrinking"), ("gets smaller", "getting smaller"), ("becomes tiny", "becoming tiny")),
    "spin": (("spins", "spinning"), ("rotates", "rotating"), ("turns around itself", "turning around itself")),
    "blink": (("blinks", "blinking"), ("flashes on and off", "flashing on and off"), ("flickers", "flickering")),
    "bounce": (("bounces", "bouncing"), ("bounces up and down", "bouncing up and down"), ("hops", "hopping")),
    "sway": (
        ("sways from side to side", "swaying from side to side"),
        ("swings left and right", "swinging left and right"),
        ("rocks to and fro", "rocking to and fro"),
    ),
    "appear": (("appears", "appearing"), ("fades in", "fading in"), ("slowly becomes visible", "becoming visible")),
    "vanish": (("disappears", "disappearing"), ("fades away", "fading away"), ("vanishes", "vanishing")),
    "still": (("stays still", "staying still"), ("does not move", "standing still"), ("rests", "resting")),
}
ROLLING = {
    "left": (("rolls left", "rolling left"), ("rolls to the left", "rolling to the left")),
    "right": (("rolls right", "rolling right"), ("rolls to the right", "rolling to the right")),
}
ALONE = ("{noun} {does}", "{noun} {does}", "{noun} is {doing}", "there is {noun} {doing}", "a video of {noun} {doing}")
NOTHING_SAID = ("there is {noun}", "a video of {noun}", "{noun} can be seen", "{noun} on the screen")
# {a} is the first thing, {b} the second, {side} the way both go.
RELATED = {
    "follows": (
        "{a} follows {b} to the {side}",
        "{b} is followed to the {side} by {a}",
        "{a} chases {b} towards the {side}",
        "{b} moves to the {side} with {a} behind it",
        "{a} is going {side} after {b}",
    ),
    "passes": (
        "{a} moving right passes {b} moving left",
        "{b} on its way to the left passes {a} on its way to the right",
        "going right, {a} meets and passes {b}, which goes left",
        "{a} and {b} meet and pass, the first heading right and the second heading left",
    ),
    "orbits": (
        "{a} circles around {b}",
        "{a} orbits {b}",
        "{a} goes round and round {b}",
        "{b} has {a} circling around it",
    ),
    "left of": (
        "{a} is to the left of {b}",
        "{b} is to the right of {a}",
        "{a} on the left and {b} on the right",
        "next to each other: {a} on the left, {b} on the right",
    ),
    "above": (
        "{a} is above {b}",
        "{b} is below {a}",
        "{a} at the top and {b} at the bottom",
        "{b} lies under {a}",
    ),
}
# The same without the direction.
RELATED_VAGUELY = {
    "follows": ("{a} follows {b}", "{b} is followed by {a}", "{a} chases {b}"),
    "passes": ("{a} and {b} pass each other", "{a} passes {b}", "{b} goes past {a}"),
}


def say(claim: Scene, rng: Random) -> str:
    """Say a claim in one of the ways that the grammar knows.

    >>> from matchcut.datasets.world_random import StableRandom
    >>> say(Scene((Thing("orange", "circle", "left"),)), StableRandom(7))
    'an orange ball slides left'
    """
    first = claim.things[0]
    if claim.relation:
        side = first.action if first.action in ("left", "right") else ""
        vague = not first.action and claim.relation in RELATED_VAGUELY
        frame = rng.choice((RELATED_VAGUELY if vague else RELATED)[claim.relation])
        return frame.format(a=_noun(first, rng), b=_noun(claim.things[1], rng), side=side)
    if not first.action:
        return rng.choice(NOTHING_SAID).format(noun=_noun(first, rng))
    does, doing = _action(first, rng)
    return rng.choice(ALONE).format(noun=_noun(first, rng), does=does, doing=doing)


def _noun(thing: Thing, rng: Random) -> str:
    if thing.colour and not thing.shape and rng.random() < 0.3:
        return f"something {rng.choice(COLOUR_WORDS[thing.colour])}"
    words = [rng.choice(SHAPE_WORDS[thing.shape])]
    if thing.colour:
        words.insert(0, rng.choice(COLOUR_WORDS[thing.colour]))
    article = "an" if words[0][0] in "aeiou" else "a"
    return " ".join([article, *words])


def _action(thing: Thing, rng: Random) -> tuple[str, str]:
    if thing.action == "turn":
        return rng.choice(_turning(thing, rng))
    ways = ACTION_WORDS[thing.action]
    if thing.shape in ("circle", "ring"):
        ways = ways + ROLLING.get(thing.action, ())
    return rng.choice(ways)


def _turning(thing: Thing, rng: Random) -> list[tuple[str, str]]:
    if not thing.becomes:
        return [("changes colour", "changing colour"), ("takes on another colour", "taking on another colour")]
    to = rng.choice(COLOUR_WORDS[thing.becomes])
    return [
        (f"turns {to}", f"turning {to}"),
        (f"changes its colour to {to}", f"changing its colour to {to}"),
        (f"becomes {to}", f"becoming {to}"),
    ]
