"""L-BFGS: Newton's method with an inverse Hessian that is guessed from the last steps and never written down."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from chainrule.autodiff.mode import enable_grad, no_grad
from chainrule.errors import TraceError
from chainrule.functions.pieces import cat
from chainrule.nn.utils.convert_parameters import parameters_to_vector, vector_to_parameters
from chainrule.optim.line_search import Trial, strong_wolfe
from chainrule.optim.optimizer import Optimizer, check_not_negative
from chainrule.state import current_state
from chainrule.tensor import Tensor

#: A pair (s, y) is remembered if s·y is above this: along s the loss must curve upwards.
LEAST_CURVATURE = 1e-10


def two_loop(
    vector: Tensor, steps: Sequence[Tensor], changes: Sequence[Tensor], inverses: Sequence[float], scale: float
) -> Tensor:
    """H⁻¹·vector, where H⁻¹ is the inverse Hessian that BFGS builds from pairs (s, y), oldest first.

    s is a step of the parameters, y the change of the gradient along it, so y ≈ H·s; `inverses` are ρ = 1/(y·s). Each
    pair updates a guess of the inverse Hessian to the nearest one that maps y to s:

        H⁻¹ ← (I − ρ·s·yᵀ)·H⁻¹·(I − ρ·y·sᵀ) + ρ·s·sᵀ,        at first H⁻¹ = scale·I

    Applied to a vector from outside inwards and back, this takes 4·m·n multiplications for m pairs in ℝⁿ instead of a
    matrix of n² entries. Source: Nocedal and Wright, "Numerical Optimization", 2nd edition, algorithm 7.4.

    >>> import chainrule  # H = diag(1, 4): one pair along each axis tells all of it
    >>> s = [chainrule.tensor([1.0, 0.0]), chainrule.tensor([0.0, 1.0])]
    >>> y = [chainrule.tensor([1.0, 0.0]), chainrule.tensor([0.0, 4.0])]
    >>> two_loop(chainrule.tensor([3.0, 4.0]), s, y, [1.0, 0.25], 1.0)
    tensor([3., 1.])
    """
    q, shares = vector, []
    for s, y, rho in zip(reversed(steps), reversed(changes), reversed(inverses), strict=True):
        shares.append(rho * float(s.dot(q)))
        q = q - y * shares[-1]
    r = q * scale
    for s, y, rho, share in zip(steps, changes, inverses, reversed(shares), strict=True):
        r = r + s * (share - rho * float(y.dot(r)))
    return r


class LBFGS(Optimizer):
    """L-BFGS (Liu and Nocedal, 1989): θ ← θ + t·d with d = −H⁻¹·∇L, H⁻¹ from the last steps by :func:`two_loop`.

    `step(closure)` takes up to `max_iter` such steps; the closure clears the gradients, computes the loss, calls
    `backward()` and gives the loss, each time for the *same* data: the changes of the gradient must come from the
    parameters and not from other samples. So it is a method for whole data sets that fit into memory.

    The first direction is −∇L, with a step of at most 1/‖∇L‖₁. Later t = lr, or what the line search finds
    (`chainrule.optim.line_search`).

    Args:
        params: parameters; one group only, because all of them are one vector here.
        lr: the step length t, and with a line search the one tried first; 1 is right once H⁻¹ is.
        max_iter: steps in one call of `step`.
        max_eval: about how often the closure may be called in one `step`; by default 1.25·max_iter.
        tolerance_grad: done if no entry of the gradient is larger.
        tolerance_change: done if no parameter, or the loss, changes by more.
        history_size: how many pairs of steps and changes are remembered, at least 1.
        line_search_fn: None, or "strong_wolfe", which makes it reliable.

    Raises ValueError for settings out of their range and for a second group.

    >>> import chainrule
    >>> x = chainrule.tensor([-1.5, 2.0], dtype=chainrule.float64, requires_grad=True)
    >>> optimizer = LBFGS([x], max_iter=100, line_search_fn="strong_wolfe")
    >>> def closure():
    ...     optimizer.zero_grad()
    ...     loss = (1 - x[0]) ** 2 + 100 * (x[1] - x[0] ** 2) ** 2
    ...     loss.backward()
    ...     return loss
    >>> _ = optimizer.step(closure); x.detach()
    tensor([1.0000, 1.0000], dtype=chainrule.float64)
    """

    closure = "loss and gradients"

    def __init__(
        self,
        params: Any,
        lr: float = 1,
        max_iter: int = 20,
        max_eval: int | None = None,
        tolerance_grad: float = 1e-7,
        tolerance_change: float = 1e-9,
        history_size: int = 100,
        line_search_fn: str | None = None,
    ) -> None:
        check_not_negative(lr=lr, tolerance_grad=tolerance_grad, tolerance_change=tolerance_change)
        if history_size < 1:
            raise ValueError(f"history_size is at least 1, got {history_size}.")
        if line_search_fn not in (None, "strong_wolfe"):
            raise ValueError(f'line_search_fn is None or "strong_wolfe", got {line_search_fn!r}.')
        settings = {
            "lr": lr, "max_iter": max_iter, "max_eval": max_iter * 5 // 4 if max_eval is None else max_eval,
            "tolerance_grad": tolerance_grad, "tolerance_change": tolerance_change, "history_size": history_size,
            "line_search_fn": line_search_fn,
        }  # fmt: skip
        super().__init__(params, settings)

    def add_param_group(self, param_group: dict[str, Any]) -> None:
        """Take the parameters; a second group is refused with a ValueError."""
        if self.param_groups:
            raise ValueError("LBFGS sees all parameters as one vector, so it takes one group with one set of settings.")
        super().add_param_group(param_group)

    @no_grad()
    def take_step(self, closure: Callable[[], Any] | None = None) -> Any:
        """Up to `max_iter` steps; the answer is the loss before the first.

        Raises TypeError without a closure, TraceError within a compiled function.
        """
        if closure is None:
            raise TypeError("LBFGS computes the loss many times in a step: optimizer.step(closure).")
        if current_state().trace is not None:
            raise TraceError(
                "LBFGS.step() within a compiled function: L-BFGS decides by numbers how far it goes and when to stop. "
                "Call optimizer.step(closure) outside, and compile what the closure calls: the loss and its backward()."
            )
        group = self.param_groups[0]
        state = self.state.setdefault(group["params"][0], {"func_evals": 0, "n_iter": 0})
        run = _Run(closure, group, state)
        answer = run.evaluate()
        for iteration in range(1, group["max_iter"] + 1):
            if run.largest_gradient() <= group["tolerance_grad"]:
                break
            moved = run.iterate(last=iteration == group["max_iter"])
            if not moved or run.evaluations >= group["max_eval"] or run.stands_still():
                break
        return answer


class _Run:
    """One call of `step`; what later calls need is in `state`, under PyTorch's names.

    d, t: direction and length of the last step; prev_flat_grad, prev_loss: gradient and loss before it; old_stps,
    old_dirs, ro: the pairs s, y and 1/(y·s), oldest first; H_diag: the scale of the first guess; n_iter, func_evals.
    """

    def __init__(self, closure: Callable[[], Any], group: dict[str, Any], state: dict[str, Any]) -> None:
        self.closure, self.group, self.state = closure, group, state
        self.parameters: list[Tensor] = group["params"]
        self.evaluations = 0
        self.loss: float = 0.0
        self.gradient: Tensor

    def evaluate(self) -> Any:
        """The closure's answer; loss and gradient are noted."""
        with enable_grad():
            answer = self.closure()
        self.evaluations += 1
        self.state["func_evals"] += 1
        gradients = [p.new_zeros(p.shape) if p.grad is None else p.grad for p in self.parameters]
        self.loss, self.gradient = float(answer), cat([g.reshape(-1) for g in gradients])
        return answer

    def iterate(self, last: bool) -> bool:
        """One step along a new direction; False, and no step, if that direction does not lead down."""
        state, rate = self.state, float(self.group["lr"])
        state["n_iter"] += 1
        if state.get("d") is not None:
            self._remember()
            pairs = state["old_stps"], state["old_dirs"], state["ro"]
            direction = two_loop(-self.gradient, *pairs, state["H_diag"])
        else:
            state.update(old_stps=[], old_dirs=[], ro=[], H_diag=1.0)
            direction = -self.gradient
            rate *= min(1.0, 1.0 / float(self.gradient.abs().sum()))
        state.update(d=direction, t=rate, prev_flat_grad=self.gradient, prev_loss=self.loss)
        slope = float(self.gradient.dot(direction))
        if slope > -self.group["tolerance_change"]:
            return False
        start = parameters_to_vector(self.parameters)
        if self.group["line_search_fn"]:
            state["t"] = self._search(start, direction, Trial(0.0, self.loss, self.gradient, slope), rate)
        vector_to_parameters(start + direction * state["t"], self.parameters)
        if not self.group["line_search_fn"] and not last:
            self.evaluate()  # after the last step the next call does it, perhaps on other data
        return True

    def _remember(self) -> None:
        """The last step and the change of the gradient along it, if the loss curves upwards there."""
        state, size = self.state, self.group["history_size"]
        step, change = state["d"] * state["t"], self.gradient - state["prev_flat_grad"]
        curvature = float(change.dot(step))
        if curvature > LEAST_CURVATURE:
            for name, entry in (("old_stps", step), ("old_dirs", change), ("ro", 1 / curvature)):
                state[name] = [*state[name], entry][-size:]
            state["H_diag"] = curvature / float(change.dot(change))

    def _search(self, start: Tensor, direction: Tensor, here: Trial, first: float) -> float:
        """The step length by the line search; loss and gradient there are noted."""

        def at(t: float) -> Trial:
            vector_to_parameters(start + direction * t, self.parameters)
            self.evaluate()
            return Trial(t, self.loss, self.gradient, float(self.gradient.dot(direction)))

        settings = {
            "size": float(direction.abs().max()),
            "tolerance_change": self.group["tolerance_change"],
            "max_iterations": self.group["max_eval"] - self.evaluations,
        }
        best = strong_wolfe(at, here, first, **settings).best
        self.loss, self.gradient = best.loss, best.gradient
        return best.t

    def largest_gradient(self) -> float:
        """The largest size of an entry of the gradient."""
        return float(self.gradient.abs().max())

    def stands_still(self) -> bool:
        """Whether the last step changed neither parameters nor loss noticeably."""
        state, tolerance = self.state, self.group["tolerance_change"]
        moved = float((state["d"] * state["t"]).abs().max())
        return moved <= tolerance or abs(self.loss - state["prev_loss"]) < tolerance
