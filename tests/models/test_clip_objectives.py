"""The networks on frame and token features run with any loss, for one step each."""

from dataclasses import replace

import pytest
import torch
from clip_streams import item_streams, shapes, text_streams

from matchcut.losses import LOSSES, Objective, Term
from matchcut.models import presets
from matchcut.models.base import Step
from matchcut.negatives import DropSimilar, Evidence, PairTable

NETWORKS = {
    ("clip_video", "mean"): {"dim": 8},
    ("clip_video", "wti"): {"dim": 8, "layers": 1, "heads": 2},
    ("dmae", "default"): {"dim": 8, "layers": 1, "heads": 2},
    ("dmae", "released"): {"dim": 8},
    ("multimodal_transformer", "default"): {"dim": 8, "layers": 1, "heads": 2, "feed_forward": 16},
}


@pytest.mark.parametrize("network", NETWORKS, ids="-".join)
@pytest.mark.parametrize("loss", LOSSES)
def test_one_step(network: tuple[str, str], loss: str) -> None:
    name, preset = network
    torch.manual_seed(0)
    text_inputs, item_inputs = text_streams(6), item_streams(6)
    config = replace(presets(name)[preset], **NETWORKS[network])
    model = config.build(shapes(text_inputs), shapes(item_inputs)).train()
    text, (item, extra) = model.encode_text(text_inputs), model.train_item(item_inputs)
    step = Step(text_inputs, item_inputs, text, item, torch.arange(6), {}, extra)
    if loss == "partial_order" and not model.auxiliary_names:
        pytest.skip("only a network with masked partners supplies them")
    partners = model.partners(step) if loss == "partial_order" else {}
    evidence = Evidence(text={"bert": torch.randn(6, 5)}, partners=partners)
    table = PairTable.from_ids(text_items=torch.arange(6), items=torch.arange(6))
    term = LOSSES[loss]("bert") if loss in ("ladder", "soft_targets") else LOSSES[loss]()
    objective = Objective([Term(term, [DropSimilar("bert", percent=10)])])
    total = objective(model.scores(text, item), table, evidence, extra=model.auxiliary(step))
    total.backward()
    gradients = [p.grad for p in model.parameters() if p.grad is not None]
    assert torch.isfinite(total)
    assert all(torch.isfinite(g).all() for g in gradients)
    assert any(g.any() for g in gradients)
