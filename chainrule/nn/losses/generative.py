"""Losses of generative adversarial networks, for the discriminator and for the generator; and sums of losses.

D gives scores (logits) of real and generated samples, of any shape. Each discriminator loss is to be minimised by D,
each generator loss by G.

    minimax          V = E[ln σ(D(x))] + E[ln(1 − σ(D(G(z))))];  D minimises −V, G minimises the second term
    non-saturating   the same for D; G minimises −E[ln σ(D(G(z)))], which has a gradient while D is sure
    least squares    ½E[(D(x) − 1)²] + ½E[D(G(z))²];  ½E[(D(G(z)) − 1)²]
    Wasserstein      E[D(G(z))] − E[D(x)] (+ λ·gradient penalty);  −E[D(G(z))]

Sources: Goodfellow et al. 2014; Mao et al. 2017 (least squares); Arjovsky, Chintala and Bottou 2017; Gulrajani et al.
2017 (gradient penalty); I V.10.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from chainrule.autograd.gradient import grad
from chainrule.errors import ShapeError
from chainrule.functions.creation import zeros
from chainrule.nn.activations.smooth import logsigmoid
from chainrule.nn.losses.classes import same_shape
from chainrule.nn.module import Module
from chainrule.primitives.trace import outside_of_trace
from chainrule.random import rand
from chainrule.tensor import Tensor

KINDS = ("minimax", "non_saturating", "least_squares", "wasserstein")


def _check(kind: str) -> None:
    if kind not in KINDS:
        raise ValueError(f"the kind of an adversarial loss is one of {', '.join(map(repr, KINDS))}, got {kind!r}.")


def discriminator_loss(real: Tensor, generated: Tensor, kind: str = "non_saturating") -> Tensor:
    """What the discriminator minimises, from its scores of real and generated samples.

    Raises ValueError for another kind.

    >>> import chainrule
    >>> discriminator_loss(chainrule.zeros(4), chainrule.zeros(4))     # undecided: 2·ln 2
    tensor(1.3863)
    """
    _check(kind)
    if kind == "least_squares":
        return 0.5 * ((real - 1) ** 2).mean() + 0.5 * (generated**2).mean()
    if kind == "wasserstein":
        return generated.mean() - real.mean()
    return -logsigmoid(real).mean() - logsigmoid(-generated).mean()


def generator_loss(generated: Tensor, kind: str = "non_saturating") -> Tensor:
    """What the generator minimises, from the discriminator's scores of its samples. Raises ValueError for another kind.

    >>> import chainrule
    >>> generator_loss(chainrule.zeros(4))
    tensor(0.6931)
    """
    _check(kind)
    if kind == "minimax":
        return logsigmoid(-generated).mean()
    if kind == "least_squares":
        return 0.5 * ((generated - 1) ** 2).mean()
    if kind == "wasserstein":
        return -generated.mean()
    return -logsigmoid(generated).mean()


def gradient_penalty(
    discriminator: Callable[[Tensor], Tensor], real: Tensor, generated: Tensor, length: float = 1.0
) -> Tensor:
    """E[(‖∇D(x̂)‖ − 1)²] at random points x̂ between real and generated samples: keeps D near Lipschitz constant 1.

    The result can be differentiated with respect to D's parameters (second derivatives). real, generated: (N, …) of one
    shape. Source: Gulrajani et al., "Improved training of Wasserstein GANs", 2017.

    >>> import chainrule
    >>> D = chainrule.nn.Linear(2, 1)
    >>> penalty = gradient_penalty(D, chainrule.ones(4, 2), chainrule.zeros(4, 2))
    >>> bool(abs(penalty - (D.weight.norm() - 1) ** 2) < 1e-5)
    True
    """
    same_shape(real, generated, "batch of real samples", "batch of generated ones")
    share = rand(real.shape[0], *[1] * (real.ndim - 1), device=real.device).to(real.dtype)
    between = (real.detach() * share + generated.detach() * (1 - share)).detach_copy().requires_grad_()
    (slope,) = grad(discriminator(between).sum(), [between], create_graph=True)
    slope = slope.float() if slope.dtype.itemsize == 2 else slope  # halves round 1e-12 to 0, where √ has no slope
    steepness = ((slope * slope).unsqueeze(-1).flatten(1).sum(1) + 1e-12).sqrt()
    return ((steepness - length) ** 2).mean().to(real.dtype)


class WeightedSum(Module):
    """The sum of several losses, each times its weight; the parts of the last call are kept by name.

    Call it with the parts as keyword arguments; a name without a weight counts 1. `parts` has their values (before
    weighing, detached), for a log: in compiled steps too, and a `Trainer` puts them into its history. Raises KeyError
    for a weight whose part is missing, ShapeError for a part that is no single number.

    >>> import chainrule
    >>> total = WeightedSum(kl=0.5)
    >>> total(reconstruction=chainrule.tensor(2.0), kl=chainrule.tensor(4.0))
    tensor(4.)
    >>> {name: part.item() for name, part in total.parts.items()}
    {'reconstruction': 2.0, 'kl': 4.0}
    """

    def __init__(self, **weights: float) -> None:
        super().__init__()
        self.weights: Mapping[str, float] = dict(weights)
        self._cells: dict[str, Tensor] = {}  # the same from call to call, so that compiled steps can write to them

    def forward(self, **parts: Tensor) -> Tensor:
        """Losses by name, single numbers each."""
        missing = [name for name in self.weights if name not in parts]
        if missing or not parts:
            raise KeyError(
                f"no loss was given for {', '.join(missing) or 'anything'}; got {', '.join(parts) or 'none'}."
            )
        for name, part in parts.items():
            if part.ndim:
                raise ShapeError(
                    f"the loss {name} has shape {tuple(part.shape)}; each part is one number: mean or sum."
                )
        self._remember(parts)
        terms = [part * self.weights.get(name, 1.0) for name, part in parts.items()]
        total = terms[0]
        for term in terms[1:]:
            total = total + term
        return total

    @property
    def parts(self) -> dict[str, Tensor]:
        """The values of the last call, by name."""
        return {name: cell.detach_copy() for name, cell in self._cells.items()}

    def _remember(self, parts: Mapping[str, Tensor]) -> None:
        for name in [name for name in self._cells if name not in parts]:
            del self._cells[name]
        for name, part in parts.items():
            if name not in self._cells or self._cells[name].dtype is not part.dtype:
                with outside_of_trace():
                    self._cells[name] = zeros((), dtype=part.dtype, device=part.device)
            self._cells[name].set_value(part.detach().value)

    def extra_repr(self) -> str:
        """The weights."""
        return ", ".join(f"{name}={weight}" for name, weight in self.weights.items())
