"""Dropout: noise that keeps units from relying on each other. All forms do nothing in evaluation.

What is dropped, and what takes its place:

    dropout                 single entries, 0; the others are divided by 1 − p
    dropout1d, 2d, 3d       whole channels, 0; the others are divided by 1 − p
    alpha_dropout           single entries, SELU's lower limit; then a·x + b restores mean 0 and variance 1
    feature_alpha_dropout   whole channels, the same
    classic_dropout         single entries, 0; evaluation multiplies by 1 − p instead (the original form)
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable
from typing import Any, ClassVar

from chainrule.errors import DTypeError, ShapeError
from chainrule.functions.creation import zeros_like
from chainrule.functions.logic import where
from chainrule.functions.promotion import need_tensor
from chainrule.nn.module import Module
from chainrule.random import rand
from chainrule.tensor import Tensor

#: The limit of SELU for x → −∞, −λ·α: what an entry that is switched off has there.
SELU_LIMIT = -1.0507009873554804934193349852946 * 1.6732632423543772848170429916717


def _check(input: Any, p: float, operation: str) -> Tensor:
    x = need_tensor(input, operation)
    if not 0 <= p <= 1:
        raise ValueError(f"p is a probability in [0, 1], got {p}.")
    if not x.dtype.is_floating_point:
        raise DTypeError(f"{operation} takes floating-point numbers, got {x.dtype}; convert them with .float().")
    return x


def _inverted(x: Tensor, p: float, shape: tuple[int, ...], inplace: bool) -> Tensor:
    """Entries dropped by a mask of a shape that broadcasts against x, the others divided by 1 − p."""
    factors = (rand(shape, device=x.device) >= p).to(x.dtype) / (1 - p) if p < 1 else zeros_like(x)
    return x.mul_(factors) if inplace else x * factors


def dropout(input: Tensor, p: float = 0.5, training: bool = True, inplace: bool = False) -> Tensor:
    """Each entry set to 0 with probability p, the others divided by 1 − p, so that the expectation stays.

    This is the inverted form: nothing is done unless `training`. Each entry is dropped independently. With `inplace`
    the result also takes the place of the input. Raises ValueError for a p outside of [0, 1].

    Source: Srivastava et al., "Dropout: a simple way to prevent neural networks from overfitting", 2014.

    >>> import chainrule
    >>> dropout(chainrule.ones(3), p=0.5, training=False)
    tensor([1., 1., 1.])
    """
    x = _check(input, p, "dropout")
    return _inverted(x, p, tuple(x.shape), inplace) if training and p else x


def classic_dropout(input: Tensor, p: float = 0.5, training: bool = True) -> Tensor:
    """Dropout as first described: entries are set to 0 in training, and in evaluation all are multiplied by 1 − p.

    In expectation the same as `dropout`, divided by 1 − p; evaluation pays for it.
    Source: Srivastava et al., 2014; I IV.2.d.

    >>> import chainrule
    >>> classic_dropout(chainrule.ones(2), p=0.25, training=False)
    tensor([0.7500, 0.7500])
    """
    x = _check(input, p, "classic_dropout")
    return x * ((rand(tuple(x.shape), device=x.device) >= p).to(x.dtype) if training else 1 - p)


# -------------------------------------------------------------------------------------------- whole channels


def _channels(x: Tensor, dimensions: int, operation: str, alone: bool = True) -> tuple[int, ...]:
    """The shape of a mask with one entry for each channel of (N, C, …) or, if that may be, (C, …)."""
    if x.ndim != dimensions + 2 and not (alone and x.ndim == dimensions + 1):
        places = ", ".join("DHW"[3 - dimensions :]) if dimensions > 1 else "L"
        other = f" or (C, {places})" if alone else ""
        raise ShapeError(f"{operation} takes (N, C, {places}){other}, got {tuple(x.shape)}.")
    return (*x.shape[: x.ndim - dimensions], *[1] * dimensions)


def dropout1d(input: Tensor, p: float = 0.5, training: bool = True, inplace: bool = False) -> Tensor:
    """Whole channels of (N, C, L) or (C, L) set to 0; see `dropout2d`.

    >>> import chainrule
    >>> dropout1d(chainrule.ones(2, 3), p=1.0)
    tensor([[0., 0., 0.],
            [0., 0., 0.]])
    """
    x = _check(input, p, "dropout1d")
    return _inverted(x, p, _channels(x, 1, "dropout1d"), inplace) if training and p else x


def dropout2d(input: Tensor, p: float = 0.5, training: bool = True, inplace: bool = False) -> Tensor:
    """Whole channels of images (N, C, H, W) set to 0, the others divided by 1 − p.

    As in PyTorch, (N, C, L) is taken for sequences and (N, C) for channels of one entry; both with a warning, since
    `dropout1d` and `dropout` say it, and (C, H, W) is no image here.

    Neighbouring pixels tell the same, so dropping them one by one hardly hides anything.
    Source: Tompson et al., "Efficient object localization using convolutional networks", 2015.

    >>> import chainrule
    >>> y = dropout2d(chainrule.ones(1, 50, 2, 2), p=0.5)
    >>> bool((y.amin((2, 3)) == y.amax((2, 3))).all())
    True
    """
    x = _check(input, p, "dropout2d")
    if x.ndim in (2, 3):
        meant = "channels of one entry (N, C): dropout" if x.ndim == 2 else "sequences (N, C, L): dropout1d"
        warnings.warn(f"dropout2d takes {tuple(x.shape)} for {meant} says so. An image alone is x[None].", stacklevel=2)
        shape: tuple[int, ...] = (*x.shape[:2], *[1] * (x.ndim - 2))
    else:
        shape = _channels(x, 2, "dropout2d", alone=False)
    return _inverted(x, p, shape, inplace) if training and p else x


def dropout3d(input: Tensor, p: float = 0.5, training: bool = True, inplace: bool = False) -> Tensor:
    """Whole channels of volumes (N, C, D, H, W) or (C, D, H, W) set to 0; see `dropout2d`.

    >>> import chainrule
    >>> dropout3d(chainrule.ones(1, 2, 2, 2, 2), p=0.5, training=False).sum()
    tensor(16.)
    """
    x = _check(input, p, "dropout3d")
    return _inverted(x, p, _channels(x, 3, "dropout3d"), inplace) if training and p else x


# ------------------------------------------------------------------------------------------------- for SELU


def _alpha(x: Tensor, p: float, shape: tuple[int, ...], inplace: bool) -> Tensor:
    """Entries set to SELU's limit l, then a·x + b: with q = 1 − p, a = 1/√(q + l²·p·q) and b = −a·p·l."""
    if p == 1:
        return x.zero_() if inplace else x * 0
    scale = 1 / math.sqrt((1 - p) * (1 + p * SELU_LIMIT**2))
    y = where(rand(shape, device=x.device) >= p, x, x.new_full((), SELU_LIMIT)) * scale - scale * p * SELU_LIMIT
    return x.copy_(y) if inplace else y


