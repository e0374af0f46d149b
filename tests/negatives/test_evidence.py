import pytest
import torch

from matchcut.negatives import Evidence

torch.manual_seed(0)
TEXT, ITEM = torch.randn(4, 6), torch.randn(3, 6)


def cosine(a, b):
    return (a @ b / (a.norm() * b.norm())).item() if a.norm() and b.norm() else 0.0


def test_cosine_and_dot_equal_the_loops():
    evidence = Evidence(text={"x": TEXT}, item_text={"x": ITEM})
    for t in range(4):
        for v in range(3):
            assert evidence.similarity("x")[t, v].item() == pytest.approx(cosine(TEXT[t], ITEM[v]), abs=1e-6)
            assert evidence.similarity("x", "dot")[t, v].item() == pytest.approx((TEXT[t] @ ITEM[v]).item(), abs=1e-5)


def test_a_large_batch_is_computed_in_blocks():
    vectors = torch.randn(701, 5, dtype=torch.float64)
    got = Evidence(text={"x": vectors}).similarity("x", "dot")
    torch.testing.assert_close(got, vectors @ vectors.T)


@pytest.mark.parametrize("captions", ["best", "mean"])
def test_several_captions_an_item_ragged_and_dense(captions):
    many = torch.randn(3, 2, 6)
    reduce = max if captions == "best" else lambda values: sum(values) / len(values)
    dense = Evidence(text={"x": TEXT}, item_text={"x": many}).similarity("x", captions=captions)
    ragged = Evidence(text={"x": TEXT}, item_text={"x": (many.flatten(0, 1)[:5], torch.tensor([2, 2, 1]))})
    for t in range(4):
        for v in range(3):
            values = [cosine(TEXT[t], many[v, k]) for k in range(2)]
            assert dense[t, v].item() == pytest.approx(reduce(values), abs=1e-6)
            values = values[: 1 if v == 2 else 2]
            got = ragged.similarity("x", captions=captions)[t, v].item()
            assert got == pytest.approx(reduce(values), abs=1e-6)


def test_paired_left_out_means_the_texts_themselves():
    evidence = Evidence(text={"x": TEXT}, item={"y": TEXT})
    assert torch.allclose(evidence.similarity("x"), evidence.similarity("y"))
    assert evidence.symmetric("x")
    assert evidence.symmetric("y")
    assert not Evidence(text={"x": TEXT}, item_text={"x": ITEM}).symmetric("x")
    assert not Evidence(scores={"x": torch.zeros(2, 2)}).symmetric("x")


def test_items_of_the_texts():
    evidence = Evidence(item={"y": ITEM}, text_item={"y": ITEM[[0, 0, 1, 2]]})
    assert torch.allclose(evidence.similarity("y"), Evidence(item={"y": ITEM}).similarity("y")[[0, 0, 1, 2]])


def test_each_similarity_is_computed_once():
    evidence = Evidence(text={"x": TEXT})
    assert evidence.similarity("x") is evidence.similarity("x")
    assert evidence.similarity("x", "dot") is not evidence.similarity("x")


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_half_precision_is_computed_in_single(dtype):
    evidence = Evidence(text={"x": TEXT.to(dtype)})
    assert evidence.similarity("x").dtype == torch.float32
    assert torch.allclose(evidence.similarity("x"), Evidence(text={"x": TEXT.to(dtype).float()}).similarity("x"))


def test_a_number_that_is_not_finite_names_evidence_and_row():
    broken = TEXT.clone()
    broken[2, 1] = torch.nan
    with pytest.raises(ValueError, match=r"evidence 'x' \(text\), text 2 of the batch"):
        Evidence(text={"x": broken}).similarity("x")
    with pytest.raises(ValueError, match=r"evidence 'x' \(text\), item 2"):
        Evidence(text={"x": TEXT}, item_text={"x": broken}).similarity("x")
    with pytest.raises(ValueError, match=r"\(scores\), text 2"):
        Evidence(scores={"s": broken}).similarity("s")


def test_unknown_and_ambiguous_names():
    with pytest.raises(ValueError, match="no evidence 'z'; there is x"):
        Evidence(text={"x": TEXT}).similarity("z")
    both = Evidence(text={"x": TEXT}, item={"x": TEXT})
    with pytest.raises(ValueError, match="text and item"):
        both.similarity("x")
    assert both.similarity("x", of="item").shape == (4, 4)
    with pytest.raises(ValueError, match="'cosine' or 'dot'"):
        both.similarity("x", "l2", of="item")


def test_lengths_must_fit():
    with pytest.raises(ValueError, match="sum to 5"):
        Evidence(text={"x": TEXT}, item_text={"x": (TEXT, torch.tensor([2, 3]))}).similarity("x")


@pytest.mark.parametrize("n", [3, 128, 129, 300])
@pytest.mark.parametrize("gradient", [False, True])
def test_similarity_of_a_batch_with_itself_is_symmetric_to_the_last_bit(n, gradient):
    vectors = torch.randn(n, 37, generator=torch.Generator().manual_seed(n)).requires_grad_(gradient)
    similarity = Evidence(text={"e": vectors}).similarity("e")
    assert torch.equal(similarity, similarity.T)
    unit = torch.nn.functional.normalize(vectors.detach().double(), dim=1)
    torch.testing.assert_close(similarity.detach().double(), unit @ unit.T, atol=1e-6, rtol=0)


@pytest.mark.parametrize("kind", ["cosine", "dot"])
def test_gradient_of_a_batch_with_itself_is_that_of_the_plain_product(kind):
    vectors = torch.randn(150, 7, generator=torch.Generator().manual_seed(0), dtype=torch.float64).requires_grad_()
    weight = torch.rand(150, 150, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    rows = torch.nn.functional.normalize(vectors, dim=1) if kind == "cosine" else vectors
    (wanted,) = torch.autograd.grad((weight * (rows @ rows.T)).sum(), vectors)
    (got,) = torch.autograd.grad((weight * Evidence(text={"e": vectors}).similarity("e", kind)).sum(), vectors)
    torch.testing.assert_close(got, wanted)


@pytest.mark.parametrize(
    ("evidence", "message"),
    [
        (Evidence(text={"e": torch.zeros(3)}), r"a row for each text or item, got shape \(3,\)"),
        (Evidence(text={"e": [[1.0, 2.0]]}), "a row for each text or item, got a list"),
        (Evidence(text={"e": torch.zeros(2, 3)}, item_text={"e": torch.zeros(2, 4)}), "of 3 and of 4 numbers"),
    ],
)
def test_vectors_that_do_not_fit_are_one_line(evidence, message):
    with pytest.raises(ValueError, match=message):
        evidence.similarity("e")


def test_a_wrong_word_is_refused():
    with pytest.raises(ValueError, match="the 'best' or the 'mean' of captions; got 'cosine', 'text', 'max'"):
        Evidence(text={"e": torch.eye(2)}).similarity("e", captions="max")
