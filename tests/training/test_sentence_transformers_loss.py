import pytest
import torch

from matchcut.losses import HingeLoss, InfoNCE, Objective, Term, presets
from matchcut.negatives import DropAbovePositive
from matchcut.training.sentence_transformers_loss import SentenceTransformersLoss

pytest.importorskip("sentence_transformers", reason="sentence-transformers is not installed")

WORDS = ["dog", "cat", "runs", "sleeps", "fast", "car", "red", "house"]
QUERIES = ["dog fast", "cat house", "red car", "car fast"]
DOCUMENTS = ["dog runs fast", "cat sleeps", "red car house", "car runs"]
OTHERS = ["cat runs", "dog sleeps", "red house", "house"]


@pytest.fixture
def model():
    from sentence_transformers import SentenceTransformer
    from sentence_transformers.sentence_transformer.modules import Pooling, WordEmbeddings
    from sentence_transformers.sentence_transformer.modules.tokenizer import WhitespaceTokenizer

    torch.manual_seed(0)
    words = WordEmbeddings(
        WhitespaceTokenizer(WORDS, stop_words=[]), torch.randn(len(WORDS), 6).numpy(), update_embeddings=True
    )
    return SentenceTransformer(modules=[words, Pooling(6, pooling_mode="mean")], device="cpu")


def features(model, *columns):
    return [model.preprocess(column) for column in columns]


def test_equals_the_librarys_own_loss(model):
    from sentence_transformers.sentence_transformer.losses import MultipleNegativesRankingLoss

    objective = Objective([Term(InfoNCE(scale=20.0, direction="t2i"))])
    ours = SentenceTransformersLoss(model, objective)(features(model, QUERIES, DOCUMENTS, OTHERS))
    theirs = MultipleNegativesRankingLoss(model, scale=20.0)(features(model, QUERIES, DOCUMENTS, OTHERS), None)
    torch.testing.assert_close(ours, theirs)


def test_guide_equals_the_librarys_guided_loss(model):
    from sentence_transformers.sentence_transformer.losses import GISTEmbedLoss

    class Gist(GISTEmbedLoss):
        def __init__(self, model):
            torch.nn.Module.__init__(self)
            self.model = self.guide = model
            self.must_retokenize = self.gather_across_devices = self.contrast_anchors = self.contrast_positives = False
            self.temperature, self.margin_strategy, self.margin = 0.05, "absolute", 0.0
            self.similarity_fct, self.cross_entropy_loss = (
                torch.nn.CosineSimilarity(dim=-1),
                torch.nn.CrossEntropyLoss(),
            )

    theirs = Gist(model)(features(model, QUERIES, DOCUMENTS), None)
    objective = Objective([Term(InfoNCE(scale=20.0, direction="t2i"), [DropAbovePositive("guide")])])
    guide = {"guide": lambda column: model(dict(column))["sentence_embedding"]}
    ours = SentenceTransformersLoss(model, objective, evidence=guide)
    torch.testing.assert_close(ours(features(model, QUERIES, DOCUMENTS)), theirs)
    assert objective.report["left_out"] > 0


def test_one_document_of_two_queries_is_a_positive_of_both(model):
    same = [DOCUMENTS[0], DOCUMENTS[0], DOCUMENTS[2], DOCUMENTS[3]]
    ours = SentenceTransformersLoss(model, Objective([Term(HingeLoss(negatives="all"))]))
    seen = {}
    whole = ours.objective.from_embeddings
    ours.objective.from_embeddings = lambda *args: seen.update(table=args[2]) or whole(*args)
    ours(features(model, QUERIES, same, OTHERS)).backward()
    assert seen["table"].positive.nonzero().tolist() == [[0, 0], [0, 1], [1, 0], [1, 1], [2, 2], [3, 3]]
    assert seen["table"].paired
    assert seen["table"].shape == (4, 8)


def test_scores_are_of_single_precision_under_autocast():
    class Pictures(torch.nn.Module):
        def forward(self, column):
            return {"sentence_embedding": column["pixel_values"]}

    loss = SentenceTransformersLoss(Pictures(), presets.infonce())
    columns = [{"pixel_values": torch.randn(8, 64)} for _ in range(2)]
    with torch.autocast("cpu", dtype=torch.bfloat16):
        half = loss(columns)
    assert half == loss(columns)


def test_it_learns(model):
    loss = SentenceTransformersLoss(model, presets.vsepp())
    optimiser = torch.optim.Adam(model.parameters(), lr=0.05)
    values = []
    for _ in range(30):
        optimiser.zero_grad()
        value = loss(features(model, QUERIES, DOCUMENTS))
        value.backward()
        optimiser.step()
        values.append(value.item())
    assert values[-1] < values[0] / 2


def test_columns_without_tokens_are_all_different():
    class Pictures(torch.nn.Module):
        def forward(self, column):
            return {"sentence_embedding": column["pixel_values"].flatten(1)}

    loss = SentenceTransformersLoss(Pictures(), presets.infonce())
    column = {"pixel_values": torch.randn(3, 1, 2, 2)}
    assert torch.isfinite(loss([column, column]))
    with pytest.raises(ValueError, match="a column of texts and one of items"):
        loss([column])
    assert "InfoNCE" in loss.get_config_dict()["objective"]
