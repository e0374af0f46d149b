"""Time and memory of a training step's loss beside peers: `python benchmarks/objectives.py [--write]`.

A step is: cosine scores of B texts and B items at d = 512, the loss, and the gradient of both. The cases take turns;
the least processor time of each counts, so that a busy machine changes little. Memory is the most that the allocator of
torch holds during a step beyond what was there before, copies and gradients of the embeddings included. `--write` puts
the tables into docs/objectives_speed.md. Needs the extra `oracles`.
"""

import argparse
import os
import platform
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.profiler import ProfilerActivity, profile

from matchcut.files import write_text
from matchcut.losses import (
    HingeLoss,
    InfoNCE,
    Loss,
    NegNCE,
    Objective,
    PolynomialLoss,
    SigmoidLoss,
    Term,
    chunked,
    unit,
)
from matchcut.losses.dots import dots
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
PAIRS_OF_VECTORS_LIMIT = 256  # sentence-transformers' guided loss makes B x B x d numbers: 12 GiB in all at 1,024
PAGE = Path(__file__).parent.parent / "docs" / "objectives_speed.md"
EMPTY = "own pairs alone"
HINGE = "`HingeLoss`, `from_embeddings`"
CHUNKED = "`HingeLoss`, `chunked`"
PLAIN = "`HingeLoss`, scores given"
BATCH_HARD = "pytorch-metric-learning, batch-hard triplets"
TREATMENTS: list[Treatment] = [
    SameItem(role="negative"),
    DropSimilar("e", percent=1),
    DropAbove("e", threshold=0.6),
    DropAbovePositive("e"),
    RelevantPositives("e", threshold=0.9),
    SemanticMargin("e"),
    AdaptiveMargin("e"),
    AdaptiveMargin("e", mapping="step", steps=((0.0, 0.0), (0.4, 0.2))),
    RelevanceMargin("e"),
    Reweight("e"),
    SemiHard(),
    TopK(10),
]

SLOW = 1000.0  # milliseconds from which a case is measured once
LARGE = 4096  # from here on one measurement, and no table of treatments
WAYS = ("scores given", "`from_embeddings`")
INTRODUCTION = """# How fast the objectives are

Written by `python benchmarks/objectives.py --write`, on {where}, torch {torch}. A step is the cosine scores of B texts
and B items at d = 512, the loss, and the gradient of both. Cases take turns; the least processor time of each counts.
When it began, the load of the {cores} cores was {load:.0f}: where there are more programs than cores every case finds
its caches emptied, and a treatment's share grows by several percent; only ratios within a column mean something then.

*Peak* is the most that torch's allocator holds during a step, a copy of the embeddings and their gradients included. No
loss can do without those: *own pairs alone* is a step that normalises, takes the scores of the B own pairs, and their
gradients. *Beyond own pairs* is what the loss itself adds to that peak; it is below 0 where `matchcut.losses.unit`
normalises in less memory than torch. No peak can fall to a fifth of batch-hard's at B = 1,024, as the copies of the
embeddings and their gradients are more than that; at B = 8,192 `chunked` stays below a tenth.

The second tables say what a treatment adds to the hinge on the hardest negative. *Scores given*: `objective(scores)`,
the gradient goes through the whole matrix. *from_embeddings*: `objective.from_embeddings(unit(text), unit(item))`, the
same loss in less than half the time, so that the same milliseconds are a larger share. *Matrix*: the evidence's
similarities are stored. *Vectors*: the step computes them from vectors of d = 384, which is most of what is added. They
are symmetric, so half a product is enough: strips on and below the diagonal, copied above it. But half of B x B x 384
multiplications is an eighth of a step's three products of B x B x 512, and three eighths of the one product of
`from_embeddings`: about a tenth, or a fifth, of the step before anything is decided.
sentence-transformers' guided loss makes B x B x d numbers, 12 GiB at B = 1,024, where it took 28 s; so it is measured
at B = 128 alone."""


class Batch:
    """Made-up embeddings: each item near its text; evidence as vectors of a sentence encoder's size and as a matrix."""

    def __init__(self, size: int, device: str) -> None:
        torch.manual_seed(0)
        self.ids = torch.arange(size, device=device)
        self.text = torch.randn(size, 512, device=device)
        self.item = torch.randn(size, 512, device=device) + self.text
        self.vectors = functional.normalize(torch.randn(size, 384, device=device) + 1, dim=1)
        self.similarity = self.vectors @ self.vectors.T if size <= WHOLE_MATRIX_LIMIT else torch.empty(0)

    def known(self, *, stored: bool) -> Evidence:
        return Evidence(scores={"e": self.similarity}) if stored else Evidence(text={"e": self.vectors})


