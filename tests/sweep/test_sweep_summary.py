import itertools
import json

import numpy as np
import pytest

from matchcut.sweep.summary import Scored, summarise

AXES = {"net": ["A", "B"], "lr": ["1", "2", "3"], "seed": ["0", "1", "2"]}


def grid(score):
    found = []
    for labels in itertools.product(*AXES.values()):
        choices = dict(zip(AXES, labels, strict=True))
        found.append(Scored("-".join(labels), choices, float(score(**choices))))
    return found


def noise(net, lr, seed):
    return np.random.default_rng([ord(net), int(lr), int(seed)]).normal()


def test_means_and_matched_differences_by_hand():
    cells = [
        Scored("a1", {"x": "a", "y": "1"}, 10.0),
        Scored("a2", {"x": "a", "y": "2"}, 20.0),
        Scored("b1", {"x": "b", "y": "1"}, 13.0),
        Scored("b2", {"x": "b", "y": "2"}, 21.0),
    ]
    found = summarise(cells, {"x": ["a", "b"], "y": ["1", "2"]})
    rows = {(m.axis, m.label): m for m in found.marginals}
    assert [rows[key].mean for key in (("x", "a"), ("x", "b"), ("y", "1"), ("y", "2"))] == [15.0, 17.0, 11.5, 20.5]
    assert rows["x", "a"].difference is None
    assert rows["x", "b"].difference.difference == 2.0  # (13 - 10 + 21 - 20) / 2
    assert rows["y", "2"].difference.difference == 9.0
    assert rows["x", "b"].verdict == "only 2 pairs"
    assert [c.cell for c in found.cells] == ["b2", "a2", "b1", "a1"]


def test_against_a_loop_over_matched_cells():
    cells = grid(lambda **c: 3 * noise(**c) + 5 * (c["lr"] == "3"))
    scores = {tuple(c.choices.values()): c.score for c in cells}
    for m in summarise(cells, AXES).marginals:
        place = list(AXES).index(m.axis)
        mine = {k: v for k, v in scores.items() if k[place] == m.label}
        assert m.mean == pytest.approx(sum(mine.values()) / len(mine))
        if m.difference is None:
            assert m.label == AXES[m.axis][0]
            continue
        pairs = [v - scores[(*k[:place], AXES[m.axis][0], *k[place + 1 :])] for k, v in mine.items()]
        assert m.difference.difference == pytest.approx(sum(pairs) / len(pairs))
        assert m.cells == len(pairs)
        assert m.difference.low < m.difference.difference < m.difference.high


def test_it_finds_what_matters_and_nothing_else():
    cells = grid(lambda **c: noise(**c) + 100 * int(c["seed"]) - 10 * (c["net"] == "B"))
    verdicts = {(m.axis, m.label): m.verdict for m in summarise(cells, {k: AXES[k] for k in ("net", "lr")}).marginals}
    assert verdicts["net", "B"] == "worse"  # the seeds differ by far more: they are matched
    assert {verdicts["lr", label] for label in ("2", "3")} == {"not shown"}


def test_the_order_of_the_cells_does_not_matter_and_partners_that_are_missing_are_left_out():
    cells = grid(noise)
    assert summarise(cells[::-1], AXES).marginals == summarise(cells, AXES).marginals
    lost = summarise(cells[1:], AXES)  # without A-1-0
    rows = {(m.axis, m.label): m for m in lost.marginals}
    assert [rows["net", "A"].cells, rows["lr", "2"].cells, rows["seed", "1"].cells] == [8, 5, 5]
    kept = [c.score for c in cells if c.choices["net"] == "A"][1:]
    assert rows["net", "A"].mean == pytest.approx(np.mean(kept))


def test_an_axis_with_one_choice_has_nothing_to_compare():
    cells = [Scored("a", {"x": "a"}, 1.0)]
    assert summarise(cells, {"x": ["a"]}).marginals == ()


def test_plain_values():
    found = json.loads(json.dumps(summarise(grid(noise), AXES).to_json()))
    assert found["cells"][0]["choices"].keys() == AXES.keys()
    assert {m["verdict"] for m in found["marginals"]}
    few = summarise(grid(noise)[:9], {"seed": AXES["seed"]}).to_json()["marginals"]
    assert few[1]["difference"].keys() == {"difference", "units"}
