"""Activations made of straight pieces: ReLU's relatives, and the cheap forms of sigmoid and swish.

Every one is a line with a kink or two. At a kink the gradient is that of one side, PyTorch's choice. (ReLU itself is in
`classic.py`.)
"""

from __future__ import annotations

from typing import Any

from chainrule.autodiff.block import block
from chainrule.errors import ShapeError
from chainrule.functions.autocasting import in_half
from chainrule.functions.creation import full
from chainrule.functions.logic import where
from chainrule.functions.promotion import need_tensor
from chainrule.nn.module import Module
from chainrule.random import rand
from chainrule.tensor import Parameter, Tensor


def placed(input: Tensor, result: Tensor, inplace: bool) -> Tensor:
    """The result; with `inplace` it also takes the place of the input."""
    return input.copy_(result) if inplace else result


def leaky_relu(input: Tensor, negative_slope: float = 0.01, inplace: bool = False) -> Tensor:
    """x where x > 0, else α·x with α = `negative_slope`: no unit dies, for its gradient is never 0.

    (max(αx, x), as it is sometimes written, is the same for α ≤ 1 only.)
    Source: Maas, Hannun and Ng, "Rectifier nonlinearities improve neural network acoustic models", 2013.

    >>> import chainrule
    >>> leaky_relu(chainrule.tensor([-1.0, 2.0]), 0.1)
    tensor([-0.1000,  2.0000])
    """
    x = need_tensor(input, "leaky_relu")
    return placed(x, _leaky(x, negative_slope), inplace)


@block
def _leaky(x: Tensor, slope: float) -> Tensor:
    return where(x > 0, x, x * slope)


@_leaky.gradient
def _(g: Tensor, x: Tensor, slope: float) -> Tensor:
    return where(x > 0, g, g * slope)


@in_half
def prelu(input: Tensor, weight: Tensor) -> Tensor:
    """x where x > 0, else a·x with a learned: one a for all entries, or one for each channel (dimension 1).

    Raises ShapeError for another number of weights. Source: He et al., "Delving deep into rectifiers", 2015.

    >>> import chainrule
    >>> prelu(chainrule.tensor([-4.0, 2.0]), chainrule.tensor([0.25]))
    tensor([-1.,  2.])
    """
    x, a = need_tensor(input, "prelu"), need_tensor(weight, "prelu")
    if a.ndim > 1 or (a.numel() != 1 and (x.ndim < 2 or a.numel() != x.shape[1])):
        channels = x.shape[1] if x.ndim > 1 else 1
        raise ShapeError(f"prelu: the weight has 1 or {channels} entries for {tuple(x.shape)}, got {tuple(a.shape)}.")
    if a.numel() != 1 or x.ndim:
        a = a.reshape(-1, *[1] * (x.ndim - 2)) if x.ndim > 1 and a.numel() != 1 else a.reshape([1] * x.ndim)
    else:
        a = a.reshape(())
    return where(x > 0, x, x * a)


def rrelu(
    input: Tensor,
    lower: float = 1 / 8,
    upper: float = 1 / 3,
    training: bool = False,
    inplace: bool = False,
) -> Tensor:
    """x where x > 0, else a·x, in training with a drawn from [lower, upper) for each entry, else with their mean.

    Raises ValueError if lower > upper. Source: Xu et al., "Empirical evaluation of rectified activations", 2015.

    >>> import chainrule
    >>> rrelu(chainrule.tensor([-1.0, 2.0]), 0.25, 0.75)
    tensor([-0.5000,  2.0000])
    """
    x = need_tensor(input, "rrelu")
    if lower > upper:
        raise ValueError(f"rrelu draws slopes from [lower, upper), got {lower} and {upper}.")
    if not training:
        return placed(x, _leaky(x, (lower + upper) / 2), inplace)
    slopes = rand(tuple(x.shape), device=x.device).to(x.dtype) * (upper - lower) + lower
    return placed(x, where(x > 0, x, x * slopes), inplace)


