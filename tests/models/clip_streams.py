"""Made-up streams for the networks on frame and token features, and a training run on them."""

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from matchcut.models.base import RetrievalModel, Step
from matchcut.models.inputs import Padded

TEXT, FRAME = 12, 10


def ragged(lengths: list[int], *shape: int, seed: int = 0) -> Padded:
    generator = torch.Generator().manual_seed(seed)
    return Padded.of([torch.randn(n, *shape, generator=generator) for n in lengths])


def text_streams(n: int = 4, *, seed: int = 1, longest: int = 6) -> dict[str, Padded]:
    lengths = [longest - i % longest for i in range(n)]
    words = ragged(lengths, TEXT, seed=seed)
    salience = Padded((1 + (words.values[..., 0] > 0)) * words.mask.float(), words.lengths)
    return {
        "minilm": ragged([1] * n, TEXT, seed=seed + 1),
        "minilm-tokens": words,
        "minilm-tokens-salience": salience,
    }


def item_streams(n: int = 4, *, seed: int = 5, longest: int = 4) -> dict[str, Padded]:
    return {"efficientnet-lite0": ragged([longest - i % longest for i in range(n)], FRAME, seed=seed)}


def shapes(streams: dict[str, Padded]) -> dict[str, tuple[int, ...]]:
    return {name: tuple(stream.values.shape[2:]) for name, stream in streams.items()}


def longer(streams: dict[str, Padded], extra: int = 3) -> dict[str, Padded]:
    """The same sequences with more padding, which holds garbage."""
    out = {}
    for name, x in streams.items():
        values = torch.cat([x.values, x.values.new_full((len(x), extra, *x.values.shape[2:]), 7.0)], 1)
        out[name] = Padded(values, x.lengths)
    return out


def awaken(module: nn.Module | None) -> None:
    """Large weights: at the published start, N(0, 0.02), a transformer hardly looks at its input."""
    for parameter in module.parameters() if module is not None else ():
        if parameter.dim() > 1:
            nn.init.normal_(parameter, std=0.5)


def loss_of(model: RetrievalModel, text: dict[str, Padded], item: dict[str, Padded]) -> Tensor:
    texts, (items, beside) = model.encode_text(text), model.train_item(item)
    scores = 10 * model.score(texts, items)
    pairs = torch.arange(len(scores))
    extra = model.auxiliary(Step(text, item, texts, items, pairs, item_extra=beside))
    assert set(extra) == set(model.auxiliary_names)
    return F.cross_entropy(scores, pairs) + F.cross_entropy(scores.T, pairs) + sum(extra.values())


def losses_of_training(model: RetrievalModel, text: dict[str, Padded], item: dict[str, Padded]) -> tuple[float, float]:
    """The loss before and after 40 steps on one batch."""
    optimizer = torch.optim.Adam([p for p in model.parameters() if p.requires_grad], lr=5e-3)
    model.train()
    losses = []
    for _ in range(41):
        optimizer.zero_grad()
        loss = loss_of(model, text, item)
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    return losses[0], losses[-1]


def openai_layout(state: dict[str, Tensor]) -> dict[str, Tensor]:
    """A transformers CLIP with two layers a tower, renamed to OpenAI's layout by hand."""
    out = {
        "logit_scale": state["logit_scale"],
        "input_resolution": torch.tensor(8),
        "text_projection": state["text_projection.weight"].T,
        "visual.proj": state["visual_projection.weight"].T,
        "token_embedding.weight": state["text_model.embeddings.token_embedding.weight"],
        "positional_embedding": state["text_model.embeddings.position_embedding.weight"],
        "ln_final.weight": state["text_model.final_layer_norm.weight"],
        "ln_final.bias": state["text_model.final_layer_norm.bias"],
        "visual.class_embedding": state["vision_model.embeddings.class_embedding"],
        "visual.positional_embedding": state["vision_model.embeddings.position_embedding.weight"],
        "visual.conv1.weight": state["vision_model.embeddings.patch_embedding.weight"],
    }
    for kind in ("weight", "bias"):
        out[f"visual.ln_pre.{kind}"] = state[f"vision_model.pre_layrnorm.{kind}"]
        out[f"visual.ln_post.{kind}"] = state[f"vision_model.post_layernorm.{kind}"]
        for old, new in (("text_model", "transformer"), ("vision_model", "visual.transformer")):
            for number in (0, 1):
                layer, block = f"{old}.encoder.layers.{number}", f"{new}.resblocks.{number}"
                parts = [state[f"{layer}.self_attn.{p}_proj.{kind}"] for p in "qkv"]
                out[f"{block}.attn.in_proj_{kind}"] = torch.cat(parts)
                out[f"{block}.attn.out_proj.{kind}"] = state[f"{layer}.self_attn.out_proj.{kind}"]
                out[f"{block}.ln_1.{kind}"] = state[f"{layer}.layer_norm1.{kind}"]
                out[f"{block}.ln_2.{kind}"] = state[f"{layer}.layer_norm2.{kind}"]
                out[f"{block}.mlp.c_fc.{kind}"] = state[f"{layer}.mlp.fc1.{kind}"]
                out[f"{block}.mlp.c_proj.{kind}"] = state[f"{layer}.mlp.fc2.{kind}"]
    return out