def own_pairs(batch: Batch) -> Step:
    """The least that a step can be: embeddings in, gradients out, no negatives."""
    return lambda text, item: dots(_cosine(text), _cosine(item), batch.ids, batch.ids).sum()


def ours(batch: Batch, loss: Loss, treatments: list[Treatment] | None = None, *, stored: bool = False) -> Step:
    objective = Objective([Term(loss, treatments or [])]).to(batch.text.device)

    def step(text: Tensor, item: Tensor) -> Tensor:
        table = PairTable.from_ids(text_items=batch.ids, items=batch.ids)
        return objective(_cosine(text) @ _cosine(item).T, table, batch.known(stored=stored), report=False)

    return step


def from_embeddings(
    batch: Batch, loss: Loss, treatments: list[Treatment] | None = None, *, stored: bool = False
) -> Step:
    objective = Objective([Term(loss, treatments or [])])

    def step(text: Tensor, item: Tensor) -> Tensor:
        table = PairTable.from_ids(text_items=batch.ids, items=batch.ids)
        return objective.from_embeddings(unit(text), unit(item), table, batch.known(stored=stored), report=False)

    return step


def in_blocks(batch: Batch, loss: Loss) -> Step:
    objective = Objective([Term(loss)])

    def step(text: Tensor, item: Tensor) -> Tensor:
        return chunked(objective, unit(text), unit(item), text_items=batch.ids, items=batch.ids)

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
    vectors = batch.vectors

    def step(text: Tensor, item: Tensor) -> Tensor:
        columns.update({False: [text, item], True: [vectors, vectors]})
        return loss([{}, {}], None)

    return step


def losses(batch: Batch) -> dict[str, Step]:
    found = {
        EMPTY: own_pairs(batch),
        HINGE: from_embeddings(batch, HingeLoss()),
        CHUNKED: in_blocks(batch, HingeLoss()),
        "`PolynomialLoss`, `from_embeddings`": from_embeddings(batch, PolynomialLoss()),
        "`InfoNCE`, `chunked`": in_blocks(batch, InfoNCE()),
        "`SigmoidLoss`, `chunked`": in_blocks(batch, SigmoidLoss(learned=False)),
    }
    if len(batch.ids) > WHOLE_MATRIX_LIMIT:
        return found
    found |= {PLAIN: ours(batch, HingeLoss()), BATCH_HARD: batch_hard(batch)}
    found |= {"`InfoNCE`": ours(batch, InfoNCE()), "sentence-transformers, in-batch softmax": ranking(batch)}
    guide: list[Treatment] = [DropAbovePositive("e")]
    found["`InfoNCE` t2i with `DropAbovePositive`"] = ours(batch, InfoNCE(direction="t2i"), guide)
    if len(batch.ids) <= PAIRS_OF_VECTORS_LIMIT:
        found["sentence-transformers, guided softmax"] = guided(batch)
    return found | {"`NegNCE`": ours(batch, NegNCE()), "`SigmoidLoss`": ours(batch, SigmoidLoss())}


def run(batch: Batch, step: Step) -> None:
    text, item = batch.text.clone().requires_grad_(), batch.item.clone().requires_grad_()
    torch.autograd.backward(step(text, item))


def clock(device: str) -> float:
    if device == "cpu":
        return time.process_time()
    torch.cuda.synchronize()
    return time.perf_counter()


def times(batch: Batch, steps: dict[str, Step], repeats: int, device: str) -> dict[str, float]:
    """The least milliseconds of each step, forward and backward."""
    return least_times({name: partial(run, batch, step) for name, step in steps.items()}, repeats, device)


def least_times(calls: dict[str, Callable[[], object]], repeats: int, device: str) -> dict[str, float]:
    """The least milliseconds of each, in turns; the first turn warms up, if there is another."""
    best = dict.fromkeys(calls, float("inf"))
    for turn in range(repeats + 1):
        for name, call in calls.items():
            if turn > 1 and best[name] > SLOW:
                continue
            start = clock(device)
            call()
            if turn or not repeats:
                best[name] = min(best[name], 1000 * (clock(device) - start))
    return best


def memory(batch: Batch, step: Step, device: str) -> float:
    """What one step adds at most, in MiB."""
    if device != "cpu":
        torch.cuda.reset_peak_memory_stats()
        before = torch.cuda.memory_allocated()
        run(batch, step)
        return (torch.cuda.max_memory_allocated() - before) / 2**20
    with profile(activities=[ProfilerActivity.CPU], profile_memory=True) as seen:
        run(batch, step)
    now = most = 0
    for event in seen.profiler.kineto_results.events():
        if event.name() == "[memory]":
            now += event.nbytes()
            most = max(most, now)
    return most / 2**20


