"""Losses that are distances of distributions, or negative logarithms of likelihoods."""

from __future__ import annotations

import math
from functools import partial
from typing import Any

from chainrule.autodiff.block import block
from chainrule.errors import ShapeError
from chainrule.functions import activation
from chainrule.functions.autocasting import in_single
from chainrule.functions.checking import check_numbers
from chainrule.functions.creation import tensor
from chainrule.functions.elementwise import exp
from chainrule.functions.gathering import gather
from chainrule.functions.logic import where
from chainrule.functions.promotion import in_float32, need_tensor, promote
from chainrule.nn.losses.binary import binary_cross_entropy_with_logits
from chainrule.nn.losses.classes import Loss, check_labels, reduce, same_shape
from chainrule.nn.losses.old_words import with_old_words
from chainrule.tensor import Tensor


@in_single
@with_old_words
def kl_div(input: Tensor, target: Tensor, reduction: str = "mean", log_target: bool = False) -> Tensor:
    """t·(ln t − x) from log-probabilities x and probabilities t: the Kullback–Leibler divergence KL(t ‖ eˣ).

    Where t is 0 it is 0, and its gradient in t NaN: the slope is −∞ there. With `log_target` the targets are
    log-probabilities too. "batchmean" divides the sum by the
    first extent, which is what the mathematics means; "mean" divides by the number of entries.
    Raises ShapeError unless both have one shape.

    >>> import chainrule
    >>> kl_div(chainrule.tensor([[0.5, 0.5]]).log(), chainrule.tensor([[1.0, 0.0]]), reduction="batchmean")
    tensor(0.6931)
    """
    same_shape(input, target)
    if log_target:
        losses = exp(target) * (target - input)
    else:
        losses = _divergence(*promote(input, target))
    if reduction == "batchmean":
        return (in_float32(losses).sum() / (input.shape[0] if input.ndim else 1)).to(losses.dtype)
    return reduce(losses, reduction)


@block
def _divergence(x: Tensor, t: Tensor) -> Tensor:
    # ln 1 where t is 0. A negative t is no probability: its logarithm says so by NaN.
    return t * (where(t != 0, t, t.new_ones(())).log() - x)


@_divergence.gradient
def _(g: Tensor, x: Tensor, t: Tensor) -> tuple[Tensor, Tensor | None]:
    # The slope in t is ln t + 1 − x, and none at 0: there t/t is NaN.
    return -(g * t), g * (t.log() + t / t - x) if t.requires_grad else None


def gaussian_nll_loss(
    input: Tensor,
    target: Tensor,
    var: Tensor | float,
    full: bool = False,
    eps: float = 1e-6,
    reduction: str = "mean",
) -> Tensor:
    """½·(ln σ² + (x − t)²/σ²) for a predicted mean x and variance σ²: −ln of a normal density, but for ½·ln 2π.

    `full` adds that constant. Variances below `eps` count as `eps`; their gradient goes on. var: of the shape of the
    input, or with extents of 1 in it, or without the last dimension (one variance for each sample), or a number. The
    target has the shape of the input, or extents of 1 in it, or is one number.
    Raises ShapeError where the shapes do not fit, ValueError for negative variances.

    Source: Nix and Weigend, "Estimating the mean and variance of the target probability distribution", 1994.

    >>> import chainrule
    >>> gaussian_nll_loss(chainrule.tensor([1.0]), chainrule.tensor([3.0]), chainrule.tensor([4.0]))
    tensor(1.1931)
    """
    if target.ndim == 0 or _repeats_to(target, input):
        target = target.expand(tuple(input.shape))
    same_shape(input, target)
    variance = (
        var
        if isinstance(var, Tensor)
        else tensor(float(var), dtype=input.dtype, device=input.device).expand(input.shape)
    )
    if variance.shape != input.shape:
        if tuple(variance.shape) == tuple(input.shape[:-1]):
            variance = variance.unsqueeze(-1)
        elif not _repeats_to(variance, input):
            raise ShapeError(
                f"gaussian_nll_loss: var has the shape {tuple(input.shape)}, with extents of 1 in it or without the "
                f"last dimension, got {tuple(variance.shape)}."
            )
    check_numbers(_are_variances, variance, wrong=_is_negative)
    # Held at eps in value only, so that too small a variance can grow.
    held = where(variance < eps, variance - variance.detach() + eps, variance)
    losses = 0.5 * (held.log() + (input - target) ** 2 / held)
    return reduce(losses + 0.5 * math.log(2 * math.pi) if full else losses, reduction)


