"""Recurrent cells: one step of a recurrent network as a module, for loops of your own.

Within `autocast` they compute as the layers do: products in the half, the rest in float32.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from chainrule.errors import ShapeError
from chainrule.functions.autocasting import autocasting, converted, half_for
from chainrule.functions.creation import empty, zeros
from chainrule.functions.promotion import cast, need_tensor
from chainrule.nn.init import uniform_
from chainrule.nn.linear import check_dtype, linear
from chainrule.nn.module import Module
from chainrule.nn.recurrent.steps import NONLINEARITIES, gru_step, lstm_step
from chainrule.primitives.value import DataType
from chainrule.tensor import Parameter, Tensor

_SINGLE = np.dtype(np.float32)


def type_of_state(state: Any, otherwise: DataType) -> DataType:
    """The data type of a state that was given, of the LSTM's two that of c."""
    last = state[-1] if isinstance(state, (tuple, list)) and state else state
    return last.value.array.dtype if isinstance(last, Tensor) else otherwise


def check_nonlinearity(name: str) -> str:
    """The name, if it is one that a simple recurrent network knows; else a ValueError."""
    if name not in NONLINEARITIES:
        raise ValueError(f"nonlinearity is one of {', '.join(map(repr, NONLINEARITIES))}, got {name!r}.")
    return name


def check_hidden_size(hidden_size: int) -> None:
    """Raise a ValueError for a hidden size that is no positive number."""
    if hidden_size <= 0:
        raise ValueError(f"hidden_size is at least 1, got {hidden_size}.")


class RNNCellBase(Module):
    """What the cells share: weights for input and state, `num_chunks` sums for each hidden unit."""

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        bias: bool,
        num_chunks: int,
        device: Any = None,
        dtype: Any = None,
    ) -> None:
        super().__init__()
        check_hidden_size(hidden_size)
        self.input_size, self.hidden_size, self.bias = input_size, hidden_size, bias
        sums = num_chunks * hidden_size
        self.weight_ih = Parameter(empty(sums, input_size, device=device, dtype=dtype))
        self.weight_hh = Parameter(empty(sums, hidden_size, device=device, dtype=dtype))
        for name in ("bias_ih", "bias_hh"):
            self.register_parameter(name, Parameter(empty(sums, device=device, dtype=dtype)) if bias else None)
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Draw new initial values, uniform in ±1/√hidden_size."""
        bound = 1 / self.hidden_size**0.5
        for parameter in self.parameters():
            uniform_(parameter, -bound, bound)

    def extra_repr(self) -> str:
        """Sizes, and whether there is a bias."""
        return f"{self.input_size}, {self.hidden_size}" + ("" if self.bias else f", bias={self.bias}")

    def forward(self, input: Tensor, hx: Any = None) -> Any:
        """The next state from an input and the state before."""
        half = half_for(need_tensor(input, type(self).__name__))
        if half is None:
            return self._next(input, hx, None)
        before = type_of_state(hx, input.value.array.dtype)
        result = half if half in (before, self.rounds_to(half)) else _SINGLE
        with autocasting(None):
            return converted(self._next(converted(input, _SINGLE), converted(hx, _SINGLE), half), result)

    def rounds_to(self, half: DataType) -> DataType:
        """The type of the next state within `autocast` with this half, after one in float32: PyTorch's."""
        return _SINGLE

    def _next(self, input: Tensor, hx: Any, half: DataType | None) -> Any:
        """The next state; every kind of cell says it. `half`: what products compute in, None for what comes."""
        raise TypeError(f"{type(self).__name__} does not define forward(input, hx).")

    def _sums(self, x: Tensor, which: str, half: DataType | None) -> Tensor:
        """What the input ("ih") or the state ("hh") adds to the sums."""
        weight, bias = getattr(self, f"weight_{which}"), getattr(self, f"bias_{which}")
        if half is None:
            return linear(x, weight, bias)
        return cast(linear(*converted((x, weight, bias), half)), _SINGLE)

    def _rows(self, x: Tensor, what: str, size: int, half: DataType | None) -> Tensor:
        """A batch (N, size), also of one alone."""
        need_tensor(x, type(self).__name__)
        check_dtype(x, self.weight_ih if half is None else converted(self.weight_ih, _SINGLE))
        if x.ndim not in (1, 2) or x.shape[-1] != size:
            raise ShapeError(f"{what} has the shape (N, {size}) or ({size},), got {tuple(x.shape)}.")
        return x if x.ndim == 2 else x.unsqueeze(0)

    def _states(self, input: Tensor, given: list[Tensor] | None, count: int, half: DataType | None) -> list[Tensor]:
        """The state before the step: what was given, zeros if nothing was."""
        shape = (*input.shape[:-1], self.hidden_size)
        if given is None:
            return [
                zeros(
                    input.shape[0] if input.ndim == 2 else 1, self.hidden_size, dtype=input.dtype, device=input.device
                )
            ] * count
        for state in given:
            if tuple(need_tensor(state, type(self).__name__).shape) != shape:
                raise ShapeError(f"for an input {tuple(input.shape)} the state is {shape}, got {tuple(state.shape)}.")
        return [self._rows(state, "the state", self.hidden_size, half) for state in given]


