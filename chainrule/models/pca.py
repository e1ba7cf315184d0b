"""Principal components: what a linear autoencoder can do at best (scikit-learn's, the extra `cluster`)."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from chainrule.autodiff.mode import no_grad
from chainrule.functions.creation import from_numpy
from chainrule.models.clustering import learner, rows
from chainrule.nn.container import Sequential
from chainrule.nn.linear import Linear
from chainrule.tensor import Tensor


class PrincipalComponents(NamedTuple):
    """What PCA found.

    Attributes:
        mean: (D,).
        components: orthonormal directions of largest variance, the largest first, (components, D).
        explained: the share of the variance along each, (components,).
    """

    mean: Tensor
    components: Tensor
    explained: Tensor

    def encode(self, x: Tensor) -> Tensor:
        """Coordinates along the components: (N, D) to (N, components)."""
        return (x.reshape(len(x), -1) - self.mean) @ self.components.T

    def decode(self, code: Tensor) -> Tensor:
        """Back again, (N, components) to (N, D): of all linear codes of this size the one with the smallest error."""
        return code @ self.components + self.mean

    @no_grad()
    def autoencoder(self) -> Sequential:
        """The same as a network of two linear layers, encoder and decoder: where an autoencoder may begin."""
        size, inputs = self.components.shape
        encoder = Linear(inputs, size, dtype=self.components.dtype)
        decoder = Linear(size, inputs, dtype=self.components.dtype)
        encoder.weight.copy_(self.components)
        encoder.bias.copy_(-(self.components @ self.mean))
        decoder.weight.copy_(self.components.T)
        decoder.bias.copy_(self.mean)
        return Sequential(encoder, decoder)


def pca(x: Tensor, components: int, seed: int = 0) -> PrincipalComponents:
    """The directions along which samples vary most. x: (N, …), flattened to (N, D).

    Each component is defined but for its sign; here its largest entry is positive. Raises ValueError for a number of
    components not in [1, min(N, D)]. Sources: chapter I, tutorial 4; Pearson 1901.

    >>> import chainrule
    >>> found = pca(chainrule.tensor([[0.0, 1.0], [1.0, 3.0], [2.0, 5.0]]), 1)
    >>> found.components
    tensor([[0.4472, 0.8944]])
    >>> found.decode(found.encode(chainrule.tensor([[4.0, 9.0]])))
    tensor([[4., 9.]])
    """
    samples = rows(x)
    if not 1 <= components <= min(samples.shape):
        raise ValueError(f"there are between 1 and {min(samples.shape)} components, got {components}.")
    found = learner("decomposition").PCA(components, random_state=seed).fit(samples)
    directions = found.components_
    largest = np.take_along_axis(directions, np.abs(directions).argmax(1)[:, None], 1)
    directions = directions * np.where(largest < 0, -1, 1).astype(directions.dtype)
    return PrincipalComponents(*map(from_numpy, (found.mean_, directions, found.explained_variance_ratio_)))
