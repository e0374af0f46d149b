"""The smaller treatments against loops, and what holds for every treatment."""

import tomllib

import pytest
import torch

from matchcut.losses import HingeLoss
from matchcut.negatives import (
    TREATMENTS,
    AdaptiveMargin,
    DropAbove,
    DropAbovePositive,
    DropSimilar,
    Evidence,
    PairTable,
    RelevanceMargin,
    RelevantPositives,
    Reweight,
    SameItem,
    SemanticMargin,
    SemiHard,
    TopK,
)
from matchcut.negatives.top_k import largest

EVERY = [
    SameItem(),
    SameItem(role="left_out"),
    SameItem(role="negative"),
    SameItem(role="margin_zero", margin=0.2),
    DropSimilar("e", percent=20),
    DropSimilar("e", percent=20, select="evidence"),
    DropAbove("e", threshold=0.2),
    DropAbovePositive("s"),
    DropAbovePositive("s", slack=0.05, rule="relative"),
    DropAbovePositive("learned", slack=0.1),
    RelevantPositives("e", threshold=0.5),
    SemanticMargin("e"),
    SemanticMargin("e", divide_by="anchor"),
    AdaptiveMargin("e"),
    AdaptiveMargin("e", mapping="minmax"),
    RelevanceMargin("e"),
    Reweight("e", power=2, floor=0.1),
    SemiHard(band=0.5),
    TopK(2),
]
FIELDS = ("positive", "negative", "margin", "weight", "rank_by")


def batch(ids, seed=0):
    g = torch.Generator().manual_seed(seed)
    n = len(ids)
    ids = torch.tensor(ids)
    evidence = Evidence(text={"e": torch.randn(n, 5, generator=g)}, scores={"s": torch.rand(n, n, generator=g)})
    return PairTable.from_ids(text_items=ids, items=ids), evidence, torch.rand(n, n, generator=g)


def rectangle(seed=0):
    g = torch.Generator().manual_seed(seed)
    table = PairTable.from_ids(text_items=torch.tensor([0, 0, 1, 2, 9]), items=torch.tensor([0, 1, 2, 2]))
    return table, Evidence(scores={"s": torch.rand(5, 4, generator=g)}), torch.rand(5, 4, generator=g)


def test_every_name_is_tried():
    assert {t.name for t in EVERY} == set(TREATMENTS)


@pytest.mark.parametrize("treatment", EVERY, ids=repr)
def test_order_of_the_batch_does_not_matter(treatment):
    table, evidence, scores = batch([0, 0, 1, 2, 3, 4, 5])
    order = torch.tensor([3, 1, 0, 6, 2, 5, 4])
    mixed = Evidence(text={"e": evidence.text["e"][order]}, scores={"s": evidence.scores["s"][order][:, order]})
    plain = treatment(table, evidence, scores)
    other = treatment(
        PairTable.from_ids(text_items=table.items[order], items=table.items[order]), mixed, scores[order][:, order]
    )
    for a, b in ((plain, other), (plain.items_see, other.items_see)):
        for name in FIELDS:
            x, y = getattr(a, name), getattr(b, name)
            assert (x is None) == (y is None)
            if x is not None:
                torch.testing.assert_close(x[order][:, order], y)


@pytest.mark.parametrize("treatment", EVERY, ids=repr)
@pytest.mark.parametrize("ids", [[7], [7, 7], [0, 1]])
def test_smallest_batches_give_a_finite_loss(treatment, ids):
    table, evidence, scores = batch(ids)
    scores.requires_grad_()
    loss = HingeLoss()(scores, treatment(table, evidence, scores.detach()))
    loss.backward()
    assert torch.isfinite(loss)
    assert torch.isfinite(scores.grad).all()


@pytest.mark.parametrize("treatment", EVERY, ids=repr)
def test_nothing_is_both_and_the_given_table_is_untouched(treatment):
    table, evidence, scores = batch([0, 0, 1, 2, 3])
    before = table.positive.clone(), table.negative.clone()
    after = treatment(table, evidence, scores)
    for side in (after, after.items_see):
        assert not (side.positive & side.negative).any()
    assert torch.equal(table.positive, before[0])
    assert torch.equal(table.negative, before[1])


