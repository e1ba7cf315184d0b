"""What a loss looks like around a point: Hessian, its extreme eigenvalues, and what they say.

Functions here take a scalar function and its argument, a tensor or a tuple of tensors, as
`chainrule.autograd.functional` does. For a model, the function is of its parameters:

    names, values = zip(*model.named_parameters())
    def loss(*tensors):
        return loss_function(func.functional_call(model, dict(zip(names, tensors)), x), y)
    curvature.extreme_eigenvalues(loss, values)
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any, NamedTuple

from chainrule.autodiff.mode import enable_grad, no_grad
from chainrule.autograd.functional import hvp
from chainrule.autograd.gradient import grad
from chainrule.dtypes import FloatLimits
from chainrule.errors import GradientError, ShapeError
from chainrule.func.derivatives import grad as grad_of
from chainrule.functions.creation import eye
from chainrule.functions.linalg import eigvalsh
from chainrule.functions.pieces import cat, stack
from chainrule.random import Generator, randn
from chainrule.tensor import Tensor

Tensors = Tensor | tuple[Tensor, ...]


def gradient_and_hessian(loss: Tensor, parameters: Sequence[Tensor]) -> tuple[Tensor, Tensor]:
    """The gradient (n,) and the exact Hessian (n, n) of a computed loss in all n entries of the parameters together.

    Row i is the gradient of entry i of the gradient, so this takes n backward passes: for hundreds of parameters, not
    for millions. Parameters that the loss does not depend on have zeros. Raises GradientError if the loss depends on
    none, or if its graph is gone, because `backward()` was called.

    >>> import chainrule
    >>> w = chainrule.tensor([1.0, 2.0], requires_grad=True)
    >>> gradient_and_hessian(w[0] ** 2 * w[1], [w])
    (tensor([4., 1.]), tensor([[4., 2.],
                               [2., 0.]]))
    """
    gradient = _joined(grad(loss, parameters, create_graph=True, allow_unused=True), parameters)
    size = gradient.numel()
    if not gradient.requires_grad:  # the loss is linear
        return gradient, gradient.new_zeros(size, size)
    rows = [
        _joined(grad(gradient, parameters, unit, retain_graph=True, allow_unused=True), parameters)
        for unit in eye(size, dtype=gradient.dtype, device=gradient.device)
    ]
    hessian = stack(rows)
    return gradient.detach(), (hessian + hessian.T) / 2


def _joined(parts: Iterable[Tensor | None], parameters: Sequence[Tensor]) -> Tensor:
    """Tensors as one vector, zeros for None."""
    filled = (p.new_zeros(p.shape) if part is None else part for part, p in zip(parts, parameters, strict=True))
    return cat([part.reshape(-1) for part in filled])


class Eigenvalues(NamedTuple):
    """The ends of the Hessian's spectrum."""

    smallest: float
    largest: float


@no_grad()
def extreme_eigenvalues(
    function: Callable[..., Tensor], x: Tensors, iterations: int = 100, generator: Generator | None = None
) -> Eigenvalues:
    """λ₁ and λₙ of the Hessian of a scalar function at x, from products H·v only: the Hessian is never made.

    Power iteration multiplies by H again and again, and keeps the last vector. Lanczos' method, here, keeps all of
    them, as an orthonormal basis Q, and takes the extreme eigenvalues of the small matrix Qᵀ·H·Q. They lie inside of
    the true range, approach its ends far faster, and are exact once there are n vectors, so for n ≤ `iterations`.

    Args:
        function: the scalar function.
        x: where: a tensor, or a tuple of them.
        iterations: how many products H·v at most; each costs about two gradients.
        generator: of the first vector, which is random.

    Source: Golub and Van Loan, "Matrix Computations", 4th edition, chapter 10.

    >>> import chainrule
    >>> extreme_eigenvalues(lambda x: (x ** 4).sum(), chainrule.tensor([1.0, 2.0]))
    Eigenvalues(smallest=12.0, largest=48.0)
    """
    points = (x,) if isinstance(x, Tensor) else tuple(x)
    sizes = [p.numel() for p in points]
    first = randn(sum(sizes), dtype=points[0].dtype, device=points[0].device, generator=generator)
    basis, images = [first / first.norm()], []
    negligible = FloatLimits(first.dtype).eps * sum(sizes)
    for _ in range(min(iterations, sum(sizes))):
        parts = tuple(v.reshape(p.shape) for v, p in zip(basis[-1].split(sizes), points, strict=True))
        images.append(cat([v.reshape(-1) for v in hvp(function, points, parts)[1]]))
        Q, new = stack(basis), images[-1]
        for _ in range(2):  # twice is enough to be orthogonal to the last bit
            new = new - (Q @ new) @ Q
        if float(new.norm()) <= negligible * float(images[-1].norm()):
            break
        basis.append(new / new.norm())
    small = stack(basis[: len(images)]) @ stack(images).T
    values = eigvalsh((small + small.T) / 2)
    return Eigenvalues(float(values[0]), float(values[-1]))


def smoothness(function: Callable[..., Tensor], points: Iterable[Tensors], iterations: int = 100) -> float:
    """β = max ‖H‖₂ over the points given: how fast the gradient changes, ‖∇L(θ) − ∇L(θ′)‖ ≤ β·‖θ − θ′‖.

    The largest |eigenvalue| of the Hessian. Over a few points it is the smoothness seen there, a lower estimate of that
    of the whole space; points of a run give what matters for this run. Source: class notes, 3.4.

    >>> import chainrule
    >>> smoothness(lambda x: (x ** 4).sum(), [chainrule.tensor([1.0]), chainrule.tensor([-2.0])])
    48.0
    """
    ends = (extreme_eigenvalues(function, x, iterations) for x in points)
    return max(max(-found.smallest, found.largest) for found in ends)


