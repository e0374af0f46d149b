import json

import numpy as np
import pytest

from matchcut.evaluation import xinfap
from matchcut.fusion import fuse, sweep_top, xinfap_per_topic
from matchcut.fusion.plot import plot_sweep
from matchcut.fusion.sweep import default_tops, sweep_table

RNG = np.random.default_rng(0)
NAMES = [f"s{i:02d}" for i in range(30)]
QRELS = {str(t): {n: int(RNG.random() < 0.3) for n in NAMES} for t in range(4)}
RUNS = [{str(t): RNG.permutation(NAMES)[:20].tolist() for t in range(4)} for _ in range(5)]


def test_the_curve_is_hybrid_at_every_point_and_ends_in_max_and_avg():
    points = sweep_top(RUNS, xinfap_per_topic(QRELS), samples=200)
    assert [p.top for p in points] == [1, 2, 3, 4, 5]
    average = xinfap(fuse(RUNS, "avg"), QRELS).mean
    for p in points:
        value = xinfap(fuse(RUNS, "hybrid", top=p.top), QRELS).mean
        assert p.value.value == pytest.approx(value)
        assert p.versus_avg.value == pytest.approx(value - average)
        assert p.value.low <= p.value.value <= p.value.high
    assert points[0].value.value == pytest.approx(xinfap(fuse(RUNS, "max"), QRELS).mean)
    assert points[-1].versus_avg.high == 0
    assert json.loads(json.dumps(points[0].to_json()))["top"] == 1


def test_queries_of_one_cluster_are_resampled_together():
    points = sweep_top(RUNS, xinfap_per_topic(QRELS), tops=(1,), clusters=[0, 0, 1, 1], samples=50)
    assert (points[0].value.units, points[0].versus_avg.units) == (2, 2)


def test_default_tops_end_at_all_lists():
    assert default_tops(1) == (1,)
    assert default_tops(72)[-4:] == (40, 50, 60, 72)


@pytest.mark.parametrize("suffix", ["png", "svg"])
def test_table_and_plot(tmp_path, suffix):
    points = sweep_top(RUNS, xinfap_per_topic(QRELS), tops=(1, 3, 5), samples=50)
    assert sweep_table(points).row_count == 3
    plot_sweep(points, tmp_path / f"curve.{suffix}")
    (only,) = tmp_path.iterdir()
    assert only.stat().st_size > 5000
