"""The feature store: named, ragged, memory-mapped sets with provenance, and readers of other formats."""

from matchcut.features.feature_set import FeatureSet
from matchcut.features.manifest import Manifest
from matchcut.features.writer import FeatureWriter

__all__ = ["FeatureSet", "FeatureWriter", "Manifest"]
