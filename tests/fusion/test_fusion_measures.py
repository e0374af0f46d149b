import numpy as np
import pytest

from matchcut.evaluation import retrieval_metrics
from matchcut.fusion import matrix_measure

RIGHT = np.array(["a", "b", "a", "c"])
ITEMS = np.array(["c", "x", "a", "b"])  # nothing is said about x
SCORES = np.array([[1, 2, 3, 0], [1, 1, 1, 1], [4, 3, 2, 1], [0, 0, 0, 1.0]])


@pytest.mark.parametrize("k", [1, 2])
def test_the_measures_are_those_of_the_tables(k):
    metrics = retrieval_metrics(SCORES, RIGHT, ITEMS, ks=(k,))
    forward = matrix_measure(f"t2v R@{k}", RIGHT, ITEMS)(SCORES)
    backward = matrix_measure(f"v2t R@{k}", RIGHT, ITEMS)(SCORES)
    assert forward.tolist() == pytest.approx((100 * metrics.text_to_item.hits[k]).tolist())
    assert backward.tolist() == pytest.approx((100 * metrics.item_to_text.hits[k]).tolist())
    assert len(backward) == 3


def test_texts_without_their_item_are_left_out():
    measured = matrix_measure("t2v R@1", [*RIGHT, "gone"], ITEMS)(np.vstack([SCORES, SCORES[:1]]))
    assert measured.tolist() == matrix_measure("t2v R@1", RIGHT, ITEMS)(SCORES).tolist()


@pytest.mark.parametrize("name", ["R@1", "t2v R@0", "v2t MnR", "t2v R@1 "])
def test_other_measures_are_refused(name):
    with pytest.raises(ValueError, match="no measure"):
        matrix_measure(name, RIGHT, ITEMS)
