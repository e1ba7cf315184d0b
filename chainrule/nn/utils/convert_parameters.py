"""All parameters of a model as one vector, and back: for methods that think of a model as one point in ℝⁿ."""

from __future__ import annotations

from collections.abc import Iterable

from chainrule.autodiff.mode import no_grad
from chainrule.errors import ShapeError
from chainrule.functions.pieces import cat
from chainrule.tensor import Tensor


def parameters_to_vector(parameters: Iterable[Tensor]) -> Tensor:
    """All entries of all parameters, one after the other: (n,). Gradients flow back to the parameters.

    Raises ShapeError for no parameters.

    >>> import chainrule
    >>> layer = chainrule.nn.Linear(2, 1)
    >>> parameters_to_vector(layer.parameters()).shape
    Size([3])
    """
    return cat([p.reshape(-1) for p in parameters])


@no_grad()
def vector_to_parameters(vec: Tensor, parameters: Iterable[Tensor]) -> None:
    """Put the entries of a vector (n,) into the parameters, in place: the inverse of `parameters_to_vector`.

    Each takes its part in its own data type. Raises TypeError for what is no tensor, ShapeError for a vector that is
    too long or too short.

    >>> import chainrule
    >>> layer = chainrule.nn.Linear(2, 1)
    >>> vector_to_parameters(chainrule.tensor([1.0, 2.0, 3.0]), layer.parameters())
    >>> layer.weight.tolist(), layer.bias.tolist()
    ([[1.0, 2.0]], [3.0])
    """
    if not isinstance(vec, Tensor):
        raise TypeError(f"vector_to_parameters takes a tensor, got {type(vec).__name__}; see chainrule.tensor.")
    parameters = list(parameters)
    sizes = [p.numel() for p in parameters]
    if tuple(vec.shape) != (sum(sizes),):
        raise ShapeError(f"the parameters have {sum(sizes)} entries together, the vector has shape {tuple(vec.shape)}.")
    for p, part in zip(parameters, vec.split(sizes), strict=True):
        p.copy_(part.reshape(p.shape))
