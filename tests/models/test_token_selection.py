import pytest
import torch
from torch.nn import functional as F

from matchcut.models.token_selection import TokenSelection


@torch.no_grad()
def test_evaluation_takes_the_best_patches_in_their_order() -> None:
    torch.manual_seed(0)
    selection = TokenSelection(6, keep=2).eval()
    for layer in (selection.local[1], selection.score[0], selection.score[2]):
        torch.nn.init.normal_(layer.weight)
    x = torch.randn(3, 6, 6)
    out = selection(x)
    for n in range(3):
        y = [F.gelu(selection.local[1].weight @ selection.local[0](token)) for token in x[n]]
        scores = []
        for patch in y[1:]:
            hidden = F.gelu(selection.score[0].weight @ torch.cat([patch, y[0]]))
            scores.append(torch.tanh(selection.score[2].weight[0] @ hidden).item())
        best = sorted(sorted(range(5), key=lambda p: -scores[p])[:2])
        torch.testing.assert_close(out[n], torch.stack([x[n, 0], *(x[n, 1 + p] for p in best)]))


def test_training_equals_the_formula_sample_by_sample(monkeypatch: pytest.MonkeyPatch) -> None:
    torch.manual_seed(0)
    selection = TokenSelection(6, keep=2, samples=7, sigma=0.5)
    noise = torch.randn(2, 7, 4)
    monkeypatch.setattr(torch, "randn", lambda *size, **kind: noise)
    scores = torch.rand(2, 4, requires_grad=True)
    chosen = selection._under_noise(scores)
    upstream = torch.arange(16.0).view(2, 2, 4)
    (gradient,) = torch.autograd.grad((chosen * upstream).sum(), scores)
    mean, slope = torch.zeros(2, 2, 4), torch.zeros(2, 4)
    for b in range(2):
        for n in range(7):
            noisy = (scores[b] + 0.5 * noise[b, n]).tolist()
            top = sorted(sorted(range(4), key=lambda p: -noisy[p])[:2])
            for place, p in enumerate(top):
                mean[b, place, p] += 1 / 7
                slope[b, p] += upstream[b, place, p] * noise[b, n, p] / 7 / 0.5
    torch.testing.assert_close(chosen.detach(), mean)
    torch.testing.assert_close(gradient, slope)


def test_it_learns_to_pick_the_patch_that_pays() -> None:
    torch.manual_seed(0)
    selection = TokenSelection(8, keep=1, samples=50)
    x = torch.zeros(4, 6, 8)
    x[:, 1:] = 0.1 * torch.randn(4, 5, 8)
    where = torch.tensor([1, 3, 5, 2])
    x[torch.arange(4), where, 0] = 3.0
    optimizer = torch.optim.Adam(selection.parameters(), lr=1e-2)
    for _ in range(60):
        optimizer.zero_grad()
        (-selection(x)[:, 1, 0].mean()).backward()
        optimizer.step()
    assert (selection.eval()(x)[:, 1, 0] == 3.0).all()


def test_wrong_sizes_are_named() -> None:
    with pytest.raises(ValueError, match=r"got 0, 500 and 0\.05"):
        TokenSelection(8, keep=0)
    with pytest.raises(ValueError, match="at most the 2 patches of a frame, got 3"):
        TokenSelection(8, keep=3)(torch.zeros(1, 3, 8))
