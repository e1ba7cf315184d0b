"""Adam, with decoupled weight decay (AdamW), and AMSGrad in both of its forms."""

from __future__ import annotations

from typing import Any, NamedTuple

from chainrule.dtypes import DType
from chainrule.functions.arithmetic import maximum
from chainrule.functions.creation import zeros_like
from chainrule.optim.clock import bias_corrections, clock_number, next_step, of_step
from chainrule.optim.fused_adam import AdamNumbers, in_one_pass, may_fuse
from chainrule.optim.optimizer import Optimizer, check_betas, check_not_negative, is_on, write
from chainrule.tensor import Tensor


class AdamStep(NamedTuple):
    """The new parameter, first and second moment, and with AMSGrad the largest second moment so far."""

    parameter: Tensor
    first: Tensor
    second: Tensor
    largest: Tensor | None


def adam(
    parameter: Tensor,
    gradient: Tensor,
    first: Tensor,
    second: Tensor,
    largest: Tensor | None,
    step: Tensor,
    *,
    lr: float | Tensor,
    betas: tuple[float, float],
    eps: float | Tensor,
    weight_decay: float = 0.0,
    decoupled: bool = False,
    corrected: bool = True,
) -> AdamStep:
    """Step t = 1, 2, … as a pure function.

        g ← g + λ·θ                       coupled weight decay, or θ ← θ − η·λ·θ if decoupled (AdamW)
        m ← β₁·m + (1 − β₁)·g             first moment: the mean of the gradient
        v ← β₂·v + (1 − β₂)·g²            second moment, not centred
        m̂ = m/(1 − β₁ᵗ), v̂ = v/(1 − β₂ᵗ)   because both start at 0; m̂ = m, v̂ = v if not `corrected`
        θ ← θ − η·m̂/(√v̂ + ε)             computed as θ − ηₜ·m/(√v + εₜ), which spares two passes over memory:
                                          ηₜ = η·√(1 − β₂ᵗ)/(1 − β₁ᵗ), εₜ = ε·√(1 − β₂ᵗ)

    AMSGrad takes the largest v so far instead of v. Sources: Kingma and Ba 2015; Loshchilov and Hutter 2019
    (AdamW); Reddi, Kale and Kumar 2018 (AMSGrad). ε stands outside of the root, as in the paper and in PyTorch; where
    it is written √(v̂ + ε) another ε is meant.
    """
    numbers = _numbers(
        step, parameter.dtype, lr=lr, betas=betas, eps=eps, weight_decay=weight_decay, decoupled=decoupled,
        corrected=corrected,
    )  # fmt: skip
    return AdamStep(*_moved(parameter, gradient, first, second, largest, *numbers))


def _moved(
    parameter: Tensor,
    gradient: Tensor,
    first: Tensor,
    second: Tensor,
    largest: Tensor | None,
    beta1: Any,
    rest1: Any,
    beta2: Any,
    rest2: Any,
    rate: Any,
    eps: Any,
    decay: Any,
    shrink: Any,
) -> tuple[Tensor, Tensor, Tensor, Tensor | None]:
    """The rule with the settings as `AdamNumbers` has them."""
    if shrink is not None:
        parameter = parameter * shrink
    elif decay is not None:
        gradient = gradient + parameter * decay
    first = first * beta1 + gradient * rest1
    second = second * beta2 + gradient * gradient * rest2
    if largest is not None:
        largest = maximum(largest, second)
    spread = (second if largest is None else largest).sqrt() + eps
    return parameter - first / spread * rate, first, second, largest


def _numbers(
    step: Tensor,
    dtype: DType,
    *,
    lr: float | Tensor,
    betas: tuple[float, float],
    eps: float | Tensor,
    weight_decay: float,
    decoupled: bool,
    corrected: bool,
) -> AdamNumbers:
    decay = shrink = None
    if is_on(weight_decay) and decoupled:
        shrink = 1 - lr * weight_decay
    elif is_on(weight_decay):
        decay = weight_decay
    beta1, beta2 = betas
    rate: Any = lr
    if corrected:
        rate, eps = _corrected(step, lr, eps, beta1, beta2, dtype)
    return AdamNumbers(beta1, 1 - beta1, beta2, 1 - beta2, rate, eps, decay, shrink)


@of_step
def _corrected(
    step: Tensor, lr: float | Tensor, eps: float, beta1: float, beta2: float, dtype: DType
) -> tuple[Tensor, ...]:
    """ηₜ and εₜ, into which the corrections of both moments go."""
    first, second = bias_corrections(step, beta1, beta2)
    root = second.sqrt()
    return (lr * root / first).to(dtype), (eps * root).to(dtype)


