"""Special functions under PyTorch's names, as far as they are here."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from chainrule.absent_names import teller
from chainrule.autodiff.block import block
from chainrule.functions.activation import log_softmax, softmax
from chainrule.functions.activation import sigmoid as expit
from chainrule.functions.arithmetic import xlogy
from chainrule.functions.bessel import i0, i0e, i1, i1e
from chainrule.functions.elementwise import erf, erfc, exp2, expm1, log1p, logit, round, sinc
from chainrule.functions.gamma import digamma, erfinv, multigammaln, ndtri, polygamma
from chainrule.functions.gamma import digamma as psi
from chainrule.functions.gamma import lgamma as gammaln
from chainrule.functions.incomplete_gamma import gammainc, gammaincc
from chainrule.functions.logic import isinf, masked_fill, where
from chainrule.functions.promotion import Operand, as_floating, promote
from chainrule.functions.reduction import logsumexp
from chainrule.functions.words import teach

if TYPE_CHECKING:
    from chainrule.tensor import Tensor

__all__ = [
    "digamma",
    "entr",
    "erf",
    "erfc",
    "erfinv",
    "exp2",
    "expit",
    "expm1",
    "gammainc",
    "gammaincc",
    "gammaln",
    "i0",
    "i0e",
    "i1",
    "i1e",
    "log1p",
    "log_ndtr",
    "log_softmax",
    "logit",
    "logsumexp",
    "multigammaln",
    "ndtr",
    "ndtri",
    "polygamma",
    "psi",
    "round",
    "sinc",
    "softmax",
    "xlog1py",
    "xlogy",
]


def ndtr(input: Tensor) -> Tensor:
    """The probability that a standard normal number is below x: ½·erfc(−x/√2).

    >>> import chainrule
    >>> chainrule.special.ndtr(chainrule.tensor([0.0, 1.96]))
    tensor([0.5000, 0.9750])
    """
    return erfc(as_floating(input) * -math.sqrt(0.5)) / 2


def log_ndtr(input: Tensor) -> Tensor:
    """ln of `ndtr`, right far below 0 too, where that is 0.

    >>> import chainrule
    >>> chainrule.special.log_ndtr(chainrule.tensor([-100.0, 0.0, 5.0]))
    tensor([-5.0055e+03, -6.9315e-01, -2.8665e-07])
    """
    return _log_ndtr(as_floating(input))


@block
def _log_ndtr(input: Tensor) -> Tensor:
    # Above 0 as 1 − ndtr(−x), and far below by Mills' ratio.
    tail, near = where(input < -12, input, -12.0), where(input < -12, -12.0, input)
    below = _mills(tail).log() - tail * tail / 2 - 0.5 * math.log(2 * math.pi)
    return where(input < -12, below, where(input < 0, ndtr(near).log(), log1p(-ndtr(-near))))


@_log_ndtr.gradient
def _(g: Tensor, input: Tensor) -> Tensor:
    tail, near = where(input < -12, input, -12.0), where(input < -12, -12.0, input)
    return g * where(input < -12, 1 / _mills(tail), (-near * near / 2).exp() / (math.sqrt(2 * math.pi) * ndtr(near)))


def _mills(x: Tensor) -> Tensor:
    """Φ(x)/φ(x) for x ≤ −12: 1/|x| · (1 − 1/x² + 3/x⁴ − 15/x⁶ + …), of which 12 terms are enough.

    Source: Abramowitz and Stegun, "Handbook of Mathematical Functions", 26.2.12.
    """
    over = 1 / (x * x)
    series = over.new_ones(())
    for k in range(23, 0, -2):
        series = 1 - k * over * series
    return series / -x


def entr(input: Tensor) -> Tensor:
    """−x·ln x, 0 at 0 and −∞ below: what an entry adds to an entropy.

    >>> import chainrule
    >>> chainrule.special.entr(chainrule.tensor([0.0, 0.5, -1.0]))
    tensor([0.0000, 0.3466,   -inf])
    """
    return _entr(as_floating(input))


@block
def _entr(input: Tensor) -> Tensor:
    return where(input < 0, input.new_full((), -math.inf), -xlogy(input, input))


@_entr.gradient
def _(g: Tensor, input: Tensor) -> Tensor:
    return -g * (input.log() + 1)


def xlog1py(input: Operand, other: Operand) -> Tensor:
    """x·ln(1 + y), 0 where x is 0 (and y is not NaN).

    >>> import chainrule
    >>> chainrule.special.xlog1py(chainrule.tensor([0.0, 2.0]), chainrule.tensor([-1.0, 1.0]))
    tensor([0.0000, 1.3863])
    """
    x, y = promote(input, other, floating=True)
    nothing = (x == 0) & ((y <= -1) | isinf(y))
    return masked_fill(x * log1p(where(nothing, 0.0, y)), nothing, 0)


teach(globals())

if not TYPE_CHECKING:  # it would believe in every name
    __getattr__ = teller("special", globals())
