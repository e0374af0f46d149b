import pytest
import torch
from torch.nn import functional

from matchcut.losses import Expert, HingeLoss, InfoNCE, Objective, PolynomialLoss, Term, presets, unit
from matchcut.losses.dots import dots
from matchcut.losses.hardest import argmax, hardest
from matchcut.negatives import (
    AdaptiveMargin,
    DropAbovePositive,
    DropSimilar,
    Evidence,
    PairTable,
    RelevantPositives,
    Reweight,
    SemanticMargin,
    TopK,
)

SHAPES = [
    ([0, 1, 2, 3], [0, 1, 2, 3]),
    ([0, 0, 1, 1, 2], [0, 1, 2]),
    ([0, 1, 9], [0, 1, 1]),
    ([7], [7]),
    ([4, 4], [4, 4]),
    ([], []),
    ([0, 1], []),
]
TREATMENTS = [
    [],
    [DropSimilar("e", percent=20, select="evidence")],
    [SemanticMargin("e", scale=0.3, divide_by="anchor"), Reweight("e", floor=0.1)],
    [DropAbovePositive("learned", slack=0.2), TopK(2)],
    [RelevantPositives("e", threshold=0.7)],
]


def batch(text_items, items):
    g = torch.Generator().manual_seed(len(items))
    make = lambda n, d: torch.randn(n, d, generator=g, dtype=torch.float64)  # noqa: E731
    table = PairTable.from_ids(
        text_items=torch.tensor(text_items, dtype=torch.int64), items=torch.tensor(items, dtype=torch.int64)
    )
    t, v = table.shape
    evidence = Evidence(text={"e": make(t, 3)}, item_text={"e": make(v, 3)})
    return make(t, 5).requires_grad_(), make(v, 5).requires_grad_(), table, evidence


def same(objective, text, item, table, evidence):
    inputs = [text, item, *objective.parameters()]
    whole = objective(text @ item.T, table, evidence)
    told = objective.report
    got = objective.from_embeddings(text, item, table, Evidence(text=evidence.text, item_text=evidence.item_text))
    torch.testing.assert_close(got, whole, atol=1e-9, rtol=1e-9)
    assert objective.report == pytest.approx(told)
    wanted = torch.autograd.grad(whole, inputs, allow_unused=True)
    for a, b in zip(torch.autograd.grad(got, inputs, allow_unused=True), wanted, strict=True):
        torch.testing.assert_close(a, b, atol=1e-9, rtol=1e-9)


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("negatives", ["hardest", "semi_hard", "all"])
@pytest.mark.parametrize("treatments", TREATMENTS, ids=lambda t: "-".join(x.name for x in t) or "none")
def test_value_gradients_and_report_are_those_of_the_scores(shape, negatives, treatments):
    for positives, reduction, direction in (
        ("mean", "sum", "both"),
        ("hardest", "mean", "t2i"),
        ("mean", "mean_terms", "i2t"),
    ):
        loss = HingeLoss(negatives=negatives, positives=positives, reduction=reduction, direction=direction)
        same(Objective([Term(loss, treatments, weight=0.5)]), *batch(*shape))


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("treatments", TREATMENTS, ids=lambda t: "-".join(x.name for x in t) or "none")
def test_polynomials_too(shape, treatments):
    same(Objective([Term(PolynomialLoss(margin=1.0), treatments), Term(HingeLoss())]), *batch(*shape))


@pytest.mark.parametrize(
    "objective",
    [
        Objective([Term(HingeLoss()), Term(HingeLoss(positives="pair", margin=0.4), label="own")]),
        Objective([Term(HingeLoss()), Term(InfoNCE(scale=3.0, learned=True))]),
        Objective([Term(HingeLoss(), experts=[Expert(), Expert([SemanticMargin("e", scale=0.5)], weight=0.5)])]),
        presets.cmgsd(static_text="e", dynamic=None),
    ],
    ids=repr,
)
def test_several_terms_and_experts(objective):
    text, item, table, evidence = batch([0, 0, 1, 2], [0, 0, 1, 2])
    same(objective, text, item, table, Evidence(text=evidence.text))


