"""What holds for every loss."""

import subprocess
import sys

import pytest
import torch

from matchcut.losses import (
    LOSSES,
    HingeLoss,
    InfoNCE,
    LadderLoss,
    NegNCE,
    PartialOrder,
    PolynomialLoss,
    SigmoidLoss,
    SoftTargets,
)
from matchcut.negatives import Evidence, PairTable

EVERY = [
    HingeLoss(),
    HingeLoss(negatives="all", reduction="mean_terms"),
    HingeLoss(negatives="semi_hard", positives="hardest", reduction="mean"),
    PolynomialLoss(),
    PolynomialLoss(margin=1.0, positive=(1.0, 0.0, -1.0, 0.5), negative=[0.5, 0.1], reduction="sum"),
    InfoNCE(scale=5.0),
    InfoNCE(scale=5.0, positives="sum", hardness=1.0),
    InfoNCE(scale=5.0, positives="separate", learned=True),
    NegNCE(scale=5.0),
    SigmoidLoss(),
    LadderLoss("r"),
    SoftTargets("r", scale=5.0, teacher_scale=5.0),
    PartialOrder(),
]
PARTNERS = {"p": (torch.rand(5), torch.rand(5))}


def case(text_items, items, seed=0):
    g = torch.Generator().manual_seed(seed)
    table = PairTable.from_ids(text_items=torch.tensor(text_items), items=torch.tensor(items))
    scores = torch.rand(table.shape, generator=g, dtype=torch.float64)
    relevance = torch.rand(table.shape, generator=g, dtype=torch.float64)
    return scores, table, relevance


def run(loss, scores, table, relevance):
    return loss(scores, table, Evidence(scores={"r": relevance}, partners=PARTNERS))


def test_every_name_is_tried():
    assert {loss.name for loss in EVERY} == set(LOSSES)


@pytest.mark.parametrize("loss", EVERY, ids=repr)
def test_order_does_not_matter(loss):
    scores, table, relevance = case([0, 0, 1, 2, 9], [0, 1, 2, 2])
    t, v = torch.tensor([3, 0, 4, 2, 1]), torch.tensor([2, 0, 3, 1])
    mixed = PairTable.from_ids(text_items=table.text_items[t], items=table.items[v])
    plain = run(loss, scores, table, relevance)
    torch.testing.assert_close(run(loss, scores[t][:, v], mixed, relevance[t][:, v]), plain)


@pytest.mark.parametrize("loss", [x for x in EVERY if not isinstance(x, SigmoidLoss)], ids=repr)
def test_texts_and_items_are_treated_alike(loss):
    scores, table, relevance = case([0, 0, 1, 2, 9], [0, 1, 2, 2])
    torch.testing.assert_close(run(loss, scores.T, table.T, relevance.T), run(loss, scores, table, relevance))


@pytest.mark.parametrize("loss", EVERY, ids=repr)
@pytest.mark.parametrize(
    ("text_items", "items", "left_out"),
    [
        ([7], [7], False),  # a batch of one: no negative
        ([7, 7, 7], [7, 7, 7], False),  # all positive
        ([0, 1], [2, 3], False),  # no positive
        ([0, 1, 2], [0, 1, 2], True),  # every negative left out
        ([0, 1], [], False),
        ([], [], False),
    ],
)
def test_corners_are_finite(loss, text_items, items, left_out):
    scores, table, relevance = case(text_items, items)
    table = PairTable.from_ids(
        text_items=torch.tensor(text_items, dtype=torch.int64), items=torch.tensor(items, dtype=torch.int64)
    )
    if left_out:
        table = table.leave_out(torch.ones(table.shape, dtype=torch.bool))
    scores = scores.requires_grad_()
    value = run(loss, scores, table, relevance)
    assert value.shape == ()
    assert torch.isfinite(value)
    if value.requires_grad:
        value.backward()
        assert scores.grad is None or torch.isfinite(scores.grad).all()


@pytest.mark.parametrize("loss", EVERY, ids=repr)
def test_extreme_scores_are_finite(loss):
    _, table, relevance = case([0, 1, 2, 3], [0, 1, 2, 3])
    for value in (-1.0, 0.0, 1.0):
        scores = torch.full((4, 4), value, requires_grad=True)
        run(loss, scores, table, relevance).backward() if not isinstance(loss, PartialOrder) else None
        assert scores.grad is None or torch.isfinite(scores.grad).all()


@pytest.mark.parametrize("loss", [x for x in EVERY if not isinstance(x, PartialOrder)], ids=repr)
def test_gradients_are_those_of_the_value(loss):
    scores, table, relevance = case([0, 0, 1, 2], [0, 1, 2])
    if hasattr(loss, "log_scale"):
        loss = loss.double()
    assert torch.autograd.gradcheck(lambda s: run(loss, s, table, relevance), scores.requires_grad_())


@pytest.mark.parametrize("loss", EVERY, ids=repr)
def test_prints_as_what_builds_it(loss):
    assert repr(eval(repr(loss))) == repr(loss)
    recipe = loss.to_recipe()
    assert repr(LOSSES[recipe.pop("name")](**recipe)) == repr(loss)


def test_losses_need_torch_alone():
    allowed = {"matchcut", "torch"}
    program = f"""
import sys
sys.modules["numpy"] = None  # PyTorch does without
import torch, torch.utils.checkpoint
class Guard:
    def find_spec(self, name, path=None, target=None):
        top = name.split(".")[0]
        if top not in sys.stdlib_module_names and top not in {allowed!r}:
            raise ImportError("blocked: " + name)
sys.meta_path.insert(0, Guard())
import matchcut.losses, matchcut.negatives
rooms = {{n.split(".")[1] for n in sys.modules if n.startswith("matchcut.")}}
assert rooms <= {{"losses", "negatives"}}, rooms
scores = torch.arange(64.0 * 64).reshape(64, 64)
table = matchcut.negatives.PairTable.from_ids(text_items=torch.arange(64), items=torch.arange(64))
assert matchcut.negatives.TopK(1)(table, matchcut.negatives.Evidence(), scores).negative.sum() == 64
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
