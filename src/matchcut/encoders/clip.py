"""Frames and captions in one space, from any CLIP or SigLIP checkpoint of transformers."""

from collections.abc import Mapping, Sequence
from typing import Any, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as F

from matchcut.encoders import hub
from matchcut.encoders.base import Encoder, Rows, device, hash_parameters, precision
from matchcut.encoders.spec import Spec
from matchcut.errors import MatchcutError


class ClipFrames(Encoder):
    """Frames to the checkpoint's projected image vectors, scaled to length 1.

    Example::

        encoder = ClipFrames("openai/clip-vit-base-patch32")
        rows = encoder.encode(pictures)  # a float32 [1, 512] each
    """

    of = "frames"

    def __init__(self, source: str) -> None:
        """Load a checkpoint from a local folder or the hub.

        Raises:
            MatchcutError: if it cannot be loaded, or has not two towers.
        """
        self.processor = hub.load_image_processor(source)
        self.network = _two_towers(source)
        self.spec = str(Spec("clip", hub.settled(source), {"tower": "image"}))
        self.name = hub.folder_name(source)
        self.weights = hash_parameters(self.network)
        self.device = device()
        self.batch_size = 256 if self.device.type == "cuda" else 16
        self.network.to(self.device)
        side = getattr(self.network.config.vision_config, "image_size", None) or 224
        self.shape = self.encode([np.zeros((side, side, 3), dtype=np.uint8)])[0].shape[1:]
        self.preprocessing = (
            f"{type(self.processor).__name__.removesuffix('Pil')} at {side} pixels, projected, length 1"
        )

    def prepare(self, one: NDArray[np.uint8]) -> Mapping[str, NDArray[np.generic]]:
        """A picture [height, width, 3] through the checkpoint's image processor."""
        return dict(self.processor(images=one, return_tensors="np", input_data_format="channels_last"))

    def run(self, prepared: Sequence[Mapping[str, NDArray[np.generic]]]) -> list[Rows]:
        """Processed pictures -> float32 [1, D] each."""
        inputs = {key: torch.from_numpy(np.concatenate([one[key] for one in prepared])) for key in prepared[0]}
        with torch.inference_mode(), precision(self.device):
            found = _tensor(self.network.get_image_features(**{k: v.to(self.device) for k, v in inputs.items()}))
        return list(F.normalize(found.float(), dim=-1).cpu()[:, None].numpy())


class ClipCaptions(Encoder):
    """Captions to the checkpoint's projected text vectors, or to a projected vector for every token; of length 1.

    A token vector is the last layer, after its norm, through the text projection (from the reference code of the CLIP
    retrieval family, which does so for its token interaction).
    """

    of = "captions"

    def __init__(self, source: str, *, vector: Literal["pooled", "tokens"] = "pooled") -> None:
        """Load a checkpoint from a local folder or the hub.

        Raises:
            MatchcutError: if it cannot be loaded, or has not two towers.
        """
        self.tokenizer = hub.load_tokenizer(source)
        self.network = _two_towers(source)
        self.vector = vector
        options = {"tower": "text"} | ({"vector": vector} if vector != "pooled" else {})
        self.spec = str(Spec("clip", hub.settled(source), options))
        self.name = "-".join([hub.folder_name(source), *options.values()])
        self.weights = hash_parameters(self.network)
        self.device = device()
        self.batch_size = 2048 if self.device.type == "cuda" else 128
        self.network.to(self.device)
        self.max_length = int(self.network.config.text_config.max_position_embeddings)
        # SigLIP was trained on texts padded to full length and looks at the padding too; CLIP masks it.
        self.full = str(self.network.config.model_type).startswith("siglip")
        self.shape = self.encode(["a"])[0].shape[1:]
        what = "every token projected" if vector == "tokens" else "projected"
        self.preprocessing = f"{'padded to' if self.full else 'at most'} {self.max_length} tokens, {what}, length 1"

    def prepare(self, one: str) -> str:
        """Nothing: sentences are split into tokens many at a time."""
        return one

    def run(self, prepared: Sequence[str]) -> list[Rows]:
        """Sentences -> float32 [1, D] each, or [n, D] with vector="tokens"."""
        batch: Any = self.tokenizer(
            list(prepared),
            padding="max_length" if self.full else True,
            truncation=True,
            max_length=self.max_length,
            return_tensors="pt",
            return_attention_mask=True,
        )
        inputs = {"input_ids": batch["input_ids"].to(self.device)}
        mask = batch["attention_mask"].bool()
        if not self.full:
            inputs["attention_mask"] = batch["attention_mask"].to(self.device)
        with torch.inference_mode(), precision(self.device):
            if self.vector == "tokens":
                hidden = self.network.text_model(**inputs).last_hidden_state
                found = (self.network.text_model.head if self.full else self.network.text_projection)(hidden)
            else:
                found = _tensor(self.network.get_text_features(**inputs))
        found = F.normalize(found.float(), dim=-1).cpu()
        if self.vector == "tokens":
            return [row[keep].numpy() for row, keep in zip(found, mask, strict=True)]
        return list(found[:, None].numpy())


def _two_towers(source: str) -> Any:
    network = hub.load_model(source)
    if not (hasattr(network, "get_image_features") and hasattr(network, "get_text_features")):
        kind = network.config.model_type
        raise MatchcutError(
            f"{source}: a {kind} checkpoint, without an image and a text tower; clip: takes CLIP or SigLIP"
        )
    return network


def _tensor(output: Any) -> Tensor:
    """The projected features, which transformers 4 gives as a tensor and 5 as the pooled part of an output object."""
    found: Tensor = output if isinstance(output, Tensor) else output.pooler_output
    return found


def load(spec: Spec) -> Encoder:
    """The encoder of `clip:SOURCE`; options tower (image, text) and, for text, vector (pooled, tokens)."""
    if not spec.source:
        raise MatchcutError(f"encoder {str(spec)!r}: name a checkpoint, such as clip:openai/clip-vit-base-patch32")
    if spec.choice("tower", ("image", "text")) == "image":
        spec.only("tower")
        return ClipFrames(spec.source)
    spec.only("tower", "vector")
    return ClipCaptions(spec.source, vector=spec.choice("vector", ("pooled", "tokens")))  # type: ignore[arg-type]
