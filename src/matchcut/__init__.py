"""Matchcut: text-to-video and text-to-image retrieval that knows a hard negative from a non-negative."""

__version__ = "0.1.0"
