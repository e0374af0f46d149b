"""The audit as one page that a person can read, and as JSON."""

import json
from pathlib import Path
from typing import Any

import numpy as np

from matchcut.audit.content import Content
from matchcut.audit.distribution import BATCHES
from matchcut.audit.hardest import Hardest
from matchcut.audit.judgments import SINGLE, JudgedEvidence
from matchcut.audit.plots import precision_recall, similarity_histogram
from matchcut.audit.run import Audit
from matchcut.files import write_text
from matchcut.pages import Pictures
from matchcut.pages import render as fill

EXAMPLES = 6  # of each kind
PAGE_PERCENTS = (0.1, 1.0, 5.0)  # marked in the histogram and shown with examples


def write_report(audit: Audit, path: Path | str) -> list[Path]:
    """Write the page, and the same numbers beside it as JSON: `report.html` and `report.json`.

    The page holds its plots and pictures, so that it is one file. Items whose picture cannot be read are shown without
    one and named at its end.

    Raises:
        MatchcutError: if a file cannot be written.
    """
    path = Path(path)
    pages = [path, path.with_suffix(".json")]
    write_text(pages[0], render(audit))
    write_text(pages[1], json.dumps(audit.to_json(), indent=2, ensure_ascii=False) + "\n")
    return pages


def render(audit: Audit) -> str:
    """The page as HTML text."""
    pictures = Pictures(audit.collection)
    thresholds = {f"{percent:g} %": audit.pairs.threshold(percent) for percent in PAGE_PERCENTS}
    return fill(
        "matchcut.audit",
        "report.html",
        title=f"Audit of {audit.collection.root.name}",
        facts=audit.to_json(),
        histogram=similarity_histogram(audit.pairs, thresholds),
        exact=[_group(audit.content, group, pictures) for group in audit.exact.groups[:EXAMPLES]],
        near=[_pair(audit.content, a, b, s, pictures) for a, b, s in audit.near_examples(EXAMPLES)],
        edges={
            name: [_pair(audit.content, a, b, s, pictures) for a, b, s in audit.pairs.near(threshold, EXAMPLES // 2)]
            for name, threshold in thresholds.items()
        },
        similar=audit.similar,
        smallest_batch=min(BATCHES),
        hardest=_hardest(audit.whole, audit.hardest, pictures) if audit.hardest else [],
        judged=_judged(audit.whole, audit.judged, pictures) if audit.judged else None,
        failed=pictures.failed,
    )


def _pair(content: Content, a: int, b: int, similarity: float, pictures: Pictures) -> dict[str, Any]:
    return {"similarity": similarity, "sides": [_caption(content, i, pictures) for i in (a, b)]}


def _caption(content: Content, i: int, pictures: Pictures) -> dict[str, Any]:
    key = content.items[content.owner[i]]
    return {"text": content.texts[i], "item": key, "picture": pictures.uri(key)}


def _group(content: Content, group: list[int], pictures: Pictures) -> dict[str, Any]:
    shown = [_caption(content, i, pictures) for i in group[:4]]
    return {"text": content.texts[group[0]], "items": len(group), "shown": shown}


def _hardest(content: Content, hardest: Hardest, pictures: Pictures) -> list[dict[str, Any]]:
    """The hardest negatives that look most like non-negatives, and as many that look least like one."""
    order = np.argsort(-hardest.similarity[:, 0], kind="stable")
    found = []
    for kind, rows in (("looks true", order), ("looks wrong", order[::-1])):
        seen: set[int] = set()
        for row in rows:
            own, other = int(content.owner[hardest.texts[row]]), int(hardest.items[row, 0])
            if not {own, other} & seen:
                seen |= {own, other}
                caption = _caption(content, int(hardest.texts[row]), pictures)
                closest = _caption(content, int(hardest.closest[row, 0]), pictures)
                similarity = float(hardest.similarity[row, 0])
                found.append({"kind": kind, "similarity": similarity, "sides": [caption, closest]})
            if len(seen) >= EXAMPLES:
                break
    return found


def _judged(content: Content, found: JudgedEvidence, pictures: Pictures) -> dict[str, Any]:
    """The plot, the rows of the table, and examples of right and wrong decisions on the reported half."""
    judged, best = found.judged, found.detections["all"]
    rows = np.flatnonzero(judged.report)
    order = rows[np.argsort(-found.values[rows], kind="stable")]
    examples: dict[str, list[dict[str, Any]]] = {}
    for name, chosen in (
        ("found, and people agree", [i for i in order if judged.relevant[i]]),
        ("found, but people disagree", [i for i in order if not judged.relevant[i]]),
        ("missed", [i for i in order[::-1] if judged.relevant[i]]),
    ):
        examples[name] = []
        seen: set[int] = set()
        for i in chosen:
            text, item = int(judged.texts[i]), int(judged.items[i])
            if text in seen or item in seen:
                continue
            seen |= {text, item}
            other = _caption(content, int(content.first[item]), pictures)
            examples[name].append({"sides": [_caption(content, text, pictures), other]})
            if len(examples[name]) == EXAMPLES // 2:
                break
    shown = [one for name, one in found.detections.items() if name != "caption_mean"]
    return {
        "plot": precision_recall(sorted(shown, key=lambda one: -one.auc.value)[:6]),
        "detections": list(found.detections.values()),
        "best": best,
        "single": found.detections[SINGLE],
        "several": found.detections["caption_best"],
        "examples": examples,
    }