class Adam(Optimizer):
    """Adam: every coordinate gets a step of its own, the mean gradient over the root of its mean square.

    The rule is :func:`adam`.

    Args:
        params: parameters, or groups of them with settings of their own.
        lr: the learning rate η, about the size of each coordinate's first steps; typically 1e-3.
        betas: β₁ and β₂ in [0, 1): how long the means remember.
        eps: ε, above 0, keeps the division finite.
        weight_decay: λ, coupled (added to the gradient); see AdamW for the decoupled form.
        amsgrad: use the largest second moment so far; with bias correction, as PyTorch does. AMSGrad is without.
        maximize: climb instead of descending.
        differentiable: record the step, so that what it gives can be differentiated.
        decoupled_weight_decay: decay the parameter instead of the gradient: AdamW.
        foreach, capturable, fused: taken and ignored; they choose between PyTorch's implementations of one rule.

    Raises ValueError for settings out of their range.

    >>> import chainrule
    >>> w = chainrule.tensor([1.0], requires_grad=True)
    >>> optimizer = Adam([w], lr=0.1)
    >>> (w ** 2).sum().backward(); optimizer.step(); w
    tensor([0.9000], requires_grad=True)
    """

    elementwise = True
    corrected = True

    def __init__(
        self,
        params: Any,
        lr: float | Tensor = 1e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 0,
        amsgrad: bool = False,
        *,
        foreach: bool | None = None,
        maximize: bool = False,
        capturable: bool = False,
        differentiable: bool = False,
        fused: bool | None = None,
        decoupled_weight_decay: bool = False,
    ) -> None:
        check_not_negative(lr=lr, eps=eps, weight_decay=weight_decay)
        check_betas(betas)
        settings = {
            "lr": lr, "betas": tuple(betas), "eps": eps, "weight_decay": weight_decay, "amsgrad": amsgrad,
            "maximize": maximize, "foreach": foreach, "capturable": capturable, "differentiable": differentiable,
            "fused": fused, "decoupled_weight_decay": decoupled_weight_decay,
        }  # fmt: skip
        if not self.corrected:
            settings["corrected"] = False  # so that a saved state is not taken for Adam's
        super().__init__(params, settings)

    def initial_state(self, parameter: Tensor, group: dict[str, Any]) -> dict[str, Tensor]:
        """Both moments 0 before the first step."""
        names = ["exp_avg", "exp_avg_sq", *(["max_exp_avg_sq"] if group["amsgrad"] else [])]
        return {"step": clock_number(0.0), **{name: zeros_like(parameter) for name in names}}

    def update(self, parameter: Tensor, gradient: Tensor, state: dict[str, Any], group: dict[str, Any]) -> None:
        """Apply the rule to one parameter."""
        largest = state["max_exp_avg_sq"] if group["amsgrad"] else None
        tensors = parameter, gradient, state["exp_avg"], state["exp_avg_sq"], largest
        numbers = _numbers(
            next_step(state), parameter.dtype, lr=group["lr"], betas=group["betas"], eps=group["eps"],
            weight_decay=group["weight_decay"], decoupled=group["decoupled_weight_decay"], corrected=self.corrected,
        )  # fmt: skip
        new = in_one_pass(_moved, tensors, numbers) if may_fuse(tensors) else _moved(*tensors, *numbers)
        result = AdamStep(*new)
        moments = {"exp_avg": result.first, "exp_avg_sq": result.second, "max_exp_avg_sq": result.largest}
        write(parameter, result.parameter, state, moments)


class AdamW(Adam):
    """Adam with decoupled weight decay: θ ← θ − η·λ·θ beside Adam's step, so the decay is not rescaled by it.

    Arguments as Adam's, with a weight decay of 0.01. Source: Loshchilov and Hutter, 2019.

    >>> import chainrule
    >>> w = chainrule.tensor([1.0], requires_grad=True)
    >>> optimizer = AdamW([w], lr=0.1, weight_decay=0.5)
    >>> (w ** 2).sum().backward(); optimizer.step(); w
    tensor([0.8500], requires_grad=True)
    """

    def __init__(
        self,
        params: Any,
        lr: float | Tensor = 1e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 1e-2,
        amsgrad: bool = False,
        *,
        maximize: bool = False,
        foreach: bool | None = None,
        capturable: bool = False,
        differentiable: bool = False,
        fused: bool | None = None,
    ) -> None:
        super().__init__(
            params, lr, betas, eps, weight_decay, amsgrad, foreach=foreach, maximize=maximize, capturable=capturable,
            differentiable=differentiable, fused=fused, decoupled_weight_decay=True,
        )  # fmt: skip


class AMSGrad(Adam):
    """AMSGrad as it was published: Adam with the largest second moment so far, and without bias correction.

        m ← β₁·m + (1 − β₁)·g
        v ← β₂·v + (1 − β₂)·g²
        v̂ ← max(v̂, v)
        θ ← θ − η·m/(√v̂ + ε)

    PyTorch has only `Adam(…, amsgrad=True)`, which corrects the bias of both moments: its first step is η in every
    coordinate, here it is η·(1 − β₁)/√(1 − β₂), about 3.2·η with the usual betas. Arguments as Adam's. Source: Reddi,
    Kale and Kumar, "On the convergence of Adam and beyond", 2018.

    >>> import chainrule
    >>> w = chainrule.tensor([1.0], requires_grad=True)
    >>> optimizer = AMSGrad([w], lr=0.1)
    >>> (w ** 2).sum().backward(); optimizer.step(); w
    tensor([0.6838], requires_grad=True)
    """

    corrected = False

    def __init__(
        self,
        params: Any,
        lr: float | Tensor = 1e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 0,
        *,
        maximize: bool = False,
        differentiable: bool = False,
    ) -> None:
        super().__init__(
            params, lr, betas, eps, weight_decay, amsgrad=True, maximize=maximize, differentiable=differentiable
        )
