"""The same numbers as other people's libraries, where they compute the same thing."""

import pytest
import torch
from torch import nn
from torch.nn import functional

from matchcut.losses import HingeLoss, InfoNCE, Objective, Term
from matchcut.negatives import DropAbovePositive, Evidence, PairTable, SemiHard

N = 12


def batch(distinct=True):
    torch.manual_seed(0)
    text, item = (functional.normalize(torch.randn(N, 6, dtype=torch.float64), dim=1) for _ in range(2))
    ids = torch.arange(N) if distinct else torch.arange(N) // 2
    return text, item, ids, PairTable.from_ids(text_items=ids, items=ids)


def metric_learning():
    return pytest.importorskip("pytorch_metric_learning", reason="pytorch-metric-learning is not installed")


@pytest.mark.parametrize("distinct", [True, False])
def test_supcon_of_pytorch_metric_learning(distinct):
    metric_learning()
    from pytorch_metric_learning.losses import SupConLoss

    text, item, ids, table = batch(distinct)
    wanted = SupConLoss(temperature=0.1)(text, ids, ref_emb=item, ref_labels=ids.clone())
    torch.testing.assert_close(InfoNCE(scale=10.0, direction="t2i")(text @ item.T, table), wanted)


def test_all_triplets_of_pytorch_metric_learning():
    metric_learning()
    from pytorch_metric_learning.distances import CosineSimilarity
    from pytorch_metric_learning.losses import TripletMarginLoss
    from pytorch_metric_learning.reducers import MeanReducer

    text, item, ids, table = batch()
    peer = TripletMarginLoss(margin=0.2, distance=CosineSimilarity(), reducer=MeanReducer())
    wanted = peer(text, ids, ref_emb=item, ref_labels=ids.clone())
    ours = HingeLoss(margin=0.2, negatives="all", direction="t2i", reduction="mean_terms")
    torch.testing.assert_close(ours(text @ item.T, table), wanted)


def test_batch_hard_of_pytorch_metric_learning():
    metric_learning()
    from pytorch_metric_learning.distances import CosineSimilarity
    from pytorch_metric_learning.losses import TripletMarginLoss
    from pytorch_metric_learning.miners import BatchHardMiner
    from pytorch_metric_learning.reducers import MeanReducer

    text, item, ids, table = batch(distinct=False)
    distance = CosineSimilarity()
    triplets = BatchHardMiner(distance=distance)(text, ids, ref_emb=item, ref_labels=ids.clone())
    peer = TripletMarginLoss(margin=0.2, distance=distance, reducer=MeanReducer())
    wanted = peer(text, ids, triplets, ref_emb=item, ref_labels=ids.clone())
    ours = HingeLoss(margin=0.2, positives="hardest", direction="t2i", reduction="mean")
    torch.testing.assert_close(ours(text @ item.T, table), wanted)


def test_semi_hard_negatives_are_below_the_positive():
    text, item, _, table = batch()
    scores = text @ item.T
    kept = SemiHard(band=0.2)(table, Evidence(), scores).negative
    assert (scores[kept] < scores.diag()[kept.nonzero()[:, 0]]).all()


class Stub(nn.Module):
    """Takes features that are embeddings already."""

    def forward(self, features):
        return {"sentence_embedding": features["x"]}


def sentence_transformers():
    pytest.importorskip("sentence_transformers", reason="sentence-transformers is not installed")


def test_multiple_negatives_ranking_of_sentence_transformers():
    sentence_transformers()
    from sentence_transformers.sentence_transformer.losses import MultipleNegativesRankingLoss

    text, item, _, table = batch()
    peer = MultipleNegativesRankingLoss(Stub(), scale=20.0)
    wanted = peer.compute_loss_from_embeddings([text, item], None)
    torch.testing.assert_close(InfoNCE(scale=20.0, direction="t2i")(text @ item.T, table), wanted)
    peer = MultipleNegativesRankingLoss(
        Stub(), scale=20.0, directions=("query_to_doc", "doc_to_query"), partition_mode="per_direction"
    )
    wanted = peer.compute_loss_from_embeddings([text, item], None)
    torch.testing.assert_close(InfoNCE(scale=20.0)(text @ item.T, table), wanted)


@pytest.mark.parametrize(("rule", "slack"), [("absolute", 0.0), ("absolute", 0.1), ("relative", 0.05)])
def test_guided_selection_of_sentence_transformers(rule, slack, monkeypatch):
    sentence_transformers()
    from sentence_transformers.sentence_transformer.losses import gist_embed

    text, item, _, table = batch()
    guide = [torch.randn(N, 4, dtype=torch.float64) for _ in range(2)]
    known = iter([[text, item], guide])
    monkeypatch.setattr(gist_embed, "embed_columns", lambda *_: next(known))
    peer = gist_embed.GISTEmbedLoss.__new__(gist_embed.GISTEmbedLoss)
    nn.Module.__init__(peer)
    peer.model = peer.guide = None
    peer.must_retokenize = peer.gather_across_devices = peer.contrast_anchors = peer.contrast_positives = False
    peer.temperature, peer.margin_strategy, peer.margin = 0.1, rule, slack
    peer.similarity_fct, peer.cross_entropy_loss = nn.CosineSimilarity(dim=-1), nn.CrossEntropyLoss()
    wanted = peer.forward([{}, {}], None)
    drop = DropAbovePositive("guide", slack=slack, rule=rule)
    objective = Objective([Term(InfoNCE(scale=10.0, direction="t2i"), [drop])])
    evidence = Evidence(text={"guide": guide[0]}, item_text={"guide": guide[1]})
    torch.testing.assert_close(objective(text @ item.T, table, evidence), wanted)
    assert objective.report["left_out"] > 0
