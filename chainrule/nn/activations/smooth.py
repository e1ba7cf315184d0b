"""Smooth activations: exponentials below zero, soft corners, gates. None of them overflows, whatever comes in.

For halves they compute in float32 and round their results once.
"""

from __future__ import annotations

from typing import Any

from chainrule.autodiff.block import block
from chainrule.autodiff.composite import composite
from chainrule.errors import ShapeError
from chainrule.functions import activation
from chainrule.functions.creation import zeros_like
from chainrule.functions.elementwise import exp, expm1, log1p, tanh
from chainrule.functions.logic import where
from chainrule.functions.promotion import in_float32, need_tensor, rounded_as
from chainrule.nn.activations.classic import softmax
from chainrule.nn.activations.piecewise import placed
from chainrule.nn.dropout import SELU_LIMIT
from chainrule.nn.module import Module
from chainrule.random import rand
from chainrule.tensor import Tensor

SELU_SCALE = 1.0507009873554804934193349852946
SELU_ALPHA = -SELU_LIMIT / SELU_SCALE


# ------------------------------------------------------------------------------------- exponential below zero


@block
def _exponential_below(x: Tensor, alpha: float, scale: float, rate: float) -> Tensor:
    """scale·x where x > 0, else scale·α·(e^(rate·x) − 1)."""
    wide = in_float32(x)
    below = expm1(wide.clamp(max=0) * rate) * (alpha * scale)
    return rounded_as(x, where(wide > 0, wide if scale == 1 else wide * scale, below))


@_exponential_below.gradient
def _(g: Tensor, x: Tensor, alpha: float, scale: float, rate: float) -> Tensor:
    wide = in_float32(x)
    slope = where(wide > 0, wide.new_full((), scale), exp(wide.clamp(max=0) * rate) * (alpha * scale * rate))
    return rounded_as(g, in_float32(g) * slope)


def elu(input: Tensor, alpha: float = 1.0, inplace: bool = False) -> Tensor:
    """x where x > 0, else α·(eˣ − 1): saturates at −α.

    Source: Clevert, Unterthiner and Hochreiter, "Fast and accurate deep network learning by exponential linear
    units", 2016.

    >>> import chainrule
    >>> elu(chainrule.tensor([-1000.0, -1.0, 2.0]))
    tensor([-1.0000, -0.6321,  2.0000])
    """
    x = need_tensor(input, "elu")
    return placed(x, _exponential_below(x, alpha, 1.0, 1.0), inplace)


def celu(input: Tensor, alpha: float = 1.0, inplace: bool = False) -> Tensor:
    """x where x > 0, else α·(e^(x/α) − 1): ELU with slope 1 at 0 for every α. Raises ValueError for α = 0.

    Source: Barron, "Continuously differentiable exponential linear units", 2017.

    >>> import chainrule
    >>> celu(chainrule.tensor([-2.0, 2.0]), 2.0)
    tensor([-1.2642,  2.0000])
    """
    x = need_tensor(input, "celu")
    if alpha == 0:
        raise ValueError("celu divides by alpha, so it is not 0.")
    return placed(x, _exponential_below(x, alpha, 1.0, 1 / alpha), inplace)


def selu(input: Tensor, inplace: bool = False) -> Tensor:
    """λ·x where x > 0, else λ·α·(eˣ − 1), with λ ≈ 1.0507 and α ≈ 1.6733: layers drift to mean 0 and variance 1.

    With weights of variance 1/fan_in (`init.lecun_normal_`) and `AlphaDropout`.
    Source: Klambauer et al., "Self-normalizing neural networks", 2017.

    >>> import chainrule
    >>> selu(chainrule.tensor([-1.0, 1.0]))
    tensor([-1.1113,  1.0507])
    """
    x = need_tensor(input, "selu")
    return placed(x, _exponential_below(x, SELU_ALPHA, SELU_SCALE, 1.0), inplace)


def elu_(input: Tensor, alpha: float = 1.0) -> Tensor:
    """`elu` in place."""
    return elu(input, alpha, True)


def celu_(input: Tensor, alpha: float = 1.0) -> Tensor:
    """`celu` in place."""
    return celu(input, alpha, True)


def selu_(input: Tensor) -> Tensor:
    """`selu` in place."""
    return selu(input, True)