def alpha_dropout(input: Tensor, p: float = 0.5, training: bool = False, inplace: bool = False) -> Tensor:
    """Dropout that keeps mean 0 and variance 1, for networks of SELU layers.

    Dropped entries become SELU's lower limit l ≈ −1.758, then all are scaled and shifted by a and b, so that entries
    of mean 0 and variance 1 keep both. With p = 1 all become 0.
    Source: Klambauer et al., "Self-normalizing neural networks", 2017.

    >>> import chainrule
    >>> alpha_dropout(chainrule.ones(2), p=0.5)
    tensor([1., 1.])
    """
    x = _check(input, p, "alpha_dropout")
    return _alpha(x, p, tuple(x.shape), inplace) if training and p else x


def feature_alpha_dropout(input: Tensor, p: float = 0.5, training: bool = False, inplace: bool = False) -> Tensor:
    """`alpha_dropout` of whole channels of (N, C, …).

    >>> import chainrule
    >>> feature_alpha_dropout(chainrule.ones(1, 2, 3), p=0.5).shape
    Size([1, 2, 3])
    """
    x = _check(input, p, "feature_alpha_dropout")
    if x.ndim < 2:
        raise ShapeError(f"feature_alpha_dropout takes (N, C, …), got {tuple(x.shape)}.")
    return _alpha(x, p, (*x.shape[:2], *[1] * (x.ndim - 2)), inplace) if training and p else x