@pytest.mark.parametrize("treatment", EVERY, ids=repr)
def test_prints_as_what_builds_it(treatment):
    namespace = {type(t).__name__: type(t) for t in EVERY}
    assert eval(repr(treatment), namespace) == treatment
    recipe = treatment.to_recipe()
    expression, section = str(treatment).split("\n# ")
    assert expression == repr(treatment)
    assert tomllib.loads(f"it = {section}")["it"] == recipe
    assert TREATMENTS[recipe.pop("name")](**recipe) == treatment


def same_item_pairs():
    return [(0, 1), (1, 0)]


@pytest.mark.parametrize(
    ("role", "positive", "negative"),
    [("positive", True, False), ("left_out", False, False), ("negative", False, True), ("margin_zero", False, True)],
)
def test_same_item_roles(role, positive, negative):
    table, evidence, scores = batch([0, 0, 1])
    after = SameItem(role=role, margin=0.3)(table, evidence, scores)
    for pair in same_item_pairs():
        assert after.positive[pair] == positive
        assert after.negative[pair] == negative
    assert after.positive.diagonal().all()
    if role == "margin_zero":
        assert after.margin[0, 1] == 0
        assert after.margin[0, 2].item() == pytest.approx(0.3)


def test_same_item_needs_margins_and_pairs():
    table, evidence, scores = batch([0, 0, 1])
    with pytest.raises(ValueError, match="needs margin="):
        SameItem(role="margin_zero")(table, evidence, scores)
    with pytest.raises(ValueError, match="not paired"):
        SameItem(role="negative")(*rectangle())


def test_same_item_zeroes_the_margins_of_both_sides():
    table, evidence, scores = batch([0, 0, 1])
    table = SemanticMargin("e", divide_by="anchor")(table, evidence, scores)
    after = SameItem(role="margin_zero")(table, evidence, scores)
    assert after.margin[0, 1] == after.items_see.margin[1, 0] == 0
    assert after.items_see.margin[2, 0] == table.items_see.margin[2, 0] != after.margin[2, 0]


@pytest.mark.parametrize(("slack", "rule"), [(0.0, "absolute"), (0.1, "absolute"), (0.2, "relative")])
@pytest.mark.parametrize("positive", ["lowest", "highest"])
def test_drop_above_positive_equals_the_loops(slack, rule, positive):
    table, evidence, scores = rectangle(3)
    guide = evidence.scores["s"] - 0.5  # of both signs
    after = DropAbovePositive("g", slack=slack, rule=rule, positive=positive)(
        table, Evidence(scores={"g": guide}), scores
    )
    pick = min if positive == "lowest" else max

    def limit(values):
        if not values:
            return float("inf")
        return pick(values) - slack * (1 if rule == "absolute" else abs(pick(values)))

    for t in range(5):
        for v in range(4):
            row = limit([guide[t, k].item() for k in range(4) if table.positive[t, k]])
            column = limit([guide[k, v].item() for k in range(5) if table.positive[k, v]])
            assert after.negative[t, v] == (table.negative[t, v] and guide[t, v].item() <= row + 1e-7)
            assert after.items_see.negative[t, v] == (table.negative[t, v] and guide[t, v].item() <= column + 1e-7)


def test_relevant_positives():
    table, evidence, scores = rectangle()
    relevance = evidence.scores["s"]
    after = RelevantPositives("s", threshold=0.5)(table, evidence, scores)
    assert torch.equal(after.positive, table.positive | (relevance >= 0.5))
    others = RelevantPositives("s", threshold=0.5, own=False)(table, evidence, scores)
    assert torch.equal(others.positive, ~table.positive & (relevance >= 0.5))
    assert torch.equal(others.negative, ~table.positive & (relevance < 0.5))


