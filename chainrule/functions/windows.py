"""Windows for short pieces of a signal: they rise from nearly 0 and fall again.

`periodic` windows are one point shorter than symmetric ones: repeated, they go on evenly, as spectra want it.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np

from chainrule.dtypes import as_dtype, get_default_dtype
from chainrule.errors import DTypeError, NumberRangeError
from chainrule.functions.creation import make

if TYPE_CHECKING:
    from chainrule.tensor import Tensor


def hann_window(
    window_length: int, periodic: bool = True, *, dtype: Any = None, device: Any = None, requires_grad: bool = False
) -> Tensor:
    """½ − ½·cos(2πn/N), N = `window_length`, or N = `window_length` − 1 if not `periodic`.

    >>> import chainrule
    >>> chainrule.hann_window(4)
    tensor([0.0000, 0.5000, 1.0000, 0.5000])
    """
    return _window(np.hanning, window_length, periodic, dtype, device, requires_grad)


def hamming_window(
    window_length: int,
    periodic: bool = True,
    alpha: float = 0.54,
    beta: float = 0.46,
    *,
    dtype: Any = None,
    device: Any = None,
    requires_grad: bool = False,
) -> Tensor:
    """α − β·cos(2πn/N), N = `window_length`, or N = `window_length` − 1 if not `periodic`.

    >>> import chainrule
    >>> chainrule.hamming_window(4)
    tensor([0.0800, 0.5400, 1.0000, 0.5400])
    """

    def values(count: int) -> Any:
        return alpha + 2 * beta * (np.hanning(count) - 0.5)

    return _window(values, window_length, periodic, dtype, device, requires_grad)


def blackman_window(
    window_length: int, periodic: bool = True, *, dtype: Any = None, device: Any = None, requires_grad: bool = False
) -> Tensor:
    """0.42 − 0.5·cos(2πn/N) + 0.08·cos(4πn/N), N = `window_length`, or N = `window_length` − 1 if not `periodic`.

    >>> import chainrule
    >>> chainrule.blackman_window(4).abs()
    tensor([0.0000, 0.3400, 1.0000, 0.3400])
    """
    return _window(np.blackman, window_length, periodic, dtype, device, requires_grad)


def bartlett_window(
    window_length: int, periodic: bool = True, *, dtype: Any = None, device: Any = None, requires_grad: bool = False
) -> Tensor:
    """A triangle, 1 − |2n/N − 1|, N = `window_length`, or N = `window_length` − 1 if not `periodic`.

    >>> import chainrule
    >>> chainrule.bartlett_window(4)
    tensor([0.0000, 0.5000, 1.0000, 0.5000])
    """
    return _window(np.bartlett, window_length, periodic, dtype, device, requires_grad)


def kaiser_window(
    window_length: int,
    periodic: bool = True,
    beta: float = 12.0,
    *,
    dtype: Any = None,
    device: Any = None,
    requires_grad: bool = False,
) -> Tensor:
    """I₀(β·√(1 − (2n/N − 1)²)) / I₀(β), N = `window_length`, or N = `window_length` − 1 if not `periodic`.

    >>> import chainrule
    >>> chainrule.kaiser_window(4, beta=0.0)
    tensor([1., 1., 1., 1.])
    """
    return _window(lambda count: np.kaiser(count, beta), window_length, periodic, dtype, device, requires_grad)


def _window(
    values: Callable[[int], Any], length: int, periodic: bool, dtype: Any, device: Any, requires_grad: bool
) -> Tensor:
    """A window of so many entries by a function that gives symmetric ones."""
    wanted = get_default_dtype() if dtype is None else as_dtype(dtype)
    if not wanted.is_floating_point:
        raise DTypeError(f"the entries of a window are fractions, {wanted} cannot hold them; give a floating type.")
    if length < 0:
        raise NumberRangeError(f"a window has 0 entries or more, got {length}.")
    entries = values(length + periodic)[:length] if length > 1 else np.ones(length)
    return make(np.asarray(entries).astype(wanted.numpy), requires_grad, device)
