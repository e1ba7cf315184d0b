"""Gaussian processes: a smooth curve through measured points, and how unsure it is between them."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

import chainrule
from chainrule import linalg
from chainrule.optim import LBFGS
from chainrule.tensor import Tensor

#: How much the fit prefers ordinary settings, as mean and standard deviation of their logarithms: in inputs of the
#: unit cube lengths of about ½, in standardised outputs a height of about 1 and little noise.
_LENGTH, _HEIGHT, _NOISE = (math.log(0.5), 1.0), (0.0, 1.0), (math.log(1e-2), 2.0)
_SMALLEST_NOISE = 1e-6  # keeps the matrix positive definite where two inputs are the same


class GaussianProcess:
    """y = f(x) + noise, where any values of f are jointly normal and alike where the inputs are near each other.

    The covariance of f(x) and f(x′) is the Matérn function k = h·(1 + √5·r + 5r²/3)·e^(−√5·r), r² = Σ ((xᵢ − x′ᵢ)/ℓᵢ)²,
    with a length ℓᵢ for each input, a height h and the variance of the noise, chosen where the likelihood of the
    measured values, times a wide log-normal prior, is largest; L-BFGS finds the place with gradients by this package.

    Args:
        x: (n, d), the inputs, in the unit cube.
        y: (n,), what was measured there; standardised inside.
        settings: the logarithms of d lengths, height and noise, if they are known.

    Source: Rasmussen and Williams, "Gaussian processes for machine learning", 2006, chapters 2, 4 and 5.

    >>> import numpy as np
    >>> x = np.linspace(0, 1, 12)[:, None]
    >>> process = GaussianProcess(x, np.sin(6 * x[:, 0]))
    >>> mean, deviation = process.predict(np.array([[0.33], [3.0]]))
    >>> bool(abs(mean[0] - np.sin(6 * 0.33)) < 0.05), bool(deviation[1] > 5 * deviation[0])
    (True, True)
    """

    def __init__(self, x: np.ndarray, y: np.ndarray, settings: np.ndarray | None = None) -> None:
        self.x, self.centre, self.scale = x, float(y.mean()), float(y.std()) or 1.0
        standard = (y - self.centre) / self.scale
        self.settings = _fit(x, standard) if settings is None else settings
        covariance = _matrix(chainrule.tensor(_squares(x, x)), chainrule.tensor(self.settings))
        self._lower = linalg.cholesky(covariance).numpy()
        self._weights = np.linalg.solve(covariance.numpy(), standard)

    def predict(self, x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Mean and standard deviation of f at the inputs (m, d), without the noise of a measurement."""
        across = _matern(chainrule.tensor(_squares(x, self.x)), chainrule.tensor(self.settings)).numpy()
        explained = (np.linalg.solve(self._lower, across.T) ** 2).sum(0)
        variance = np.maximum(math.exp(self.settings[-2]) - explained, 1e-12)
        return self.centre + self.scale * (across @ self._weights), self.scale * np.sqrt(variance)


def expected_improvement(mean: np.ndarray, deviation: np.ndarray, best: float) -> np.ndarray:
    """E[max(best − f, 0)] of a normal f: how far below `best` one may hope to come. Σ·(u·Φ(u) + φ(u)), u in units of Σ.

    >>> import numpy as np
    >>> expected_improvement(np.array([0.0]), np.array([1.0]), 0.0).round(4)
    array([0.3989])
    """
    u = (best - mean) / deviation
    below = 0.5 * (1 + chainrule.erf(chainrule.tensor(u / math.sqrt(2))).numpy())
    improvement: np.ndarray = deviation * (u * below + np.exp(-0.5 * u**2) / math.sqrt(2 * math.pi))
    return improvement


def _squares(x: np.ndarray, other: np.ndarray) -> np.ndarray:
    """(d, n, m): squared distances along each axis."""
    squares: np.ndarray = (x.T[:, :, None] - other.T[:, None, :]) ** 2
    return squares


def _matern(squares: Tensor, settings: Tensor) -> Tensor:
    scaled = (squares * (-2 * settings[:-2]).exp()[:, None, None]).sum(0)
    r = (5 * scaled + 1e-12).sqrt()  # the root has no derivative at 0
    return settings[-2].exp() * (1 + r + r * r / 3) * (-r).exp()


def _matrix(squares: Tensor, settings: Tensor) -> Tensor:
    """The covariance of the measured values: that of f, and the noise on the diagonal."""
    noise = settings[-1].exp() + _SMALLEST_NOISE
    return _matern(squares, settings) + noise * chainrule.eye(squares.shape[1], dtype=squares.dtype)


def _fit(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """The settings of largest likelihood times prior."""
    priors = [_LENGTH] * x.shape[1] + [_HEIGHT, _NOISE]
    means, deviations = (chainrule.tensor(np.array(column)) for column in zip(*priors, strict=True))
    squares, target = chainrule.tensor(_squares(x, x)), chainrule.tensor(y)
    settings = means.clone().requires_grad_()
    optimizer = LBFGS([settings], max_iter=50, line_search_fn="strong_wolfe")

    def closure() -> Any:
        optimizer.zero_grad()
        covariance = _matrix(squares, settings)
        fit = target @ linalg.solve(covariance, target) / 2
        size = linalg.cholesky(covariance).diagonal().log().sum()
        loss = fit + size + (((settings - means) / deviations) ** 2).sum() / 2
        loss.backward()
        return loss

    optimizer.step(closure)
    found: np.ndarray = settings.detach().numpy()
    return found
