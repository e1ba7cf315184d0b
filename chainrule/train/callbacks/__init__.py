"""What can be done around training: stop early, save, log, record, average weights, show progress."""

from chainrule.train.callbacks.averaging import WeightAveraging
from chainrule.train.callbacks.callback import Callback
from chainrule.train.callbacks.checkpoints import Checkpoints
from chainrule.train.callbacks.gradient_flow import GradientFlow
from chainrule.train.callbacks.logs import CSVLog, TensorBoardLog
from chainrule.train.callbacks.progress import ProgressBar
from chainrule.train.callbacks.range_finder import RangeFinder
from chainrule.train.callbacks.recorder import Recorder

__all__ = [
    "CSVLog",
    "Callback",
    "Checkpoints",
    "GradientFlow",
    "ProgressBar",
    "RangeFinder",
    "Recorder",
    "TensorBoardLog",
    "WeightAveraging",
]
