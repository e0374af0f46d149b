"""Any network runs with any loss, for one step each; the loss on masked partners needs a network that has them."""

import pytest
import torch
from tiny_networks import NETWORKS, inputs, tiny

from matchcut.losses import LOSSES, Objective, Term
from matchcut.models.base import Step
from matchcut.negatives import DropSimilar, Evidence, PairTable, SemanticMargin

TREATMENTS = {"plain": [], "exclusion": [DropSimilar("bert", percent=10)], "semantic": [SemanticMargin("bert")]}


def make(loss):
    """Each with its default options; some need to be told which evidence they look at."""
    return LOSSES[loss]("bert") if loss in ("ladder", "soft_targets") else LOSSES[loss]()


@pytest.mark.parametrize("name", NETWORKS)
@pytest.mark.parametrize("loss", [loss for loss in LOSSES if loss != "partial_order"])
def test_one_step(name, loss):
    model = tiny(name).train()
    text_inputs, item_inputs = inputs()
    evidence = Evidence(text={"bert": torch.randn(6, 5)})
    table = PairTable.from_ids(text_items=torch.arange(6), items=torch.arange(6))
    targets = {"concepts": torch.eye(6, 5)}
    for treatments in TREATMENTS.values():
        text, (item, extra) = model.encode_text(text_inputs), model.train_item(item_inputs)
        step = Step(text_inputs, item_inputs, text, item, torch.arange(6), targets, extra)
        terms = [Term(make(loss), treatments, scores=which) for which in model.score_names]
        total = Objective(terms)(model.scores(text, item), table, evidence, extra=model.auxiliary(step))
        model.zero_grad()
        total.backward()
        gradients = [p.grad for p in model.parameters() if p.grad is not None]
        assert torch.isfinite(total)
        assert all(torch.isfinite(g).all() for g in gradients)
        assert any(g.any() for g in gradients)
