"""EfficientNet-Lite0: packaged ImageNet weights, so frame features need no download."""

from collections.abc import Mapping

import torch
from torch import Tensor, nn
from torch.nn import functional as F

# Seven stages: (expansion, kernel, stride of the first block, channels out, number of blocks).
STAGES = (
    (1, 3, 1, 16, 1),
    (6, 3, 2, 24, 2),
    (6, 5, 2, 40, 2),
    (6, 3, 2, 80, 3),
    (6, 5, 1, 112, 3),
    (6, 5, 2, 192, 4),
    (6, 3, 1, 320, 1),
)
STEM, HEAD, SIDE = 32, 1280, 224
BN_EPS = 1e-3


class Conv(nn.Module):
    """A convolution with bias, the TensorFlow "SAME" padding (the odd pixel right and below) and, if asked, ReLU6."""

    def __init__(self, inputs: int, outputs: int, kernel: int, *, stride: int = 1, groups: int = 1, relu: bool) -> None:
        super().__init__()
        self.conv = nn.Conv2d(inputs, outputs, kernel, stride, padding=(kernel - 1) // 2, groups=groups)
        self.relu = relu
        if stride > 1:
            self.conv.padding = (0, 0)

    def forward(self, x: Tensor) -> Tensor:
        """[N, inputs, H, W] -> [N, outputs, ceil(H / stride), ceil(W / stride)]."""
        kernel, stride = self.conv.kernel_size[0], self.conv.stride[0]
        if stride > 1:
            pads = [max((-(-size // stride) - 1) * stride + kernel - size, 0) for size in (x.shape[3], x.shape[2])]
            x = F.pad(x, [part for pad in pads for part in (pad // 2, pad - pad // 2)])
        x = self.conv(x)
        return F.relu6(x, inplace=not torch.is_grad_enabled()) if self.relu else x


class Block(nn.Module):
    """Inverted residual: expand 1 x 1, depthwise k x k, project 1 x 1; a shortcut where the shape stays."""

    def __init__(self, inputs: int, outputs: int, *, expansion: int, kernel: int, stride: int) -> None:
        super().__init__()
        middle = inputs * expansion
        self.expand = Conv(inputs, middle, 1, relu=True) if expansion > 1 else None
        self.depthwise = Conv(middle, middle, kernel, stride=stride, groups=middle, relu=True)
        self.project = Conv(middle, outputs, 1, relu=False)
        self.shortcut = stride == 1 and inputs == outputs

    def forward(self, x: Tensor) -> Tensor:
        """[N, inputs, H, W] -> [N, outputs, H / stride, W / stride]."""
        y: Tensor = x if self.expand is None else self.expand(x)
        y = self.project(self.depthwise(y))
        return x + y if self.shortcut else y


class EfficientNetLite0(nn.Module):
    """The network of Tan & Le 2019 (EfficientNet-B0) in its "Lite" form: no squeeze-and-excite, ReLU6 for swish.

    Every batch normalisation is folded into the convolution before it (`fold`), which is exact in inference:

        w' = w * g / sqrt(var + eps),  b' = b - mean * g / sqrt(var + eps),  eps = 0.001

    Stages from the published architecture; that the padding is TensorFlow's "SAME" was found out on the packaged
    weights, which are more confident on real photographs with it.

    >>> network = EfficientNetLite0().eval()
    >>> with torch.inference_mode():
    ...     grid = network(torch.zeros(1, 3, 224, 224))
    >>> grid.shape, network.classify(grid.mean(dim=(2, 3))).shape
    (torch.Size([1, 1280, 7, 7]), torch.Size([1, 1000]))
    """

    def __init__(self) -> None:
        super().__init__()
        self.stem = Conv(3, STEM, 3, stride=2, relu=True)
        blocks, inputs = [], STEM
        for expansion, kernel, stride, outputs, count in STAGES:
            for number in range(count):
                step = stride if number == 0 else 1
                blocks.append(Block(inputs, outputs, expansion=expansion, kernel=kernel, stride=step))
                inputs = outputs
        self.blocks = nn.Sequential(*blocks)
        self.head = Conv(inputs, HEAD, 1, relu=True)
        self.classify = nn.Linear(HEAD, 1000)

    def forward(self, pixels: Tensor) -> Tensor:
        """Pixels [N, 3, H, W], scaled to -1 .. 1 -> the grid after the head convolution [N, 1280, H / 32, W / 32]."""
        grid: Tensor = self.head(self.blocks(self.stem(pixels)))
        return grid


def fold(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The packaged state dict (convolutions and batch normalisations apart) as one for `EfficientNetLite0`."""
    folded: dict[str, Tensor] = {"classify.weight": state["_fc.weight"], "classify.bias": state["_fc.bias"]}

    def put(name: str, conv: str, norm: str) -> None:
        scale = state[f"{norm}.weight"] / torch.sqrt(state[f"{norm}.running_var"] + BN_EPS)
        folded[f"{name}.conv.weight"] = state[f"{conv}.weight"] * scale[:, None, None, None]
        folded[f"{name}.conv.bias"] = state[f"{norm}.bias"] - state[f"{norm}.running_mean"] * scale

    put("stem", "_conv_stem", "_bn0")
    put("head", "_conv_head", "_bn1")
    for number in range(sum(stage[4] for stage in STAGES)):
        old, new = f"_blocks.{number}", f"blocks.{number}"
        if f"{old}._expand_conv.weight" in state:
            put(f"{new}.expand", f"{old}._expand_conv", f"{old}._bn0")
        put(f"{new}.depthwise", f"{old}._depthwise_conv", f"{old}._bn1")
        put(f"{new}.project", f"{old}._project_conv", f"{old}._bn2")
    return folded