def hardtanh(input: Tensor, min_val: float = -1.0, max_val: float = 1.0, inplace: bool = False) -> Tensor:
    """x cut off below `min_val` and above `max_val`. Raises ValueError if these are the wrong way round.

    >>> import chainrule
    >>> hardtanh(chainrule.tensor([-3.0, 0.5, 2.0]))
    tensor([-1.0000,  0.5000,  1.0000])
    """
    x = need_tensor(input, "hardtanh")
    if min_val > max_val:
        raise ValueError(f"hardtanh: min_val is at most max_val, got {min_val} and {max_val}.")
    return placed(x, _cut(x, min_val, max_val).to(x.dtype), inplace)


@block
def _cut(x: Tensor, low: float, high: float) -> Tensor:
    return x.clamp(low, high)


@_cut.gradient
def _(g: Tensor, x: Tensor, low: float, high: float) -> Tensor:
    return where((x > low) & (x < high), g, g.new_zeros(()))


def relu6(input: Tensor, inplace: bool = False) -> Tensor:
    """min(max(0, x), 6): ReLU for arithmetic of few bits. Source: Krizhevsky, 2010; MobileNet, 2017.

    >>> import chainrule
    >>> relu6(chainrule.tensor([-1.0, 3.0, 8.0]))
    tensor([0., 3., 6.])
    """
    return hardtanh(input, 0.0, 6.0, inplace)


def hardsigmoid(input: Tensor, inplace: bool = False) -> Tensor:
    """x/6 + ½ cut off at 0 and 1: sigmoid in three straight pieces.

    >>> import chainrule
    >>> hardsigmoid(chainrule.tensor([-4.0, 0.0, 1.5]))
    tensor([0.0000, 0.5000, 0.7500])
    """
    x = need_tensor(input, "hardsigmoid")
    return placed(x, _cut(x, -3.0, 3.0) / 6 + 0.5, inplace)


def hardswish(input: Tensor, inplace: bool = False) -> Tensor:
    """x·hardsigmoid(x): 0 below −3, x above 3. Source: Howard et al., "Searching for MobileNetV3", 2019.

    >>> import chainrule
    >>> hardswish(chainrule.tensor([-4.0, 1.0, 4.0]))
    tensor([0.0000, 0.6667, 4.0000])
    """
    x = need_tensor(input, "hardswish")
    return placed(x, _hardswish(x), inplace)


@block
def _hardswish(x: Tensor) -> Tensor:
    return x * ((x + 3).clamp(0, 6) / 6)


@_hardswish.gradient
def _(g: Tensor, x: Tensor) -> Tensor:
    return where(x <= -3, g.new_zeros(()), where(x < 3, g * (x / 3 + 0.5), g))


def hardshrink(input: Tensor, lambd: float = 0.5) -> Tensor:
    """x where |x| > λ, else 0: small entries are dropped.

    >>> import chainrule
    >>> hardshrink(chainrule.tensor([-1.0, 0.3]))
    tensor([-1.,  0.])
    """
    x = need_tensor(input, "hardshrink")
    return where(x.abs() <= lambd, x.new_zeros(()), x)  # so asked, NaN stays what it is


def softshrink(input: Tensor, lambd: float = 0.5) -> Tensor:
    """x pulled towards 0 by λ, small entries to 0: what one step of the lasso does. Raises ValueError for λ < 0.

    >>> import chainrule
    >>> softshrink(chainrule.tensor([-1.0, 0.3, 2.0]))
    tensor([-0.5000,  0.0000,  1.5000])
    """
    x = need_tensor(input, "softshrink")
    if not lambd >= 0:
        raise ValueError(f"softshrink: lambd is not negative, got {lambd}.")
    return where(x.abs() <= lambd, x.new_zeros(()), where(x > 0, x - lambd, x + lambd))


def threshold(input: Tensor, threshold: float, value: float, inplace: bool = False) -> Tensor:
    """x where x > `threshold`, else `value`; NaN stays NaN.

    >>> import chainrule
    >>> threshold_ = chainrule.nn.functional.threshold
    >>> threshold_(chainrule.tensor([0.5, 2.0]), 1.0, -7.0)
    tensor([-7.,  2.])
    """
    x = need_tensor(input, "threshold")
    return placed(x, where(x <= threshold, x.new_full((), value), x), inplace)


