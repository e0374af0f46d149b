"""Fully connected layers as the networks of this family start them."""

from torch import nn


def xavier_linear(inputs: int, outputs: int) -> nn.Linear:
    """A linear layer with weights uniform in +-sqrt(6 / (inputs + outputs)) and zero bias (Glorot and Bengio, 2010)."""
    layer = nn.Linear(inputs, outputs)
    nn.init.xavier_uniform_(layer.weight)
    nn.init.zeros_(layer.bias)
    return layer
