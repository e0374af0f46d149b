"""Many processes give the gradient of one with the whole batch: a wrong one raises no error, so it is tested."""

import gc
import multiprocessing

import pytest
import torch
import torch.distributed as dist
import torch.multiprocessing as mp
from torch.nn import functional

from matchcut.losses import (
    HingeLoss,
    InfoNCE,
    LadderLoss,
    NegNCE,
    Objective,
    PartialOrder,
    PolynomialLoss,
    SigmoidLoss,
    SoftTargets,
    Term,
    presets,
)
from matchcut.negatives import (
    AdaptiveMargin,
    DropAbovePositive,
    DropSimilar,
    Evidence,
    PairTable,
    Reweight,
    SemanticMargin,
    TopK,
)
from matchcut.training.distributed import average_gradients, gather, gather_evidence, rank, world_size

IDS = torch.tensor([0, 0, 1, 2, 2, 3, 4, 5])  # with 2 or 4 processes, item 2 lives on two of them at once
UNEVEN = {1: [8], 2: [5, 3], 4: [1, 4, 2, 1]}


def objectives():
    return [
        presets.vsepp(),
        Objective([Term(HingeLoss(negatives="all", reduction="mean_terms"))]),
        Objective([Term(HingeLoss(negatives="semi_hard"))]),
        presets.exclusion_2021("e", percent=20),
        presets.lseh("e"),
        Objective([Term(HingeLoss(), [AdaptiveMargin("e", gradient="joint")])]),
        presets.cmgsd(static_text="e", dynamic=None),
        Objective([Term(InfoNCE(scale=10.0, learned=True), [DropSimilar("e", percent=10), Reweight("e")])]),
        Objective(
            [Term(InfoNCE(scale=10.0, positives="sum", hardness=1.0), [DropAbovePositive("learned", slack=0.1)])]
        ),
        Objective([Term(NegNCE(scale=10.0), [SemanticMargin("e")])]),
        Objective([Term(SigmoidLoss(), [TopK(3)])]),
        Objective([Term(LadderLoss("e"))]),
        Objective([Term(SoftTargets("e", scale=10.0, teacher_scale=5.0))]),
        Objective([Term(PartialOrder())]),
        Objective([Term(PolynomialLoss(margin=1.0), [AdaptiveMargin("e")])]),
    ]


def gradients(*, wrap, uneven):
    """For each objective, the gradients of tower and objective, flat."""
    ranks, here = world_size(), rank()
    sizes = UNEVEN[ranks] if uneven else [8 // ranks] * ranks
    found = []
    for objective in objectives()[:: 5 if wrap else 1]:
        torch.manual_seed(0)
        tower = torch.nn.Linear(5, 4)
        model = torch.nn.parallel.DistributedDataParallel(tower) if wrap and ranks > 1 else tower
        data = [torch.randn(8, 5), torch.randn(8, 5), torch.randn(8, 6), IDS]
        texts, items, known, ids = (x.split(sizes)[here] for x in data)
        text, item = (functional.normalize(x, dim=1) for x in model(torch.cat([texts, items])).split(len(texts)))
        partners = {"masked": ((text * item).sum(1), (text * item.flip(1)).sum(1))}
        evidence = gather_evidence(Evidence(text={"e": known}, partners=partners))
        ids = gather(ids)
        loss = objective(gather(text) @ gather(item).T, PairTable.from_ids(text_items=ids, items=ids), evidence)
        loss.backward()
        own = [*objective.parameters()]
        average_gradients(own if wrap else [*tower.parameters(), *own])
        found.append(torch.cat([p.grad.flatten() for p in (*tower.parameters(), *own)]))
    return found


def check(here, meeting_point, expected):
    torch.set_num_threads(1)
    for ranks in (4, 2):
        if here >= ranks:
            return
        dist.init_process_group("gloo", init_method=f"{meeting_point}{ranks}", rank=here, world_size=ranks)
        for wrap, uneven in ((True, False), (False, True)):
            some = expected[:: 5 if wrap else 1]
            for got, wanted in zip(gradients(wrap=wrap, uneven=uneven), some, strict=True):
                torch.testing.assert_close(got, wanted, atol=1e-6, rtol=1e-5)
        with pytest.raises(ValueError, match="scores of one process"):
            gather_evidence(Evidence(scores={"s": torch.zeros(2, 2)}))
        assert gather(torch.tensor([here])).tolist() == list(range(ranks))
        gc.collect()  # lets go of the wrapped models: gloo threads still held at exit abort the process now and then
        dist.barrier()
        dist.destroy_process_group()


def test_two_and_four_processes_give_the_gradients_of_one(tmp_path):
    expected = gradients(wrap=False, uneven=False)
    assert all(e.abs().sum() > 0 for e in expected)
    multiprocessing.set_forkserver_preload(
        ["pytest", "torch.distributed", "matchcut.losses"]
    )  # imported once, not 4 times
    mp.start_processes(check, args=((tmp_path / "ranks").as_uri(), expected), nprocs=4, start_method="forkserver")


def test_one_process_alone():
    x = torch.randn(2, 3)
    assert gather(x) is x
    assert (rank(), world_size()) == (0, 1)
    evidence = Evidence(scores={"s": x})
    assert gather_evidence(evidence) is evidence
    average_gradients([torch.nn.Parameter(x)])
