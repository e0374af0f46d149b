"""Parameters and speed of the networks at their published sizes, on made-up data.

python benchmarks/networks.py parts            parameters of every part
python benchmarks/networks.py steps            training steps a second, and where the time goes
python benchmarks/networks.py scoring          SGR and SAF: blocks against a loop over captions
"""

import time
from collections.abc import Callable
from dataclasses import replace
from typing import Any, Literal

import torch
import tyro
from rich.console import Console
from rich.table import Table
from torch import Tensor, nn
from torch.nn import functional as F

from matchcut.models import presets
from matchcut.models.base import RetrievalModel
from matchcut.models.inputs import Padded
from matchcut.models.normalise import l2_normalise
from matchcut.models.sgraf import SGRAF, Parts

WORDS = 8481
"""Size of the Flickr30K vocabulary of the reference codes."""

PUBLISHED: dict[str, tuple[str, str, dict[str, Any]]] = {
    "dual encoding, W2V + BERT": ("dual_encoding", "exclusion_2021", {"frames": "frames", "vocabulary": WORDS}),
    "dual encoding, BERT": ("dual_encoding", "exclusion_2021_att_bert", {"frames": "frames"}),
    "dual encoding, CVPR 2019": ("dual_encoding", "cvpr2019", {"frames": "frames", "vocabulary": WORDS}),
    "hybrid space": ("hybrid_space", "hybrid2021", {"frames": "frames", "vocabulary": WORDS}),
    "VSE++, flattened regions": ("vsepp", "lseh", {"item": "regions", "vocabulary": WORDS}),
    "VSRN, Flickr30K": ("vsrn", "flickr30k", {"item": "regions", "vocabulary": WORDS}),
    "SGR": ("sgraf", "sgr", {"item": "regions", "vocabulary": WORDS}),
    "SAF": ("sgraf", "saf", {"item": "regions", "vocabulary": WORDS}),
    "VSE-infinity, BERT": ("vse_infinity", "region_bert", {"item": "regions"}),
    "VSE-infinity, BERT, released": ("vse_infinity", "region_bert_released", {"item": "regions"}),
    "VSE-infinity, biGRU": ("vse_infinity", "region_bigru", {"item": "regions", "vocabulary": WORDS}),
}
TEXT = {"words": (), "bow": (WORDS - 4,), "bert": (768,)}
ITEM = {"frames": (2048,), "regions": (2048,)}


def network(label: str) -> RetrievalModel[Any, Any]:
    name, preset, options = PUBLISHED[label]
    model: RetrievalModel[Any, Any] = replace(presets(name)[preset], **options).build(TEXT, ITEM)
    return model


def parts() -> Table:
    """Parameters of every network and its parts at published sizes."""
    table = Table(
        "network", "part", "parameters", title=f"vocabulary {WORDS:,}, frames and regions 2,048-d, BERT 768-d"
    )
    for label in PUBLISHED:
        with torch.device("meta"):
            model = network(label)
        table.add_row(label, "all", f"{sum(p.numel() for p in model.parameters()):,}")
        for part, module in model.named_children():
            table.add_row("", part, f"{sum(p.numel() for p in module.parameters()):,}")
    return table