def test_a_term_may_name_the_scores():
    text, item, table, _ = batch([0, 1, 2], [0, 1, 2])
    named = Objective([Term(HingeLoss(), scores="score")])
    assert named.from_embeddings(text, item, table) == presets.vsepp().from_embeddings(text, item, table)
    with pytest.raises(ValueError, match="asks for the scores 'concept'; there are score"):
        Objective([Term(HingeLoss(), scores="concept")]).from_embeddings(text, item, table)


def test_gradient_of_joint_margins():
    text, item, table, _ = batch([0, 1, 2, 3], [0, 1, 2, 3])
    objective = Objective([Term(HingeLoss(), [AdaptiveMargin("own", gradient="joint")])])
    same(objective, text, item, table, Evidence(text={"own": text}))


def test_half_precision_is_computed_in_single_and_autocast_stays_out():
    text, item, table, _ = batch([0, 1, 2, 3], [0, 1, 2, 3])
    text, item = text.detach().bfloat16().requires_grad_(), item.detach().bfloat16()
    wanted = presets.vsepp()(text.float() @ item.float().T, table)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        got = presets.vsepp().from_embeddings(text, item, table)
    got.backward()
    assert (got, got.dtype, text.grad.dtype) == (wanted, torch.float32, torch.bfloat16)


def test_no_gradient_matrix_is_made():
    text, item, table, _ = batch([0, 1, 2, 3], [0, 1, 2, 3])
    shapes = []

    class Watch(torch.utils._python_dispatch.TorchDispatchMode):
        def __torch_dispatch__(self, func, types, args=(), kwargs=None):
            out = func(*args, **(kwargs or {}))
            if isinstance(out, torch.Tensor) and out.is_floating_point() and out.layout == torch.strided:
                shapes.append(tuple(out.shape))
            return out

    value = presets.vsepp().from_embeddings(text, item, table)
    with Watch():
        value.backward()
    assert (4, 5) in shapes
    assert (4, 4) not in shapes


def test_dots_and_their_gradient():
    text, item, _, _ = batch([0, 1, 2, 3], [0, 1, 2])
    rows, columns = torch.tensor([0, 3, 3, 3, 1]), torch.tensor([2, 0, 0, 1, 2])  # one pair twice
    wanted = (text @ item.T)[rows, columns]
    torch.testing.assert_close(dots(text, item, rows, columns), wanted)
    assert torch.autograd.gradcheck(lambda t, v: dots(t, v, rows, columns), (text, item))
    assert torch.equal(dots(text, item, rows, columns, values=torch.zeros(5).double()), torch.zeros(5).double())


@pytest.mark.parametrize("shape", [(1, 1), (16, 16), (3, 700), (700, 3), (90, 2048), (128, 1000)])
def test_hardest_goes_block_by_block(shape, monkeypatch):
    monkeypatch.setattr("matchcut.losses.hardest.BLOCK", 1)
    torch.manual_seed(0)
    key = torch.randint(0, 50, shape).float()
    key[:, 0] = -torch.inf
    key[0] = -torch.inf
    texts, items = hardest(key.__getitem__, shape, key.device, texts=True, items=True)
    for (index, there), matrix in ((texts, key), (items, key.T)):
        assert torch.equal(matrix.gather(1, index[:, None]).squeeze(1), matrix.amax(1))
        assert torch.equal(there, ~matrix.amax(1).isneginf())
    (alone,) = hardest(key.__getitem__, shape, key.device, texts=False, items=True)
    assert torch.equal(alone[0], items[0])


@pytest.mark.parametrize("columns", [64, 96, 100, 1000, 1024])
def test_argmax_in_groups(columns):
    values = torch.randint(0, 9, (40, columns), generator=torch.Generator().manual_seed(1)).float()
    for matrix in (values, values.T.contiguous().T):
        assert torch.equal(matrix.gather(1, argmax(matrix)[:, None]).squeeze(1), values.amax(1))


def test_unit_is_normalize():
    x = torch.randn(4, 3, 5, dtype=torch.float64, requires_grad=True)
    torch.testing.assert_close(unit(x), functional.normalize(x, dim=-1))
    assert torch.autograd.gradcheck(unit, (x,))
    zero = torch.zeros(2, 3, requires_grad=True)
    weights = torch.tensor([1.0, 2.0, 3.0])
    (a,) = torch.autograd.grad((unit(zero) * weights).sum(), zero)
    (b,) = torch.autograd.grad((functional.normalize(zero, dim=-1) * weights).sum(), zero)
    torch.testing.assert_close(a, b)
