"""Time and memory of a training step's loss beside peers, interleaved: `python benchmarks/objectives.py`.

A step is: cosine scores of B texts and B items at d = 512, the loss, and the gradient of both. Each case runs in turns
with the others; the least processor time of each counts, so that a busy machine changes little. Memory is the most that
a step adds, each case in a process of its own (on a GPU: the allocator's peak). Needs the extra `oracles`.

Evidence comes as vectors (d = 384, as a sentence encoder gives them), whose similarity the step has to compute, or,
with `--stored`, as a matrix that is there already.
"""

import argparse
import json
import resource
import subprocess
import sys
import time
from collections.abc import Callable

import torch
from rich.console import Console
from rich.table import Table
from torch import Tensor, nn
from torch.nn import functional

from matchcut.losses import HingeLoss, InfoNCE, Loss, NegNCE, Objective, SigmoidLoss, Term, chunked
from matchcut.negatives import (
    AdaptiveMargin,
    DropAbove,
    DropAbovePositive,
    DropSimilar,
    Evidence,
    PairTable,
    RelevanceMargin,
    RelevantPositives,
    Reweight,
    SameItem,
    SemanticMargin,
    SemiHard,
    TopK,
    Treatment,
)

Step = Callable[[Tensor, Tensor], Tensor]
WHOLE_MATRIX_LIMIT = 16_384
PAIRS_OF_VECTORS_LIMIT = 1024  # sentence-transformers' guided loss makes B x B x d numbers: 2 GiB at a time here
SLOW = 3.0  # seconds after which a case is measured no more than twice
TREATMENTS: list[Treatment] = [
    SameItem(role="negative"),
    DropSimilar("e", percent=1),
    DropAbove("e", threshold=0.6),
    DropAbovePositive("e"),
    RelevantPositives("e", threshold=0.9),
    SemanticMargin("e"),
    AdaptiveMargin("e"),
    RelevanceMargin("e"),
    Reweight("e"),
    SemiHard(),
    TopK(10),
]


class Batch:
    """Made-up embeddings: each item near its text."""

    def __init__(self, size: int, device: str, *, stored: bool) -> None:
        torch.manual_seed(0)
        self.ids = torch.arange(size, device=device)
        self.text = torch.randn(size, 512, device=device)
        self.item = torch.randn(size, 512, device=device) + self.text
        vectors = functional.normalize(torch.randn(size, 384, device=device) + 1, dim=1)
        self.evidence: dict[str, Tensor] = {"e": vectors @ vectors.T if stored else vectors}
        self.stored = stored

    def known(self) -> Evidence:
        return Evidence(scores=self.evidence) if self.stored else Evidence(text=self.evidence)


def ours(batch: Batch, loss: Loss, treatments: list[Treatment] | None = None) -> Step:
    objective = Objective([Term(loss, treatments or [])]).to(batch.text.device)

    def step(text: Tensor, item: Tensor) -> Tensor:
        table = PairTable.from_ids(text_items=batch.ids, items=batch.ids)
        scores = functional.normalize(text, dim=1) @ functional.normalize(item, dim=1).T
        return objective(scores, table, batch.known(), report=False)

    return step


def in_blocks(batch: Batch, loss: Loss) -> Step:
    objective = Objective([Term(loss)])

    def step(text: Tensor, item: Tensor) -> Tensor:
        text, item = functional.normalize(text, dim=1), functional.normalize(item, dim=1)
        return chunked(objective, text, item, text_items=batch.ids, items=batch.ids)

    return step


def batch_hard(batch: Batch) -> Step:
    """pytorch-metric-learning's batch-hard triplets, texts against items and items against texts."""
    from pytorch_metric_learning.distances import CosineSimilarity
    from pytorch_metric_learning.losses import TripletMarginLoss
    from pytorch_metric_learning.miners import BatchHardMiner

    distance = CosineSimilarity()
    loss, miner = TripletMarginLoss(margin=0.2, distance=distance), BatchHardMiner(distance=distance)
    others = batch.ids.clone()

    def step(text: Tensor, item: Tensor) -> Tensor:
        total = torch.zeros((), device=text.device)
        for anchor, other in ((text, item), (item, text)):
            triplets = miner(anchor, batch.ids, ref_emb=other, ref_labels=others)
            total = total + loss(anchor, batch.ids, triplets, ref_emb=other, ref_labels=others)
        return total

    return step


class _Given(nn.Module):
    """Stands for a model whose embeddings are there already."""

    tokenizer = None

    def forward(self, features: dict[str, Tensor]) -> dict[str, Tensor]:
        return {"sentence_embedding": features["x"]}


def ranking(batch: Batch) -> Step:
    """sentence-transformers' symmetric in-batch softmax."""
    from sentence_transformers.sentence_transformer.losses import MultipleNegativesRankingLoss

    directions = ("query_to_doc", "doc_to_query")
    loss = MultipleNegativesRankingLoss(_Given(), scale=100.0, directions=directions, partition_mode="per_direction")
    return lambda text, item: loss.compute_loss_from_embeddings([text, item], None)


