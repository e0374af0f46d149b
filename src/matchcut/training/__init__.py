"""From recipes and stored features to trained models."""

from matchcut.training.evaluation import Evaluation, evaluate
from matchcut.training.loop import train
from matchcut.training.recipe import Recipe
from matchcut.training.run import Trained
from matchcut.training.trained_model import TrainedModel

__all__ = ["Evaluation", "Recipe", "Trained", "TrainedModel", "evaluate", "train"]