class RNNCell(RNNCellBase):
    """One step of a simple recurrent network: h′ = tanh(W_ih·x + b_ih + W_hh·h + b_hh).

    Input (N, input_size), state and result (N, hidden_size), all also without N; the state is zero if not given.
    `nonlinearity`: "tanh", "relu", "sigmoid" or "identity". Source: Elman, "Finding structure in time", 1990.

    >>> import chainrule
    >>> cell = RNNCell(3, 5)
    >>> h = None
    >>> for x in chainrule.ones(4, 2, 3):
    ...     h = cell(x, h)
    >>> h.shape
    Size([2, 5])
    """

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        bias: bool = True,
        nonlinearity: str = "tanh",
        device: Any = None,
        dtype: Any = None,
    ) -> None:
        super().__init__(input_size, hidden_size, bias, 1, device, dtype)
        self.nonlinearity = check_nonlinearity(nonlinearity)

    def rounds_to(self, half: DataType) -> DataType:
        """The half itself."""
        return half

    def _next(self, input: Tensor, hx: Tensor | None, half: DataType | None) -> Tensor:
        x = self._rows(input, "the input", self.input_size, half)
        (h,) = self._states(input, None if hx is None else [hx], 1, half)
        sums = self._sums(x, "ih", half) + self._sums(h, "hh", half)
        h = NONLINEARITIES[self.nonlinearity](sums)
        return h if input.ndim == 2 else h.squeeze(0)

    def extra_repr(self) -> str:
        """As of all cells, and the nonlinearity."""
        return super().extra_repr() + ("" if self.nonlinearity == "tanh" else f", nonlinearity={self.nonlinearity}")


class LSTMCell(RNNCellBase):
    """One step of a long short-term memory; the formulas are at `nn.recurrent_steps.lstm_step`.

    Input (N, input_size); the state is a pair (h, c) of (N, hidden_size) each, as is the result; all also without N.
    The weights hold the gates i, f, g, o one after the other.

    >>> import chainrule
    >>> h, c = LSTMCell(3, 5)(chainrule.ones(2, 3))
    >>> h.shape, c.shape
    (Size([2, 5]), Size([2, 5]))
    """

    def __init__(
        self, input_size: int, hidden_size: int, bias: bool = True, device: Any = None, dtype: Any = None
    ) -> None:
        super().__init__(input_size, hidden_size, bias, 4, device, dtype)

    def _next(self, input: Tensor, hx: tuple[Tensor, Tensor] | None, half: DataType | None) -> tuple[Tensor, Tensor]:
        x = self._rows(input, "the input", self.input_size, half)
        h, c = self._states(input, None if hx is None else list(hx), 2, half)
        sums = self._sums(x, "ih", half) + self._sums(h, "hh", half)
        h, c, _ = lstm_step(sums, c)
        return (h, c) if input.ndim == 2 else (h.squeeze(0), c.squeeze(0))


class GRUCell(RNNCellBase):
    """One step of a gated recurrent unit; the formulas are at `nn.recurrent_steps.gru_step`.

    Input (N, input_size), state and result (N, hidden_size), all also without N. The weights hold r, z, n one after
    the other.

    >>> import chainrule
    >>> GRUCell(3, 5)(chainrule.ones(2, 3)).shape
    Size([2, 5])
    """

    def __init__(
        self, input_size: int, hidden_size: int, bias: bool = True, device: Any = None, dtype: Any = None
    ) -> None:
        super().__init__(input_size, hidden_size, bias, 3, device, dtype)

    def _next(self, input: Tensor, hx: Tensor | None, half: DataType | None) -> Tensor:
        x = self._rows(input, "the input", self.input_size, half)
        (h,) = self._states(input, None if hx is None else [hx], 1, half)
        new = gru_step(self._sums(x, "ih", half), self._sums(h, "hh", half), h)[0]
        return new if input.ndim == 2 else new.squeeze(0)
