"""Perturbed gradient descent: a small kick where the gradient is small, so that saddle points do not hold it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from chainrule.autodiff.mode import enable_grad, no_grad
from chainrule.nn.utils.convert_parameters import parameters_to_vector, vector_to_parameters
from chainrule.optim.optimizer import Optimizer, check_not_negative
from chainrule.random import Generator, rand, randn
from chainrule.tensor import Tensor


def uniform_in_ball(
    size: int, radius: float, *, dtype: Any = None, generator: Generator | None = None, device: Any = None
) -> Tensor:
    """A random point (size,) of the ball of that radius around 0, every place as likely: a direction times r·u^(1/n).

    >>> bool(uniform_in_ball(10, 0.5).norm() <= 0.5)
    True
    """
    direction = randn(size, dtype=dtype, generator=generator, device=device)
    share = rand((), dtype=dtype, generator=generator, device=device)
    return direction * (radius * share ** (1 / size) / direction.norm())


class PerturbedGradientDescent(Optimizer):
    """Gradient descent that escapes saddle points (Jin, Ge, Netrapalli, Kakade and Jordan, 2017).

        if ‖∇L(θ)‖ ≤ threshold, and the last kick is at least `interval` steps ago:
            θ ← θ + ξ,  ξ uniform in the ball of `radius`
        else
            θ ← θ − η·∇L(θ)

    At a saddle point the gradient is zero and plain descent stands still, although there is a way down. After a kick
    the way down is taken faster and faster: along an eigenvector with λ < 0 each step multiplies the distance by
    1 + η·|λ|. A minimum brings θ back. So: if `interval` steps after a kick the loss has not fallen by `decrease`, the
    point before the kick was a minimum; θ is put back there and `finished` becomes true. This last part needs the
    loss, so it is done if `step` gets a closure; without one, kicks go on for ever.

    The gradient is that of the whole data set. What mini-batches do by their noise, this does on purpose.

    Args:
        params: parameters; one group only: norm and ball are of all of them together.
        lr: η; at most 1/β for a β-smooth loss.
        radius: of the ball, above 0; small against the distances that matter.
        threshold: the gradient norm below which a point counts as stationary.
        interval: how many steps a kick is given.
        decrease: how much the loss should have fallen after that.
        generator: of the kicks; the default one if None.

    `convergence.perturbation_settings` gives the values with which the theorem holds. Raises ValueError for settings
    out of their range. Source: "How to escape saddle points efficiently", ICML 2017, algorithm 2; class notes, 3.4.

    >>> import chainrule
    >>> x = chainrule.tensor([1.0, 0.0], requires_grad=True)  # descent would run into the saddle point (0, 0)
    >>> optimizer = PerturbedGradientDescent([x], lr=0.1)
    >>> def closure():
    ...     optimizer.zero_grad()
    ...     loss = x[0] ** 2 - x[1] ** 2 + x[1] ** 4 / 2
    ...     loss.backward()
    ...     return loss
    >>> while not optimizer.finished:
    ...     loss = optimizer.step(closure)
    >>> x.detach().abs().round(decimals=3)
    tensor([0., 1.])
    """

    closure = "loss and gradients"

    def __init__(
        self,
        params: Any,
        lr: float = 1e-2,
        radius: float = 1e-2,
        threshold: float = 1e-3,
        interval: int = 100,
        decrease: float = 1e-4,
        *,
        generator: Generator | None = None,
    ) -> None:
        check_not_negative(lr=lr, radius=radius, threshold=threshold, decrease=decrease)
        if interval < 1:
            raise ValueError(f"interval is at least 1, got {interval}.")
        settings = {"lr": lr, "radius": radius, "threshold": threshold, "interval": interval, "decrease": decrease}
        super().__init__(params, settings)
        self.generator = generator

    def add_param_group(self, param_group: dict[str, Any]) -> None:
        """Take the parameters; a second group is refused with a ValueError."""
        if self.param_groups:
            raise ValueError("perturbed gradient descent kicks all parameters together, so it takes one group of them.")
        super().add_param_group(param_group)

    @property
    def finished(self) -> bool:
        """Whether a minimum was found: a kick did not make the loss fall."""
        return bool(self.state.get(self.param_groups[0]["params"][0], {}).get("finished", False))

    @property
    def _state(self) -> dict[str, Any]:
        """What is remembered of all parameters together: kept with the first, as L-BFGS does."""
        return self.state.setdefault(self.param_groups[0]["params"][0], {})

    @no_grad()
    def take_step(self, closure: Callable[[], Any] | None = None) -> Any:
        """One step down, or a kick; the answer is the closure's. Once finished, nothing moves."""
        loss = None
        if closure is not None:
            with enable_grad():
                loss = closure()
        state, group = self._state, self.param_groups[0]
        if not self.finished:
            state["since_kick"] = state.get("since_kick", group["interval"]) + 1
            if loss is not None and "before" in state and state["since_kick"] > group["interval"]:
                self._judge(float(loss))
            if not self.finished:
                self._move(loss)
        return loss

    def _judge(self, loss: float) -> None:
        """Was the point before the kick a minimum? Then back to it."""
        state, group = self._state, self.param_groups[0]
        before, loss_before = state.pop("before"), state.pop("loss_before")
        if loss > loss_before - group["decrease"]:
            vector_to_parameters(before, group["params"])
            state["finished"] = True

    def _move(self, loss: Any) -> None:
        state, group = self._state, self.param_groups[0]
        parameters = [p for p in group["params"] if p.grad is not None]
        if not parameters:
            return
        here, gradient = parameters_to_vector(parameters), parameters_to_vector([p.grad for p in parameters])
        if float(gradient.norm()) > group["threshold"] or state["since_kick"] <= group["interval"]:
            vector_to_parameters(here - gradient * group["lr"], parameters)
            return
        if loss is not None:
            state["before"], state["loss_before"] = parameters_to_vector(group["params"]), float(loss)
        kick = uniform_in_ball(
            here.numel(), group["radius"], dtype=here.dtype, generator=self.generator, device=here.device
        )
        vector_to_parameters(here + kick, parameters)
        state["since_kick"] = 0
