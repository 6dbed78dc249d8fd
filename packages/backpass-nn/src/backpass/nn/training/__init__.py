"""Training: the loop, and what hangs on it."""

from backpass.nn.training.callback import Callback
from backpass.nn.training.checkpointer import Checkpointer
from backpass.nn.training.contract import Training
from backpass.nn.training.finiteness import NonFiniteError
from backpass.nn.training.following import AverageWeights, FollowPlateau
from backpass.nn.training.learning_curve import plot_learning_curve
from backpass.nn.training.log import CSVLog
from backpass.nn.training.progress import ProgressBar
from backpass.nn.training.stopping import EarlyStopping
from backpass.nn.training.trainer import Trainer

__all__ = [
    "AverageWeights",
    "CSVLog",
    "Callback",
    "Checkpointer",
    "EarlyStopping",
    "FollowPlateau",
    "NonFiniteError",
    "ProgressBar",
    "Trainer",
    "Training",
    "plot_learning_curve",
]
