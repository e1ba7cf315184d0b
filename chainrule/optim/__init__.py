"""Optimisers: how parameters follow their gradients. Learning-rate schedules are in `lr_scheduler`."""

from typing import TYPE_CHECKING

from chainrule.absent_names import teller
from chainrule.optim import convergence, curvature, landscapes, lr_scheduler, swa_utils
from chainrule.optim.adadelta import Adadelta
from chainrule.optim.adafactor import Adafactor
from chainrule.optim.adagrad import Adagrad
from chainrule.optim.adam import Adam, AdamW, AMSGrad
from chainrule.optim.adamax import Adamax
from chainrule.optim.asgd import ASGD
from chainrule.optim.lbfgs import LBFGS
from chainrule.optim.lion import Lion
from chainrule.optim.muon import Muon
from chainrule.optim.nadam import NAdam
from chainrule.optim.newton import Newton
from chainrule.optim.optimizer import Optimizer
from chainrule.optim.perturbed import PerturbedGradientDescent
from chainrule.optim.radam import RAdam
from chainrule.optim.range_test import RangeTest, learning_rate_range_test
from chainrule.optim.rmsprop import RMSprop
from chainrule.optim.root_finding import Root, newton_raphson
from chainrule.optim.rprop import Rprop
from chainrule.optim.sgd import SGD

__all__ = [
    "AMSGrad",
    "ASGD",
    "Adadelta",
    "Adafactor",
    "Adagrad",
    "Adam",
    "AdamW",
    "Adamax",
    "LBFGS",
    "Lion",
    "Muon",
    "NAdam",
    "Newton",
    "Optimizer",
    "PerturbedGradientDescent",
    "RAdam",
    "RMSprop",
    "RangeTest",
    "Root",
    "Rprop",
    "SGD",
    "convergence",
    "curvature",
    "landscapes",
    "learning_rate_range_test",
    "lr_scheduler",
    "newton_raphson",
    "swa_utils",
]

if not TYPE_CHECKING:  # it would believe in every name
    __getattr__ = teller("optim", globals())
