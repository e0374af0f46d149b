import pytest
import torch
from tiny_networks import count, inputs, naive_bigru, randomise, rows_of, tiny
from torch.nn import functional as F

from matchcut.models.inputs import Padded
from matchcut.models.sgraf import SGRAFConfig, attend
from matchcut.models.similarity_reasoning import SimilarityFilter, SimilarityGraph


def unit(x, dim=-1):
    return x / x.norm(dim=dim, keepdim=True)


def naive_whole(attention, parts):
    local, mean = attention.local(parts), attention.mean(parts.mean(0))
    if attention.local_norm is not None:
        local, mean = attention.local_norm(local[None])[0], attention.mean_norm(mean[None])[0]
    weights = attention.weigh(torch.tanh(local) * torch.tanh(mean)).softmax(0)
    return unit((weights * parts).sum(0))


def naive_reasoning(reasoning, nodes):
    """One pair's nodes [N, dim] to a vector, from the formulas."""
    if isinstance(reasoning, SimilarityGraph):
        for step in reasoning.steps:
            edges = (step.query(nodes) @ step.key(nodes).T).softmax(1)
            nodes = F.relu(step.out(edges @ nodes))
        return nodes[0]
    gates = torch.sigmoid(reasoning.norm(reasoning.weigh(nodes).T[None])[0])
    return unit((gates / gates.sum()) @ nodes)[0]


def naive_score(model, words, regions):
    """One pair, word by word."""
    likeness = F.leaky_relu(regions @ words.T, 0.1)
    likeness = unit(likeness, dim=1)
    nodes = [unit(model.whole((naive_whole(model.item_whole, regions) - naive_whole(model.text_whole, words)) ** 2))]
    for i, word in enumerate(words):
        weights = (9 * likeness[:, i]).softmax(0)
        attended = unit(sum(w * region for w, region in zip(weights, regions, strict=True)))
        nodes.append(unit(model.local((attended - word) ** 2)))
    return torch.sigmoid(model.out(naive_reasoning(model.reasoning, torch.stack(nodes)))).item()


@pytest.mark.parametrize("preset", ["sgr", "saf"])
def test_scores_equal_a_naive_loop_over_pairs(preset):
    model = randomise(tiny("sgraf", preset)).eval()
    text_inputs, item_inputs = inputs()
    naive = []
    for t in range(6):
        vectors = [model.text.embedding.table.weight[i] for i in rows_of(text_inputs["words"], t)]
        words = torch.stack([unit(h.unflatten(0, (2, -1)).mean(0)) for h in naive_bigru(model.text.gru, vectors)])
        row = []
        for v in range(6):
            regions = unit(model.item(item_inputs["efficientnet-lite0-grid"].values[v, 0]))
            row.append(naive_score(model, words, regions))
        naive.append(row)
    score = model.score(model.encode_text(text_inputs), model.encode_item(item_inputs))
    torch.testing.assert_close(score, torch.tensor(naive), atol=1e-5, rtol=1e-4)


def test_items_may_have_different_numbers_of_regions():
    model = tiny("sgraf", item="efficientnet-lite0", region_norm="feature").eval()
    text_inputs, item_inputs = inputs(3)
    text, item = model.encode_text(text_inputs), model.encode_item(item_inputs)
    score = model.score(text, item)
    for v in range(3):
        rows = item_inputs["efficientnet-lite0"].select(torch.tensor([v]))
        alone = model.score(text, model.encode_item({"efficientnet-lite0": rows}))
        torch.testing.assert_close(alone[:, 0], score[:, v])


@pytest.mark.parametrize("preset", ["sgr", "saf"])
@pytest.mark.parametrize(("block", "keep"), [(1, 2**28), (100, 0), (500, 1)])
def test_blocks_give_the_same_scores_and_gradients(preset, block, keep):
    results = []
    for options in ({}, {"block": block, "keep": keep}):
        model = tiny("sgraf", preset, dropout=0.0, **options).train()
        text_inputs, item_inputs = inputs()
        score = model.scores(model.encode_text(text_inputs), model.encode_item(item_inputs))["score"]
        score.square().sum().backward()
        results.append((score.detach(), [p.grad for p in model.parameters()]))
        model.eval()
        results[-1] += (model.score(model.encode_text(text_inputs), model.encode_item(item_inputs)).detach(),)
    torch.testing.assert_close(results[0][0], results[1][0])
    torch.testing.assert_close(results[0][1], results[1][1], atol=1e-5, rtol=1e-4)
    if preset == "sgr":
        torch.testing.assert_close(results[0][2], results[1][2])


