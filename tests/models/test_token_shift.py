import pytest
import torch

from matchcut.models.token_shift import token_shift


@pytest.mark.parametrize("tokens", [7, 8, 50, 197])
def test_shift_equals_a_loop_over_frames_and_tokens(tokens: int) -> None:
    videos = [torch.randn(n, tokens, 2) for n in (3, 1, 4)]
    found = token_shift(torch.cat(videos), torch.tensor([3, 1, 4])).split([3, 1, 4])
    step = tokens // 7
    for video, out in zip(videos, found, strict=True):
        for f in range(len(video)):
            for k in range(tokens):
                source = f
                if k >= 1 and (k - 1) % step == 0:
                    source = max(f - 1, 0)
                if k >= 4 and (k - 4) % step == 0:
                    source = min(f + 1, len(video) - 1)
                assert torch.equal(out[f, k], video[source, k])


def test_few_tokens_are_an_error() -> None:
    with pytest.raises(ValueError, match="at least 7 tokens, got 5"):
        token_shift(torch.zeros(2, 5, 3), torch.tensor([2]))
