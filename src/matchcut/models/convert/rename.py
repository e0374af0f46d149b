"""Renaming by the beginnings of keys."""

from collections.abc import Mapping, Sequence

from torch import Tensor

State = Mapping[str, Tensor]


def rename(state: State, prefixes: Mapping[str, str], *, leave_out: Sequence[str] = ()) -> dict[str, Tensor]:
    """Replace the first prefix of `prefixes` that a key begins with; keys that begin with `leave_out` are dropped.

    A leading "module.", which DataParallel adds, is taken away first.

    Raises:
        ValueError: for a key that begins with none of them.

    >>> import torch
    >>> state = {"module.fc.weight": torch.ones(1), "bert.x": torch.ones(1)}
    >>> list(rename(state, {"fc.": "item."}, leave_out=["bert."]))
    ['item.weight']
    """
    out = {}
    for key, value in state.items():
        name = key.removeprefix("module.")
        if name.startswith(tuple(leave_out)):
            continue
        old = next((p for p in prefixes if name.startswith(p)), None)
        if old is None:
            raise ValueError(f"{key!r} is no parameter of the layout, whose keys begin with {', '.join(prefixes)}")
        out[prefixes[old] + name.removeprefix(old)] = value
    return out


def parts(states: Sequence[State], names: Sequence[str]) -> Sequence[State]:
    """The states, checked to be a list of as many as the names of the reference code's parts."""
    if isinstance(states, Mapping) or len(states) != len(names):
        got = "one state dictionary" if isinstance(states, Mapping) else len(states)
        raise ValueError(f"the layout has {len(names)} parts, {', '.join(names)}; got {got}")
    return states


def whole(state: State) -> State:
    """The one state dictionary of a layout that has no parts, without the "module." that DataParallel adds."""
    if not isinstance(state, Mapping):
        raise ValueError(f"the layout is one state dictionary; got a list of {len(state)}")
    return {key.removeprefix("module."): value for key, value in state.items()}