# ------------------------------------------------------------------------------------------------ soft corners


@block
def _softplus(z: Tensor) -> Tensor:
    """ln(1 + eᶻ) = max(z, 0) + ln(1 + e^−|z|)."""
    wide = in_float32(z)
    return rounded_as(z, wide.clamp(min=0) + log1p(exp(-wide.abs())))


@_softplus.gradient
def _(g: Tensor, z: Tensor) -> Tensor:
    return rounded_as(g, in_float32(g) * activation.sigmoid(in_float32(z)))


def softplus(input: Tensor, beta: float = 1.0, threshold: float = 20.0) -> Tensor:
    """ln(1 + e^(βx))/β: ReLU with a soft corner; x itself where βx > `threshold`.

    >>> import chainrule
    >>> softplus(chainrule.tensor([-1000.0, 0.0, 1000.0]))
    tensor([0.0000e+00, 6.9315e-01, 1.0000e+03])
    """
    x = need_tensor(input, "softplus")
    scaled = x if beta == 1 else x * beta
    return where(scaled > threshold, x, _softplus(scaled) if beta == 1 else _softplus(scaled) / beta)


def logsigmoid(input: Tensor) -> Tensor:
    """ln σ(x) = −ln(1 + e^−x), without going through σ.

    >>> import chainrule
    >>> logsigmoid(chainrule.tensor([-1000.0, 0.0]))
    tensor([-1000.0000,    -0.6931])
    """
    return -_softplus(-need_tensor(input, "logsigmoid"))


def softsign(input: Tensor) -> Tensor:
    """x/(1 + |x|): like tanh, but slower to saturate.

    >>> import chainrule
    >>> softsign(chainrule.tensor([-3.0, 1.0]))
    tensor([-0.7500,  0.5000])
    """
    return _softsign(need_tensor(input, "softsign"))


@block
def _softsign(x: Tensor) -> Tensor:
    return x / (x.abs() + 1)


@_softsign.gradient
def _(g: Tensor, x: Tensor) -> Tensor:
    rest = 1 / (x.abs() + 1)
    return g * rest * rest


def tanhshrink(input: Tensor) -> Tensor:
    """x − tanh x.

    >>> import chainrule
    >>> tanhshrink(chainrule.tensor([0.0, 10.0]))
    tensor([0., 9.])
    """
    x = need_tensor(input, "tanhshrink")
    return x - tanh(x)


# ------------------------------------------------------------------------------------------------------- gates


def silu(input: Tensor, inplace: bool = False) -> Tensor:
    """x·σ(x), also called swish: a gate that its own input opens.

    Sources: Elfwing, Uchibe and Doya, 2018; Ramachandran, Zoph and Le, "Searching for activation functions", 2017.

    >>> import chainrule
    >>> silu(chainrule.tensor([-1000.0, 0.0, 1.0]))
    tensor([-0.0000,  0.0000,  0.7311])
    """
    x = need_tensor(input, "silu")
    return placed(x, _silu(x), inplace)


@block
def _silu(x: Tensor) -> Tensor:
    wide = in_float32(x)
    return rounded_as(x, wide * activation.sigmoid(wide))


@_silu.gradient
def _(g: Tensor, x: Tensor) -> Tensor:
    wide = in_float32(x)
    s = activation.sigmoid(wide)
    return rounded_as(g, in_float32(g) * (s * (wide * (1 - s) + 1)))


def mish(input: Tensor, inplace: bool = False) -> Tensor:
    """x·tanh(softplus(x)). Source: Misra, "Mish: a self regularized non-monotonic activation function", 2019.

    >>> import chainrule
    >>> mish(chainrule.tensor([0.0, 1.0]))
    tensor([0.0000, 0.8651])
    """
    x = need_tensor(input, "mish")
    return placed(x, _mish(x), inplace)


@block
def _mish(x: Tensor) -> Tensor:
    wide = in_float32(x)
    return rounded_as(x, wide * tanh(_softplus(wide)))


@_mish.gradient
def _(g: Tensor, x: Tensor) -> Tensor:
    wide = in_float32(x)
    bent = tanh(_softplus(wide))
    # Above 50 the last factor is 0 in every type; the derivative of this rule must not meet ∞·0 (NaN) in float16.
    slope = bent + wide.clamp(max=50.0) * activation.sigmoid(wide) * (1 - bent * bent)
    return rounded_as(g, in_float32(g) * slope)


