import math

import pytest
import torch

from matchcut.losses import HingeLoss, Objective, Term
from matchcut.negatives import DropSimilar, Evidence, PairTable, SameItem
from matchcut.negatives.drop_similar import similarity_threshold
from matchcut.negatives.order_statistic import nth_largest


def paired(n):
    return PairTable.from_ids(text_items=torch.arange(n), items=torch.arange(n))


def dropped(table, evidence, **options):
    after = DropSimilar("bert", **options)(table, evidence, torch.zeros(table.shape))
    return table.negative & ~after.negative


def naive(similarity, percent, population):
    """The pairs left out, by sorting a list."""
    n = len(similarity)
    inside = {
        "unordered": lambda i, j: i < j,
        "ordered": lambda i, j: i != j,
        "full": lambda i, j: True,
        "unordered_diagonal": lambda i, j: i <= j,
    }[population]
    values = sorted((similarity[i][j] for i in range(n) for j in range(n) if inside(i, j)), reverse=True)
    k = math.floor(percent * len(values) / 100 + 1e-9)
    cut = values[k] if k < len(values) else -math.inf
    return {(i, j) for i in range(n) for j in range(n) if i != j and similarity[min(i, j)][max(i, j)] > cut}


# How many pairs i < j are left out of a batch of 128: the table of the specification.
@pytest.mark.parametrize(
    ("population", "percent", "rule", "pairs"),
    [
        ("unordered", 1, "order_statistic", 81),
        ("unordered", 2, "order_statistic", 162),
        ("unordered", 1, "quantile", 82),
        ("ordered", 1, "order_statistic", 81),
        ("ordered", 2, "order_statistic", 162),
        ("full", 1, "order_statistic", 17),
        ("full", 1, "quantile", 18),
        ("full", 2, "order_statistic", 99),
        ("full", 2, "quantile", 100),
        ("unordered_diagonal", 1, "order_statistic", 0),
        ("unordered_diagonal", 2, "order_statistic", 37),
    ],
)
def test_counts_of_a_batch_of_128(population, percent, rule, pairs):
    torch.manual_seed(0)
    evidence = Evidence(text={"bert": torch.randn(128, 64, dtype=torch.float64)})
    mask = dropped(paired(128), evidence, percent=percent, population=population, rule=rule)
    assert torch.equal(mask, mask.T)
    assert mask.triu(1).sum() == pairs


@pytest.mark.parametrize("population", ["unordered", "ordered", "full", "unordered_diagonal"])
@pytest.mark.parametrize("percent", [0, 3, 20, 50, 99, 100])
def test_equals_sorting(population, percent):
    torch.manual_seed(percent)
    vectors = torch.randint(0, 3, (9, 4)).double() + 0.1  # many ties
    evidence = Evidence(text={"bert": vectors})
    mask = dropped(paired(9), evidence, percent=percent, population=population)
    similarity = evidence.similarity("bert").tolist()
    found = {(i, j) for i, j in mask.nonzero().tolist()}
    wanted = naive(similarity, percent, population)
    assert found >= {(i, j) for i, j in wanted if (j, i) in wanted} if population != "unordered" else found == wanted


TOY = torch.tensor([[0.60, 0.55, 0.50], [0.58, 0.62, 0.40], [0.45, 0.60, 0.70]])  # rows are videos
TOY_BERT = torch.tensor([[1.0, 0.97, 0.90], [0.97, 1.0, 0.89], [0.90, 0.89, 1.0]])


@pytest.mark.parametrize(
    ("percent", "select", "loss"),
    [(0, "learned", 0.77), (0, "evidence", 0.62), (34, "learned", 0.43), (34, "evidence", 0.33)],
)
def test_toy_of_the_specification(percent, select, loss):
    # vectors whose cosines are the given matrix
    vectors = torch.linalg.cholesky(TOY_BERT.double())
    objective = Objective([Term(HingeLoss(margin=0.2), [DropSimilar("bert", percent=percent, select=select)])])
    got = objective(TOY.T.double(), paired(3), Evidence(text={"bert": vectors}))
    assert got.item() == pytest.approx(loss, abs=1e-6)


def test_identical_captions_are_left_out():
    vectors = torch.randn(20, 8)
    vectors[7] = vectors[3]
    mask = dropped(paired(20), Evidence(text={"bert": vectors}), percent=1)  # k = 1
    assert mask.nonzero().tolist() == [[3, 7], [7, 3]]


def test_all_captions_equal_leaves_all_in():
    assert not dropped(paired(6), Evidence(text={"bert": torch.ones(6, 4)}), percent=50).any()


@pytest.mark.parametrize("n", [1, 2])
def test_smallest_batches(n):
    objective = Objective([Term(HingeLoss(), [DropSimilar("bert", percent=100)])])
    assert objective(torch.zeros(n, n), paired(n), Evidence(text={"bert": torch.randn(n, 4)})) == 0


