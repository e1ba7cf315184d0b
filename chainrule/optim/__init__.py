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
