"""Initialisation: filling parameters with the numbers that training starts from.

All functions fill a tensor in place, are not recorded, and give the tensor back. A random one draws from `generator`,
or from the default generator (`chainrule.manual_seed`). The question behind most of them: which variance must weights
have so that the signal keeps its own through many layers? docs/initialisation.md tells it with numbers.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import TYPE_CHECKING, Concatenate, ParamSpec

from chainrule.absent_names import teller
from chainrule.autodiff.mode import no_grad
from chainrule.errors import ShapeError
from chainrule.functions import creation
from chainrule.functions.linalg import qr
from chainrule.nn.older_names import older_name
from chainrule.nn.truncated_normal import truncated_normal
from chainrule.random import Generator, rand, randn
from chainrule.tensor import Tensor

__all__ = [
    "calculate_gain",
    "constant",
    "constant_",
    "dirac",
    "dirac_",
    "eye",
    "eye_",
    "fan_in_and_out",
    "kaiming_normal",
    "kaiming_normal_",
    "kaiming_uniform",
    "kaiming_uniform_",
    "lecun_normal_",
    "lecun_uniform_",
    "normal",
    "normal_",
    "ones_",
    "orthogonal",
    "orthogonal_",
    "skip_filling",
    "sparse",
    "sparse_",
    "trunc_normal_",
    "uniform",
    "uniform_",
    "xavier_normal",
    "xavier_normal_",
    "xavier_uniform",
    "xavier_uniform_",
    "zeros_",
]

P = ParamSpec("P")

_filling: ContextVar[bool] = ContextVar("filling", default=True)


@contextmanager
def skip_filling() -> Iterator[None]:
    """While this holds, in this thread, all functions of this file leave their tensors as they are.

    >>> import chainrule
    >>> with skip_filling():
    ...     layer = chainrule.nn.Linear(2, 1)
    >>> layer.weight.tolist()
    [[0.0, 0.0]]
    """
    token = _filling.set(False)
    try:
        yield
    finally:
        _filling.reset(token)


def _fills(function: Callable[Concatenate[Tensor, P], Tensor]) -> Callable[Concatenate[Tensor, P], Tensor]:
    """What all that fills a tensor shares: no gradient is recorded, and `skip_filling` leaves it out."""

    @functools.wraps(function)
    def fill(tensor: Tensor, *args: P.args, **kwargs: P.kwargs) -> Tensor:
        if not _filling.get():
            return tensor
        with no_grad():
            return function(tensor, *args, **kwargs)

    return fill


# ------------------------------------------------------------------------------------------- fans and gains


def fan_in_and_out(tensor: Tensor) -> tuple[int, int]:
    """How many inputs feed one output of a weight (C_out, C_in, *kernel), and how many outputs one input feeds.

    Raises ShapeError for fewer than two dimensions.

    >>> import chainrule
    >>> fan_in_and_out(chainrule.zeros(16, 6, 5, 5))
    (150, 400)
    """
    if tensor.ndim < 2:
        raise ShapeError(
            f"fan-in and fan-out belong to weights of two dimensions or more, got {tuple(tensor.shape)}. For a bias "
            "take zeros_ or uniform_."
        )
    receptive = math.prod(tensor.shape[2:])
    return tensor.shape[1] * receptive, tensor.shape[0] * receptive


_calculate_fan_in_and_fan_out = fan_in_and_out  # PyTorch's name: private there, and yet in many people's layers


def calculate_gain(nonlinearity: str, param: float | None = None) -> float:
    """By how much a weight's standard deviation grows to make up for what the nonlinearity takes away.

    ReLU lets half of the second moment through, so √2; a leaky one with slope `param` (0.01) the share (1 + param²)/2.
    Tanh has 5/3 and SELU 3/4, found by trial; linear layers, convolutions and sigmoid 1. Raises ValueError for a
    nonlinearity whose gain is not known, and for a slope that is no number.

    Source: He et al., "Delving deep into rectifiers", 2015, for ReLU; the rest is PyTorch's table.

    >>> round(calculate_gain("relu"), 4), calculate_gain("sigmoid")
    (1.4142, 1.0)
    """
    gains = {
        "linear": 1.0,
        **{f"conv{n}d": 1.0 for n in (1, 2, 3)},
        **{f"conv_transpose{n}d": 1.0 for n in (1, 2, 3)},
        "sigmoid": 1.0,
        "tanh": 5 / 3,
        "relu": math.sqrt(2),
        "selu": 3 / 4,
    }
    if nonlinearity == "leaky_relu":
        slope = 0.01 if param is None else param
        if isinstance(slope, bool) or not isinstance(slope, (int, float)):
            raise ValueError(f"the slope of a leaky ReLU is a number, got {param!r}.")
        return math.sqrt(2 / (1 + slope**2))
    if nonlinearity not in gains:
        raise ValueError(f"no gain is known for {nonlinearity!r}; known are leaky_relu, {', '.join(gains)}.")
    return gains[nonlinearity]


# ------------------------------------------------------------------------------------------- fixed numbers


@_fills
def constant_(tensor: Tensor, val: float) -> Tensor:
    """One number everywhere. Good for biases; hidden units whose weights are all equal never become different.

    >>> import chainrule
    >>> constant_(chainrule.empty(3), 0.5)
    tensor([0.5000, 0.5000, 0.5000])
    """
    return tensor.fill_(val)


def zeros_(tensor: Tensor) -> Tensor:
    """Zeros everywhere.

    >>> import chainrule
    >>> zeros_(chainrule.ones(2))
    tensor([0., 0.])
    """
    return constant_(tensor, 0.0)


def ones_(tensor: Tensor) -> Tensor:
    """Ones everywhere.

    >>> import chainrule
    >>> ones_(chainrule.zeros(2))
    tensor([1., 1.])
    """
    return constant_(tensor, 1.0)


@_fills
def eye_(tensor: Tensor) -> Tensor:
    """The identity matrix, or as much of it as there is room for: a linear layer that passes its inputs on.

    tensor: (rows, columns). Raises ShapeError for another number of dimensions.

    >>> import chainrule
    >>> eye_(chainrule.empty(2, 3))
    tensor([[1., 0., 0.],
            [0., 1., 0.]])
    """
    if tensor.ndim != 2:
        raise ShapeError(f"eye_ fills matrices, got shape {tuple(tensor.shape)}; dirac_ is for convolutions.")
    return tensor.copy_(creation.eye(*tensor.shape, dtype=tensor.dtype))


@_fills
def dirac_(tensor: Tensor, groups: int = 1) -> Tensor:
    """A convolution that passes its channels on: 1 in the middle of the kernel from channel i to channel i.

    tensor: (C_out, C_in/groups, *kernel) with a kernel of one to three dimensions; every group passes on as many of its
    channels as it can. Raises ShapeError for other shapes, and where `groups` does not divide C_out.

    >>> import chainrule
    >>> dirac_(chainrule.empty(2, 2, 3))
    tensor([[[0., 1., 0.],
             [0., 0., 0.]],
            [[0., 0., 0.],
             [0., 1., 0.]]])
    """
    if tensor.ndim not in (3, 4, 5):
        raise ShapeError(f"dirac_ fills kernels (C_out, C_in, …) of 3 to 5 dimensions, got {tuple(tensor.shape)}.")
    if groups < 1 or tensor.shape[0] % groups:
        raise ShapeError(f"dirac_: {tensor.shape[0]} output channels cannot be shared by {groups} groups.")
    outputs, inputs, *kernel = tensor.shape
    passed = min(outputs // groups, inputs)
    channel = creation.arange(passed)
    middle = tuple(extent // 2 for extent in kernel)
    kernels = creation.zeros_like(tensor.detach())
    for group in range(groups):
        kernels[(channel + group * (outputs // groups), channel, *middle)] = 1
    return tensor.copy_(kernels)


# ------------------------------------------------------------------------------------------- random numbers


@_fills
def uniform_(tensor: Tensor, a: float = 0.0, b: float = 1.0, generator: Generator | None = None) -> Tensor:
    """Numbers uniform in [a, b): mean (a + b)/2, variance (b − a)²/12. Raises ValueError if a > b.

    >>> import chainrule
    >>> w = uniform_(chainrule.empty(100), -0.1, 0.1)
    >>> bool((w.abs() <= 0.1).all())
    True
    """
    if not a <= b:
        raise ValueError(f"uniform_ draws from [a, b), got a = {a} and b = {b}.")
    return tensor.uniform_(a, b, generator=generator)


@_fills
def normal_(tensor: Tensor, mean: float = 0.0, std: float = 1.0, generator: Generator | None = None) -> Tensor:
    """Normal numbers of this mean and standard deviation. Raises ValueError if `std` is negative.

    >>> import chainrule
    >>> normal_(chainrule.empty(2), mean=3.0, std=0.0)
    tensor([3., 3.])
    """
    if not std >= 0:
        raise ValueError(f"a standard deviation is not negative, got std = {std}.")
    return tensor.normal_(mean, std, generator=generator)


@_fills
def trunc_normal_(
    tensor: Tensor,
    mean: float = 0.0,
    std: float = 1.0,
    a: float = -2.0,
    b: float = 2.0,
    generator: Generator | None = None,
) -> Tensor:
    """Normal numbers of this mean and standard deviation, without those outside of [a, b].

    The bounds are numbers, not multiples of `std`: for two standard deviations give a = mean − 2·std and
    b = mean + 2·std. What is cut off makes the spread smaller (0.88·std there). Raises ValueError if a > b or std ≤ 0.

    >>> import chainrule
    >>> w = trunc_normal_(chainrule.empty(1000), std=0.02, a=-0.04, b=0.04)
    >>> bool((w.abs() <= 0.04).all())
    True
    """
    if not a <= b or not std > 0:
        raise ValueError(f"trunc_normal_ needs a ≤ b and std > 0, got a = {a}, b = {b}, std = {std}.")
    exact = "float64" if tensor.dtype.itemsize == 8 else "float32"
    draws = truncated_normal(tuple(tensor.shape), (a - mean) / std, (b - mean) / std, exact, generator, tensor.device)
    return tensor.copy_((draws * std + mean).clamp(a, b))


@_fills
def sparse_(tensor: Tensor, sparsity: float, std: float = 0.01, generator: Generator | None = None) -> Tensor:
    """Normal numbers of standard deviation `std`, and in each column ⌈sparsity·rows⌉ zeros at random places.

    tensor: (rows, columns); sparsity in [0, 1]. Raises ShapeError for another number of dimensions, ValueError for a
    sparsity out of its range. Source: Martens, "Deep learning via Hessian-free optimization", 2010.

    >>> import chainrule
    >>> w = sparse_(chainrule.empty(4, 3), sparsity=0.5)
    >>> (w == 0).sum(0)
    tensor([2, 2, 2])
    """
    if tensor.ndim != 2:
        raise ShapeError(f"sparse_ fills matrices, got shape {tuple(tensor.shape)}.")
    if not 0 <= sparsity <= 1:
        raise ValueError(f"the sparsity is a share in [0, 1], got {sparsity}.")
    zeros = math.ceil(sparsity * tensor.shape[0])
    tensor.normal_(0.0, std, generator=generator)
    order = rand(tuple(tensor.shape), device=tensor.device, generator=generator).argsort(
        0
    )  # each column a random permutation of the rows
    return tensor.masked_fill_(order < zeros, 0.0)


@_fills
def orthogonal_(tensor: Tensor, gain: float = 1, generator: Generator | None = None) -> Tensor:
    """A random matrix with orthonormal rows or columns (the fewer of the two), times `gain`: it keeps lengths.

    tensor: (rows, …), read as a matrix of `rows` rows. All such matrices are equally likely: Q of the QR decomposition
    of normal numbers, its columns turned so that R has a positive diagonal. Raises ShapeError for fewer than two
    dimensions.

    Sources: Saxe, McClelland and Ganguli, "Exact solutions to the nonlinear dynamics of learning in deep linear neural
    networks", 2014; Mezzadri, "How to generate random matrices from the classical compact groups", 2007.

    >>> import chainrule
    >>> w = orthogonal_(chainrule.empty(3, 5))
    >>> chainrule.allclose(w @ w.T, chainrule.eye(3), atol=1e-5)
    True
    """
    if tensor.ndim < 2:
        raise ShapeError(f"orthogonal_ fills tensors of two dimensions or more, got shape {tuple(tensor.shape)}.")
    if not tensor.numel():
        return tensor
    rows, columns = tensor.shape[0], tensor.numel() // tensor.shape[0]
    exact = "float64" if tensor.dtype.itemsize == 8 else "float32"
    tall = randn(max(rows, columns), min(rows, columns), dtype=exact, device=tensor.device, generator=generator)
    Q, R = qr(tall)
    Q = Q * R.diagonal().sign()
    return tensor.copy_((Q if rows >= columns else Q.T).reshape(tensor.shape) * gain)


# ------------------------------------------------------------------------------------------- by the fans


def xavier_uniform_(tensor: Tensor, gain: float = 1.0, generator: Generator | None = None) -> Tensor:
    """Uniform in ±gain·√(6/(fan_in + fan_out)), so of variance gain²·2/(fan_in + fan_out).

    fan_in keeps the variance on the way forward and fan_out on the way back; this is between them. The lecture notes
    call the rule with fan_in alone Xavier's; here that is `lecun_uniform_`. The two are equal for square weights.

    Source: Glorot and Bengio, "Understanding the difficulty of training deep feedforward neural networks", 2010.

    >>> import chainrule
    >>> w = xavier_uniform_(chainrule.empty(4, 2))
    >>> bool((w.abs() <= 1).all())
    True
    """
    bound = math.sqrt(3.0) * _xavier_std(tensor, gain)
    return uniform_(tensor, -bound, bound, generator)


def xavier_normal_(tensor: Tensor, gain: float = 1.0, generator: Generator | None = None) -> Tensor:
    """Normal with standard deviation gain·√(2/(fan_in + fan_out)); see `xavier_uniform_`.

    >>> import chainrule
    >>> xavier_normal_(chainrule.empty(4, 2)).shape
    Size([4, 2])
    """
    return normal_(tensor, 0.0, _xavier_std(tensor, gain), generator)


def _xavier_std(tensor: Tensor, gain: float) -> float:
    both = sum(fan_in_and_out(tensor))
    return gain * math.sqrt(2 / both) if both else 0.0


def lecun_uniform_(tensor: Tensor, gain: float = 1.0, generator: Generator | None = None) -> Tensor:
    """Uniform in ±gain·√(3/fan_in), so of variance gain²/fan_in; see `lecun_normal_`.

    >>> import chainrule
    >>> w = lecun_uniform_(chainrule.empty(4, 3))
    >>> bool((w.abs() <= 1).all())
    True
    """
    bound = math.sqrt(3.0) * gain * _kaiming_std(tensor, 0, "fan_in", "linear")
    return uniform_(tensor, -bound, bound, generator)


def lecun_normal_(tensor: Tensor, gain: float = 1.0, generator: Generator | None = None) -> Tensor:
    """Normal with variance gain²/fan_in: the rule that the lecture notes derive, and call Xavier's.

    With independent centred weights and inputs Var(z) = fan_in·Var(W)·Var(a), so this keeps the variance on the way
    forward as long as the activation is near the identity (tanh of small inputs). Also the rule of SELU networks.

    Sources: LeCun, Bottou, Orr and Müller, "Efficient BackProp", 1998; tutorial sheet, problem 2.

    >>> import chainrule
    >>> lecun_normal_(chainrule.empty(4, 3)).shape
    Size([4, 3])
    """
    return normal_(tensor, 0.0, gain * _kaiming_std(tensor, 0, "fan_in", "linear"), generator)


def kaiming_uniform_(
    tensor: Tensor,
    a: float = 0,
    mode: str = "fan_in",
    nonlinearity: str = "leaky_relu",
    generator: Generator | None = None,
) -> Tensor:
    """Uniform in ±gain·√(3/fan), so of variance gain²/fan; the gain is `calculate_gain(nonlinearity, a)`.

    Keeps the second moment of the signal through layers with that nonlinearity: on the way forward with the mode
    "fan_in", on the way back with "fan_out". `a` is the slope of a leaky ReLU. Raises ValueError for another mode.

    Source: He, Zhang, Ren and Sun, "Delving deep into rectifiers", 2015.

    >>> import chainrule
    >>> w = kaiming_uniform_(chainrule.empty(8, 6), nonlinearity="relu")
    >>> bool((w.abs() <= 1).all())
    True
    """
    bound = math.sqrt(3.0) * _kaiming_std(tensor, a, mode, nonlinearity)
    return uniform_(tensor, -bound, bound, generator)


def kaiming_normal_(
    tensor: Tensor,
    a: float = 0,
    mode: str = "fan_in",
    nonlinearity: str = "leaky_relu",
    generator: Generator | None = None,
) -> Tensor:
    """Normal with standard deviation gain/√fan; arguments as `kaiming_uniform_`.

    >>> import chainrule
    >>> kaiming_normal_(chainrule.empty(8, 6), nonlinearity="relu").shape
    Size([8, 6])
    """
    return normal_(tensor, 0.0, _kaiming_std(tensor, a, mode, nonlinearity), generator)


def _kaiming_std(tensor: Tensor, a: float, mode: str, nonlinearity: str) -> float:
    if mode not in ("fan_in", "fan_out"):
        raise ValueError(f"mode is 'fan_in' or 'fan_out', got {mode!r}.")
    fan = fan_in_and_out(tensor)[mode == "fan_out"]
    return calculate_gain(nonlinearity, a) / math.sqrt(fan) if fan else 0.0


def default_weight_and_bias(weight: Tensor, bias: Tensor | None, fan_in: int | None = None) -> None:
    """PyTorch's default for linear and convolutional layers: both uniform in ±1/√fan_in.

    That is Kaiming's rule with a leaky ReLU of slope √5, so weights have the variance 1/(3·fan_in): a network of such
    layers loses two thirds of its variance in each, and more with ReLU. For deep networks choose another.
    """
    fan = fan_in_and_out(weight)[0] if fan_in is None else fan_in
    bound = 1 / math.sqrt(fan) if fan else 0.0
    uniform_(weight, -bound, bound)
    if bias is not None:
        uniform_(bias, -bound, bound)


uniform, normal, constant = older_name(uniform_), older_name(normal_), older_name(constant_)
eye, dirac, sparse, orthogonal = older_name(eye_), older_name(dirac_), older_name(sparse_), older_name(orthogonal_)
xavier_uniform, xavier_normal = older_name(xavier_uniform_), older_name(xavier_normal_)
kaiming_uniform, kaiming_normal = older_name(kaiming_uniform_), older_name(kaiming_normal_)

if not TYPE_CHECKING:  # it would believe in every name
    __getattr__ = teller("nn.init", globals())
