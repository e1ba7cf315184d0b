"""Penalties: what is added to a loss so that weights stay small, sparse, or near a form that is good for training.

Each is a function of parameters and a module that holds the strength; both take a model, of which they see the
weights (`weights` says which), or parameters chosen by hand. docs/regularisation.md shows what they do.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from chainrule.errors import ShapeError
from chainrule.functions.creation import eye, tensor
from chainrule.functions.linalg import svdvals
from chainrule.nn.module import Module
from chainrule.tensor import Tensor

#: A model, of which the weights are meant, or parameters.
Parameters = Module | Tensor | Iterable[Tensor]


def weights(model: Module) -> list[Tensor]:
    """The parameters that multiply inputs: those of two dimensions or more, but not of normalisation layers.

    Biases, and the scales and shifts of normalisation, are few and do not overfit; to pull them to zero only does harm.

    >>> from chainrule import nn
    >>> [tuple(w.shape) for w in weights(nn.Sequential(nn.Conv2d(1, 6, 5), nn.Flatten(), nn.Linear(6, 2)))]
    [(6, 1, 5, 5), (2, 6)]
    """
    scales = {id(p) for m in model.modules() if "Norm" in type(m).__name__ for p in m.parameters(recurse=False)}
    return [p for p in model.parameters() if p.ndim >= 2 and id(p) not in scales]


def decay_groups(model: Module, weight_decay: float) -> list[dict[str, Any]]:
    """Parameter groups for an optimiser: the weights with this decay, all other parameters with none.

    >>> from chainrule import nn, optim
    >>> optimizer = optim.AdamW(decay_groups(nn.Linear(3, 2), 0.1), lr=1e-3)
    >>> [group["weight_decay"] for group in optimizer.param_groups]
    [0.1, 0.0]
    """
    decayed = weights(model)
    known = {id(p) for p in decayed}
    others = [p for p in model.parameters() if id(p) not in known]
    return [{"params": decayed, "weight_decay": weight_decay}, {"params": others, "weight_decay": 0.0}]


def l1_penalty(parameters: Parameters, strength: float = 1.0) -> Tensor:
    """λ·Σ|θ|: a 0-d tensor. Its pull has the same size everywhere, so it makes many weights exactly or nearly zero.

    Gradient steps let them jump around zero by about λ times the learning rate; `models.lasso` makes them exactly zero.
    Source: Tibshirani, "Regression shrinkage and selection via the lasso", 1996; lecture summary IV.2.d.

    >>> import chainrule
    >>> l1_penalty([chainrule.tensor([3.0, -4.0])], 0.1)
    tensor(0.7000)
    """
    return _sum(parameters, lambda p: p.abs().sum()) * strength


def l2_penalty(parameters: Parameters, strength: float = 1.0) -> Tensor:
    """½λ·Σθ²: a 0-d tensor. Its pull is λ·θ, so large weights shrink most and none becomes zero.

    Under plain gradient descent the same as the `weight_decay` λ of the optimiser; under Adam not, see
    docs/regularisation.md. Source: Hoerl and Kennard, "Ridge regression", 1970; lecture summary IV.2.d.

    >>> import chainrule
    >>> l2_penalty([chainrule.tensor([3.0, -4.0])], 0.1)
    tensor(1.2500)
    """
    return _sum(parameters, lambda p: (p * p).sum()) * (0.5 * strength)


def elastic_net_penalty(parameters: Parameters, strength: float = 1.0, l1_ratio: float = 0.5) -> Tensor:
    """λ·(ρ·Σ|θ| + ½(1 − ρ)·Σθ²) with the share ρ = `l1_ratio` in [0, 1]: sparse, and calm where inputs are alike.

    Raises ValueError for a share out of its range. Source: Zou and Hastie, "Regularization and variable selection via
    the elastic net", 2005; the form is scikit-learn's.

    >>> import chainrule
    >>> elastic_net_penalty([chainrule.tensor([3.0, -4.0])], 0.1, l1_ratio=0.5)
    tensor(0.9750)
    """
    if not 0 <= l1_ratio <= 1:
        raise ValueError(f"l1_ratio is a share in [0, 1], got {l1_ratio}.")
    both = _sum(parameters, lambda p: (p.abs() * l1_ratio + p * p * (0.5 * (1 - l1_ratio))).sum())
    return both * strength


def orthogonality_penalty(parameters: Parameters, strength: float = 1.0) -> Tensor:
    """λ·Σ‖WᵀW − I‖²: zero where the columns of each weight are orthonormal, so that it keeps lengths.

    A weight (C_out, …) is read as a matrix of C_out rows. A wide one has orthonormal rows at best, so for it ‖WWᵀ − I‖²
    is taken; that is less by the constant (columns − rows), so the gradient is the same. Raises ShapeError for vectors.

    Source: Brock, Lim, Ritchie and Weston, "Neural photo editing with introspective adversarial networks", 2017.

    >>> import chainrule
    >>> orthogonality_penalty([chainrule.eye(3)]), orthogonality_penalty([2 * chainrule.eye(2)])
    (tensor(0.), tensor(18.))
    """

    def distance(p: Tensor) -> Tensor:
        W = _matrix(p, "orthogonality_penalty")
        gram = W @ W.T if W.shape[0] <= W.shape[1] else W.T @ W
        return (gram - eye(gram.shape[0], dtype=gram.dtype, device=gram.device)).square().sum()

    return _sum(parameters, distance) * strength


def spectral_norm_penalty(parameters: Parameters, strength: float = 1.0) -> Tensor:
    """½λ·Σσ₁(W)², σ₁ the largest singular value of each weight: how much a layer can stretch its input at most.

    A weight (C_out, …) is read as a matrix of C_out rows. Exact, by the singular value decomposition. Raises ShapeError
    for vectors. Source: Yoshida and Miyato, "Spectral norm regularization", 2017.

    >>> import chainrule
    >>> spectral_norm_penalty([chainrule.tensor([[3.0, 0.0], [0.0, 4.0]])])
    tensor(8.)
    """

    def largest(p: Tensor) -> Tensor:
        return svdvals(_matrix(p, "spectral_norm_penalty"))[0].square()

    return _sum(parameters, largest) * (0.5 * strength)


def _sum(parameters: Parameters, term: Callable[[Tensor], Tensor]) -> Tensor:
    if isinstance(parameters, Module):
        chosen = weights(parameters)
    else:
        chosen = [parameters] if isinstance(parameters, Tensor) else list(parameters)
    terms = [term(p) for p in chosen if p.numel()]
    if not terms:
        return tensor(0.0)
    total = terms[0]
    for one in terms[1:]:
        total = total + one
    return total


def _matrix(p: Tensor, name: str) -> Tensor:
    """A weight as a matrix of its outputs, halves as float32: decompositions need it."""
    if p.ndim < 2:
        raise ShapeError(
            f"{name} is of matrices, got shape {tuple(p.shape)}; give the model, or penalty.weights(model)."
        )
    matrix = p if p.ndim == 2 else p.flatten(1)
    return matrix.float() if matrix.dtype.itemsize == 2 else matrix


# ------------------------------------------------------------------------------------------- as modules


class Penalty(Module):
    """What the penalties share: a strength λ, not negative, and a call with a model or parameters.

    >>> import chainrule
    >>> from chainrule import nn
    >>> model, penalty = nn.Linear(3, 1), L2Penalty(1e-2)
    >>> loss = nn.functional.mse_loss(model(chainrule.ones(5, 3)), chainrule.ones(5, 1)) + penalty(model)
    >>> loss.backward()
    """

    def __init__(self, strength: float = 1.0) -> None:
        super().__init__()
        if not strength >= 0:
            raise ValueError(f"the strength of a penalty is not negative, got {strength}.")
        self.strength = strength

    def forward(self, parameters: Parameters) -> Tensor:
        """The penalty of a model's weights, or of these parameters."""
        raise NotImplementedError(f"{type(self).__name__} does not say its penalty.")

    def extra_repr(self) -> str:
        """The strength."""
        return f"strength={self.strength}"


