"""Training: the loop, the trainer with its callbacks, evaluation, run folders and weights files."""

from chainrule.train.callbacks import Callback, Checkpoints, CSVLog, ProgressBar, TensorBoardLog, WeightAveraging
from chainrule.train.doctor import Doctor, Finding, diagnose, format_findings, mode_collapse, overfit_one_batch
from chainrule.train.early_stopping import EarlyStopping
from chainrule.train.interruption import hold_interrupts
from chainrule.train.loop import (
    DivergedError,
    Scores,
    evaluate,
    evaluation_mode,
    evaluation_step,
    train_epoch,
    training_step,
)
from chainrule.train.run import Run, new_run_path
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
    "ProgressBar",
    "Run",
    "Scores",
    "TensorBoardLog",
    "Trainer",
    "WeightAveraging",
    "diagnose",
    "evaluate",
    "evaluation_mode",
    "evaluation_step",
    "format_findings",
    "hold_interrupts",
    "load_weights",
    "mode_collapse",
    "new_run_path",
    "overfit_one_batch",
    "read_weights",
    "save_weights",
    "train_epoch",
    "training_step",
]