def losses_table(batch: Batch, repeats: int, device: str) -> list[str]:
    steps = losses(batch)
    took = times(batch, steps, repeats, device)
    held = {name: memory(batch, step, device) for name, step in steps.items()}
    lines = ["| step | ms | peak MiB | MiB beyond own pairs |", "|---|---:|---:|---:|"]
    lines += [f"| {n} | {took[n]:.1f} | {held[n]:.1f} | {held[n] - held[EMPTY]:.1f} |" for n in steps]
    if BATCH_HARD in steps:
        faster = took[BATCH_HARD] / took[HINGE]
        lean = (held[HINGE] - held[EMPTY]) / (held[BATCH_HARD] - held[EMPTY])
        most, least = held[BATCH_HARD], 4 * batch.text.nbytes / 2**20  # a copy and a gradient of both sides
        lines += ["", f"`from_embeddings` takes 1 / {faster:.1f} of the time of batch-hard triplets, "]
        lines[-1] += f"{held[HINGE] / most:.2f} of their peak, {lean:.2f} of their memory beyond own pairs; "
        lines[-1] += f"`chunked` {held[CHUNKED] / most:.2f} of their peak."
        lines[-1] += f" The copies of the embeddings and their gradients alone are {least / most:.2f} of it."
    return lines


def product_line(batch: Batch, repeats: int, device: str) -> str:
    """The similarities of vectors with themselves beside a plain product."""

    def plain() -> Tensor:
        unit_vectors = _cosine(batch.vectors)
        return unit_vectors @ unit_vectors.T

    def symmetric() -> Tensor:
        return Evidence(text={"e": batch.vectors}).similarity("e")

    took = least_times({"plain": plain, "symmetric": symmetric}, max(repeats, 3), device)
    ratio = took["symmetric"] / took["plain"]
    told = f"Similarities of vectors of d = 384: {took['symmetric']:.2f} ms, {ratio:.2f} of the {took['plain']:.2f} ms "
    return told + "of normalising and a whole product."


def treatments_table(batch: Batch, repeats: int, device: str) -> list[str]:
    steps: dict[str, Step] = {}
    makers = {"given": ours, "few": from_embeddings}
    for way, make in makers.items():
        steps[way] = make(batch, HingeLoss())
        for treatment in TREATMENTS:
            for stored in (True, False):
                steps[f"{way} {treatment!r} {stored}"] = make(batch, HingeLoss(), [treatment], stored=stored)
    took = times(batch, steps, repeats, device)
    lines = ["| treatment | " + " | ".join(f"{w}, {e}" for w in WAYS for e in ("matrix", "vectors")) + " |"]
    lines += ["|---|---:|---:|---:|---:|", f"| none | {took['given']:.1f} ms | | {took['few']:.1f} ms | |"]
    for treatment in TREATMENTS:
        cells = []
        for way in makers:
            for stored in (True, False):
                added = took[f"{way} {treatment!r} {stored}"] - took[way]
                uses = bool(treatment.uses) or stored
                cells.append(f"{added:+.1f} ms, {100 * added / took[way]:+.0f} %" if uses else "the same")
        lines.append(f"| `{treatment!r}` | " + " | ".join(cells) + " |")
    return lines


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--sizes", type=int, nargs="+", default=[128, 1024, 8192])
    parser.add_argument("--repeats", type=int, default=15)
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    parser.add_argument("--write", action="store_true", help=f"write docs/{PAGE.name}")
    args = parser.parse_args()
    torch.set_num_threads(1)
    where = f"one CPU core ({platform.machine()})" if args.device == "cpu" else torch.cuda.get_device_name()
    load, cores = os.getloadavg()[0], os.cpu_count()
    parts = [INTRODUCTION.format(where=where, torch=torch.__version__, load=load, cores=cores)]
    for size in args.sizes:
        batch = Batch(size, args.device)
        few = args.repeats if size < LARGE else 0
        many = few * max(1, 1024 // size)  # small differences of short times
        told = [f"## B = {size:,}", "\n".join(losses_table(batch, few, args.device))]
        if size < LARGE:
            told.append("\n".join(treatments_table(batch, many, args.device)))
        if size <= WHOLE_MATRIX_LIMIT:
            told.append(product_line(batch, many, args.device))
        print("\n\n".join(told), flush=True)
        parts += told
    if args.write:
        write_text(PAGE, "\n\n".join(parts) + "\n")


def _cosine(x: Tensor) -> Tensor:
    return functional.normalize(x, dim=1)


if __name__ == "__main__":
    main()
