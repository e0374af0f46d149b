import pytest
import torch
from torch.nn import functional
from torch.utils._python_dispatch import TorchDispatchMode

from matchcut.losses import HingeLoss, InfoNCE, NegNCE, Objective, PolynomialLoss, SigmoidLoss, Term, chunked, presets
from matchcut.negatives import (
    AdaptiveMargin,
    DropAbove,
    DropSimilar,
    Evidence,
    PairTable,
    RelevanceMargin,
    RelevantPositives,
    Reweight,
    SemanticMargin,
)

LOSSES = [
    HingeLoss(),
    HingeLoss(reduction="mean", direction="t2i"),
    HingeLoss(direction="i2t"),
    PolynomialLoss(margin=0.4),
    PolynomialLoss(direction="i2t", reduction="sum"),
    InfoNCE(scale=10.0),
    InfoNCE(scale=10.0, learned=True, direction="i2t", reduction="sum"),
    SigmoidLoss(),
]
TREATMENTS = [
    [],
    [DropAbove("e", threshold=0.3), SemanticMargin("e", similarity="cosine", scale=0.3)],
    [DropSimilar("e", threshold=0.3, select="evidence"), AdaptiveMargin("e", statistics=(1.0, 0.4))],
    [AdaptiveMargin("e", mapping="step", steps=[[0.0, 0.0], [0.5, 0.1], [1.0, 0.4]])],
    [RelevantPositives("s", threshold=0.9), RelevanceMargin("s", scale=0.3), Reweight("e", floor=0.1)],
]


def batch():
    g = torch.Generator().manual_seed(0)
    text_items, items = torch.tensor([0, 0, 1, 2, 3, 4, 9, 5, 6]), torch.tensor([0, 1, 2, 2, 3, 4, 5, 6])
    text = functional.normalize(torch.randn(9, 5, generator=g, dtype=torch.float64), dim=1).requires_grad_()
    item = functional.normalize(torch.randn(8, 5, generator=g, dtype=torch.float64), dim=1).requires_grad_()
    evidence = Evidence(
        text={"e": torch.randn(9, 3, generator=g)},
        item_text={"e": torch.randn(8, 3, generator=g)},
        scores={"s": torch.rand(9, 8, generator=g)},
    )
    return text, item, text_items, items, evidence


@pytest.mark.parametrize("loss", LOSSES, ids=repr)
@pytest.mark.parametrize("treatments", TREATMENTS, ids=lambda t: "-".join(x.name for x in t) or "none")
@pytest.mark.parametrize("chunk", [1, 4, 100])
def test_equals_the_whole_matrix(loss, treatments, chunk):
    text, item, text_items, items, evidence = batch()
    objective = Objective([Term(loss, treatments, weight=0.5)])
    whole = objective(text @ item.T, PairTable.from_ids(text_items=text_items, items=items), evidence)
    inputs = [text, item, *objective.parameters()]
    wanted = torch.autograd.grad(whole, inputs)
    part = chunked(objective, text, item, text_items=text_items, items=items, evidence=evidence, chunk=chunk)
    torch.testing.assert_close(part, whole)
    for a, b in zip(torch.autograd.grad(part, inputs), wanted, strict=True):
        torch.testing.assert_close(a, b, atol=1e-6, rtol=1e-6)


@pytest.mark.parametrize(
    "objective",
    [
        Objective([Term(NegNCE())]),
        Objective([Term(HingeLoss(negatives="all"))]),
        Objective([Term(InfoNCE(positives="sum"))]),
        presets.exclusion_2021("e"),
        presets.lseh("e"),
        presets.cmgsd(),
        Objective([Term(HingeLoss())], extra={"captions": 1.0}),
    ],
    ids=repr,
)
def test_what_needs_the_whole_matrix_is_refused(objective):
    text, item, text_items, items, evidence = batch()
    with pytest.raises(ValueError, match="chunked"):
        chunked(objective, text, item, text_items=text_items, items=items, evidence=evidence)


class Largest(TorchDispatchMode):
    """The most elements that any result has; a sparse matrix holds only its few."""

    size = 0

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        out = func(*args, **(kwargs or {}))
        if isinstance(out, torch.Tensor) and out.layout == torch.strided:
            self.size = max(self.size, out.numel())
        return out


@pytest.mark.parametrize("loss", [HingeLoss(), PolynomialLoss(), InfoNCE(), SigmoidLoss()], ids=repr)
def test_nothing_larger_than_a_block_is_made(loss):
    ids = torch.arange(256)
    text, item = torch.randn(256, 4, requires_grad=True), torch.randn(256, 4, requires_grad=True)
    with Largest() as largest:
        chunked(Objective([Term(loss)]), text, item, text_items=ids, items=ids, chunk=8).backward()
    assert largest.size <= 8 * 256


def test_empty_and_wrong_chunk():
    none = torch.empty(0, dtype=torch.int64)
    for loss in (HingeLoss(), PolynomialLoss(), InfoNCE(), SigmoidLoss()):
        zero = chunked(Objective([Term(loss)]), torch.zeros(0, 4), torch.zeros(0, 4), text_items=none, items=none)
        assert zero == 0
    with pytest.raises(ValueError, match="at least 1"):
        chunked(
            Objective([Term(HingeLoss())]), torch.zeros(1, 4), torch.zeros(1, 4), text_items=none, items=none, chunk=0
        )
