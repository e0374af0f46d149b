"""Writing a caption from regions, as a training task beside retrieval."""

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence

from matchcut.models.inputs import Padded


class RegionReader(nn.Module):
    """The caption task's encoder: Linear, dropout, GRU over the regions.

    regions: values [V, R, width]. Returns the states, values [V, R, hidden], and the final state [V, hidden].
    """

    def __init__(self, width: int, hidden: int, *, dropout: float = 0.2) -> None:
        super().__init__()
        self.linear, self.dropout = nn.Linear(width, hidden), nn.Dropout(dropout)
        nn.init.xavier_normal_(self.linear.weight)
        self.gru = nn.GRU(hidden, hidden, batch_first=True)

    def forward(self, regions: Padded) -> tuple[Padded, Tensor]:
        x = self.dropout(self.linear(regions.values))
        sequence = pack_padded_sequence(x, regions.lengths.cpu(), batch_first=True, enforce_sorted=False)
        states, final = self.gru(sequence)
        values = pad_packed_sequence(states, batch_first=True, total_length=x.shape[1])[0]
        return Padded(values, regions.lengths), final[0]


class CaptionDecoder(nn.Module):
    """The caption task's decoder: a GRU that reads the true words so far and attends to the regions at every step.

    Formula of a step: `e_r = w . tanh(W [s_r; h])`, `context = sum_r softmax(e)_r s_r`, `h = GRU([word; context], h)`,
    `p = softmax(Linear(h))`. The attention depends on the last state, so the steps are a true recurrence: this is the
    one loop over steps, in training only; what does not depend on the state is computed for all steps at once.

    Source: Li et al., ICCV 2019 (VSRN), reference code `KunpengLi1994/VSRN`. Loss: the sum over captions of
    `-log p(next word)`, up to and with the first padding after the last word, divided by the number of captions.
    Captions of more than `longest` words are cut there, their last word kept.

    states: values [T, R, hidden]; final: [T, hidden]; ids: [T, L] word numbers, padding 0. Returns a scalar.
    """

    def __init__(
        self, vocabulary: int, *, hidden: int = 512, word_dim: int = 300, dropout: float = 0.2, longest: int = 60
    ) -> None:
        super().__init__()
        if longest < 2:
            raise ValueError(f"longest must be at least 2 words, got {longest}")
        self.longest = longest
        self.table = nn.Embedding(vocabulary, word_dim)
        self.mix, self.weigh = nn.Linear(2 * hidden, hidden), nn.Linear(hidden, 1, bias=False)
        self.dropout = nn.Dropout(dropout)
        self.cell = nn.GRUCell(word_dim + hidden, hidden)
        self.out = nn.Linear(hidden, vocabulary)
        nn.init.xavier_normal_(self.out.weight)

    def forward(self, states: Padded, final: Tensor, ids: Padded) -> Tensor:
        labels, lengths = self._labels(ids)
        steps = min(labels.shape[1], self.longest) - 1
        words = self.table(labels[:, :steps])
        from_states, from_hidden = self.mix.weight.chunk(2, dim=1)
        seen = F.linear(states.values, from_states, self.mix.bias)
        absent = ~states.mask
        hidden, all_hidden = final, []
        for word in words.unbind(1):
            scores = self.weigh((seen + F.linear(hidden, from_hidden)[:, None]).tanh()).squeeze(2)
            weights = scores.masked_fill(absent, -torch.inf).softmax(1)
            context = torch.einsum("tr,trd->td", weights, states.values)
            hidden = self.cell(self.dropout(torch.cat([word, context], 1)), hidden)
            all_hidden.append(hidden)
        logits = self.out(torch.stack(all_hidden, 1))
        target = labels[:, 1 : steps + 1]
        counts = torch.arange(1, steps + 1, device=target.device)[None] <= lengths[:, None]
        return F.cross_entropy(logits[counts], target[counts], reduction="sum") / len(target)

    def _labels(self, ids: Padded) -> tuple[Tensor, Tensor]:
        """Word numbers with one padding more, [T, at most longest + 1], and their lengths."""
        values, lengths = ids.values.long() * ids.mask, ids.lengths.clamp(max=self.longest)
        last = values.gather(1, (ids.lengths - 1)[:, None])
        values = values[:, : self.longest].scatter(1, (lengths - 1)[:, None], last)
        return F.pad(values, (0, 1)), lengths
