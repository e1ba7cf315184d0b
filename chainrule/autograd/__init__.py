"""PyTorch's names for what `chainrule.autodiff` does."""

from chainrule.autodiff.anomaly import AnomalyError, detect_anomaly, set_detect_anomaly
from chainrule.autodiff.function import Function
from chainrule.autodiff.gradcheck import gradcheck, gradgradcheck
from chainrule.autodiff.gradient import backward, grad
from chainrule.autodiff.mode import enable_grad, inference_mode, no_grad, set_grad_enabled
from chainrule.autograd import function, functional
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
    "grad",
    "gradcheck",
    "gradgradcheck",
    "inference_mode",
    "no_grad",
    "set_detect_anomaly",
    "set_grad_enabled",
]