def test_relevance_margin_of_the_specification():
    # verbs {cut} and {cut}, nouns {onion, knife} and {onion, board}: relevance (1 + 1/3) / 2
    table = PairTable.from_ids(text_items=torch.tensor([0]), items=torch.tensor([1]))
    evidence = Evidence(scores={"overlap": torch.tensor([[(1 + 1 / 3) / 2]])})
    assert RelevanceMargin("overlap")(table, evidence, torch.zeros(1, 1)).margin.item() == pytest.approx(1 / 3)


@pytest.mark.parametrize("band", [None, 0.3])
def test_semi_hard_equals_the_loops(band):
    table, evidence, scores = rectangle(5)
    after = SemiHard(band=band)(table, evidence, scores)

    def kept(value, positives):
        return bool(positives) and value < min(positives) and (band is None or value > min(positives) - band)

    for t in range(5):
        for v in range(4):
            row = [scores[t, k] for k in range(4) if table.positive[t, k]]
            column = [scores[k, v] for k in range(5) if table.positive[k, v]]
            assert after.negative[t, v] == (table.negative[t, v] and kept(scores[t, v], row))
            assert after.items_see.negative[t, v] == (table.negative[t, v] and kept(scores[t, v], column))


@pytest.mark.parametrize(("k", "skip"), [(1, 0), (2, 0), (2, 1), (9, 0), (1, 9)])
def test_top_k_equals_sorting(k, skip):
    table, evidence, scores = rectangle(6)
    after = TopK(k, skip=skip)(table, evidence, scores)
    for t in range(5):
        row = sorted((v for v in range(4) if table.negative[t, v]), key=lambda v: -scores[t, v])[skip : skip + k]
        assert after.negative[t].nonzero().flatten().tolist() == sorted(row)
    for v in range(4):
        column = sorted((t for t in range(5) if table.negative[t, v]), key=lambda t: -scores[t, v])[skip : skip + k]
        assert after.items_see.negative[:, v].nonzero().flatten().tolist() == sorted(column)


def test_top_k_goes_by_margin_and_by_rank():
    table = PairTable.from_ids(text_items=torch.arange(3), items=torch.arange(3))
    scores = torch.tensor([[0.9, 0.5, 0.4], [0.0, 0.9, 0.1], [0.0, 0.1, 0.9]])
    margin = torch.zeros(3, 3)
    margin[0, 2] = 0.3
    assert TopK(1)(table.with_margin(margin), Evidence(), scores).negative[0].tolist() == [False, False, True]
    assert TopK(1)(table.with_rank_by(-scores), Evidence(), scores).negative[0].tolist() == [False, False, True]


def test_reweight_by_hand():
    table, _, scores = rectangle()
    evidence = Evidence(scores={"s": torch.full((5, 4), 0.5)})
    assert Reweight("s", power=2, floor=0.2)(table, evidence, scores).weight[0, 0].item() == pytest.approx(0.4)


@pytest.mark.parametrize(
    "wrong",
    [
        lambda: SameItem(role="friend"),
        lambda: DropAbove("e", threshold=3.0),
        lambda: DropAbovePositive("e", slack=-0.1),
        lambda: DropAbovePositive("e", rule="other"),
        lambda: RelevanceMargin("e", scale=0),
        lambda: Reweight("e", power=0),
        lambda: Reweight("e", floor=2),
        lambda: SemiHard(band=0),
        lambda: TopK(0),
        lambda: TopK(1, skip=-1),
        lambda: SemanticMargin("e", similarity="l2"),
    ],
)
def test_wrong_options(wrong):
    with pytest.raises(ValueError):
        wrong()


@pytest.mark.parametrize(("count", "columns"), [(1, 8), (3, 128), (10, 1024), (10, 160), (10, 90), (5, 5)])
def test_largest_is_topk(count, columns):
    values = torch.randint(0, 200, (30, columns), generator=torch.Generator().manual_seed(2)).float()
    values[:, : columns // 2] -= torch.inf
    for matrix in (values, values.T.contiguous().T):
        for dtype in (torch.float32, torch.float64, torch.bfloat16):
            assert torch.equal(largest(matrix.to(dtype), count), matrix.to(dtype).topk(count, dim=1).values)
