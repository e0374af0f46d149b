import pytest
import torch

from matchcut.losses import HingeLoss, Objective, Term, presets
from matchcut.negatives import Evidence, PairTable, SemanticMargin

# Rows are images in the specification; ours are texts.
S = torch.tensor(
    [[0.60, 0.50, 0.10, 0.20], [0.45, 0.70, 0.30, 0.05], [0.10, 0.40, 0.55, 0.52], [0.25, 0.15, 0.50, 0.65]],
    dtype=torch.float64,
)
D = torch.tensor([[0.8, 0.1, 0.0], [0.6, 0.3, 0.1], [0.0, 0.2, 0.7], [0.1, 0.0, 0.5]], dtype=torch.float64)
DIFFERENT, SAME = torch.tensor([0, 1, 2, 3]), torch.tensor([0, 0, 2, 3])


def loss(ids=DIFFERENT, direction="both", **options):
    objective = presets.lseh("svd", **options)
    objective.terms[0].loss.direction = direction
    return objective(S.T, PairTable.from_ids(text_items=ids, items=ids), Evidence(text={"svd": D})).item()


def test_the_similarity_of_the_specification():
    margin = SemanticMargin("svd", base=0.0, scale=1.0)(
        PairTable.from_ids(text_items=DIFFERENT, items=DIFFERENT), Evidence(text={"svd": D}), S
    ).margin
    wanted = [
        [1, 0.784615, 0.030769, 0.123077],
        [1, 0.901961, 0.254902, 0.215686],
        [0.037736, 0.245283, 1, 0.660377],
        [0.228571, 0.314286, 1, 0.742857],
    ]
    assert torch.allclose(margin.T, torch.tensor(wanted).double(), atol=1e-6)


def test_golden_values():
    assert loss() == pytest.approx(0.6322496372, abs=1e-9)
    assert loss(direction="i2t") == pytest.approx(0.3361248186, abs=1e-9)
    assert loss(direction="t2i") == pytest.approx(0.2961248186, abs=1e-9)
    assert loss(SAME) == pytest.approx(0.4630188679, abs=1e-9)
    assert loss(SAME, direction="i2t") == pytest.approx(0.2315094340, abs=1e-9)
    assert loss(similarity="cosine") == pytest.approx(0.6492364891, abs=1e-9)


def test_divided_by_the_anchor_moves_the_texts_terms_alone():
    def terms(**options):
        """One text at a time: the other texts' terms vanish when their positive is far ahead."""
        out = []
        for anchor in range(4):
            scores = S.T.clone()
            others = [k for k in range(4) if k != anchor]
            scores[others, others] += 10
            objective = presets.lseh("svd", **options)
            objective.terms[0].loss.direction = "t2i"
            table = PairTable.from_ids(text_items=DIFFERENT, items=DIFFERENT)
            out.append(objective(scores, table, Evidence(text={"svd": D})).item())
        return out

    assert terms() == pytest.approx([0.06, 0.0046153846, 0.16, 0.0715094340], abs=1e-9)
    assert terms(divide_by="anchor") == pytest.approx([0.0546153846, 0.01, 0.1515094340, 0.08], abs=1e-9)
    assert loss(direction="i2t", divide_by="anchor") == pytest.approx(0.3361248186, abs=1e-9)


def test_scale_zero_is_the_constant_margin_bit_for_bit():
    assert loss(base=0.2, scale=0.0) == pytest.approx(0.59, abs=1e-12)
    table = PairTable.from_ids(text_items=DIFFERENT, items=DIFFERENT)
    plain = Objective([Term(HingeLoss(margin=0.2))])(S.T, table)
    assert loss(base=0.2, scale=0.0) == plain.item()


def test_turning_the_vectors_changes_nothing_and_a_zero_row_has_the_base_margin():
    turn = torch.linalg.qr(torch.randn(3, 3, dtype=torch.float64)).Q
    table = PairTable.from_ids(text_items=DIFFERENT, items=DIFFERENT)
    margins = [SemanticMargin("svd")(table, Evidence(text={"svd": x}), S).margin for x in (D, D @ turn)]
    assert torch.allclose(*margins)
    zero = D.clone()
    zero[1] = 0
    margin = SemanticMargin("svd")(table, Evidence(text={"svd": zero}), S).margin
    assert (margin[:, 1] == 0.185).all()


def test_no_gradient_reaches_the_vectors():
    vectors = D.clone().requires_grad_()
    scores = S.T.clone().requires_grad_()
    table = PairTable.from_ids(text_items=DIFFERENT, items=DIFFERENT)
    presets.lseh()(scores, table, Evidence(text={"svd": vectors})).backward()
    assert vectors.grad is None
    assert scores.grad.abs().sum() > 0


def test_several_captions_of_an_item():
    table = PairTable.from_ids(text_items=DIFFERENT, items=DIFFERENT)
    captions = torch.rand(4, 3, 3, dtype=torch.float64)
    evidence = Evidence(text={"svd": D}, item_text={"svd": captions})
    for how, reduced in (("best", lambda x: x.amax(2)), ("mean", lambda x: x.mean(2))):
        products = reduced(torch.einsum("td,vkd->tvk", D, captions))
        wanted = 0.185 + 0.025 * products / products.amax(0)
        assert torch.allclose(SemanticMargin("svd", captions=how)(table, evidence, S).margin, wanted)