def test_a_table_that_is_not_paired_counts_each_pair_of_different_items_once():
    table = PairTable.from_ids(text_items=torch.tensor([0, 0, 1, 2]), items=torch.tensor([0, 1, 2]))
    similarity = torch.tensor([[1.0, 0.1, 0.2], [1.0, 0.3, 0.4], [0.5, 1.0, 0.6], [0.7, 0.8, 1.0]])
    mask = dropped(table, Evidence(scores={"bert": similarity}), percent=25)  # k = 2 of 8
    assert mask.nonzero().tolist() == [[3, 0], [3, 1]]


def test_threshold_pooled_and_absolute():
    evidence = Evidence(text={"bert": torch.linalg.cholesky(TOY_BERT.double())})
    assert dropped(paired(3), evidence, threshold=0.93).nonzero().tolist() == [[0, 1], [1, 0]]
    pooled = similarity_threshold(torch.tensor([0.97, 0.9, 0.89, 0.2]), 25)
    assert pooled == pytest.approx(0.9)
    assert similarity_threshold(torch.tensor([0.3, 0.2]), 100) == -math.inf
    values = torch.rand(101)
    assert similarity_threshold(values, 10, rule="quantile") == pytest.approx(values.quantile(0.9).item())


def test_shuffled_batch_leaves_out_the_same_pairs():
    torch.manual_seed(2)
    vectors, order = torch.randn(30, 5), torch.randperm(30)
    plain = dropped(paired(30), Evidence(text={"bert": vectors}), percent=5)
    mixed = dropped(paired(30), Evidence(text={"bert": vectors[order]}), percent=5)
    assert torch.equal(plain[order][:, order], mixed)


def test_captions_of_one_item_are_counted_but_stay_positive():
    ids = torch.tensor([0, 0, 1, 2])
    vectors = torch.tensor([[1.0, 0.0], [1.0, 0.0], [0.8, 0.6], [0.0, 1.0]])
    table = PairTable.from_ids(text_items=ids, items=ids)
    assert not dropped(table, Evidence(text={"bert": vectors}), percent=17).any()
    rivals = SameItem(role="negative")(table, Evidence(), torch.zeros(4, 4))
    assert dropped(rivals, Evidence(text={"bert": vectors}), percent=17).nonzero().tolist() == [[0, 1], [1, 0]]


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"percent": 1, "threshold": 0.5},
        {"percent": 101},
        {"percent": 1, "population": "some"},
        {"percent": 1, "select": "best"},
    ],
)
def test_wrong_options(options):
    with pytest.raises(ValueError):
        DropSimilar("bert", **options)


@pytest.mark.parametrize("region", ["all", "off_diagonal", "upper", "upper_diagonal"])
@pytest.mark.parametrize("place", [0, 6, 500, 4000])
def test_nth_largest_is_exact(region, place):
    torch.manual_seed(place)
    matrix = torch.randn(300, 300)
    matrix[:3] += 5  # so that the sample misleads
    matrix = matrix.triu() + matrix.triu(1).T
    i, j = torch.arange(300)[:, None], torch.arange(300)
    mask = {"all": i == i + 0 * j, "off_diagonal": i != j, "upper": i < j, "upper_diagonal": i <= j}[region]
    wanted = matrix[mask].sort(descending=True).values
    for where in (region, mask):
        got = nth_largest(matrix, [place, place + 1], region=where)
        assert got == [wanted[place], wanted[place + 1]]


def test_nth_largest_where_the_sample_sees_only_small_entries():
    matrix = torch.zeros(200, 200)
    matrix[:100, 1::2] = torch.rand(100, 100)
    assert nth_largest(matrix, [9_999]) == [matrix.flatten().sort(descending=True).values[9_999]]
    assert nth_largest(matrix, [39_999]) == [0]


def test_an_anchor_whose_negatives_would_all_be_left_out_may_keep_them():
    similarity = torch.tensor([[1.0, 0.9, 0.8], [0.9, 1.0, 0.1], [0.8, 0.1, 1.0]])
    ids, known = torch.arange(3), Evidence(scores={"e": similarity})
    table = PairTable.from_ids(text_items=ids, items=ids)
    plain = DropSimilar("e", threshold=0.5)(table, known, similarity)
    assert plain.negative.int().tolist() == [[0, 0, 0], [0, 0, 1], [0, 1, 0]]
    kept = DropSimilar("e", threshold=0.5, empty="all")(table, known, similarity)
    assert kept.negative.int().tolist() == [[0, 1, 1], [0, 0, 1], [0, 1, 0]]
    assert kept.items_see.negative.int().tolist() == [[0, 0, 0], [1, 0, 1], [1, 1, 0]]
    assert not DropSimilar("e", threshold=0.5, empty="all").pairwise
