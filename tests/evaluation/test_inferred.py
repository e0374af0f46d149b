"""xinfAP against a port written as plain loops, the official evaluator's printed values, and hand-made cases."""

import json
from math import log2

import numpy as np
import pytest

from matchcut.evaluation import read_run, xinfap
from matchcut.evaluation.qrels import Qrels, TopicQrels
from matchcut.evaluation.runs import compare_runs, evaluate_run
from matchcut.evaluation.tables import runs_table

TOY_QRELS = Qrels(
    {
        "1": TopicQrels(
            {"a": 1, "b": 0, "c": 1, "d": 1, "e": -1, "f": 0, "g": -1},
            {"a": "1", "b": "1", "c": "1", "d": "2", "e": "2", "f": "2", "g": "2"},
        ),
        "2": TopicQrels({"a": 0, "h": 1, "i": -1, "j": -1}, {"a": "1", "h": "1", "i": "2", "j": "2"}),
    }
)
TOY_RUN = {"1": ["a", "z", "d", "e", "c", "b"], "2": ["i", "h"]}

# Printed by the official evaluator for the TV21 judgments: topic: (test_run, GodSpeed, estimated relevant)
GOLDEN = {
    "1661": (0.3945, 0.3748, 2074.7950),
    "1662": (0.7918, 0.7225, 5327.3579),
    "1663": (0.5036, 0.6062, 1389.2605),
    "1664": (0.2690, 0.2909, 692.0911),
    "1665": (0.1266, 0.1086, 798.7702),
    "1666": (0.2066, 0.1835, 1681.0000),
    "1667": (0.1098, 0.1972, 762.2736),
    "1668": (0.2869, 0.3573, 1023.0624),
    "1669": (0.1707, 0.2548, 726.7342),
    "1670": (0.5137, 0.3777, 953.5202),
    "1671": (0.1656, 0.1436, 268.1642),
    "1672": (0.0129, 0.0067, 800.0000),
    "1673": (0.0563, 0.0625, 1374.0000),
    "1674": (0.8788, 0.9506, 4074.1229),
    "1675": (0.5113, 0.4692, 688.8348),
    "1676": (0.1760, 0.2323, 444.1364),
    "1677": (0.8326, 0.8405, 802.0081),
    "1678": (0.3361, 0.3461, 368.0680),
    "1679": (0.0400, 0.0383, 298.0541),
    "1680": (0.4775, 0.4165, 1704.9505),
}


def naive(shots, judged):
    """(infAP, infNDCG, inum_rel_ret) of one topic, step by step."""
    strata = sorted(set(judged.strata.values()))
    members = {s: [d for d in judged if judged.strata[d] == s] for s in strata}
    size = {s: len(members[s]) for s in strata}
    seen = {s: sum(judged[d] >= 0 for d in members[s]) for s in strata}
    found = {s: sum(judged[d] > 0 for d in members[s]) for s in strata}
    estimate = {s: found[s] * size[s] / seen[s] if seen[s] else 0 for s in strata}
    total = sum(estimate.values())
    pooled, d, j, q, sap, gain = 0, *(dict.fromkeys(strata, 0) for _ in range(5))
    for k, shot in enumerate(shots[:1000], 1):
        grade = judged.get(shot)
        if grade is not None and grade > 0:
            above = sum(d[s] / pooled * (q[s] + 1e-5) / (j[s] + 3e-5) for s in strata if d[s]) if pooled else 0
            sap[judged.strata[shot]] += 1 / k + pooled / k * above
            gain[judged.strata[shot]] += grade / log2(k + 1)
            q[judged.strata[shot]] += 1
        if grade is not None:
            pooled += 1
            d[judged.strata[shot]] += 1
            j[judged.strata[shot]] += grade >= 0
    ap = sum(estimate[s] / total * sap[s] / found[s] for s in strata if found[s]) if total else 0
    if total > 1000:
        ap *= total / 1000
    ideal, start = 0.0, 0.0
    for grade in sorted({g for g in judged.values() if g > 0}, reverse=True):
        count = sum(sum(judged[x] == grade for x in members[s]) * size[s] / seen[s] for s in strata if seen[s])
        rank = start + 1
        while rank <= start + count + 1e-9:
            ideal += grade / log2(rank + 1)
            if rank >= 1000:
                break
            rank += 1
        start += count
    dcg = sum(d[s] / j[s] * gain[s] for s in strata if j[s])
    retrieved = sum(d[s] * (q[s] + 1e-5) / (j[s] + 3e-5) for s in strata)
    return ap, dcg / ideal if ideal else 0, retrieved


