import pytest
import torch
from tiny_networks import count, inputs, naive_gru, randomise, rows_of, tiny

from matchcut.models.vsepp import VSEPPConfig


@pytest.mark.parametrize("preset", ["lseh", "pooled"])
def test_scores_equal_a_naive_loop(preset):
    model = randomise(tiny("vsepp", preset)).eval()
    text_inputs, item_inputs = inputs(3)
    naive = []
    for t in range(3):
        words = [model.text.embedding.table.weight[i] for i in rows_of(text_inputs["words"], t)]
        text = naive_gru(model.text.gru, words)[-1]
        row = []
        for v in range(3):
            cells = item_inputs["efficientnet-lite0-grid"].values[v, 0]
            x = torch.cat(list(cells)) if preset == "lseh" else sum(cells) / 4
            item = model.item.weight @ x + model.item.bias
            row.append((text @ item / (text.norm() * item.norm())).item())
        naive.append(row)
    score = model.score(model.encode_text(text_inputs), model.encode_item(item_inputs))
    torch.testing.assert_close(score, torch.tensor(naive), atol=1e-5, rtol=1e-4)


def test_parameter_counts_are_the_published_ones():
    with torch.device("meta"):
        model = VSEPPConfig(item="regions", vocabulary=8481).build({"words": ()}, {"regions": (2048,)})
    assert count(model.item) == 75_498_496
    assert count(model.text) == 6_617_772
    assert count(model) == 82_116_268


def test_flattening_needs_the_right_number_of_regions():
    model = VSEPPConfig(item="regions", vocabulary=4, regions=5, dim=8).build({"words": ()}, {"regions": (6,)})
    _, item_inputs = inputs()
    with pytest.raises(ValueError, match="needs 5 regions an item, got 7"):
        model.encode_item({"regions": item_inputs["efficientnet-lite0"]})
    with pytest.raises(ValueError, match="must be flatten or mean, got 'max'"):
        VSEPPConfig(image="max")
    with pytest.raises(ValueError, match="at least 1, got 0"):
        VSEPPConfig(regions=0)