# --------------------------------------------------------------------------------------------------- in place


def leaky_relu_(input: Tensor, negative_slope: float = 0.01) -> Tensor:
    """`leaky_relu` in place."""
    return leaky_relu(input, negative_slope, True)


def rrelu_(input: Tensor, lower: float = 1 / 8, upper: float = 1 / 3, training: bool = False) -> Tensor:
    """`rrelu` in place."""
    return rrelu(input, lower, upper, training, True)


def hardtanh_(input: Tensor, min_val: float = -1.0, max_val: float = 1.0) -> Tensor:
    """`hardtanh` in place."""
    return hardtanh(input, min_val, max_val, True)


def threshold_(input: Tensor, threshold: float, value: float) -> Tensor:
    """`threshold` in place."""
    x = need_tensor(input, "threshold_")
    return placed(x, where(x <= threshold, x.new_full((), value), x), True)


# ---------------------------------------------------------------------------------------------------- modules


class LeakyReLU(Module):
    """x where x > 0, else `negative_slope`·x; see `functional.leaky_relu`.

    >>> import chainrule
    >>> LeakyReLU(0.1)(chainrule.tensor([-1.0, 2.0]))
    tensor([-0.1000,  2.0000])
    """

    def __init__(self, negative_slope: float = 0.01, inplace: bool = False) -> None:
        super().__init__()
        self.negative_slope, self.inplace = negative_slope, inplace

    def forward(self, input: Tensor) -> Tensor:
        """See the class."""
        return leaky_relu(input, self.negative_slope, self.inplace)

    def extra_repr(self) -> str:
        """The slope."""
        return f"negative_slope={self.negative_slope}" + (", inplace=True" if self.inplace else "")


class PReLU(Module):
    """x where x > 0, else a·x with a learned; see `functional.prelu`.

    One a for all, or `num_parameters`, one for each channel; all start at `init`. Weight decay pulls them to 0, which
    makes it ReLU.

    >>> import chainrule
    >>> PReLU()(chainrule.tensor([-4.0, 2.0])).detach()
    tensor([-1.,  2.])
    """

    def __init__(self, num_parameters: int = 1, init: float = 0.25, device: Any = None, dtype: Any = None) -> None:
        super().__init__()
        self.num_parameters, self.init = num_parameters, init
        self.weight = Parameter(full((num_parameters,), init, device=device, dtype=dtype))

    def reset_parameters(self) -> None:
        """All slopes back to `init`."""
        self.weight.data.fill_(self.init)

    def forward(self, input: Tensor) -> Tensor:
        """See the class."""
        return prelu(input, self.weight)

    def extra_repr(self) -> str:
        """How many slopes."""
        return f"num_parameters={self.num_parameters}"


class RReLU(Module):
    """Leaky ReLU with random slopes in training and their mean in evaluation; see `functional.rrelu`.

    >>> import chainrule
    >>> RReLU(0.25, 0.75).eval()(chainrule.tensor([-1.0, 2.0]))
    tensor([-0.5000,  2.0000])
    """

    differs_in_training = True

    def __init__(self, lower: float = 1 / 8, upper: float = 1 / 3, inplace: bool = False) -> None:
        super().__init__()
        self.lower, self.upper, self.inplace = lower, upper, inplace

    def forward(self, input: Tensor) -> Tensor:
        """See the class."""
        return rrelu(input, self.lower, self.upper, self.training, self.inplace)

    def extra_repr(self) -> str:
        """The slopes."""
        return f"lower={self.lower}, upper={self.upper}" + (", inplace=True" if self.inplace else "")


