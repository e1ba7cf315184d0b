"""Optimisers: how parameters follow their gradients."""

from chainrule.optim import convergence, curvature, landscapes
from chainrule.optim.adam import Adam, AdamW
from chainrule.optim.lbfgs import LBFGS
from chainrule.optim.newton import Newton
from chainrule.optim.optimizer import Optimizer
from chainrule.optim.perturbed import PerturbedGradientDescent
from chainrule.optim.root_finding import Root, newton_raphson
from chainrule.optim.sgd import SGD

__all__ = [
    "SGD",
    "Adam",
    "AdamW",
    "LBFGS",
    "Newton",
    "Optimizer",
    "PerturbedGradientDescent",
    "Root",
    "convergence",
    "curvature",
    "landscapes",
    "newton_raphson",
]
from chainrule.optim.adadelta import Adadelta
from chainrule.optim.adafactor import Adafactor
from chainrule.optim.adagrad import Adagrad
from chainrule.optim.adam import AMSGrad
from chainrule.optim.adamax import Adamax
from chainrule.optim.asgd import ASGD
from chainrule.optim.lion import Lion
from chainrule.optim.muon import Muon
from chainrule.optim.nadam import NAdam
from chainrule.optim.radam import RAdam
from chainrule.optim.rmsprop import RMSprop
from chainrule.optim.rprop import Rprop

__all__ = [
    "SGD", "ASGD", "Rprop",
    "Adagrad", "RMSprop", "Adadelta",
    "Adam", "AdamW", "AMSGrad", "Adamax", "NAdam", "RAdam",
    "Adafactor", "Lion", "Muon",
    "Optimizer",
]  # fmt: skip
