"""A transformer over the frames of a video, with the blocks of CLIP's text encoder."""

import torch
from torch import Tensor, nn

from matchcut.models.inputs import Padded
from matchcut.models.token_interaction import start_small


class TemporalTransformer(nn.Module):
    """Frames that have seen each other: `x + Transformer(x + position)`.

    The `seqTransf` head of CLIP4Clip (Luo et al. 2021), also in TS2-Net, DRL and DMAE, from released code: learned
    positions, pre-norm blocks, QuickGELU, an MLP of 4 times the width, a residual around it all. Start: N(0, 0.02), or
    the first blocks of CLIP's text encoder (`clip_towers.start_from_text_blocks`).

    x: values [N, L, width], L at most `positions`. Returns the same shape.

    >>> encoder = TemporalTransformer(16, layers=2, heads=2)
    >>> encoder(Padded(torch.randn(3, 5, 16), torch.tensor([5, 1, 2]))).values.shape
    torch.Size([3, 5, 16])
    """

    def __init__(self, width: int, *, layers: int = 4, heads: int = 8, positions: int = 77) -> None:
        super().__init__()
        if width % heads:
            raise ValueError(f"heads must divide the width {width}, got {heads}")
        self.positions = nn.Embedding(positions, width)
        self.blocks = nn.ModuleList(Block(width, heads) for _ in range(layers))
        self.apply(start_small)

    def forward(self, x: Padded) -> Padded:
        length, most = x.values.shape[1], self.positions.num_embeddings
        if length > most:
            raise ValueError(f"videos of up to {length} tokens, but there are positions for {most}: raise positions")
        y = x.values + self.positions.weight[:length]
        for block in self.blocks:
            y = block(y, ~x.mask)
        return Padded(x.values + y, x.lengths)


class Block(nn.Module):
    """`x += attention(norm(x)); x += MLP(norm(x))`. x: [N, L, width]; padding: bool [N, L], true where nothing is."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.attention = nn.MultiheadAttention(width, heads, batch_first=True)
        nn.init.normal_(self.attention.in_proj_weight, std=0.02)
        self.norm_1 = nn.LayerNorm(width, eps=1e-12)
        self.norm_2 = nn.LayerNorm(width, eps=1e-12)
        self.widen = nn.Linear(width, 4 * width)
        self.narrow = nn.Linear(4 * width, width)

    def forward(self, x: Tensor, padding: Tensor) -> Tensor:
        normed = self.norm_1(x)
        x = x + self.attention(normed, normed, normed, key_padding_mask=padding, need_weights=False)[0]
        hidden = self.widen(self.norm_2(x))
        out: Tensor = x + self.narrow(hidden * torch.sigmoid(1.702 * hidden))
        return out
