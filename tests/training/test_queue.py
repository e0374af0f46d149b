from dataclasses import replace

import pytest
import torch

from matchcut.errors import MatchcutError
from matchcut.losses import HingeLoss, Objective, Term
from matchcut.models.projection import ProjectionConfig
from matchcut.negatives import DropAbove, Memory
from matchcut.training import Recipe, train
from matchcut.training import checkpoint as files
from matchcut.training.checkpoint import LAST
from matchcut.training.data import load
from matchcut.training.evidence import TrainingEvidence
from matchcut.training.queue import CaptionQueue
from matchcut.training.step import step_loss
from matchcut.training.targets import Targets

CPU = torch.device("cpu")
THRESHOLD = 0.3


@pytest.mark.parametrize("evidence", ["minilm", "efficientnet-lite0", "all:minilm"])
def test_earlier_items_are_negatives_with_their_own_evidence(collection, evidence):
    data = load(collection, part="train", text=["minilm"], item=["efficientnet-lite0"])
    known = TrainingEvidence.load(collection, data, ["minilm", "efficientnet-lite0", "all:minilm"])
    torch.manual_seed(0)
    config = ProjectionConfig(dim=8, hidden_layers=0, dropout=0.0, input_dropout=0.0)
    model = config.build(data_shapes(data.text), data_shapes(data.item))
    objective = Objective([Term(HingeLoss(negatives="all"), [DropAbove(evidence, threshold=THRESHOLD)])])
    queue = CaptionQueue(Memory(size=6))
    steps = [torch.tensor([0, 4, 9]), torch.tensor([2, 8, 20]), torch.tensor([1, 30, 5]), torch.tensor([40, 3, 7])]
    for index in steps:
        loss = step_loss(model, objective, data, known, Targets(), index, progress=0.0, device=CPU, queue=queue)
    owner = data.owner[steps[-1]]
    captions = torch.cat([steps[-1], steps[-2], steps[-3]])
    with torch.no_grad():
        text = model.encode_text(data.text_batch(steps[-1]))
        items = model.encode_item(data.item_batch(data.owner[captions]))
        scores = (text @ items.T).tolist()
    expected = 0.0
    for t, caption in enumerate(steps[-1]):
        for v, other in enumerate(captions):
            same = data.owner[caption] == data.owner[other]
            if same or similarity(known, data, evidence, int(caption), int(other)) >= THRESHOLD:
                continue
            expected += max(0.0, 0.2 + scores[t][v] - scores[t][t])
            if v < 3:  # an earlier item has no caption in the batch that it should be close to
                expected += max(0.0, 0.2 + scores[t][v] - scores[v][v])
    assert float(loss.detach()) == pytest.approx(expected, abs=1e-4)
    assert len(owner.unique()) == 3


def data_shapes(streams):
    return {name: stream.shape for name, stream in streams.items()}


def similarity(known, data, evidence, caption, other):
    cosine = torch.nn.functional.cosine_similarity
    text = known.text["minilm"]
    if evidence == "minilm":
        return float(cosine(text[caption], text[other], dim=0))
    if evidence == "efficientnet-lite0":
        items = known.item[evidence]
        return float(cosine(items[data.owner[caption]], items[data.owner[other]], dim=0))
    mine = (data.owner == data.owner[other]).nonzero().flatten()
    return max(float(cosine(text[caption], text[k], dim=0)) for k in mine)


def test_a_run_with_a_memory_goes_on_as_if_it_had_not_stopped(collection, recipe_file):
    recipe = Recipe.read(recipe_file, overrides=["training.memory=12"])
    whole = train(recipe, collection, name="whole")

    class Stop(Exception):
        pass

    def stop(record):
        if record["epoch"] == 2:
            raise Stop

    with pytest.raises(Stop):
        train(recipe, collection, name="halted", progress=stop)
    resumed = train(recipe, collection, name="halted")
    assert resumed.resumed
    one, two = (files.read(run.folder / LAST)[0] for run in (whole, resumed))
    assert one.keys() == two.keys()
    assert all(torch.equal(one[name], two[name]) for name in one)
    assert len(one["queue.captions"]) == 12
    plain = train(Recipe.read(recipe_file), collection, name="plain")
    weights = files.read(plain.folder / LAST)[0]
    assert any(not torch.equal(one[name], weights[name]) for name in weights if name.startswith("model."))


def test_what_a_memory_cannot_do_is_said(collection, recipe_file):
    recipe = Recipe.read(recipe_file, overrides=["training.memory=4"])
    own = replace(recipe, objective_table={"preset": "cmgsd"})
    with pytest.raises(MatchcutError, match=r"evidence 'own' needs .* no memory"):
        train(own, collection)


def test_treatments_that_do_not_fit_are_one_line(collection, recipe_file):
    terms = '[{loss={name="hinge"}, treatments=[{name="same_item", role="margin_zero"}]}]'
    recipe = Recipe.read(recipe_file, overrides=[f"objective.terms={terms}", "training.batch_size=24"])
    with pytest.raises(MatchcutError, match=r"objective: .*needs margin="):
        train(recipe, collection)