@composite
def glu(input: Tensor, dim: int = -1) -> Tensor:
    """a·σ(b), where a and b are the halves of the input along `dim`. Raises ShapeError for an odd extent.

    Source: Dauphin et al., "Language modeling with gated convolutional networks", 2017.

    >>> import chainrule
    >>> glu(chainrule.tensor([2.0, 4.0, 0.0, 0.0]))
    tensor([1., 2.])
    """
    x = need_tensor(input, "glu")
    if not x.ndim or x.shape[dim] % 2:
        raise ShapeError(f"glu needs an even extent in dimension {dim}, got {tuple(x.shape)}.")
    a, b = x.chunk(2, dim)
    return a * activation.sigmoid(b)


# ------------------------------------------------------------------------------------------------ probabilities


def softmin(input: Tensor, dim: int | None = None, _stacklevel: int = 3, dtype: Any = None) -> Tensor:
    """Softmax of −x: the smallest entry gets the largest probability; `dim` as in `softmax`.

    >>> import chainrule
    >>> softmin(chainrule.tensor([0.0, 1000.0]), 0)
    tensor([1., 0.])
    """
    return softmax(-need_tensor(input, "softmin"), dim, dtype=dtype)


def gumbel_softmax(logits: Tensor, tau: float = 1, hard: bool = False, eps: float = 1e-10, dim: int = -1) -> Tensor:
    """A random choice that gradients go through: softmax((logits + Gumbel noise)/τ) along `dim`.

    For small τ it is nearly one-hot, and the choice has the probabilities softmax(logits). With `hard` the result is
    exactly one-hot, its gradient that of the soft one (straight through). `eps` is ignored, as in PyTorch.
    Sources: Jang, Gu and Poole; Maddison, Mnih and Teh, both 2017.

    >>> import chainrule
    >>> gumbel_softmax(chainrule.zeros(3, 4), hard=True).sum(1)
    tensor([1., 1., 1.])
    """
    x = need_tensor(logits, "gumbel_softmax")
    uniform = rand(tuple(x.shape), device=x.device).to(x.dtype).clamp(min=1e-7 if x.dtype.itemsize > 2 else 1e-4)
    soft = activation.softmax((x - (-uniform.log()).log()) / tau, dim)
    if not hard:
        return soft
    place = soft.detach().argmax(dim, keepdim=True)
    one_hot = zeros_like(soft.detach()).scatter(dim, place, 1.0)
    return one_hot - soft.detach() + soft


# ----------------------------------------------------------------------------------------------------- modules


class _InPlace(Module):
    """What the layers share whose only setting is `inplace`."""

    def __init__(self, inplace: bool = False) -> None:
        super().__init__()
        self.inplace = inplace

    def extra_repr(self) -> str:
        """Whether in place."""
        return "inplace=True" if self.inplace else ""


class ELU(Module):
    """x where x > 0, else α·(eˣ − 1); see `functional.elu`.

    >>> import chainrule
    >>> ELU()(chainrule.tensor([-1.0, 2.0]))
    tensor([-0.6321,  2.0000])
    """

    def __init__(self, alpha: float = 1.0, inplace: bool = False) -> None:
        super().__init__()
        self.alpha, self.inplace = alpha, inplace

    def forward(self, input: Tensor) -> Tensor:
        """See the class."""
        return elu(input, self.alpha, self.inplace)

    def extra_repr(self) -> str:
        """α."""
        return f"alpha={self.alpha}" + (", inplace=True" if self.inplace else "")


class CELU(ELU):
    """x where x > 0, else α·(e^(x/α) − 1); see `functional.celu`.

    >>> import chainrule
    >>> CELU(2.0)(chainrule.tensor([-2.0, 2.0]))
    tensor([-1.2642,  2.0000])
    """

    def forward(self, input: Tensor) -> Tensor:
        """See the class."""
        return celu(input, self.alpha, self.inplace)