class Hardtanh(Module):
    """x cut off below `min_val` and above `max_val`; see `functional.hardtanh`.

    `min_value` and `max_value` are older names of the bounds.

    >>> import chainrule
    >>> Hardtanh()(chainrule.tensor([-3.0, 0.5, 2.0]))
    tensor([-1.0000,  0.5000,  1.0000])
    """

    def __init__(
        self,
        min_val: float = -1.0,
        max_val: float = 1.0,
        inplace: bool = False,
        min_value: float | None = None,
        max_value: float | None = None,
    ) -> None:
        super().__init__()
        self.min_val = min_val if min_value is None else min_value
        self.max_val = max_val if max_value is None else max_value
        if self.min_val >= self.max_val:
            raise ValueError(f"Hardtanh: min_val is below max_val, got {self.min_val} and {self.max_val}.")
        self.inplace = inplace

    def forward(self, input: Tensor) -> Tensor:
        """See the class."""
        return hardtanh(input, self.min_val, self.max_val, self.inplace)

    def extra_repr(self) -> str:
        """The bounds."""
        return f"min_val={self.min_val}, max_val={self.max_val}" + (", inplace=True" if self.inplace else "")


class ReLU6(Hardtanh):
    """min(max(0, x), 6), entry by entry.

    >>> import chainrule
    >>> ReLU6()(chainrule.tensor([-1.0, 3.0, 8.0]))
    tensor([0., 3., 6.])
    """

    def __init__(self, inplace: bool = False) -> None:
        super().__init__(0.0, 6.0, inplace)

    def extra_repr(self) -> str:
        """Whether in place."""
        return "inplace=True" if self.inplace else ""


class Hardsigmoid(Module):
    """x/6 + ½ cut off at 0 and 1, entry by entry.

    >>> import chainrule
    >>> Hardsigmoid()(chainrule.tensor([-4.0, 0.0, 1.5]))
    tensor([0.0000, 0.5000, 0.7500])
    """

    def __init__(self, inplace: bool = False) -> None:
        super().__init__()
        self.inplace = inplace

    def forward(self, input: Tensor) -> Tensor:
        """See the class."""
        return hardsigmoid(input, self.inplace)


class Hardswish(Module):
    """x·hardsigmoid(x), entry by entry.

    >>> import chainrule
    >>> Hardswish()(chainrule.tensor([-4.0, 1.0, 4.0]))
    tensor([0.0000, 0.6667, 4.0000])
    """

    def __init__(self, inplace: bool = False) -> None:
        super().__init__()
        self.inplace = inplace

    def forward(self, input: Tensor) -> Tensor:
        """See the class."""
        return hardswish(input, self.inplace)


class Hardshrink(Module):
    """x where |x| > λ, else 0.

    >>> import chainrule
    >>> Hardshrink()(chainrule.tensor([-1.0, 0.3]))
    tensor([-1.,  0.])
    """

    def __init__(self, lambd: float = 0.5) -> None:
        super().__init__()
        self.lambd = lambd

    def forward(self, input: Tensor) -> Tensor:
        """See the class."""
        return hardshrink(input, self.lambd)

    def extra_repr(self) -> str:
        """λ."""
        return f"{self.lambd}"


class Softshrink(Module):
    """x pulled towards 0 by λ; see `functional.softshrink`.

    >>> import chainrule
    >>> Softshrink()(chainrule.tensor([-1.0, 0.3, 2.0]))
    tensor([-0.5000,  0.0000,  1.5000])
    """

    def __init__(self, lambd: float = 0.5) -> None:
        super().__init__()
        self.lambd = lambd

    def forward(self, input: Tensor) -> Tensor:
        """See the class."""
        return softshrink(input, self.lambd)

    def extra_repr(self) -> str:
        """λ."""
        return f"{self.lambd}"


class Threshold(Module):
    """x where x > `threshold`, else `value`.

    >>> import chainrule
    >>> Threshold(1.0, -7.0)(chainrule.tensor([0.5, 2.0]))
    tensor([-7.,  2.])
    """

    def __init__(self, threshold: float, value: float, inplace: bool = False) -> None:
        super().__init__()
        self.threshold, self.value, self.inplace = threshold, value, inplace

    def forward(self, input: Tensor) -> Tensor:
        """See the class."""
        return threshold(input, self.threshold, self.value, self.inplace)

    def extra_repr(self) -> str:
        """The bound and what is put below it."""
        return f"threshold={self.threshold}, value={self.value}" + (", inplace=True" if self.inplace else "")
