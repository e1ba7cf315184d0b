"""Training: the trainer with its callbacks, checkpoints, the doctor, reports and weights files."""

from chainrule.errors import DivergedError
from chainrule.nn.evaluation import evaluation_mode
from chainrule.train.callbacks import (
    Callback,
    Checkpoints,
    CSVLog,
    GradientFlow,
    ProgressBar,
    RangeFinder,
    Recorder,
    TensorBoardLog,
    WeightAveraging,
)
from chainrule.train.doctor import Doctor, Finding, diagnose, format_findings, mode_collapse, overfit_one_batch
from chainrule.train.early_stopping import EarlyStopping
from chainrule.train.interruption import LeftAtOnce, hold_interrupts
from chainrule.train.trainer import Batch, Trainer
from chainrule.train.weights import load_weights, read_weights, save_weights

__all__ = [
    "Batch",
    "CSVLog",
    "Callback",
    "Checkpoints",
    "DivergedError",
    "Doctor",
    "EarlyStopping",
    "Finding",
    "GradientFlow",
    "LeftAtOnce",
    "ProgressBar",
    "RangeFinder",
    "Recorder",
    "TensorBoardLog",
    "Trainer",
    "WeightAveraging",
    "diagnose",
    "evaluation_mode",
    "format_findings",
    "hold_interrupts",
    "load_weights",
    "mode_collapse",
    "overfit_one_batch",
    "read_weights",
    "save_weights",
]
