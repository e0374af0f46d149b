"""What human judgments say about each piece of evidence, and about all of them together."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from matchcut.audit import evidence as each
from matchcut.audit.content import Content
from matchcut.audit.detection import Detection, detect
from matchcut.audit.detector import combine
from matchcut.audit.judged import Judged
from matchcut.audit.models import Scored, model_evidence
from matchcut.audit.tokens import token_evidence
from matchcut.encoders import load_encoder
from matchcut.encoders.bert import BertCaptions
from matchcut.errors import MatchcutError

SINGLE = "caption_single"
SHOWN = (SINGLE, "caption_best", "caption_mean", "picture", "expected_both", "model")  # by themselves, where there
LABELS = {
    SINGLE: "caption with one caption of the item",
    "caption_best": "caption with the item's captions, best",
    "caption_mean": "caption with the item's captions, mean",
    "picture": "picture with picture",
    "expected_both": "likelihood, given captions and picture",
    "model": "trained model's score",
    "all": "all evidence together",
}


@dataclass(frozen=True, eq=False)
class JudgedEvidence:
    """Detectors of non-negatives on the half of the judged items that nothing was chosen on.

    detections: name -> result; "all" is the combination. weights: of its standardised evidence. cross_validated: area
    under the ROC curve of the combination on the half it was fitted on, items kept apart. values: log odds of every
    judged pair by the combination. notes: evidence that could not be used, and why.
    """

    judged: Judged
    detections: dict[str, Detection]
    weights: dict[str, float]
    cross_validated: float
    values: np.ndarray
    notes: tuple[str, ...]

    @property
    def lost_by_one_caption(self) -> float:
        """What a batch with one caption an item loses: area under the ROC curve of the best of all minus of one."""
        return self.detections["caption_best"].auc.value - self.detections[SINGLE].auc.value

    def to_json(self) -> dict[str, Any]:
        """Plain values, ready for JSON."""
        judged = self.judged
        return {
            "source": judged.source,
            "pairs": len(judged.texts),
            "relevant": int(judged.relevant.sum()),
            "reported_pairs": int(judged.report.sum()),
            "reported_relevant": int(judged.relevant[judged.report].sum()),
            "detectors": {name: _plain(one) for name, one in self.detections.items()},
            "weights": self.weights,
            "cross_validated_auc": self.cross_validated,
            "auc_lost_by_one_caption": self.lost_by_one_caption,
            "notes": list(self.notes),
        }


def judge(
    judged: Judged, *, scored: Scored | None = None, tokens: str | None = "minilm-tokens",
    samples: int = 500, seed: int = 0,
) -> JudgedEvidence:  # fmt: skip
    """Gather the evidence for all judged pairs, combine it on one half of the judged items, report on the other.

    Args:
        scored: a trained model's scores, used if they cover the judged pairs. What is not used is in `notes`.
        tokens: an encoder of caption tokens, run over the captions that take part; None: tokens are not compared.
        samples: bootstrap replicates.

    Raises:
        MatchcutError: if the encoder cannot be loaded or is not one of tokens.
    """
    content, texts, items = judged.content, judged.texts, judged.items
    found = each.caption_evidence(content, texts, items, seed=seed) | each.picture_evidence(content, texts, items)
    notes: list[str] = []
    if content.pictures is None:
        notes.append("no pictures were compared")
    background = _background(judged)
    learned = each.background_evidence(content, background, texts, items)
    if not learned:
        notes.append(
            f"{len(judged.background)} items without judgments are too few to learn from, "
            f"{each.LEAST_BACKGROUND} are needed"
        )
    found |= learned
    if tokens is not None:
        found |= token_evidence(content, background, texts, items, _encoder(tokens))
    if scored is None:
        notes.append("no trained model's scores: name one with --model")
    else:
        of_model = model_evidence(scored, content, texts, items)
        if not of_model:
            notes.append(f"model {scored.model!r} scored part {scored.part!r}, which does not hold all judged pairs")
        found |= of_model
    combined = combine(
        {name: values for name, values in found.items() if name != SINGLE}, judged.relevant, items, judged.fit
    )
    shown: Mapping[str, Any] = {name: found[name] for name in SHOWN if name in found} | {"all": combined.values}
    detections = {
        name: detect(LABELS[name], values, judged.relevant, items, judged.fit, samples=samples, seed=seed)
        for name, values in shown.items()
    }
    return JudgedEvidence(judged, detections, combined.weights, combined.cross_validated, combined.values, tuple(notes))


def _encoder(spec: str) -> BertCaptions:
    encoder = load_encoder(spec)
    if not isinstance(encoder, BertCaptions) or encoder.vector != "tokens":
        raise MatchcutError(f"encoder {spec!r}: must give token vectors of captions, such as 'minilm-tokens'")
    return encoder


def _background(judged: Judged) -> Content:
    """The items that no judgment names."""
    content = judged.content
    return content.only(
        np.array([i for i, key in enumerate(content.items) if key in judged.background], dtype=np.int64)
    )


def _plain(one: Detection) -> dict[str, Any]:
    return {
        "auc": one.auc.value,
        "auc_interval": [one.auc.low, one.auc.high],
        "average_precision": one.average_precision,
        "best_percent": one.percent,
        "threshold": one.threshold,
        "precision": one.precision,
        "recall": one.recall,
        "f1": one.f1,
    }