def _are_variances(variances: Any) -> None:
    negative = variances < 0
    if negative.any():
        raise ValueError(f"gaussian_nll_loss: variances are not negative, got {variances[negative].min():.4g}.")


def _is_negative(variances: Tensor) -> Tensor:
    return variances < 0


def _repeats_to(x: Tensor, input: Tensor) -> bool:
    """Whether it has the extents of the input or 1, dimension for dimension."""
    return x.ndim == input.ndim and all(own in (1, n) for own, n in zip(x.shape, input.shape, strict=True))


@in_single
@partial(with_old_words, first="eps")
def poisson_nll_loss(
    input: Tensor,
    target: Tensor,
    log_input: bool = True,
    full: bool = False,
    eps: float = 1e-8,
    reduction: str = "mean",
) -> Tensor:
    """e^x − t·x for counts t and the logarithm x of their rate; x − t·ln(x + ε) for the rate itself.

    −ln of a Poisson probability but for ln t!; `full` adds Stirling's approximation of that for t > 1.
    Raises ShapeError unless both have one shape.

    >>> import chainrule
    >>> poisson_nll_loss(chainrule.tensor([0.0]), chainrule.tensor([2.0]))
    tensor(1.)
    """
    same_shape(input, target)
    losses = exp(input) - target * input if log_input else input - target * (input + eps).log()
    if full:
        safe = where(target > 1, target, target.new_ones(()))
        stirling = target * safe.log() - target + 0.5 * (safe * (2 * math.pi)).log()
        losses = losses + where(target > 1, stirling, losses.new_zeros(()))
    return reduce(losses, reduction)


# ------------------------------------------------------------------------- likelihoods, for the maximum of them


def gaussian_log_likelihood(input: Tensor, target: Tensor, sigma: float = 1.0) -> Tensor:
    """Σ ln N(t; x, σ²) of all entries: −n·ln(σ√2π) − Σ(t − x)²/2σ².

    For fixed σ its maximum is the minimum of the squared error: MSE = 2σ²·(−ln L/n − ln(σ√2π)). Source: E 3.2, I II.3.

    >>> import chainrule
    >>> gaussian_log_likelihood(chainrule.tensor([0.0]), chainrule.tensor([0.0]))
    tensor(-0.9189)
    """
    same_shape(input, target)
    if not sigma > 0:
        raise ValueError(f"sigma is a standard deviation above 0, got {sigma}.")
    squares = ((target - input) ** 2).sum()
    return -squares / (2 * sigma**2) - input.numel() * math.log(sigma * math.sqrt(2 * math.pi))


def categorical_log_likelihood(input: Tensor, target: Tensor) -> Tensor:
    """Σ ln softmax(x)[label] of scores (N, C) and labels (N,): −N times the mean cross-entropy. Source: E 3.2, I II.3.

    >>> import chainrule
    >>> categorical_log_likelihood(chainrule.zeros(1, 4), chainrule.tensor([2]))
    tensor(-1.3863)
    """
    x = need_tensor(input, "categorical_log_likelihood")
    if x.ndim != 2 or tuple(target.shape) != (x.shape[0],):
        raise ShapeError(f"takes scores (N, C) and labels (N,), got {tuple(x.shape)} and {tuple(target.shape)}.")
    check_labels(x, target)
    return gather(activation.log_softmax(x, 1), 1, target.long().unsqueeze(1)).sum()


def gaussian_kl(
    mean: Tensor,
    log_variance: Tensor,
    other_mean: Tensor | float = 0.0,
    other_log_variance: Tensor | float = 0.0,
) -> Tensor:
    """KL(N(μ, σ²) ‖ N(μ′, σ′²)) entry by entry: ½·[(σ² + (μ − μ′)²)/σ′² − 1 + ln σ′² − ln σ²].

    Against the standard normal unless another is given: the regulariser of a variational autoencoder. Never negative.
    All tensors have one shape; the other's may be single numbers. Raises ShapeError otherwise.
    Source: Kingma and Welling, "Auto-encoding variational Bayes", 2014; T 4, I V.10.

    >>> import chainrule
    >>> gaussian_kl(chainrule.tensor([0.0, 1.0]), chainrule.tensor([0.0, 0.0]))
    tensor([0.0000, 0.5000])
    """
    same_shape(mean, log_variance, "mean", "log_variance")
    for name, given in (("other_mean", other_mean), ("other_log_variance", other_log_variance)):
        if isinstance(given, Tensor) and given.ndim:
            same_shape(mean, given, "mean", name)
    other = other_log_variance
    if not isinstance(other, Tensor):
        other = log_variance.new_full((), other)
    return 0.5 * ((exp(log_variance) + (mean - other_mean) ** 2) * exp(-other) - 1 + other - log_variance)


