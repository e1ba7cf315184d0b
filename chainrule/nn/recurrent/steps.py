"""One step of each recurrent network: what happens to the state when the next input comes.

The products with the weights are done by the callers: those of the inputs for all steps at once, those of the state
step by step. What is left is here, as the formulas stand in the books; cells and layers use the same functions.
"""

from __future__ import annotations

from collections.abc import Callable

from chainrule.autodiff.block import block
from chainrule.functions import activation, elementwise
from chainrule.functions.creation import tensor, zeros_like
from chainrule.functions.pieces import cat
from chainrule.tensor import Tensor

#: The gradients of a step's results, None for those that nothing used.
Gradients = tuple[Tensor | None, ...]

#: What a simple recurrent network may do to its sums. PyTorch has the first two.
NONLINEARITIES: dict[str, Callable[[Tensor], Tensor]] = {
    "tanh": elementwise.tanh,
    "relu": activation.relu,
    "sigmoid": activation.sigmoid,
    "identity": lambda x: x,
}


@block
def lstm_step(sums: Tensor, c: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """The long short-term memory's new output and cell, from the sums of its four gates and the cell before.

        i = σ(sᵢ)   f = σ(s_f)   g = tanh(s_g)   o = σ(s_o)
        c′ = f⊙c + i⊙g
        h′ = o⊙tanh(c′)

    sums: (N, 4·H), in the order i, f, g, o; c: (N, H). The third result is the four gates, for the gradient. All of
    them are computed by one tanh, because σ(x) = ½·tanh(x/2) + ½. Source: Hochreiter and Schmidhuber, 1997, with the
    forget gate of Gers, Schmidhuber and Cummins, 2000.

    >>> import chainrule
    >>> h, c, gates = lstm_step(chainrule.zeros(1, 8), chainrule.ones(1, 2))
    >>> c
    tensor([[0.5000, 0.5000]])
    """
    scale = _half_except_g(c)
    gates = (sums * scale).tanh() * scale + (1 - scale)
    i, f, g, o = gates.chunk(4, 1)
    new_c = f * c + i * g
    return o * new_c.tanh(), new_c, gates


@lstm_step.gradient
def _(g: Gradients, c: Tensor, output: tuple[Tensor, Tensor, Tensor]) -> tuple[Tensor, Tensor]:
    _, new_c, gates = output
    g_h, g_c = (zeros_like(new_c) if x is None else x for x in g[:2])
    i, f, candidate, o = gates.chunk(4, 1)
    bent = new_c.tanh()
    to_c = g_c + g_h * o * (1 - bent * bent)
    to_gates = [to_c * candidate, to_c * c, to_c * i, g_h * bent]
    if g[2] is not None:  # when this rule, which uses the gates, is itself differentiated
        to_gates = [here + more for here, more in zip(to_gates, g[2].chunk(4, 1), strict=True)]
    to_i, to_f, to_candidate, to_o = to_gates
    # σ′ = σ(1 − σ), tanh′ = (1 − tanh)(1 + tanh); put together last, so that a compiled step does all in one loop.
    slopes = [to_i * ((1 - i) * i), to_f * ((1 - f) * f), to_candidate * ((1 - candidate) * (candidate + 1))]
    return cat([*slopes, to_o * ((1 - o) * o)], 1), to_c * f


def _half_except_g(c: Tensor) -> Tensor:
    """½ for the gates i, f, o and 1 for g, each H times."""
    half = c.shape[1]
    return tensor([0.5] * (2 * half) + [1.0] * half + [0.5] * half, dtype=c.dtype, device=c.device)


@block
def gru_step(input_sums: Tensor, state_sums: Tensor, h: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """The gated recurrent unit's new output, from the sums of its inputs, of its state, and the output before.

        r = σ(xᵣ + hᵣ)   z = σ(x_z + h_z)   n = tanh(xₙ + r⊙hₙ)
        h′ = (1 − z)⊙n + z⊙h

    Sums: (N, 3·H), in the order r, z, n; h: (N, H). The other results are r, z and n, for the gradient. The reset
    gate multiplies after the product with the weights, as in PyTorch; in Cho et al., 2014, it does before.

    >>> import chainrule
    >>> gru_step(chainrule.zeros(1, 6), chainrule.zeros(1, 6), chainrule.ones(1, 2))[0]
    tensor([[0.5000, 0.5000]])
    """
    (x_r, x_z, x_n), (h_r, h_z, h_n) = input_sums.chunk(3, 1), state_sums.chunk(3, 1)
    r, z = activation.sigmoid(x_r + h_r), activation.sigmoid(x_z + h_z)
    n = (x_n + r * h_n).tanh()
    return n + z * (h - n), r, z, n


@gru_step.gradient
def _(
    g: Gradients, state_sums: Tensor, h: Tensor, output: tuple[Tensor, Tensor, Tensor, Tensor]
) -> tuple[Tensor, Tensor, Tensor]:
    _, r, z, n = output
    g_h = zeros_like(h) if g[0] is None else g[0]
    g_r, g_z, g_n = (0.0 if x is None else x for x in g[1:])  # as at the LSTM's gates
    to_n = (g_h * (1 - z) + g_n) * (1 - n * n)
    to_z = (g_h * (h - n) + g_z) * (z * (1 - z))
    to_r = (to_n * state_sums.chunk(3, 1)[2] + g_r) * (r * (1 - r))
    return cat([to_r, to_z, to_n], 1), cat([to_r, to_z, to_n * r], 1), g_h * z
