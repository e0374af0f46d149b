"""Pictures and video files of the built-in world."""

import av
import numpy as np
import pytest

from matchcut.datasets.world_meaning import ACTIONS, SHAPES, Scene, Thing
from matchcut.datasets.world_render import REACH, RGB, draw, write_video
from matchcut.datasets.world_shapes import DISTANCES, distance

RED_LEFT = Scene((Thing("red", "circle", "left"),))


def pictures(scene, *, count=8, seed="s", size=64):
    return np.stack(list(draw(scene, size=size, count=count, seed=seed))).astype(int)


def redness(picture):
    """Where the picture is red: its middle (x, y) and area, all as shares of the picture."""
    red = (picture[..., 0] > 150) & (picture[..., 1] < 90)
    y, x = np.nonzero(red)
    return (x.mean() / len(red), y.mean() / len(red), red.mean()) if red.any() else (0.5, 0.5, 0.0)


@pytest.mark.parametrize(("way", "axis", "sign"), [("left", 0, -1), ("right", 0, 1), ("up", 1, -1), ("down", 1, 1)])
def test_things_move_the_way_they_are_said_to(way, axis, sign):
    places = [redness(p)[axis] for p in pictures(Scene((Thing("red", "square", way),)))]
    assert (np.diff(places) * sign > 0).all()


def test_sizes_and_visibility():
    areas = {a: [redness(p)[2] for p in pictures(Scene((Thing("red", "square", a),)))] for a in ACTIONS}
    assert (np.diff(areas["grow"]) > 0).all()
    assert (np.diff(areas["shrink"]) < 0).all()
    assert min(areas["blink"]) == 0 < max(areas["blink"])
    assert areas["appear"][0] == 0 < areas["appear"][-1]
    assert areas["vanish"][-1] == 0 < areas["vanish"][0]
    assert np.ptp(areas["still"]) == 0


def test_a_thing_that_turns_ends_in_its_other_colour():
    first, *_, last = pictures(Scene((Thing("red", "square", "turn", "blue"),)))
    assert np.abs(first[32, 32] - RGB["red"]).max() < 20
    assert np.abs(last[32, 32] - RGB["blue"]).max() < 20


def test_relations():
    def places(relation, first, second):
        scene = Scene((Thing("red", "square", first), Thing("blue", "square", second)), relation)
        frames = pictures(scene)
        red = [redness(p) for p in frames]
        blue = [redness(p[..., ::-1]) for p in frames]
        return np.array(red)[:, :2], np.array(blue)[:, :2]

    red, blue = places("left of", "still", "still")
    assert (red[:, 0] < blue[:, 0]).all()
    red, blue = places("above", "still", "still")
    assert (red[:, 1] < blue[:, 1]).all()
    red, blue = places("follows", "right", "right")
    assert (red[:, 0] < blue[:, 0]).all()
    red, blue = places("follows", "left", "left")
    assert (red[:, 0] > blue[:, 0]).all()
    red, blue = places("passes", "right", "left")
    assert red[0, 0] < blue[0, 0]
    assert red[-1, 0] > blue[-1, 0]
    red, blue = places("orbits", "orbit", "still")
    assert np.ptp(blue, axis=0).max() < 0.1 < np.ptp(red, axis=0).min()


def test_the_seed_decides_the_rest():
    assert (pictures(RED_LEFT, seed="a") == pictures(RED_LEFT, seed="a")).all()
    assert (pictures(RED_LEFT, seed="a") != pictures(RED_LEFT, seed="b")).any()


@pytest.mark.parametrize("shape", SHAPES)
def test_distances(shape):
    axis = np.linspace(-2, 2, 161)
    x, y = np.meshgrid(axis, axis)
    d = distance(shape, x, y, 1.0)
    assert np.hypot(x, y)[d < 0].max() < REACH
    assert 0.1 < (d < 0).sum() * (axis[1] - axis[0]) ** 2 / 4 < 0.8
    near = np.abs(d) < 0.1  # near the edge a step of h changes the distance by h at most, and the edge is crossed
    slope = np.hypot(*np.gradient(d, axis, axis))
    assert slope[near].max() < 1.2
    np.testing.assert_allclose(distance(shape, 2 * x, 2 * y, 2.0), 2 * d, atol=1e-12)
    np.testing.assert_allclose(distance(shape, -y, x, 1.0, np.pi / 2), d, atol=1e-12)  # turned along with the points
    assert shape in DISTANCES


def test_files_are_h264_and_decode(tmp_path):
    write_video(tmp_path / "a.mp4", RED_LEFT, size=48, seconds=1.5, fps=10, seed="x")
    write_video(tmp_path / "b.mp4", RED_LEFT, size=48, seconds=1.5, fps=10, seed="x")
    assert (tmp_path / "a.mp4").read_bytes() == (tmp_path / "b.mp4").read_bytes()
    with av.open(str(tmp_path / "a.mp4")) as container:
        stream = container.streams.video[0]
        assert stream.codec_context.name == "h264"
        assert stream.codec_context.pix_fmt == "yuv420p"
        decoded = [frame.to_ndarray(format="rgb24").astype(int) for frame in container.decode(video=0)]
    assert len(decoded) == 15
    drawn = pictures(RED_LEFT, count=15, seed="x", size=48)
    assert np.abs(np.stack(decoded) - drawn).mean() < 8
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.mp4", "b.mp4"]