def guided(batch: Batch) -> Step:
    """sentence-transformers' guided selection, texts against items, with the guide's vectors there already."""
    from sentence_transformers.sentence_transformer.losses import gist_embed

    loss = gist_embed.GISTEmbedLoss.__new__(gist_embed.GISTEmbedLoss)
    nn.Module.__init__(loss)
    loss.must_retokenize = loss.gather_across_devices = loss.contrast_anchors = loss.contrast_positives = False
    loss.temperature, loss.margin_strategy, loss.margin = 0.01, "absolute", 0.0
    loss.similarity_fct, loss.cross_entropy_loss = nn.CosineSimilarity(dim=-1), nn.CrossEntropyLoss()
    loss.model, loss.guide = _Given(), _Given()
    columns: dict[bool, list[Tensor]] = {}
    gist_embed.embed_columns = lambda model, features: columns[model is loss.guide]
    vectors = batch.evidence["e"]

    def step(text: Tensor, item: Tensor) -> Tensor:
        columns.update({False: [text, item], True: [vectors, vectors]})
        return loss([{}, {}], None)

    return step


def cases(batch: Batch) -> dict[str, Step]:
    blocks = {
        "HingeLoss, in blocks": in_blocks(batch, HingeLoss()),
        "InfoNCE, in blocks": in_blocks(batch, InfoNCE()),
        "SigmoidLoss, in blocks": in_blocks(batch, SigmoidLoss(learned=False)),
    }
    if len(batch.ids) > WHOLE_MATRIX_LIMIT:
        return blocks
    found = {"HingeLoss": ours(batch, HingeLoss())}
    found |= {f"+ {treatment!r}": ours(batch, HingeLoss(), [treatment]) for treatment in TREATMENTS}
    found["pytorch-metric-learning, batch-hard triplets"] = batch_hard(batch)
    found |= {"InfoNCE": ours(batch, InfoNCE()), "sentence-transformers, in-batch softmax": ranking(batch)}
    found["InfoNCE t2i + DropAbovePositive"] = ours(batch, InfoNCE(direction="t2i"), [DropAbovePositive("e")])
    if not batch.stored and len(batch.ids) <= PAIRS_OF_VECTORS_LIMIT:
        found["sentence-transformers, guided softmax"] = guided(batch)
    return found | {"NegNCE": ours(batch, NegNCE()), "SigmoidLoss": ours(batch, SigmoidLoss())} | blocks


def run(batch: Batch, step: Step) -> None:
    text, item = batch.text.clone().requires_grad_(), batch.item.clone().requires_grad_()
    step(text, item).backward()


def clock(device: str) -> float:
    if device == "cpu":
        return time.process_time()
    torch.cuda.synchronize()
    return time.perf_counter()


def times(batch: Batch, steps: dict[str, Step], repeats: int, device: str) -> dict[str, float]:
    """The least seconds of each, in turns; the first turn warms up."""
    best = dict.fromkeys(steps, float("inf"))
    for turn in range(repeats + 1):
        for name, step in steps.items():
            if turn > 2 and best[name] > SLOW:
                continue
            start = clock(device)
            run(batch, step)
            if turn or repeats == 0:
                best[name] = min(best[name], clock(device) - start)
    return best


def memory(size: int, name: str, device: str, stored: bool) -> float:
    """What one step adds at most, in MiB."""
    if device == "cpu":
        command = [sys.executable, __file__, "--alone", json.dumps([size, name, stored])]
        return float(subprocess.run(command, capture_output=True, text=True, check=True).stdout.split()[-1])
    batch = Batch(size, device, stored=stored)
    step = cases(batch)[name]
    torch.cuda.reset_peak_memory_stats()
    before = torch.cuda.memory_allocated()
    run(batch, step)
    return (torch.cuda.max_memory_allocated() - before) / 2**20


def alone(size: int, name: str, stored: bool) -> None:
    warm = Batch(64, "cpu", stored=stored)
    run(warm, cases(warm)[name])  # imports and buffers that do not depend on the size
    batch = Batch(size, "cpu", stored=stored)
    step = cases(batch)[name]
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    run(batch, step)
    print((resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 2**10)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--sizes", type=int, nargs="+", default=[128, 1024, 8192])
    parser.add_argument("--repeats", type=int, default=15)
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    parser.add_argument("--stored", action="store_true", help="evidence as a similarity matrix that is there already")
    parser.add_argument("--no-memory", action="store_true")
    parser.add_argument("--alone", help=argparse.SUPPRESS)
    args = parser.parse_args()
    torch.set_num_threads(1)
    if args.alone:
        alone(*json.loads(args.alone))
        return
    where = "one CPU core" if args.device == "cpu" else torch.cuda.get_device_name()
    for size in args.sizes:
        batch = Batch(size, args.device, stored=args.stored)
        steps = cases(batch)
        seconds = times(batch, steps, args.repeats if size < 4096 else min(2, args.repeats), args.device)
        table = Table("step", "ms", "to HingeLoss", "MiB added", title=f"B = {size}, d = 512, {where}")
        for name in steps:
            ratio = f"{seconds[name] / seconds['HingeLoss']:.2f}" if "HingeLoss" in seconds else ""
            added = "" if args.no_memory else f"{memory(size, name, args.device, args.stored):.0f}"
            table.add_row(name, f"{1000 * seconds[name]:.1f}", ratio, added)
        Console().print(table)


if __name__ == "__main__":
    main()