# --------------------------------------------------------------------------------------------------- modules


class _Dropout(Module):
    """What the layers share: a probability, and that they do something in training only."""

    function: ClassVar[Callable[..., Tensor]]
    differs_in_training = True

    def __init__(self, p: float = 0.5, inplace: bool = False) -> None:
        super().__init__()
        if not 0 <= p <= 1:
            raise ValueError(f"p is a probability in [0, 1], got {p}.")
        self.p, self.inplace = p, inplace

    def forward(self, input: Tensor) -> Tensor:
        """See the class."""
        return type(self).function(input, self.p, self.training, self.inplace)

    def extra_repr(self) -> str:
        """The probability."""
        return f"p={self.p}, inplace={self.inplace}"


class Dropout(_Dropout):
    """In training each entry is set to 0 with probability p and the others are divided by 1 − p; else nothing.

    Details at `functional.dropout`; `ClassicDropout` divides nothing and multiplies in evaluation.

    >>> import chainrule
    >>> Dropout(0.5).eval()(chainrule.ones(3))
    tensor([1., 1., 1.])
    """

    function = staticmethod(dropout)


class Dropout1d(_Dropout):
    """In training whole channels of (N, C, L) or (C, L) are set to 0; see `functional.dropout2d`.

    >>> import chainrule
    >>> Dropout1d(0.5).eval()(chainrule.ones(1, 3))
    tensor([[1., 1., 1.]])
    """

    function = staticmethod(dropout1d)


class Dropout2d(_Dropout):
    """In training whole channels of (N, C, H, W) are set to 0; see `functional.dropout2d`.

    >>> import chainrule
    >>> Dropout2d(0.5).eval()(chainrule.ones(1, 1, 1, 3))
    tensor([[[[1., 1., 1.]]]])
    """

    function = staticmethod(dropout2d)


class Dropout3d(_Dropout):
    """In training whole channels of (N, C, D, H, W) or (C, D, H, W) are set to 0; see `functional.dropout2d`.

    >>> import chainrule
    >>> Dropout3d(0.5).eval()(chainrule.ones(1, 1, 1, 2))
    tensor([[[[1., 1.]]]])
    """

    function = staticmethod(dropout3d)


class AlphaDropout(_Dropout):
    """Dropout for SELU networks, which keeps mean 0 and variance 1; see `functional.alpha_dropout`.

    >>> import chainrule
    >>> AlphaDropout(0.5).eval()(chainrule.ones(2))
    tensor([1., 1.])
    """

    function = staticmethod(alpha_dropout)


class FeatureAlphaDropout(_Dropout):
    """`AlphaDropout` of whole channels of (N, C, …); see `functional.feature_alpha_dropout`.

    >>> import chainrule
    >>> FeatureAlphaDropout(0.5).eval()(chainrule.ones(1, 2))
    tensor([[1., 1.]])
    """

    function = staticmethod(feature_alpha_dropout)


class ClassicDropout(Module):
    """Dropout as first described: 0 in training with probability p, times 1 − p in evaluation.

    PyTorch has no such layer; see `functional.classic_dropout`.

    >>> import chainrule
    >>> ClassicDropout(0.25).eval()(chainrule.ones(2))
    tensor([0.7500, 0.7500])
    """

    differs_in_training = True

    def __init__(self, p: float = 0.5) -> None:
        super().__init__()
        if not 0 <= p <= 1:
            raise ValueError(f"p is a probability in [0, 1], got {p}.")
        self.p = p

    def forward(self, input: Tensor) -> Tensor:
        """See the class."""
        return classic_dropout(input, self.p, self.training)

    def extra_repr(self) -> str:
        """The probability."""
        return f"p={self.p}"