def elbo_terms(
    reconstruction: Tensor, target: Tensor, mean: Tensor, log_variance: Tensor, likelihood: str = "gaussian"
) -> tuple[Tensor, Tensor]:
    """The two terms of −ELBO of a variational autoencoder, each averaged over the batch: reconstruction, and KL.

        −ELBO = E_q[−ln p(x | z)] + KL(q(z | x) ‖ N(0, 1)) ≥ −ln p(x)

    reconstruction: what the decoder gives for the target, (N, …): means for "gaussian" (variance 1, without its
    constant), scores for "bernoulli". mean, log_variance: (N, D), of the latent's q. Raises ValueError for another
    likelihood, ShapeError for batches of different sizes. Source: Kingma and Welling, 2014; T 4, I V.10.

    >>> import chainrule
    >>> x, latent = chainrule.ones(2, 3), chainrule.zeros(2, 4)
    >>> elbo_terms(x, x, latent, latent)
    (tensor(0.), tensor(0.))
    """
    same_shape(reconstruction, target, "reconstruction", "target")
    if not target.ndim or not mean.ndim or target.shape[0] != mean.shape[0]:
        raise ShapeError(
            f"elbo_terms: targets {tuple(target.shape)} and latent means {tuple(mean.shape)} are not of one batch: "
            "both begin with the number of samples N."
        )
    samples = max(target.shape[0], 1)
    if likelihood == "gaussian":
        fit = ((reconstruction - target) ** 2).sum() * 0.5
    elif likelihood == "bernoulli":
        fit = binary_cross_entropy_with_logits(reconstruction, target, reduction="sum")
    else:
        raise ValueError(f"likelihood is 'gaussian' or 'bernoulli', got {likelihood!r}.")
    return fit / samples, gaussian_kl(mean, log_variance).sum() / samples


@with_old_words
class KLDivLoss(Loss):
    """The Kullback–Leibler divergence from log-probabilities; arguments as `functional.kl_div`.

    >>> import chainrule
    >>> KLDivLoss(reduction="batchmean")(chainrule.tensor([[0.5, 0.5]]).log(), chainrule.tensor([[1.0, 0.0]]))
    tensor(0.6931)
    """

    def __init__(self, reduction: str = "mean", log_target: bool = False) -> None:
        super().__init__(reduction="mean" if reduction == "batchmean" else reduction)
        self.reduction, self.log_target = reduction, log_target

    def forward(self, input: Tensor, target: Tensor) -> Tensor:
        """Log-probabilities and probabilities, of one shape."""
        return kl_div(input, target, reduction=self.reduction, log_target=self.log_target)


class GaussianNLLLoss(Loss):
    """−ln of a normal density with predicted mean and variance; arguments as `functional.gaussian_nll_loss`.

    >>> import chainrule
    >>> GaussianNLLLoss()(chainrule.tensor([1.0]), chainrule.tensor([3.0]), chainrule.tensor([4.0]))
    tensor(1.1931)
    """

    def __init__(self, *, full: bool = False, eps: float = 1e-6, reduction: str = "mean") -> None:
        super().__init__(reduction=reduction)
        self.full, self.eps = full, eps

    def forward(self, input: Tensor, target: Tensor, var: Tensor | float) -> Tensor:
        """Predicted means, targets, and predicted variances."""
        return gaussian_nll_loss(input, target, var, self.full, eps=self.eps, reduction=self.reduction)


@partial(with_old_words, first="eps")
class PoissonNLLLoss(Loss):
    """−ln of a Poisson probability; arguments as `functional.poisson_nll_loss`.

    >>> import chainrule
    >>> PoissonNLLLoss()(chainrule.tensor([0.0]), chainrule.tensor([2.0]))
    tensor(1.)
    """

    def __init__(self, log_input: bool = True, full: bool = False, eps: float = 1e-8, reduction: str = "mean") -> None:
        super().__init__(reduction=reduction)
        self.log_input, self.full, self.eps = log_input, full, eps

    def forward(self, log_input: Tensor, target: Tensor) -> Tensor:
        """Rates or their logarithms, and counts."""
        return poisson_nll_loss(log_input, target, self.log_input, self.full, eps=self.eps, reduction=self.reduction)
