import pytest
import torch

from matchcut.losses import InfoNCE
from matchcut.negatives import Evidence, Memory, SameItem


def test_keeps_the_newest_and_no_gradient():
    memory = Memory(size=3)
    memory.add(torch.tensor([[1.0], [2.0]], requires_grad=True), torch.tensor([1, 2]))
    memory.add(torch.tensor([[3.0], [4.0]]), torch.tensor([3, 4]))
    assert memory.ids.tolist() == [3, 4, 1]
    assert memory.vectors.flatten().tolist() == [3, 4, 1]
    assert not memory.vectors.requires_grad
    assert len(memory) == 3


def test_a_large_batch_fills_it():
    memory = Memory(size=2)
    memory.add(torch.zeros(5, 1), torch.arange(5))
    assert memory.ids.tolist() == [0, 1]


def test_same_item_of_the_queue_takes_no_part():
    memory = Memory(size=8)
    memory.add(torch.randn(3, 4), torch.tensor([1, 5, 6]))
    ids = torch.tensor([1, 2])
    table = memory.table(text_items=ids, items=ids)
    assert table.positive.tolist() == [[True, False, False, False, False], [False, True, False, False, False]]
    assert table.negative.tolist() == [[False, True, False, True, True], [True, False, True, True, True]]


def test_more_negatives_more_loss():
    torch.manual_seed(0)
    memory, ids = Memory(size=8), torch.tensor([1, 2])
    text, item = torch.randn(2, 4), torch.randn(2, 4)
    loss = []
    for _ in range(2):
        items, _ids = memory.extend(item, ids)
        loss.append(InfoNCE(scale=1.0, direction="t2i")(text @ items.T, memory.table(text_items=ids, items=ids)).item())
        memory.add(torch.randn(3, 4), torch.tensor([7, 8, 9]))
    assert loss[1] > loss[0]


def test_wrong_sizes():
    with pytest.raises(ValueError, match="size must be"):
        Memory(size=0)
    with pytest.raises(ValueError, match="2 embeddings and 3 ids"):
        Memory(size=4).add(torch.zeros(2, 1), torch.arange(3))


@pytest.mark.parametrize("role", ["positive", "left_out", "margin_zero", "negative"])
def test_same_item_of_the_queue_takes_no_part_whatever_a_treatment_says(role):
    memory = Memory(size=8)
    memory.add(torch.randn(3, 4), torch.tensor([1, 5, 6]))
    ids = torch.tensor([1, 2, 1])
    table = memory.table(text_items=ids, items=ids)
    treated = SameItem(role=role, margin=0.2)(table, Evidence(), torch.zeros(table.shape))
    assert not (treated.positive | treated.negative)[[0, 2], 3].any()
    assert treated.negative[0, 2] == (role in ("margin_zero", "negative"))
