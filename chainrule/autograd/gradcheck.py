"""Checking gradients against the definition of the derivative: (f(x + h) − f(x − h)) / 2h."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from chainrule.autodiff.mode import enable_grad, no_grad
from chainrule.autograd.gradient import grad
from chainrule.cell import TensorCell
from chainrule.errors import DTypeError, GradientError
from chainrule.functions.creation import make, zeros_like


class GradientMismatchError(GradientError, AssertionError):
    """A gradient that differs from the difference quotient; the message says which entry, and both numbers."""


GradcheckError = GradientMismatchError  # PyTorch's name for it


def _outputs(function: Callable[..., Any], inputs: Sequence[Any]) -> list[Any]:
    answer = function(*inputs)
    outputs = [answer] if isinstance(answer, TensorCell) else list(answer)
    return [y for y in outputs if y.dtype.is_floating_point]


def _weighted(outputs: list[Any], weights: list[np.ndarray[Any, Any]]) -> float:
    return sum(float((y.detach().read() * w).sum()) for y, w in zip(outputs, weights, strict=True))


def gradcheck(
    func: Callable[..., Any],
    inputs: Any,
    *,
    eps: float = 1e-6,
    atol: float = 1e-5,
    rtol: float = 1e-3,
    raise_exception: bool = True,
    nondet_tol: float = 0.0,
    check_undefined_grad: bool = True,
    check_grad_dtypes: bool = False,
    check_batched_grad: bool = False,
    check_batched_forward_grad: bool = False,
    check_forward_ad: bool = False,
    check_backward_ad: bool = True,
    fast_mode: bool = False,
    masked: bool | None = None,
    seed: int = 0,
) -> bool:
    """Whether the backward pass of `func` gives the derivatives that central differences give.

    Every entry of every input that requires a gradient is moved by ±eps. What is compared is the derivative of a
    weighted sum of all outputs; the weights are random (`seed`), so an error in one output cannot hide behind another.

    Args:
        func: a function of tensors that gives a tensor or several.
        inputs: one tensor or a tuple, float64 where a gradient is checked.
        eps: the step h of the difference quotient.
        atol: allowed difference, beside
        rtol: allowed difference relative to the difference quotient.
        raise_exception: raise instead of answering False.
        fast_mode: move all entries of an input at once, along a random direction, instead of one after the other:
            two evaluations for each input. A mistake is still found, but not its place.
        seed: of the random weights and directions.

    PyTorch's other settings are taken and change nothing: there is one kind of derivative, results are repeatable, and
    gradients always have the type of their tensor.

    Raises:
        GradientMismatchError: names the input, the entry, and both numbers.
        DTypeError: for float32 inputs, whose rounding would drown the quotient.

    >>> import chainrule
    >>> x = chainrule.tensor([0.5, 2.0], dtype=chainrule.float64, requires_grad=True)
    >>> chainrule.autograd.gradcheck(lambda x: x.exp() / x, x)
    True
    """
    args = (inputs,) if isinstance(inputs, TensorCell) else tuple(inputs)
    checked = [i for i, x in enumerate(args) if isinstance(x, TensorCell) and x.requires_grad]
    if not checked:
        raise GradientError("gradcheck: none of the inputs requires a gradient.")
    for i in checked:
        if args[i].dtype.itemsize != 8:
            raise DTypeError(
                f"gradcheck: input {i} is {args[i].dtype}; difference quotients need float64: "
                "x.double().requires_grad_()."
            )
    with enable_grad():
        outputs = _outputs(func, args)
    random = np.random.default_rng(seed)
    weights = [np.asarray(random.uniform(0.5, 1.5, y.shape), y.value.array.dtype) for y in outputs]
    used = [(y, make(w, device=y.device)) for y, w in zip(outputs, weights, strict=True) if y.requires_grad]
    if not used:
        raise GradientError("gradcheck: no output depends on an input that requires a gradient.")
    wanted = tuple(args[i] for i in checked)
    analytic = grad(tuple(y for y, _ in used), wanted, tuple(w for _, w in used), retain_graph=True, allow_unused=True)
    for i, gradient in zip(checked, analytic, strict=True):
        ours = np.zeros(args[i].shape) if gradient is None else gradient.detach().read()
        if fast_mode:
            direction = np.asarray(random.standard_normal(ours.shape))
            direction = direction / max(float(np.sqrt((direction**2).sum())), 1e-300)
            problem = _mismatch_along(func, args, i, ours, direction, weights, eps, atol, rtol)
        else:
            problem = _first_mismatch(func, args, i, ours, weights, eps, atol, rtol)
        if problem:
            if raise_exception:
                raise GradientMismatchError(problem)
            return False
    return True


def _detached(x: Any) -> Any:
    return x.detach() if isinstance(x, TensorCell) else x  # type: ignore[attr-defined]


def _quotient(
    func: Callable[..., Any],
    args: tuple[Any, ...],
    position: int,
    direction: np.ndarray[Any, Any],
    weights: list[np.ndarray[Any, Any]],
    eps: float,
) -> float:
    """(f(x + εd) − f(x − εd)) / 2ε of the weighted sum of all outputs."""
    original: np.ndarray[Any, Any] = args[position].detach().read()
    sums = []
    for step in (eps, -eps):
        others = [_detached(x) for x in args]
        others[position] = make(original + step * direction, device=args[position].device)
        with enable_grad():  # the function itself may take gradients
            others[position].requires_grad_()
            sums.append(_weighted(_outputs(func, others), weights))
    return (sums[0] - sums[1]) / (2 * eps)


def _mismatch_along(
    func: Callable[..., Any],
    args: tuple[Any, ...],
    position: int,
    analytic: np.ndarray[Any, Any],
    direction: np.ndarray[Any, Any],
    weights: list[np.ndarray[Any, Any]],
    eps: float,
    atol: float,
    rtol: float,
) -> str:
    quotient = _quotient(func, args, position, direction, weights, eps)
    found = float((analytic * direction).sum())
    if abs(found - quotient) <= atol + rtol * abs(quotient):
        return ""
    return (
        f"gradcheck: input {position} (shape {tuple(analytic.shape)}): along a random direction the backward pass "
        f"gives {found:.10g}, the quotient {quotient:.10g}; without fast_mode the entry is named."
    )


def _first_mismatch(
    func: Callable[..., Any],
    args: tuple[Any, ...],
    position: int,
    analytic: np.ndarray[Any, Any],
    weights: list[np.ndarray[Any, Any]],
    eps: float,
    atol: float,
    rtol: float,
) -> str:
    original: np.ndarray[Any, Any] = args[position].detach().read()
    wrong, count, first = 0, original.size, ""
    for place in np.ndindex(original.shape):
        unit = np.zeros(original.shape)
        unit[place] = 1
        quotient = _quotient(func, args, position, unit, weights, eps)
        found = float(analytic[place])
        if not abs(found - quotient) <= atol + rtol * abs(quotient):
            wrong += 1
            first = (
                first or f"at entry {list(place)} the backward pass gives {found:.10g}, the quotient {quotient:.10g}"
            )
    if not wrong:
        return ""
    return f"gradcheck: input {position} (shape {tuple(original.shape)}): {first}; {wrong} of {count} entries differ."


def gradgradcheck(
    func: Callable[..., Any],
    inputs: Any,
    grad_outputs: Any = None,
    *,
    eps: float = 1e-6,
    atol: float = 1e-5,
    rtol: float = 1e-3,
    gen_non_contig_grad_outputs: bool = False,
    raise_exception: bool = True,
    nondet_tol: float = 0.0,
    check_undefined_grad: bool = True,
    check_grad_dtypes: bool = False,
    check_batched_grad: bool = False,
    check_fwd_over_rev: bool = False,
    check_rev_over_rev: bool = True,
    fast_mode: bool = False,
    masked: bool = False,
    seed: int = 0,
) -> bool:
    """`gradcheck` of the gradient: whether second derivatives are right. Arguments and errors as there.

    grad_outputs: the upstream gradients, one for each output; random ones if they are not given.

    >>> import chainrule
    >>> x = chainrule.tensor([0.5, 2.0], dtype=chainrule.float64, requires_grad=True)
    >>> chainrule.autograd.gradgradcheck(lambda x: x ** 3, x)
    True
    """
    args = (inputs,) if isinstance(inputs, TensorCell) else tuple(inputs)
    checked = [i for i, x in enumerate(args) if isinstance(x, TensorCell) and x.requires_grad]
    with no_grad():
        shapes = [y.detach() for y in _outputs(func, args)]
    random = np.random.default_rng(seed + 1)
    if grad_outputs is None:
        random_ones = [make(np.asarray(random.uniform(0.5, 1.5, y.shape)), device=y.device) for y in shapes]
        upstream = [g.requires_grad_() for g in random_ones]
    else:
        given: Any = (grad_outputs,) if isinstance(grad_outputs, TensorCell) else grad_outputs
        upstream = [g.detach().clone().requires_grad_() for g in given]

    def gradient(*both: Any) -> Any:
        xs, gs = both[: len(args)], both[len(args) :]
        for i in checked:  # when an upstream gradient is moved, gradcheck hands over plain inputs
            xs[i].requires_grad_()
        outputs = _outputs(func, xs)
        pairs = [(y, g) for y, g in zip(outputs, gs, strict=True) if y.requires_grad]
        wanted = tuple(xs[i] for i in checked)
        found = grad(
            tuple(y for y, _ in pairs),
            wanted,
            tuple(g for _, g in pairs),
            create_graph=True,
            allow_unused=True,
        )
        return tuple(zeros_like(x) if g is None else g for x, g in zip(wanted, found, strict=True))

    return gradcheck(
        gradient,
        (*args, *upstream),
        eps=eps,
        atol=atol,
        rtol=rtol,
        raise_exception=raise_exception,
        fast_mode=fast_mode,
        seed=seed,
    )