def test_what_is_computed_again_moves_the_statistics_once():
    found = []
    for keep in (2**28, 0):
        model = tiny("sgraf", "saf", dropout=0.0, keep=keep).train()
        text_inputs, item_inputs = inputs()
        for _ in range(2):
            model.score(model.encode_text(text_inputs), model.encode_item(item_inputs)).sum().backward()
        found.append([model.reasoning.norm.running_mean, model.reasoning.norm.running_var])
    torch.testing.assert_close(*found)


@pytest.mark.parametrize("grad", [False, True])
def test_no_table_is_larger_than_a_block(monkeypatch, grad):
    model = tiny("sgraf", block=300).eval()
    text_inputs, item_inputs = inputs()
    text, item = model.encode_text(text_inputs), model.encode_item(item_inputs)
    seen = []
    plain = model._block

    def watch(words, text_whole, regions, item_whole):
        seen.append(len(text_whole) * words.values.shape[1] * len(item_whole) * 8)
        return plain(words, text_whole, regions, item_whole)

    monkeypatch.setattr(model, "_block", watch)
    with torch.set_grad_enabled(grad):
        model.score(text, item)
    assert len(seen) > 1
    assert max(seen) <= 300


def test_the_filter_normalises_each_caption_by_its_own_nodes():
    torch.manual_seed(0)
    module = SimilarityFilter(4).train()
    nodes, mask = torch.randn(3, 2, 5, 4), torch.tensor([[True] * 5, [True] * 3 + [False] * 2])
    out = module(nodes, mask)
    for t, n in enumerate((5, 3)):
        reference = SimilarityFilter(4).train()
        reference.load_state_dict(module.state_dict())
        x = nodes[:, t, :n]
        gates = reference.norm(reference.weigh(x).transpose(1, 2)).sigmoid()
        naive = unit((gates / gates.sum(2, keepdim=True) @ x)[:, 0])
        torch.testing.assert_close(out[:, t], naive)


def test_the_filter_follows_its_statistics_like_captions_in_a_row():
    module, reference = SimilarityFilter(4).train(), torch.nn.BatchNorm1d(1)
    nodes = torch.randn(3, 1, 5, 4).expand(3, 4, 5, 4)
    module(nodes, torch.ones(4, 5, dtype=torch.bool))
    for _ in range(4):
        reference(module.weigh(nodes[:, 0]).transpose(1, 2))
    torch.testing.assert_close(module.norm.running_mean, reference.running_mean)
    torch.testing.assert_close(module.norm.running_var, reference.running_var)


def test_attention_over_regions_sums_to_one():
    words = Padded(torch.randn(2, 3, 4), torch.tensor([3, 1]))
    regions = Padded(torch.randn(2, 5, 4), torch.tensor([5, 2]))
    weights = attend(words, regions)
    assert weights.shape == (2, 5, 2, 3)
    torch.testing.assert_close(weights.sum(1), torch.ones(2, 2, 3))
    assert not weights[1, 2:].any()
    words.values[1, 1:] = 9.0
    torch.testing.assert_close(attend(words, regions)[:, :, 1, 0], weights[:, :, 1, 0])


def test_parameter_counts_are_the_published_ones():
    for reasoning, expected in (("sgr", 18_109_175), ("saf", 17_517_306)):
        config = SGRAFConfig(item="regions", vocabulary=8481, reasoning=reasoning)
        with torch.device("meta"):
            assert count(config.build({"words": ()}, {"regions": (2048,)})) == expected


def test_no_texts_or_no_items_give_an_empty_matrix():
    model = tiny("sgraf").eval()
    text_inputs, item_inputs = inputs()
    text, item = model.encode_text(text_inputs), model.encode_item(item_inputs)
    none = torch.empty(0, dtype=torch.long)
    assert model.score(text[none], item).shape == (0, 6)
    assert model.score(text, item[none]).shape == (6, 0)


def test_wrong_options_are_named():
    for options, message in (
        ({"reasoning": "ave"}, "must be sgr or saf, got 'ave'"),
        ({"region_norm": "batch"}, "must be region or feature, got 'batch'"),
        ({"block": -1}, "0 or more, got -1"),
    ):
        with pytest.raises(ValueError, match=message):
            SGRAFConfig(**options)
    with pytest.raises(ValueError, match="at least 1, got 0"):
        SimilarityGraph(4, steps=0)
    model = tiny("sgraf", item="efficientnet-lite0")
    with pytest.raises(ValueError, match='must have 4 regions, got 3; region_norm="feature"'):
        model.encode_item(inputs()[1])
