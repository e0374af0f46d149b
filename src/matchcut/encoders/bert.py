"""Caption vectors and token vectors from any BERT-like transformers checkpoint."""

from collections.abc import Sequence
from typing import Any, Literal

import torch
from torch.nn import functional as F

from matchcut.encoders import hub
from matchcut.encoders.base import Encoder, Rows, device, hash_parameters, precision
from matchcut.encoders.spec import Spec
from matchcut.errors import MatchcutError

VECTORS = ("mean", "cls", "pooler", "layer-2", "tokens")
CHUNK = 64  # sentences of like length run together


class BertCaptions(Encoder):
    """Captions to vectors. With h the hidden states of the n tokens of a caption, [CLS] and [SEP] included:

        mean     1/n * sum of h_i of the last layer     (what dual encoding with a BERT feature uses: the default)
        cls      h_1 of the last layer
        pooler   the checkpoint's own pooler on h_1
        layer-2  1/n * sum of h_i of the last layer but one     (the default of bert-as-service)
        tokens   h_1 ... h_n of the last layer, a row each

    The first four are the candidates for "the initial BERT representation" of Galanopoulos & Mezaris 2021, which the
    paper leaves open; "mean" is from the reference code of its family, "layer-2" from SEA's pre-computed features.

    Example::

        encoder = BertCaptions("bert-base-uncased", vector="mean")
        rows = encoder.encode(["a man plays a guitar"])  # [array of shape (1, 768)]
    """

    of = "captions"

    def __init__(
        self,
        source: str,
        *,
        vector: Literal["mean", "cls", "pooler", "layer-2", "tokens"] = "mean",
        normalize: bool = False,
        max_length: int = 512,
        offline: bool = False,
    ) -> None:
        """Load a checkpoint.

        Args:
            source: a local folder or a name on the hub.
            vector: see above.
            normalize: scale every row to length 1.
            max_length: tokens; longer captions are cut off.
            offline: read local files only.

        Raises:
            MatchcutError: if the checkpoint cannot be loaded, or has no pooler though the pooler is asked for.
        """
        if vector not in VECTORS:
            raise ValueError(f"vector must be one of {', '.join(VECTORS)}, got {vector!r}")
        self.tokenizer = hub.load_tokenizer(source, offline=offline)
        network = hub.load_model(source, offline=offline)
        if vector == "pooler" and getattr(network, "pooler", None) is None:
            raise MatchcutError(f"{source}: has no pooler; choose vector=mean, cls or layer-2")
        positions = getattr(network.config, "max_position_embeddings", None) or max_length
        self.max_length = min(max_length, positions, self.tokenizer.model_max_length)
        self.vector, self.normalize = vector, normalize
        options = {} if vector == "mean" else {"vector": vector}
        self.spec = str(Spec("bert", hub.settled(source), options))
        self.name = "-".join([hub.folder_name(source), *options.values()])
        self.shape = (network.config.hidden_size,)
        self.weights = hash_parameters(network)
        self.preprocessing = f"at most {self.max_length} tokens, {_WORDS[vector]}" + (", length 1" if normalize else "")
        self.device = device()
        self.batch_size = 4096 if self.device.type == "cuda" else 512
        self.network = network.to(self.device)

    def prepare(self, one: str) -> str:
        """Nothing: sentences are split into tokens many at a time."""
        return one

    def run(self, prepared: Sequence[str]) -> list[Rows]:
        """Sentences -> float32 [1, D] each, or [n, D] with vector="tokens"."""
        unique = list(dict.fromkeys(prepared))  # captions of one video are often the same to the letter
        split = self.tokenizer(unique, truncation=True, max_length=self.max_length)["input_ids"]
        ascending = sorted(zip(unique, split, strict=True), key=lambda pair: len(pair[1]))
        rows: dict[str, Rows] = {}
        for first in range(0, len(ascending), CHUNK):
            texts, tokens = zip(*ascending[first : first + CHUNK], strict=True)
            rows.update(zip(texts, self._rows(list(tokens)), strict=True))
        return [rows[text] for text in prepared]

    def _rows(self, tokens: list[list[int]]) -> list[Rows]:
        batch: Any = self.tokenizer.pad({"input_ids": tokens}, return_tensors="pt").to(self.device)
        mask = batch["attention_mask"]
        with torch.inference_mode(), precision(self.device):
            output = self.network(**batch, output_hidden_states=self.vector == "layer-2")
        if self.vector == "cls":
            found = output.last_hidden_state[:, :1]
        elif self.vector == "pooler":
            found = output.pooler_output[:, None]
        elif self.vector == "tokens":
            found = output.last_hidden_state
        else:
            hidden = output.hidden_states[-2] if self.vector == "layer-2" else output.last_hidden_state
            weight = mask[..., None].float()
            found = (hidden.float() * weight).sum(dim=1, keepdim=True) / weight.sum(dim=1, keepdim=True)
        found = found.float()
        found = (F.normalize(found, dim=-1) if self.normalize else found).cpu()
        if self.vector == "tokens":
            return [row[keep.cpu().bool()].numpy() for row, keep in zip(found, mask, strict=True)]
        return list(found.numpy())


_WORDS = {
    "mean": "mean of the last layer over tokens",
    "cls": "first token of the last layer",
    "pooler": "pooler of the first token",
    "layer-2": "mean of the last layer but one over tokens",
    "tokens": "every token of the last layer",
}


def load(spec: Spec) -> Encoder:
    """The encoder of `bert:SOURCE`, option vector."""
    spec.only("vector")
    if not spec.source:
        raise MatchcutError(f"encoder {str(spec)!r}: name a checkpoint, such as bert:bert-base-uncased")
    return BertCaptions(spec.source, vector=spec.choice("vector", VECTORS))  # type: ignore[arg-type]
