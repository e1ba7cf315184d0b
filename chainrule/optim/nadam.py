"""NAdam: Adam with Nesterov's look-ahead."""

from __future__ import annotations

from typing import Any, NamedTuple

from chainrule.dtypes import DType
from chainrule.functions.creation import zeros_like
from chainrule.optim.clock import clock_number, next_step, of_step
from chainrule.optim.optimizer import Optimizer, check_betas, check_not_negative, is_on, write
from chainrule.tensor import Tensor


class NAdamStep(NamedTuple):
    """The new parameter, first and second moment, and the product of all momenta so far."""

    parameter: Tensor
    first: Tensor
    second: Tensor
    product: Tensor


def nadam(
    parameter: Tensor,
    gradient: Tensor,
    first: Tensor,
    second: Tensor,
    product: Tensor,
    step: Tensor,
    *,
    lr: float | Tensor,
    betas: tuple[float, float],
    eps: float = 1e-8,
    weight_decay: float = 0.0,
    momentum_decay: float = 0.004,
    decoupled: bool = False,
) -> NAdamStep:
    """Step t = 1, 2, … as a pure function.

        g ← g + λ·θ                               or θ ← θ − η·λ·θ if decoupled
        μₜ = β₁·(1 − ½·0.96^(t·ψ))                momentum, which grows to β₁
        m ← β₁·m + (1 − β₁)·g
        v ← β₂·v + (1 − β₂)·g²
        m̂ = μₜ₊₁·m/(1 − μ₁⋯μₜ₊₁) + (1 − μₜ)·g/(1 − μ₁⋯μₜ)
        θ ← θ − η·m̂/(√(v/(1 − β₂ᵗ)) + ε)

    Source: Dozat, "Incorporating Nesterov momentum into Adam", 2016.
    """
    beta1, beta2 = betas
    if is_on(weight_decay) and decoupled:
        parameter = parameter * (1 - lr * weight_decay)
    elif is_on(weight_decay):
        gradient = gradient + parameter * weight_decay
    first = first * beta1 + gradient * (1 - beta1)
    second = second * beta2 + gradient * gradient * (1 - beta2)
    product, now, ahead, correction = _weights(step, product, lr, beta1, beta2, momentum_decay, parameter.dtype)
    spread = (second / correction).sqrt() + eps
    return NAdamStep(parameter - (gradient * now + first * ahead) / spread, first, second, product)


@of_step
def _weights(
    step: Tensor, product: Tensor, lr: float | Tensor, beta1: float, beta2: float, momentum_decay: float, dtype: DType
) -> tuple[Tensor, ...]:
    """The product of momenta, η times the weights of g and of m in m̂, and 1 − β₂ᵗ."""
    t = step.double()
    momentum = beta1 * (1 - 0.5 * 0.96 ** (t * momentum_decay))
    following = beta1 * (1 - 0.5 * 0.96 ** ((t + 1) * momentum_decay))
    product = product * momentum.to(product.dtype)
    until_now = product.double()
    now = lr * (1 - momentum) / (1 - until_now)
    ahead = lr * following / (1 - until_now * following)
    return product, now.to(dtype), ahead.to(dtype), (1 - beta2**t).to(dtype)


class NAdam(Optimizer):
    """NAdam: Adam that adds the momentum of the step to come. The rule is :func:`nadam`.

    Args:
        params: parameters, or groups of them with settings of their own.
        lr: the learning rate η.
        betas: β₁ and β₂ in [0, 1): how long the means remember.
        eps: ε, above 0, keeps the division finite.
        weight_decay: λ, added to the gradient.
        momentum_decay: ψ, how fast the momentum grows to β₁.
        decoupled_weight_decay: decay the parameter instead of the gradient, as AdamW does.
        maximize: climb instead of descending.
        differentiable: record the step, so that what it gives can be differentiated.
        foreach, capturable: taken and ignored; they choose between PyTorch's implementations of one rule.

    Raises ValueError for settings out of their range.

    >>> import chainrule
    >>> w = chainrule.tensor([1.0], requires_grad=True)
    >>> optimizer = NAdam([w], lr=0.1)
    >>> (w ** 2).sum().backward(); optimizer.step(); w
    tensor([0.8944], requires_grad=True)
    """

    elementwise = True

    def __init__(
        self,
        params: Any,
        lr: float | Tensor = 2e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 0,
        momentum_decay: float = 4e-3,
        decoupled_weight_decay: bool = False,
        *,
        foreach: bool | None = None,
        maximize: bool = False,
        capturable: bool = False,
        differentiable: bool = False,
    ) -> None:
        check_not_negative(lr=lr, eps=eps, weight_decay=weight_decay, momentum_decay=momentum_decay)
        check_betas(betas)
        settings = {
            "lr": lr, "betas": tuple(betas), "eps": eps, "weight_decay": weight_decay,
            "momentum_decay": momentum_decay, "decoupled_weight_decay": decoupled_weight_decay,
            "maximize": maximize, "foreach": foreach, "capturable": capturable, "differentiable": differentiable,
        }  # fmt: skip
        super().__init__(params, settings)

    def initial_state(self, parameter: Tensor, group: dict[str, Any]) -> dict[str, Tensor]:
        """Both moments 0; the empty product of momenta is 1."""
        return {
            "step": clock_number(0.0), "mu_product": clock_number(1.0),
            "exp_avg": zeros_like(parameter), "exp_avg_sq": zeros_like(parameter),
        }  # fmt: skip

    def update(self, parameter: Tensor, gradient: Tensor, state: dict[str, Any], group: dict[str, Any]) -> None:
        """Apply the rule to one parameter."""
        settings = {name: group[name] for name in ("lr", "betas", "eps", "weight_decay", "momentum_decay")}
        result = nadam(
            parameter, gradient, state["exp_avg"], state["exp_avg_sq"], state["mu_product"], next_step(state),
            decoupled=group["decoupled_weight_decay"], **settings,
        )  # fmt: skip
        entries = {"exp_avg": result.first, "exp_avg_sq": result.second, "mu_product": result.product}
        write(parameter, result.parameter, state, entries)