def batch(size: int, *, frames: int, device: str) -> tuple[dict[str, Padded], dict[str, Padded]]:
    """Made-up streams: captions of 8 to 20 words, videos of half to all of `frames`, images of 36 regions."""
    g = torch.Generator().manual_seed(0)
    words = torch.randint(8, 21, (size,), generator=g)
    lengths = torch.randint(frames // 2, frames + 1, (size,), generator=g)
    ones = torch.ones(size, dtype=torch.long)
    ids = Padded(torch.randint(4, WORDS, (size, 20), generator=g), words)
    text = {
        "words": Padded(ids.values * ids.mask, words),
        "bow": Padded(torch.rand(size, 1, WORDS - 4, generator=g), ones),
        "bert": _rows(Padded(torch.randn(size, 20, 768, generator=g), words)),
    }
    item = {
        "frames": _rows(Padded(torch.randn(size, frames, 2048, generator=g), lengths)),
        "regions": Padded(torch.randn(size, 36, 2048, generator=g), 36 * ones),
    }
    return {k: v.to(device) for k, v in text.items()}, {k: v.to(device) for k, v in item.items()}


def _rows(x: Padded) -> Padded:
    return Padded(x.values * x.mask[..., None], x.lengths)


def clock(work: Callable[[], object], *, repeats: int, device: str) -> float:
    """Seconds of the best of several calls after a first one. On one CPU thread, CPU time: less easily disturbed."""
    watch = time.process_time if device == "cpu" and torch.get_num_threads() == 1 else time.perf_counter
    best = float("inf")
    for turn in range(repeats + 1):
        start = watch()
        work()
        if device != "cpu":
            torch.cuda.synchronize()
        best = min(best, watch() - start) if turn else best
    return best


def steps(*, size: int, frames: int, repeats: int, device: str, which: tuple[str, ...]) -> Table:
    """Training steps: forward, hinge on the hardest negative, backward, Adam."""
    table = Table("network", "steps/s", "text", "item", "scores", "backward + Adam", title=f"batch {size}, {device}")
    text_inputs, item_inputs = batch(size, frames=frames, device=device)
    for label in which:
        model = network(label).to(device).train()
        optimizer = torch.optim.Adam(model.parameters(), lr=1e-4)

        def step(model: Any = model, optimizer: Any = optimizer) -> None:
            scores = model.scores(model.encode_text(text_inputs), model.encode_item(item_inputs))
            loss = sum(hardest(s) for s in scores.values())
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()

        whole = clock(step, repeats=repeats, device=device)
        text, item = model.encode_text(text_inputs), model.encode_item(item_inputs)
        each = [
            clock(work, repeats=repeats, device=device)
            for work in (
                lambda model=model: model.encode_text(text_inputs),
                lambda model=model: model.encode_item(item_inputs),
                lambda model=model, text=text, item=item: model.scores(text, item),
            )
        ]
        shares = [*each, max(0.0, whole - sum(each))]
        table.add_row(label, f"{1 / whole:.3g}", *(f"{100 * s / whole:.0f} %" for s in shares))
    return table


def hardest(scores: Tensor) -> Tensor:
    own = scores.diag()
    others = scores - torch.diag_embed(torch.full_like(own, torch.inf))
    rows, columns = 0.2 + others.amax(1) - own, 0.2 + others.amax(0) - own
    return rows.relu().sum() + columns.relu().sum()


def caption_by_caption(model: SGRAF, text: Parts, item: Parts) -> Tensor:
    """The same scores as public code makes them: one caption at a time against all items, whole vectors included."""
    columns = []
    for n in range(len(text)):
        words = text.parts.values[n, : text.parts.lengths[n]]
        one = Padded(words[None], torch.tensor([len(words)], device=words.device))
        whole = model.text_whole(one)
        likeness = F.leaky_relu(item.parts.values @ words.T, 0.1)
        weights = (9 * l2_normalise(likeness, dim=2)).softmax(1)
        attended = l2_normalise(weights.transpose(1, 2) @ item.parts.values)
        local = l2_normalise(model.local((attended - words.expand(len(item), -1, -1)).square()))
        nodes = torch.cat([l2_normalise(model.whole((item.whole - whole).square()))[:, None], local], 1)
        columns.append(torch.sigmoid(model.out(_reason(model.reasoning, nodes))))
    return torch.cat(columns, 1).T


def _reason(reasoning: nn.Module, nodes: Tensor) -> Tensor:
    if hasattr(reasoning, "steps"):
        for step in reasoning.steps:
            edges = (step.query(nodes) @ step.key(nodes).transpose(1, 2)).softmax(-1)
            nodes = step.out(edges @ nodes).relu()
        return nodes[:, 0]
    gates = reasoning.norm(reasoning.weigh(nodes).transpose(1, 2)).sigmoid()
    return l2_normalise((gates / gates.sum(2, keepdim=True) @ nodes)[:, 0])


@torch.inference_mode()
def scoring(*, images: int, captions: int, repeats: int, device: str) -> Table:
    """All pairs of SGR and SAF, without gradients."""
    table = Table("network", "blocks", "loop over captions", "times", "blocks, bfloat16", "times", "differences")
    table.title = f"{images} images x {captions} captions, seconds, {device}, {torch.get_num_threads()} thread(s)"
    text_inputs, _ = batch(captions, frames=2, device=device)
    _, item_inputs = batch(images, frames=2, device=device)
    for label in ("SGR", "SAF"):
        model = network(label).to(device).eval()
        assert isinstance(model, SGRAF)
        text, item = model.encode_text(text_inputs), model.encode_item(item_inputs)

        def low(model: SGRAF = model, text: Parts = text, item: Parts = item) -> Tensor:
            with torch.autocast(device, torch.bfloat16):
                return model.score(text, item)

        blocks = clock(lambda m=model, t=text, v=item: m.score(t, v), repeats=repeats, device=device)
        loop = clock(lambda m=model, t=text, v=item: caption_by_caption(m, t, v), repeats=repeats, device=device)
        half = clock(low, repeats=repeats, device=device)
        truth = caption_by_caption(model, text, item)
        gaps = " ".join(f"{(score - truth).abs().max().item():.0e}" for score in (model.score(text, item), low()))
        times = f"{blocks:.2f}", f"{loop:.2f}", f"{loop / blocks:.1f}", f"{half:.2f}", f"{loop / half:.1f}"
        table.add_row(label, *times, gaps)
    return table


def main(
    what: Literal["parts", "steps", "scoring"],
    /,
    *,
    size: int = 128,
    frames: int = 64,
    images: int = 100,
    captions: int = 500,
    repeats: int = 3,
    threads: int = 1,
    device: Literal["cpu", "cuda"] = "cpu",
    which: tuple[str, ...] = ("dual encoding, W2V + BERT", "VSE-infinity, BERT", "SGR"),
) -> None:
    """Print one table.

    Args:
        what: parts, steps or scoring.
        size: pairs in a training step.
        frames: most frames of a video.
        images: images that are scored.
        captions: captions that are scored.
        repeats: timed calls, of which the best counts.
        threads: CPU threads.
        device: cpu or cuda.
        which: networks of `steps`, by the names that `parts` prints.
    """
    torch.manual_seed(0)
    torch.set_num_threads(threads)
    if what == "parts":
        table = parts()
    elif what == "steps":
        table = steps(size=size, frames=frames, repeats=repeats, device=device, which=which)
    else:
        table = scoring(images=images, captions=captions, repeats=repeats, device=device)
    Console().print(table)


if __name__ == "__main__":
    tyro.cli(main)