class SELU(_InPlace):
    """λ·x where x > 0, else λ·α·(eˣ − 1); see `functional.selu`.

    >>> import chainrule
    >>> SELU()(chainrule.tensor([-1.0, 1.0]))
    tensor([-1.1113,  1.0507])
    """

    def forward(self, input: Tensor) -> Tensor:
        """See the class."""
        return selu(input, self.inplace)


class SiLU(_InPlace):
    """x·σ(x), also called swish; see `functional.silu`.

    >>> import chainrule
    >>> SiLU()(chainrule.tensor([0.0, 1.0]))
    tensor([0.0000, 0.7311])
    """

    def forward(self, input: Tensor) -> Tensor:
        """See the class."""
        return silu(input, self.inplace)


class Mish(_InPlace):
    """x·tanh(softplus(x)); see `functional.mish`.

    >>> import chainrule
    >>> Mish()(chainrule.tensor([0.0, 1.0]))
    tensor([0.0000, 0.8651])
    """

    def forward(self, input: Tensor) -> Tensor:
        """See the class."""
        return mish(input, self.inplace)


class Softplus(Module):
    """ln(1 + e^(βx))/β; see `functional.softplus`.

    >>> import chainrule
    >>> Softplus()(chainrule.tensor([0.0]))
    tensor([0.6931])
    """

    def __init__(self, beta: float = 1.0, threshold: float = 20.0) -> None:
        super().__init__()
        self.beta, self.threshold = beta, threshold

    def forward(self, input: Tensor) -> Tensor:
        """See the class."""
        return softplus(input, self.beta, self.threshold)

    def extra_repr(self) -> str:
        """β, and where the line begins."""
        return f"beta={self.beta}, threshold={self.threshold}"


class LogSigmoid(Module):
    """ln σ(x), without going through σ.

    >>> import chainrule
    >>> LogSigmoid()(chainrule.tensor([0.0]))
    tensor([-0.6931])
    """

    def forward(self, input: Tensor) -> Tensor:
        """See the class."""
        return logsigmoid(input)


class Softsign(Module):
    """x/(1 + |x|), entry by entry.

    >>> import chainrule
    >>> Softsign()(chainrule.tensor([-3.0, 1.0]))
    tensor([-0.7500,  0.5000])
    """

    def forward(self, input: Tensor) -> Tensor:
        """See the class."""
        return softsign(input)


class Tanhshrink(Module):
    """x − tanh x, entry by entry.

    >>> import chainrule
    >>> Tanhshrink()(chainrule.tensor([0.0, 10.0]))
    tensor([0., 9.])
    """

    def forward(self, input: Tensor) -> Tensor:
        """See the class."""
        return tanhshrink(input)


class GLU(Module):
    """a·σ(b) of the halves of the input along `dim`; see `functional.glu`.

    >>> import chainrule
    >>> GLU()(chainrule.tensor([2.0, 4.0, 0.0, 0.0]))
    tensor([1., 2.])
    """

    def __init__(self, dim: int = -1) -> None:
        super().__init__()
        self.dim = dim

    def forward(self, input: Tensor) -> Tensor:
        """See the class."""
        return glu(input, self.dim)

    def extra_repr(self) -> str:
        """The dimension."""
        return f"dim={self.dim}"


class Softmin(Module):
    """Softmax of −x along `dim`.

    >>> import chainrule
    >>> Softmin(0)(chainrule.tensor([0.0, 1000.0]))
    tensor([1., 0.])
    """

    def __init__(self, dim: int | None = None) -> None:
        super().__init__()
        self.dim = dim

    def forward(self, input: Tensor) -> Tensor:
        """See the class."""
        return softmin(input, self.dim)

    def extra_repr(self) -> str:
        """The dimension."""
        return f"dim={self.dim}"


class Softmax2d(Module):
    """Softmax over the channels of images (N, C, H, W) or (C, H, W): probabilities for each pixel.

    >>> import chainrule
    >>> Softmax2d()(chainrule.zeros(1, 4, 2, 2))[0, :, 0, 0]
    tensor([0.2500, 0.2500, 0.2500, 0.2500])
    """

    def forward(self, input: Tensor) -> Tensor:
        """See the class."""
        if need_tensor(input, "Softmax2d").ndim not in (3, 4):
            raise ShapeError(f"takes (N, C, H, W) or (C, H, W), got {tuple(input.shape)}.")
        return activation.softmax(input, -3)
