"""Derivatives of what was computed, under PyTorch's names. How they travel is in `chainrule.autodiff`."""

from typing import TYPE_CHECKING

from chainrule.absent_names import teller
from chainrule.autodiff.anomaly import AnomalyError, detect_anomaly, set_detect_anomaly
from chainrule.autodiff.backward import backward
from chainrule.autodiff.function import Function
from chainrule.autodiff.mode import enable_grad, inference_mode, no_grad, set_grad_enabled
from chainrule.autograd import function, functional, graph
from chainrule.autograd.gradcheck import gradcheck, gradgradcheck
from chainrule.autograd.gradient import grad
from chainrule.autograd.variable import Variable

__all__ = [
    "AnomalyError",
    "Function",
    "Variable",
    "backward",
    "detect_anomaly",
    "enable_grad",
    "function",
    "functional",
    "graph",
    "grad",
    "gradcheck",
    "gradgradcheck",
    "inference_mode",
    "no_grad",
    "set_detect_anomaly",
    "set_grad_enabled",
]

if not TYPE_CHECKING:  # it would believe in every name
    __getattr__ = teller("autograd", globals())