class L1Penalty(Penalty):
    """λ·Σ|θ|; see `l1_penalty`."""

    def forward(self, parameters: Parameters) -> Tensor:
        """See the class."""
        return l1_penalty(parameters, self.strength)


class L2Penalty(Penalty):
    """½λ·Σθ²; see `l2_penalty`."""

    def forward(self, parameters: Parameters) -> Tensor:
        """See the class."""
        return l2_penalty(parameters, self.strength)


class ElasticNetPenalty(Penalty):
    """λ·(ρ·Σ|θ| + ½(1 − ρ)·Σθ²); see `elastic_net_penalty`."""

    def __init__(self, strength: float = 1.0, l1_ratio: float = 0.5) -> None:
        super().__init__(strength)
        self.l1_ratio = l1_ratio

    def forward(self, parameters: Parameters) -> Tensor:
        """See the class."""
        return elastic_net_penalty(parameters, self.strength, self.l1_ratio)

    def extra_repr(self) -> str:
        """Strength and share."""
        return f"strength={self.strength}, l1_ratio={self.l1_ratio}"


class OrthogonalityPenalty(Penalty):
    """λ·Σ‖WᵀW − I‖²; see `orthogonality_penalty`."""

    def forward(self, parameters: Parameters) -> Tensor:
        """See the class."""
        return orthogonality_penalty(parameters, self.strength)


class SpectralNormPenalty(Penalty):
    """½λ·Σσ₁(W)²; see `spectral_norm_penalty`."""

    def forward(self, parameters: Parameters) -> Tensor:
        """See the class."""
        return spectral_norm_penalty(parameters, self.strength)