class StationaryPoint(NamedTuple):
    """What a point is.

    Attributes:
        kind: "minimum" (all eigenvalues above 0), "maximum" (all below), "saddle" (both signs), "degenerate" (one end
            of the spectrum is 0 and the other does not decide: second derivatives cannot tell), "not stationary".
        gradient_norm: ‖∇L‖.
        smallest: λ₁(H). A negative one says that there is a way down, even if the gradient is 0.
        largest: λₙ(H).
    """

    kind: str
    gradient_norm: float
    smallest: float
    largest: float


def classify_stationary_point(
    function: Callable[..., Tensor],
    x: Tensors,
    *,
    gradient_tolerance: float = 1e-4,
    curvature_tolerance: float = 1e-4,
    iterations: int = 100,
) -> StationaryPoint:
    """Minimum, maximum or saddle, by the sign of the Hessian's extreme eigenvalues.

    Args:
        function: the scalar function.
        x: the point: a tensor, or a tuple of them.
        gradient_tolerance: the point is stationary if ‖∇L‖ is at most this.
        curvature_tolerance: eigenvalues of at most this times the largest |eigenvalue| count as 0.
        iterations: as in `extreme_eigenvalues`.

    Source: class notes, 3.4: ∇L = 0 and λ₁(H) ≥ 0 are needed for a local minimum; λ₁(H) > 0 is enough.

    >>> import chainrule
    >>> classify_stationary_point(lambda x: x[0] ** 2 - x[1] ** 2, chainrule.zeros(2))
    StationaryPoint(kind='saddle', gradient_norm=0.0, smallest=-2.0, largest=2.0)
    """
    norm = gradient_norm(function, x)
    smallest, largest = extreme_eigenvalues(function, x, iterations)
    zero = curvature_tolerance * max(abs(smallest), abs(largest))
    if norm > gradient_tolerance:
        kind = "not stationary"
    elif smallest < -zero and largest > zero:
        kind = "saddle"
    elif smallest > zero:
        kind = "minimum"
    elif largest < -zero:
        kind = "maximum"
    else:
        kind = "degenerate"
    return StationaryPoint(kind, norm, smallest, largest)


def gradient_norm(function: Callable[..., Tensor], x: Tensors) -> float:
    """‖∇L‖ at x, over all entries.

    >>> import chainrule
    >>> gradient_norm(lambda x: (x ** 2).sum(), chainrule.tensor([1.5, 2.0]))
    5.0
    """
    return float(_gradient(function, x).norm())


def _gradient(function: Callable[..., Tensor], x: Tensors) -> Tensor:
    points = (x,) if isinstance(x, Tensor) else tuple(x)
    return cat([g.reshape(-1) for g in grad_of(function, tuple(range(len(points))))(*points)]).detach()


def gradient_noise(function: Callable[..., Tensor], x: Tensor, batches: Iterable[Sequence[Any]]) -> float:
    """σ² = E‖g − ∇L‖²: how far the gradients of mini-batches lie from their mean, squared.

    Args:
        function: the loss of a batch: `function(x, *batch)`.
        x: where, a tensor (for models, see `functional_call` above and take one tensor of all parameters).
        batches: the batches of one pass over the data, at least two, of equal size, so that the mean of their
            gradients is the whole gradient.

    It falls as 1/(batch size), and depends on the place: the theorem's σ² is the largest along the way.

    >>> import chainrule
    >>> data = [(chainrule.tensor(t),) for t in (-1.0, 3.0)]
    >>> gradient_noise(lambda x, t: (x - t) ** 2 / 2, chainrule.tensor(0.0), data)
    4.0
    """
    gradients = [_gradient(lambda x, batch=batch: function(x, *batch), x) for batch in batches]
    if len(gradients) < 2:
        raise ShapeError(f"gradient_noise compares the gradients of batches with one another, got {len(gradients)}.")
    every = stack(gradients)
    return float(((every - every.mean(0)) ** 2).sum(1).mean())


def polyak_lojasiewicz_constant(
    function: Callable[..., Tensor], points: Iterable[Tensors], minimum_value: float
) -> float:
    """The largest μ with ½‖∇L(θ)‖² ≥ μ·(L(θ) − L*) at all the points given: the Polyak–Łojasiewicz constant there.

    A function with μ > 0 everywhere has no stationary points but its global minima, although it need not be convex, and
    gradient descent reaches them at a linear rate: `convergence.polyak_lojasiewicz_bound`. Points at the minimum itself
    are left out; infinity if no others are given. Raises GradientError for a value below `minimum_value`. Source:
    Karimi, Nutini and Schmidt, "Linear convergence of gradient and proximal-gradient methods under the
    Polyak–Łojasiewicz condition", 2016.

    >>> import chainrule
    >>> polyak_lojasiewicz_constant(lambda x: 3 * x ** 2, [chainrule.tensor(1.0)], 0.0)
    6.0
    """
    smallest = float("inf")
    for x in points:
        with enable_grad():
            gap = float(function(*((x,) if isinstance(x, Tensor) else x))) - minimum_value
        if gap < 0:
            raise GradientError(f"the function is {gap:.3g} above its minimum at a point given, so that is no minimum.")
        if gap > 0:
            smallest = min(smallest, gradient_norm(function, x) ** 2 / (2 * gap))
    return smallest
