"""Learning-rate schedules: how the rates of an optimiser change while it works.

schedule = CosineAnnealingLR(optimizer, T_max=epochs)
for epoch in range(epochs):
    ...                       # optimizer.step(), many times
    schedule.step()
"""

from typing import TYPE_CHECKING

from chainrule.absent_names import teller
from chainrule.optim.lr_scheduler.base import LRScheduler
from chainrule.optim.lr_scheduler.compose import ChainedScheduler, SequentialLR, warmup_cosine
from chainrule.optim.lr_scheduler.cosine import CosineAnnealingLR, CosineAnnealingWarmRestarts
from chainrule.optim.lr_scheduler.cyclic import CyclicLR, OneCycleLR
from chainrule.optim.lr_scheduler.decay import (
    ConstantLR,
    ExponentialLR,
    LambdaLR,
    LinearLR,
    MultiplicativeLR,
    MultiStepLR,
    PolynomialLR,
    RobbinsMonro,
    StepLR,
)
from chainrule.optim.lr_scheduler.plateau import ReduceLROnPlateau
from chainrule.optim.lr_scheduler.robbins_monro import Verdict

_LRScheduler = LRScheduler  # PyTorch's older name: private there, and yet the base of many people's schedules

__all__ = [
    "LRScheduler", "LambdaLR", "MultiplicativeLR", "StepLR", "MultiStepLR", "ConstantLR", "LinearLR", "ExponentialLR",
    "PolynomialLR", "RobbinsMonro", "CosineAnnealingLR", "CosineAnnealingWarmRestarts", "CyclicLR", "OneCycleLR",
    "ReduceLROnPlateau", "SequentialLR", "ChainedScheduler", "warmup_cosine", "Verdict",
]  # fmt: skip

if not TYPE_CHECKING:  # it would believe in every name
    __getattr__ = teller("optim.lr_scheduler", globals())
