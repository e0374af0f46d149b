"""Let some patches of a frame stand in for those of the frames before and after it."""

import torch
from torch import Tensor

PARTS = 7  # one patch in so many cells comes from each neighbour


def token_shift(x: Tensor, lengths: Tensor) -> Tensor:
    """Tokens of frames with some patches replaced by the same patch of a neighbouring frame of the same video.

    Formula, with L tokens a frame and s = floor(L / 7): tokens 1, 1 + s, 1 + 2s, ... are those of the frame before,
    tokens 4, 4 + s, ... those of the frame after; the class token (0) stays, and so does what has no such neighbour.
    Source: Liu et al., ECCV 2022 (TS2-Net), released code; there a video's last frame is followed by its padding, here
    by nothing.

    x: [F, L, D], class token first, frames of all videos one after the other; lengths: int64 [V], sum F. Returns the
    same shape.

    >>> x = torch.arange(3.0)[:, None, None].expand(3, 8, 1)  # one video of two frames, one of one
    >>> token_shift(x, torch.tensor([2, 1]))[:2, :, 0].int().tolist()
    [[0, 0, 0, 0, 1, 1, 1, 1], [1, 0, 0, 0, 1, 1, 1, 1]]
    """
    step = x.shape[1] // PARTS
    if not step:
        raise ValueError(f"token shift needs frames of at least {PARTS} tokens, got {x.shape[1]}")
    end = lengths.cumsum(0)
    first, last = (torch.zeros(len(x), 1, 1, dtype=torch.bool, device=x.device) for _ in range(2))
    first[(end - lengths)[lengths > 0]] = True
    last[(end - 1)[lengths > 0]] = True
    out = x.clone()
    out[:, 1::step] = torch.where(first, x, x.roll(1, 0))[:, 1::step]
    out[:, 4::step] = torch.where(last, x, x.roll(-1, 0))[:, 4::step]
    return out
