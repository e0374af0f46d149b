"""Parameters of `Paranioar/SGRAF`, for `SGRAF`."""

from collections.abc import Sequence

from torch import Tensor

from matchcut.models.convert.rename import State, parts, rename


def _attention(old: str, new: str) -> dict[str, str]:
    return {
        f"{old}.embedding_local.0.": f"{new}.local.",
        f"{old}.embedding_local.1.": f"{new}.local_norm.",
        f"{old}.embedding_global.0.": f"{new}.mean.",
        f"{old}.embedding_global.1.": f"{new}.mean_norm.",
        f"{old}.embedding_common.0.": f"{new}.weigh.",
    }


def _step(n: int) -> dict[str, str]:
    names = {"graph_query_w": "query", "graph_key_w": "key", "sim_graph_w": "out"}
    return {f"SGR_module.{n}.{old}.": f"reasoning.steps.{n}.{new}." for old, new in names.items()}


_SIMILARITY = {
    **_attention("v_global_w", "item_whole"),
    **_attention("t_global_w", "text_whole"),
    "sim_tranloc_w.": "local.",
    "sim_tranglo_w.": "whole.",
    "sim_eval_w.": "out.",
    **_step(0),
    **_step(1),
    **_step(2),
    "SAF_module.attn_sim_w.": "reasoning.weigh.",
    "SAF_module.bn.": "reasoning.norm.",
}


def convert(states: Sequence[State]) -> dict[str, Tensor]:
    """Rename the tensors of a checkpoint's "model": [image encoder, text encoder, similarity encoder].

    Raises:
        ValueError: for a key that is not part of that layout.
    """
    image, text, similarity = parts(states, ("image encoder", "text encoder", "similarity encoder"))
    out = rename(image, {"fc.": "item."})
    out |= rename(text, {"embed.": "text.embedding.table.", "cap_rnn.": "text.gru."})
    return out | rename(similarity, _SIMILARITY)
