"""PyTorch's names for what `chainrule.autodiff` does."""

from chainrule.autodiff.anomaly import AnomalyError, detect_anomaly
from chainrule.autodiff.function import Function
from chainrule.autodiff.gradcheck import gradcheck, gradgradcheck
from chainrule.autodiff.gradient import grad
from chainrule.autodiff.mode import enable_grad, inference_mode, no_grad, set_grad_enabled
from chainrule.autograd import functional

__all__ = [
    "AnomalyError",
    "Function",
    "detect_anomaly",
    "enable_grad",
    "functional",
    "grad",
    "gradcheck",
    "gradgradcheck",
    "inference_mode",
    "no_grad",
    "set_grad_enabled",
]
