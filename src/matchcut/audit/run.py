"""The audit of a collection: what it does, in order, and what it finds."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from matchcut.audit.content import Content, read
from matchcut.audit.distribution import BATCHES, THRESHOLDS, Batch, Pairs, batch, left_out, random_pairs
from matchcut.audit.duplicates import Exact, Near, exact_duplicates, near_duplicates
from matchcut.audit.hardest import Hardest, hardest_negatives, random_best
from matchcut.audit.judged import judged_pairs
from matchcut.audit.judgments import JudgedEvidence, judge
from matchcut.audit.models import score
from matchcut.collection import Collection
from matchcut.errors import MatchcutError

QUANTILES = (0.01, 0.25, 0.5, 0.75, 0.99, 0.999)


@dataclass(frozen=True, eq=False)
class Audit:
    """What an audit found.

    content: the captions and items that positions refer to; in `hardest` and `judged` it is `whole`, which is more only
    if the audit was of one part. similar: cosine above which a pair counts as a likely false negative.
    """

    collection: Collection
    content: Content
    whole: Content
    split: str | None
    text: str
    item: str | None
    exact: Exact
    near: Near
    pairs: Pairs
    batches: tuple[Batch, ...]
    left_out: list[dict[str, Any]]
    similar: float
    hardest: Hardest | None = None
    by_rank: list[dict[str, Any]] | None = None
    judged: JudgedEvidence | None = None
    notes: tuple[str, ...] = ()  # what was there and not used

    def to_json(self) -> dict[str, Any]:
        """Plain values, ready for JSON; examples by their keys."""
        content, near = self.content, self.near
        found: dict[str, Any] = {
            "collection": self.collection.root.name,
            "split": self.split,
            "features": {"captions": self.text, "frames": self.item},
            "captions": len(content.keys),
            "items": len(content.items),
            "left_out_captions": content.left_out,
            "exact_duplicates": {
                "captions": self.exact.captions,
                "items": self.exact.items,
                "groups": len(self.exact.groups),
                "largest": [[content.keys[i] for i in group[:20]] for group in self.exact.groups[:10]],
            },
            "near_duplicates": {
                "threshold": near.threshold,
                "compared": len(near.queries),
                "with": near.of,
                "share_with_one": float((near.above > 0).mean()),
                "mean_number": float(near.above.mean()),
                "nearest": [[content.keys[a], content.keys[b], s] for a, b, s in self.near_examples(10)],
            },
            "similarity": {
                "pairs": len(self.pairs.similarity),
                "mean": float(self.pairs.similarity.mean()),
                "quantiles": {str(q): float(np.quantile(self.pairs.similarity, q)) for q in QUANTILES},
            },
            "batches": [vars(one) for one in self.batches],
            "left_out": self.left_out,
            "notes": list(self.notes),
        }
        if self.hardest is not None:
            found["model"] = {"name": self.hardest.model, "split": self.hardest.part, "by_rank": self.by_rank}
        if self.judged is not None:
            found["judgments"] = self.judged.to_json()
        return found

    def near_examples(self, count: int) -> list[tuple[int, int, float]]:
        """Nearest captions of different items whose words differ: (caption, caption, cosine), no item twice."""
        found: list[tuple[int, int, float]] = []
        seen: set[int] = set()
        owner, group = self.content.owner, self.exact.group
        for i in np.argsort(-self.near.similarity, kind="stable"):
            a, b = int(self.near.queries[i]), int(self.near.nearest[i])
            if group[a] != group[b] and not {int(owner[a]), int(owner[b])} & seen:
                seen |= {int(owner[a]), int(owner[b])}
                found.append((a, b, float(self.near.similarity[i])))
                if len(found) == count:
                    break
        return found


def audit(
    collection: Collection,
    *,
    model: str | None = None,
    split: str | None = None,
    scheme: str = "default",
    text: str = "minilm",
    item: str | None = "efficientnet-lite0",
    judgments: str | None = None,
    tokens: str | None = "minilm-tokens",
    near: float = 0.9,
    similar: float = 0.7,
    queries: int = 10_000,
    pairs: int = 1_000_000,
    batches: Sequence[int] = (),
    seed: int = 0,
    progress: Callable[[str], None] = lambda step: None,
) -> Audit:
    """Look for captions that are true of other items than their own.

    Args:
        model: a trained model of the collection, whose hardest negatives are looked at.
        split: look at one part only; None: all captions.
        text, item: feature sets of captions and of frames; item None: no pictures are compared.
        judgments: source of human judgments; None: the first partial ones that suffice, if any.
        tokens: encoder of caption tokens for the judged captions; None: tokens are not compared.
        near: cosine from which two captions count as near duplicates.
        similar: cosine above which a pair counts as a likely false negative.
        queries: captions that are compared with all others. pairs: random pairs for the distribution.
        batches: sizes of the batches to draw; none: 128, 512 and 1,024, as far as there are so many items.
        progress: called with each step's name as it begins.

    Raises:
        MatchcutError: if features, model, split or judgments are missing.
        ValueError: if a number is out of range.

    Example::

        found = audit(Collection.open("flickr8k"), model="flickr8k")
        found.judged.detections["all"].auc
    """
    for name, value in (("near", near), ("similar", similar)):
        if not -1 <= value <= 1:
            raise ValueError(f"{name} must be a cosine from -1 to 1, got {value}")
    progress("reading captions and features")
    content = read(collection, split=split, scheme=scheme, text=text, item=item)
    if sizes := [size for size in batches if not 2 <= size <= len(content.items)]:
        raise MatchcutError(f"a batch of {sizes[0]:,} cannot be drawn: from 2 to {len(content.items):,} items can")
    progress("duplicates")
    exact = exact_duplicates(content)
    nearest = near_duplicates(content, threshold=near, queries=queries, seed=seed)
    progress("similarity of random pairs, batches")
    drawn = random_pairs(content, count=pairs, seed=seed)
    some = [batch(content, exact, drawn, size, threshold=similar, seed=seed) for size in batches or BATCHES]
    rows = left_out(drawn, thresholds=tuple(sorted({*THRESHOLDS, similar})))
    whole, hardest, by_rank, scored = content, None, None, None
    partial = [name for name, extent in collection.judged().items() if extent == "partial"]
    sources = partial if judgments is None else [judgments]
    if split is not None and (sources or model):
        whole = read(collection, scheme=scheme, text=text, item=item)
    if model is not None:
        progress(f"hardest negatives of {model}")
        scored = score(collection, model, whole, split=split)
        hardest = hardest_negatives(scored, whole)
        sample = random_best(scored, whole, seed=seed)
        thresholds = {f"{p:g}": float(np.quantile(sample, 1 - p / 100)) for p in (0.1, 1.0)}
        thresholds["similar"] = similar
        by_rank = hardest.by_rank(thresholds, {name: float((sample > t).mean()) for name, t in thresholds.items()})
    judged = None
    notes: list[str] = []
    for source in sources:
        progress(f"judgments {source}")
        try:
            known = judged_pairs(collection, whole, source=source, seed=seed)
        except MatchcutError as error:
            if judgments is not None:  # asked for by name
                raise
            notes.append(str(error))
            continue
        judged = judge(known, scored=scored, tokens=tokens, seed=seed)
        break
    return Audit(
        collection, content, whole, split, text, item, exact, nearest, drawn,
        tuple(b for b in some if b), rows, similar, hardest, by_rank, judged, tuple(notes),
    )  # fmt: skip
