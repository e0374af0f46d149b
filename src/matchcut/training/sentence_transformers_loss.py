"""An objective as a loss of sentence-transformers."""

from collections.abc import Callable, Iterable, Mapping
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from matchcut.losses import Objective
from matchcut.negatives import Evidence, PairTable
from matchcut.training.distributed import gather, rank

Features = dict[str, Any]


class SentenceTransformersLoss(nn.Module):
    """Lets sentence-transformers' trainer minimise an `Objective`.

    The first column of the data set are the texts, the second their items, and any further columns are hard negatives.
    Scores are cosines. Items with the same tokens are the same item, so a document that is the answer to two queries of
    the batch is a positive of both. Columns without tokens (images) are taken as all different.

    Args:
        model: the SentenceTransformer to train.
        objective: what to minimise, for example `presets.infonce(scale=20.0, same_item="positive")`.
        evidence: name -> function from the features of a column to vectors [B, d], called without a gradient; for a
            guide with the same tokenizer `lambda features: guide(dict(features))["sentence_embedding"]`.
        gather_across_devices: take the batches of all processes as one.

    Example::

        loss = SentenceTransformersLoss(model, presets.infonce(scale=20.0, same_item="positive"))
        SentenceTransformerTrainer(model=model, train_dataset=pairs, loss=loss).train()
    """

    def __init__(
        self,
        model: nn.Module,
        objective: Objective,
        *,
        evidence: Mapping[str, Callable[[Features], Tensor]] | None = None,
        gather_across_devices: bool = False,
    ) -> None:
        super().__init__()
        self.model, self.objective = model, objective
        self.evidence = dict(evidence or {})
        self.gather_across_devices = gather_across_devices

    def forward(self, sentence_features: Iterable[Features], labels: Tensor | None = None) -> Tensor:
        """The loss of a batch; labels have no part in it.

        Raises:
            ValueError: fewer than two columns.
        """
        columns = [dict(features) for features in sentence_features]
        if len(columns) < 2:
            raise ValueError(f"the data set needs a column of texts and one of items, got {len(columns)}")
        with torch.no_grad():
            known = {name: [encode(dict(c)) for c in columns] for name, encode in self.evidence.items()}
        vectors = [functional.normalize(self.model(dict(c))["sentence_embedding"], dim=1) for c in columns]
        ids = [_ids(c, len(v), k, v.device) for k, (c, v) in enumerate(zip(columns, vectors, strict=True))]
        if self.gather_across_devices:
            vectors, ids = [gather(v) for v in vectors], [gather(i) for i in ids]
            known = {name: [gather(column) for column in each] for name, each in known.items()}
        evidence = Evidence(
            text={name: each[0] for name, each in known.items()},
            item_text={name: torch.cat(each[1:]) for name, each in known.items()},
        )
        table = PairTable.from_ids(text_items=ids[1], items=torch.cat(ids[1:]), paired=True)
        return self.objective.from_embeddings(vectors[0], torch.cat(vectors[1:]), table, evidence)

    def get_config_dict(self) -> dict[str, Any]:
        """What the model card shows."""
        return {"objective": repr(self.objective), "gather_across_devices": self.gather_across_devices}


def _ids(features: Features, size: int, column: int, device: torch.device) -> Tensor:
    """An id for each row, the same for the same tokens on every process."""
    tokens = features.get("input_ids")
    if not isinstance(tokens, Tensor) or len(tokens) != size:
        return torch.arange(size, device=device) + 2**32 * (column + 1_000 * rank())
    mask = features.get("attention_mask", torch.ones_like(tokens)).bool()
    rows = [tuple(row[kept].tolist()) for row, kept in zip(tokens, mask, strict=True)]
    return torch.tensor([hash(row) for row in rows], device=device)
