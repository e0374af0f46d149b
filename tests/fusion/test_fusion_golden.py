"""The two real TV21 runs, fused every way and scored by the official measure."""

import numpy as np
import pytest

from matchcut.evaluation import Run, read_qrels, read_run, xinfap
from matchcut.fusion import fuse

# Per topic, AVG of both runs
AVG = {
    "1661": 0.3977,
    "1662": 0.7425,
    "1663": 0.5560,
    "1664": 0.2966,
    "1665": 0.1285,
    "1666": 0.2147,
    "1667": 0.1656,
    "1668": 0.3511,
    "1669": 0.2206,
    "1670": 0.4824,
    "1671": 0.1735,
    "1672": 0.0092,
    "1673": 0.0614,
    "1674": 0.9224,
    "1675": 0.5092,
    "1676": 0.2077,
    "1677": 0.8579,
    "1678": 0.3660,
    "1679": 0.0391,
    "1680": 0.4465,
}


@pytest.fixture(scope="module")
def tv21(shared_data):
    folder = shared_data / "avs"
    runs = [read_run(folder / name) for name in ("test_run", "F_M_C_D_GodSpeed.21_1")]
    return runs, read_qrels(folder / "avs.qrels.main.tv21")


@pytest.mark.parametrize(
    ("method", "settings", "golden"),
    [
        ("avg", {}, 0.3574),
        ("max", {}, 0.3556),
        ("avg", {"missing": "ignore"}, 0.3528),
        ("max", {"missing": "ignore"}, 0.3556),
        ("max", {"tie_break": "id"}, 0.3557),
        ("worst", {}, 0.3558),
        ("hybrid", {"top": 1}, 0.3556),
        ("hybrid", {"top": 2}, 0.3574),
    ],
)
def test_rank_fusion_reproduces_the_golden_values(tv21, method, settings, golden):
    runs, qrels = tv21
    assert xinfap(fuse(runs, method, **settings), qrels).mean == pytest.approx(golden, abs=5.1e-5)


def test_infndcg_and_reciprocal_rank_fusion(tv21):
    runs, qrels = tv21
    assert xinfap(fuse(runs, "avg"), qrels).infndcg == pytest.approx(0.5516, abs=5.1e-5)
    assert xinfap(fuse(runs, "max"), qrels).infndcg == pytest.approx(0.5516, abs=5.1e-5)
    rrf = xinfap(fuse(runs, "rrf", k=60), qrels)
    assert (rrf.mean, rrf.infndcg) == (pytest.approx(0.359, abs=5.1e-4), pytest.approx(0.553, abs=5.1e-4))


def test_avg_reproduces_every_topic(tv21):
    runs, qrels = tv21
    assert xinfap(fuse(runs, "avg"), qrels).per_topic == pytest.approx(AVG, abs=5.1e-5)


def test_fused_runs_are_fit_to_hand_in(tv21):
    fused = fuse(tv21[0], "hybrid", top=1)
    for ranking in fused.values():
        assert len(ranking) == len(set(ranking.ids)) == 1000
        assert (np.diff(ranking.scores) < 0).all()


def test_a_run_with_itself_is_itself(tv21):
    run = tv21[0][0]
    fused = fuse([run] * 3, "avg")
    assert {t: r.ids for t, r in fused.items()} == {t: r.ids for t, r in run.items()}


def test_files_can_be_given_instead(tv21, shared_data):
    folder = shared_data / "avs"
    paths = [folder / "test_run", str(folder / "F_M_C_D_GodSpeed.21_1")]
    fused = fuse(paths, "avg")
    assert isinstance(fused, Run)
    assert {t: r.ids for t, r in fused.items()} == {t: r.ids for t, r in fuse(tv21[0], "avg").items()}
