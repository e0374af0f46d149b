import pytest
import torch
from tiny_networks import inputs, tiny

from matchcut.models.base import Step
from matchcut.models.hybrid_space import HybridSpaceConfig, generalised_jaccard


def test_generalised_jaccard_equals_a_loop():
    a, b = torch.rand(3, 5), torch.rand(4, 5)
    naive = [
        [
            sum(min(x, y) for x, y in zip(p.tolist(), q.tolist(), strict=True))
            / sum(max(x, y) for x, y in zip(p.tolist(), q.tolist(), strict=True))
            for q in b
        ]
        for p in a
    ]
    torch.testing.assert_close(generalised_jaccard(a, b), torch.tensor(naive))
    torch.testing.assert_close(generalised_jaccard(a, a).diag(), torch.ones(3))


def test_the_two_scores_are_mixed_after_scaling_over_the_whole_matrix():
    model = tiny("hybrid_space")
    latent, concept = torch.tensor([[0.0, 0.5], [1.0, 0.25]]), torch.tensor([[0.2, 0.4], [0.2, 0.3]])
    mixed = model.combine({"latent": latent, "concept": concept})
    torch.testing.assert_close(mixed, torch.tensor([[0.0, 0.7], [0.6, 0.35]]))
    plain = tiny("hybrid_space", normalise=False).combine({"latent": latent, "concept": concept})
    torch.testing.assert_close(plain, 0.6 * latent + 0.4 * concept)


def test_scores_are_cosine_and_jaccard_of_the_embeddings():
    model = tiny("hybrid_space").eval()
    text_inputs, item_inputs = inputs()
    text, item = model.encode_text(text_inputs), model.encode_item(item_inputs)
    scores = model.scores(text, item)
    t, v = text.latent[2], item.latent[4]
    assert scores["latent"][2, 4].item() == pytest.approx((t @ v / (t.norm() * v.norm())).item(), abs=1e-5)
    p, q = text.concepts[2].sigmoid(), item.concepts[4].sigmoid()
    expected = (torch.minimum(p, q).sum() / torch.maximum(p, q).sum()).item()
    assert scores["concept"][2, 4].item() == pytest.approx(expected, abs=1e-5)


def test_concept_losses_are_batch_times_mean_cross_entropy():
    model = tiny("hybrid_space").eval()
    text_inputs, item_inputs = inputs()
    text, item = model.encode_text(text_inputs), model.encode_item(item_inputs)
    labels, pairs = torch.rand(6, 5), torch.tensor([0, 1, 2, 3, 4, 0])
    losses = model.auxiliary(Step(text_inputs, item_inputs, text, item, pairs, {"concepts": labels}))
    p = item.concepts.sigmoid()
    naive = -(labels * p.log() + (1 - labels) * (1 - p).log()).mean() * 6
    torch.testing.assert_close(losses["item_concepts"], naive)
    p = text.concepts.sigmoid()
    naive = -(labels[pairs] * p.log() + (1 - labels[pairs]) * (1 - p).log()).mean() * 6
    torch.testing.assert_close(losses["text_concepts"], naive)
    with pytest.raises(ValueError, match=r'needs the target "concepts"; there are \[\]'):
        model.auxiliary(Step(text_inputs, item_inputs, text, item, pairs))


def test_wrong_options_are_named():
    with pytest.raises(ValueError, match=r"from 0 to 1, got 1\.5"):
        HybridSpaceConfig(latent_share=1.5)
    with pytest.raises(ValueError, match="at least 1, got 0"):
        HybridSpaceConfig(concepts=0)


def test_published_sizes():
    config = HybridSpaceConfig(vocabulary=10, frames="f")
    with torch.device("meta"):
        model = config.build({"words": (), "bow": (1000,)}, {"f": (2048,)})
    assert model.item.levels.gru.hidden_size == model.text.levels.gru.hidden_size == 512
    assert model.text.width == 2560 + 1000
    assert model.item.width == 1024 + 2048 + 2048
    assert model.item_spaces.latent.linear.out_features == 1536
    assert model.item_spaces.concepts[0].out_features == 512
