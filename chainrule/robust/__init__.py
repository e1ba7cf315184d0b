"""What small changes of its input do to a network: attacks, certificates, and bounds on how much it can stretch.

    attacks      fgsm, pgd, deep_fool: inputs changed by at most ε, or as little as possible, so that answers are wrong
    square       square_attack: the same from scores alone, without gradients
    smoothing    a classifier whose answer provably stays the same within a radius
    equivariance what shifts and rotations of an image do to the answer; pooling without aliasing
    convolution_norm  how much a convolution can stretch, by Fourier transforms or power iteration
    lipschitz    the largest ‖f(x) − f(y)‖/‖x − y‖, from above and from below

>>> import chainrule
>>> from chainrule import nn
>>> model = nn.Linear(2, 2, bias=False)
>>> with chainrule.no_grad(): _ = model.weight.copy_(chainrule.tensor([[1.0, 0.0], [0.0, 1.0]]))
>>> x, label = chainrule.tensor([[0.6, 0.5]]), chainrule.tensor([0])
>>> fgsm(model, x, label, epsilon=0.1)
tensor([[0.5000, 0.6000]])
"""

from chainrule.robust.attacks import accuracy_under_attack, deep_fool, fgsm, margins, pgd, pgd_step, random_fgsm
from chainrule.robust.convolution_norm import convolution_bound, convolution_norm
from chainrule.robust.equivariance import (
    BlurPool2d,
    rotation_equivariance_error,
    shift_equivariance_error,
    shift_invariance_error,
)
from chainrule.robust.lipschitz import lower_bound, upper_bound
from chainrule.robust.smoothing import Certificate, SmoothedClassifier
from chainrule.robust.square import square_attack

__all__ = [
    "BlurPool2d",
    "Certificate",
    "SmoothedClassifier",
    "accuracy_under_attack",
    "convolution_bound",
    "convolution_norm",
    "deep_fool",
    "fgsm",
    "lower_bound",
    "margins",
    "pgd",
    "pgd_step",
    "random_fgsm",
    "rotation_equivariance_error",
    "shift_equivariance_error",
    "shift_invariance_error",
    "square_attack",
    "upper_bound",
]
