import numpy as np
import pytest
import torch

from matchcut.training.streams import Stream


@pytest.mark.parametrize("shape", [(), (3,), (2, 3)])
@pytest.mark.parametrize("dtype", [np.float16, np.float32])
def test_batches_equal_a_loop(shape, dtype):
    rng = np.random.default_rng(0)
    lengths = np.array([2, 1, 4, 3])
    rows = [rng.normal(size=(n, *shape)).astype(dtype) for n in lengths]
    stream = Stream.of(np.concatenate(rows), lengths)
    index = torch.tensor([2, 0, 0, 3])
    batch = stream.batch(index)
    assert batch.lengths.tolist() == [4, 2, 2, 3]
    assert batch.values.dtype == torch.float32
    for values, position in zip(batch.values, index.tolist(), strict=True):
        expected = np.zeros((4, *shape), np.float32)
        expected[: lengths[position]] = rows[position]
        np.testing.assert_array_equal(values.numpy(), expected)


def test_mean_rows():
    stream = Stream.of(np.array([[1.0], [3.0], [5.0]], dtype=np.float32), [2, 1])
    assert stream.mean().tolist() == [[2.0], [5.0]]
    assert len(stream) == 2


def test_an_empty_batch():
    stream = Stream.of(np.ones((2, 3), np.float32), [1, 1])
    assert stream.batch(torch.tensor([], dtype=torch.int64)).values.shape == (0, 0, 3)