def random_topic(rng, n=60, grades=(-1, 0, 0, 1)):
    shots = [f"s{i}" for i in range(n)]
    judged = TopicQrels(
        {s: int(rng.choice(grades)) for s in shots[: n // 2]}, {s: str(rng.integers(3)) for s in shots[: n // 2]}
    )
    return list(rng.permutation(shots)[: rng.integers(1, n)]), judged


@pytest.mark.parametrize("seed", range(12))
def test_equals_the_naive_loops(seed):
    rng = np.random.default_rng(seed)
    run, judged = random_topic(rng, grades=(-1, 0, 1, 2, 3) if seed % 2 else (-1, 0, 0, 1))
    found = xinfap({"1": run}, Qrels({"1": judged})).topics["1"]
    assert [found.infap, found.infndcg, found.inum_rel_ret] == pytest.approx(naive(run, judged))


def test_the_toy_by_hand():
    found = xinfap(TOY_RUN, TOY_QRELS)
    assert found.per_topic == pytest.approx({"1": 0.7833, "2": 0.6667}, abs=5e-5)
    assert found.mean == pytest.approx(0.7250, abs=5e-5)
    assert found.infndcg_per_topic == pytest.approx({"1": 0.9318, "2": 0.6309}, abs=5e-5)
    assert found.infndcg == pytest.approx(0.7814, abs=5e-5)
    assert [t.inum_rel for t in found.topics.values()] == [4, 1]
    # 3.99995 and 1.33331: the printed 4.0000 and 1.3333, but for the smoothing
    assert [t.inum_rel_ret for t in found.topics.values()] == pytest.approx([4.0, 1.3333], abs=1e-4)


def test_ties_are_broken_by_descending_shot_id():
    found = xinfap({"1": {"a": 5.0, "c": 5.0, "b": 5.0}}, TOY_QRELS, nist_compat=True)
    assert found.mean == pytest.approx(0.4167, abs=5e-5)
    assert found.mean == pytest.approx(xinfap({"1": ["c", "b", "a"]}, TOY_QRELS, nist_compat=True).mean)


def test_a_missing_topic_is_zero_or_left_out_and_said():
    one = {"1": TOY_RUN["1"]}
    default, nist = xinfap(one, TOY_QRELS), xinfap(one, TOY_QRELS, nist_compat=True)
    assert default.mean == pytest.approx(nist.mean / 2)
    assert default.per_topic["2"] == 0
    assert default.note == "1 topics without a list counted as 0: 2"
    assert "left out of the mean" in nist.note
    assert list(nist.per_topic) == ["1"]
    assert default.inum_rel == nist.inum_rel == 5


def test_topics_without_judgments_are_ignored_and_said():
    found = xinfap(TOY_RUN | {"3": ["a"]}, TOY_QRELS)
    assert found.mean == xinfap(TOY_RUN, TOY_QRELS).mean
    assert found.note == "1 topics without judgments ignored: 3"
    with pytest.raises(ValueError, match="share no topic: the run has 3, the qrels 1, 2"):
        xinfap({"3": ["a"]}, TOY_QRELS)


def test_a_stratum_without_judged_shots_is_skipped():
    judged = TopicQrels({"a": 1, "x": -1, "y": -1}, {"a": "1", "x": "2", "y": "2"})
    found = xinfap({"1": ["x", "a"]}, Qrels({"1": judged})).topics["1"]
    assert found.inum_rel == 1
    # the pooled shot above counts one third relevant: (1 + 1/3) / 2
    assert found.infap == pytest.approx(2 / 3)


def test_only_the_first_thousand_count():
    judged = {"1": {f"s{i}": int(i >= 999) for i in range(1005)}}
    run = {"1": [f"s{i}" for i in range(1005)]}
    found = xinfap(run, judged).topics["1"]
    assert found.num_ret == 1000
    assert found.inum_rel_ret == pytest.approx(1, abs=1e-3)
    cut = xinfap({"1": run["1"][:1000]}, judged)
    assert found == cut.topics["1"]


def test_short_lists_divide_precision_by_the_cutoff():
    found = xinfap({"1": ["a"]}, {"1": {"a": 1}})
    assert found.ip_at[10] == pytest.approx(0.1, abs=1e-4)
    # The smoothing leaves 0.99998 relevant shots retrieved, so the evaluator never reaches recall 1.
    assert found.iprec == pytest.approx((1.0,) * 10 + (0.0,), abs=1e-4)


def test_nothing_relevant_is_zero():
    found = xinfap({"1": ["a"]}, {"1": {"a": 0}})
    assert (found.mean, found.infndcg) == (0, 0)


def test_many_relevant_shots_scale_the_average_precision():
    judged = {"1": {f"s{i}": 1 for i in range(2000)}}
    run = {"1": [f"s{i}" for i in range(1000)]}
    assert xinfap(run, judged).mean == pytest.approx(1)  # the first 1,000 of 2,000: 0.5 times 2000 / 1000
    assert xinfap(run, judged, large_topic_factor=False).mean == pytest.approx(0.5)


def test_intervals_comparison_table_and_json():
    entry = evaluate_run(TOY_RUN, TOY_QRELS, name="toy", samples=200)
    assert entry.intervals["xinfAP"].value == pytest.approx(entry.result.mean)
    assert json.loads(json.dumps(entry.to_json()))["topics"]["1"]["num_ret"] == 6
    assert runs_table([entry]).row_count == 1
    assert compare_runs(TOY_RUN, TOY_RUN, TOY_QRELS)[0].p == 1


@pytest.fixture(scope="module")
def tv21(shared_data):
    folder = shared_data / "avs"
    qrels = folder / "avs.qrels.main.tv21"
    return {n: xinfap(folder / n, qrels, nist_compat=True) for n in ("test_run", "F_M_C_D_GodSpeed.21_1")}, qrels


def test_both_real_runs_reproduce_the_official_values_topic_by_topic(tv21):
    for column, result in enumerate(tv21[0].values()):
        for topic, golden in GOLDEN.items():
            assert result.per_topic[topic] == pytest.approx(golden[column], abs=5.1e-5)
            assert result.topics[topic].inum_rel == pytest.approx(golden[2], abs=5.1e-5)


def test_both_real_runs_reproduce_the_official_means(tv21):
    first, second = tv21[0].values()
    assert [first.mean, second.mean] == pytest.approx([0.343034, 0.348986], abs=1e-6)
    assert [first.infndcg, second.infndcg] == pytest.approx([0.5360, 0.5390], abs=5.1e-5)
    assert [first.inum_rel_ret, second.inum_rel_ret] == pytest.approx([8401.6277, 8465.2546], abs=5.1e-5)
    assert [first.inum_rel, second.inum_rel] == pytest.approx([26251.2041] * 2, abs=5.1e-5)
    assert first.num_ret == second.num_ret == 20_000
    expected = {5: 0.7, 10: 0.75, 15: 0.74, 20: 0.72, 30: 0.6883, 100: 0.6485, 200: 0.595, 500: 0.5028, 1000: 0.4201}
    assert first.ip_at == pytest.approx(expected, abs=5.1e-5)
    iprec = (0.9826, 0.6344, 0.5048, 0.3482, 0.2187, 0.1509, 0.1218, 0.0719, 0.0416, 0, 0)
    assert first.iprec == pytest.approx(iprec, abs=5.1e-5)


def test_the_real_run_without_the_factor_and_without_a_topic(tv21, shared_data):
    run = read_run(shared_data / "avs" / "test_run")
    assert xinfap(run, tv21[1], large_topic_factor=False).mean == pytest.approx(0.245299, abs=1e-6)
    less = {t: r for t, r in run.items() if t != "1661"}
    assert xinfap(less, tv21[1], nist_compat=True).mean == pytest.approx(0.3403, abs=5e-5)
    assert xinfap(less, tv21[1]).mean == pytest.approx(0.3233, abs=5e-5)


def test_real_graded_judgments_equal_the_naive_loops(shared_data):
    qrels = Qrels.of(shared_data / "avs" / "qrelsBiocaddie.graded")
    rng = np.random.default_rng(0)
    run = {t: [str(s) for s in rng.permutation(sorted(j))[:400]] for t, j in list(qrels.items())[:3]}
    found = xinfap(run, qrels, nist_compat=True)
    for topic, shots in run.items():
        got = found.topics[topic]
        assert [got.infap, got.infndcg, got.inum_rel_ret] == pytest.approx(naive(shots, qrels[topic]))


def test_a_topic_without_any_judgment_counts_zero():
    assert xinfap({"1": ["a"], "2": ["a"]}, {"1": {"a": 1}, "2": {}}).per_topic == {"1": 1.0, "2": 0.0}
