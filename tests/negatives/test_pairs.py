import pytest
import torch

from matchcut.negatives import PairTable

IDS = torch.tensor([3, 3, 8])


def test_ids_decide():
    table = PairTable.from_ids(text_items=IDS, items=torch.tensor([3, 8, 5, 3]))
    assert table.positive.tolist() == [[True, False, False, True]] * 2 + [[False, True, False, False]]
    assert torch.equal(table.negative, ~table.positive)
    assert not table.paired


@pytest.mark.parametrize(
    ("items", "paired"), [([3, 3, 8], True), ([3, 8, 3], False), ([3, 3], False), ([3, 3, 9], False)]
)
def test_paired_is_found_out(items, paired):
    assert PairTable.from_ids(text_items=IDS, items=torch.tensor(items)).paired is paired


def test_own_pairs_need_a_paired_batch():
    assert PairTable.from_ids(text_items=IDS, items=IDS).own().tolist() == torch.eye(3).bool().tolist()
    with pytest.raises(ValueError, match="3 texts and 2 items"):
        PairTable.from_ids(text_items=IDS, items=torch.tensor([3, 8])).own()


def test_further_columns_of_a_paired_batch():
    table = PairTable.from_ids(text_items=IDS, items=torch.tensor([3, 3, 8, 9, 3]), paired=True)
    assert table.own().nonzero().tolist() == [[0, 0], [1, 1], [2, 2]]
    assert torch.equal(table.T.own(), table.own().T)


def test_shapes_are_checked():
    with pytest.raises(ValueError, match="margin has shape"):
        PairTable.from_ids(text_items=IDS, items=IDS).with_margin(torch.zeros(2, 3))
    with pytest.raises(ValueError, match="position i of the items"):
        PairTable.from_ids(text_items=IDS, items=torch.tensor([3, 8]), paired=True)
    with pytest.raises(ValueError, match="evidence of every item"):
        PairTable.from_ids(text_items=IDS, items=IDS).leave_out(torch.ones(3, 4, dtype=torch.bool))
    with pytest.raises(ValueError, match="shape"):
        PairTable.from_ids(text_items=IDS[None], items=IDS)


def test_sides_go_their_own_way_and_turn_with_the_table():
    table = PairTable.from_ids(text_items=torch.arange(2), items=torch.arange(2))
    text, item = torch.tensor([[0, 1], [0, 0]]).bool(), torch.tensor([[0, 0], [1, 0]]).bool()
    both = table.with_sides(text=text, item=item)
    assert both.negative.tolist() == [[False, False], [True, False]]
    assert both.items_see.negative.tolist() == [[False, True], [False, False]]
    assert both.T.negative.tolist() == both.items_see.negative.T.tolist()
    assert both.T.items_see.negative.tolist() == both.negative.T.tolist()
    none = both.leave_out(torch.ones(2, 2, dtype=torch.bool))
    assert not none.negative.any()
    assert not none.items_see.negative.any()


def test_turned_twice_is_the_same():
    table = PairTable.from_ids(text_items=IDS, items=torch.tensor([3, 8, 5, 3])).with_margin(torch.rand(3, 4))
    again = table.T.T
    assert torch.equal(again.positive, table.positive)
    assert torch.equal(again.margin, table.margin)


def test_weights_multiply_and_roles_are_assigned():
    table = PairTable.from_ids(text_items=IDS, items=IDS).with_weight(torch.full((3, 3), 0.5))
    assert table.with_weight(torch.full((3, 3), 0.5)).weight[0, 0] == 0.25
    mask = torch.tensor([[0, 1, 0], [1, 0, 0], [0, 0, 0]]).bool()
    negative = table.assign(mask, "negative")
    assert negative.negative[0, 1]
    assert not negative.positive[0, 1]
    assert not table.assign(mask, "left_out").positive[1, 0]
    assert table.with_positive(table.own()).positive.sum() == 3


@pytest.mark.parametrize(("text_items", "items"), [([3, 3, 8, 1], [8, 3, 5, 3]), ([], [1]), ([1], []), ([2], [2])])
def test_the_list_of_positives_is_that_of_the_matrix(text_items, items):
    table = PairTable.from_ids(
        text_items=torch.tensor(text_items, dtype=torch.int64), items=torch.tensor(items, dtype=torch.int64)
    )
    for ours, plain in zip(table.positives, table.positive.nonzero(as_tuple=True), strict=True):
        assert torch.equal(ours, plain)


def test_the_list_of_positives_follows_the_positives():
    table = PairTable.from_ids(text_items=IDS, items=IDS)
    assert len(table.positives[0]) == 5
    assert len(table.with_margin(torch.zeros(3, 3)).positives[0]) == 5
    assert len(table.with_positive(table.own()).positives[0]) == 3


def test_ids_must_be_whole_numbers():
    ids = torch.arange(2)
    with pytest.raises(ValueError, match="text_items must be a tensor of whole numbers, got a list"):
        PairTable.from_ids(text_items=[0, 1], items=ids)
    with pytest.raises(ValueError, match=r"text_items must be a tensor of whole numbers, got torch.bool"):
        PairTable.from_ids(text_items=ids > 0, items=ids)
    with pytest.raises(ValueError, match=r"items must be a tensor of whole numbers, got torch.float32"):
        PairTable.from_ids(text_items=ids, items=ids.float())
