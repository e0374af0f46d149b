"""Checks of a network's options."""


def require_positive(options: object, *names: str) -> None:
    """Raise a ValueError for the first of these options that is below 1: sizes, numbers of layers."""
    for name in names:
        if getattr(options, name) < 1:
            raise ValueError(f"{name} must be at least 1, got {getattr(options, name)}")


def require_rate(options: object, *names: str) -> None:
    """Raise a ValueError for the first of these options that is not from 0 to below 1: dropout and the like."""
    for name in names:
        if not 0 <= getattr(options, name) < 1:
            raise ValueError(f"{name} must be from 0 to below 1, got {getattr(options, name)}")
