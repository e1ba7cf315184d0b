"""Recurrent layers: a cell carried along sequences, in several layers and in both directions.

What does not depend on the state, the products of all inputs with the weights, is one large product before the
loop. The loop is a `scan`, so its backward pass makes each weight's gradient by one product over all steps.

Within `autocast` all products compute in the half, with weights that are rounded once for a sequence, and what the
gates do with their sums in float32. The results have PyTorch's types, which differ from kind to kind (`types_within`).
Layers of halves compute so too; all that they return is in their half.
"""

from __future__ import annotations

import functools
from typing import Any, ClassVar, NamedTuple

import numpy as np

from chainrule.changes import fields_of
from chainrule.errors import ShapeError
from chainrule.functions.autocasting import autocasting, converted, half_for
from chainrule.functions.control import scan, scan_again
from chainrule.functions.creation import arange, as_tensor, empty, zeros
from chainrule.functions.logic import where
from chainrule.functions.pieces import cat, stack
from chainrule.functions.promotion import cast, need_tensor
from chainrule.nn.dropout import dropout
from chainrule.nn.init import uniform_
from chainrule.nn.linear import check_dtype, linear
from chainrule.nn.module import Module
from chainrule.nn.recurrent.cells import check_hidden_size, check_nonlinearity, type_of_state
from chainrule.nn.recurrent.steps import NONLINEARITIES, gru_step, lstm_step
from chainrule.nn.utils.rnn import PackedSequence
from chainrule.primitives.control import Memory
from chainrule.primitives.value import DataType
from chainrule.random import randn
from chainrule.tensor import Parameter, Tensor

#: The state of one layer in one direction: (h,), or (h, c) for the LSTM.
State = tuple[Tensor, ...]
_SINGLE = np.dtype(np.float32)


class Halves(NamedTuple):
    """What a layer computes in within `autocast`, or where inputs and weights are halves.

    Attributes:
        half: the type of products: of the inputs, the weights, and the state that is multiplied.
        results: the types of the last states, h and c; outputs have that of h.
    """

    half: DataType
    results: tuple[DataType, ...]

    def rounded(self, outputs: Any, last: Any) -> tuple[Any, Any]:
        """What a layer returns, in the types that it is to have."""
        if not isinstance(last, tuple):
            return converted(outputs, self.results[0]), converted(last, self.results[0])
        return converted(outputs, self.results[0]), tuple(map(converted, last, self.results))


class RNNBase(Module):
    """What RNN, LSTM and GRU share. They differ in `sums`, `states` and `step`.

    Input: (T, N, input_size), (N, T, input_size) with `batch_first`, (T, input_size), or a `PackedSequence`.
    Results: the last layer's outputs of all steps, (T, N, D·H) with D directions and H = `proj_size` or
    `hidden_size`, and the last state of every layer and direction, (num_layers·D, N, H); both without N where the
    input was, and packed where it was packed. Raises ShapeError or DTypeError for what does not fit.

    Args:
        input_size: the features of each input.
        hidden_size: the units of each layer.
        num_layers: layers, each reading the outputs of the one below.
        bias: whether the sums have biases (two of them, for input and state, as in PyTorch).
        batch_first: whether sequences are (N, T, …).
        dropout: the probability with which outputs between layers are dropped in training.
        bidirectional: also run from the end to the start, and put both outputs side by side.
        proj_size: for the LSTM: the size to which the output is projected, 0 for none.
        initial_state: where the sequence starts if no state is given: "zeros", "normal" (drawn for each call) or
            "learned" (parameters `h_0`, and `c_0` for the LSTM, shared by all sequences).
    """

    #: How many sums each hidden unit has, and what the parts of the state are called.
    sums: ClassVar[int] = 1
    states: ClassVar[tuple[str, ...]] = ("h",)

    def __init__(
        self,
        mode: str,
        input_size: int,
        hidden_size: int,
        num_layers: int = 1,
        bias: bool = True,
        batch_first: bool = False,
        dropout: float = 0.0,
        bidirectional: bool = False,
        proj_size: int = 0,
        device: Any = None,
        dtype: Any = None,
        *,
        initial_state: str = "zeros",
    ) -> None:
        super().__init__()
        check_hidden_size(hidden_size)
        if num_layers <= 0:
            raise ValueError(f"num_layers is at least 1, got {num_layers}.")
        if isinstance(dropout, bool) or not 0 <= dropout <= 1:
            raise ValueError(f"dropout is a probability in [0, 1], got {dropout!r}.")
        if not 0 <= proj_size < hidden_size:
            raise ValueError(f"proj_size is at least 0 and below hidden_size {hidden_size}, got {proj_size}.")
        if proj_size and mode != "LSTM":
            raise ValueError("proj_size is for the LSTM only.")
        if initial_state not in ("zeros", "normal", "learned"):
            raise ValueError(f"initial_state is 'zeros', 'normal' or 'learned', got {initial_state!r}.")
        self.mode, self.input_size, self.hidden_size = mode, input_size, hidden_size
        self.num_layers, self.bias, self.batch_first = num_layers, bias, batch_first
        self.dropout, self.bidirectional, self.proj_size = dropout, bidirectional, proj_size
        self.initial_state = initial_state
        self.differs_in_training = dropout > 0 and num_layers > 1
        self._make_parameters({"device": device, "dtype": dtype})
        self.reset_parameters()

    @property
    def _directions(self) -> list[str]:
        return ["", "_reverse"] if self.bidirectional else [""]

    def _make_parameters(self, kind: dict[str, Any]) -> None:
        sums, out = self.sums * self.hidden_size, self.proj_size or self.hidden_size
        for layer in range(self.num_layers):
            features = self.input_size if layer == 0 else out * len(self._directions)
            for direction in self._directions:
                shapes: dict[str, tuple[int, ...]] = {"weight_ih": (sums, features), "weight_hh": (sums, out)}
                if self.bias:
                    shapes |= {"bias_ih": (sums,), "bias_hh": (sums,)}
                if self.proj_size:
                    shapes["weight_hr"] = (self.proj_size, self.hidden_size)
                for name, shape in shapes.items():
                    self.register_parameter(f"{name}_l{layer}{direction}", Parameter(empty(*shape, **kind)))
        if self.initial_state == "learned":
            for name in self.states:
                shape = (self.num_layers * len(self._directions), 1, self._size_of(name))
                self.register_parameter(f"{name}_0", Parameter(zeros(*shape, **kind)))

    def _size_of(self, state: str) -> int:
        return self.proj_size or self.hidden_size if state == "h" else self.hidden_size

    def reset_parameters(self) -> None:
        """Draw new initial values, uniform in ±1/√hidden_size. A learned first state keeps its values."""
        bound = 1 / self.hidden_size**0.5
        for name, parameter in self.named_parameters():
            if not name.endswith("_0"):
                uniform_(parameter, -bound, bound)

    @property
    def all_weights(self) -> list[list[Parameter]]:
        """The parameters of each layer and direction."""
        places = [f"_l{layer}{direction}" for layer in range(self.num_layers) for direction in self._directions]
        return [[getattr(self, kind + place) for kind in self._kinds] for place in places]

    @property
    def _kinds(self) -> list[str]:
        """The names of the weights of one layer and direction, without its place."""
        biases, projection = ["bias_ih", "bias_hh"] if self.bias else [], ["weight_hr"] if self.proj_size else []
        return ["weight_ih", "weight_hh", *biases, *projection]

    def flatten_parameters(self) -> None:
        """Nothing: PyTorch moves the weights together for the GPU here."""

    def extra_repr(self) -> str:
        """Sizes, and what is not as usual."""
        text = f"{self.input_size}, {self.hidden_size}"
        usual = {"proj_size": 0, "num_layers": 1, "bias": True, "batch_first": False, "dropout": 0.0}
        for name, value in {**usual, "bidirectional": False, "initial_state": "zeros"}.items():
            if getattr(self, name) != value:
                text += f", {name}={getattr(self, name)}"
        return text

    # ------------------------------------------------------------------------------------ computing

    def forward(self, input: Tensor | PackedSequence, hx: Any = None, lengths: Any = None) -> tuple[Any, Any]:
        """Outputs of all steps and the last state; `hx` is the first state (h, or (h, c) for the LSTM).

        `lengths` (N,) says how long each of the padded sequences is: what comes behind does not change its state,
        and its outputs there are 0.
        """
        given = input.data if isinstance(input, PackedSequence) else need_tensor(input, type(self).__name__)
        half, dtype = half_for(given), given.value.array.dtype
        if half is not None:
            halves = Halves(half, self.types_within(half, dtype, type_of_state(hx, dtype)))
            with autocasting(None):
                input, hx = converted((input, hx), _SINGLE)
                return halves.rounded(*self._computed(input, hx, lengths, halves if self._is_ours() else None))
        if dtype.itemsize == 2 and given.dtype.is_floating_point and self._is_ours():
            halves = Halves(dtype, self.types_within(dtype, dtype, dtype))
            return halves.rounded(*self._computed(input, hx, lengths, halves))
        return self._computed(input, hx, lengths, None)

    def types_within(self, half: DataType, given: DataType, before: DataType) -> tuple[DataType, ...]:
        """The types of the last states within `autocast` with this half: PyTorch's.

        given: the inputs' type; before: that of the first state, or the inputs' where none is given.
        """
        return (half,) * len(self.states)

    def _is_ours(self) -> bool:
        """Whether the step is this library's: then it is known what it depends on."""
        return type(self).step.__module__.startswith("chainrule.") and "step" not in fields_of(self)

    def _computed(self, x: Any, hx: Any, lengths: Any, halves: Halves | None) -> tuple[Any, Any]:
        if isinstance(x, PackedSequence):
            return self._packed(x, hx, halves)
        if x.ndim not in (2, 3):
            raise ShapeError(f"sequences are (T, N, features) or (T, features), got {tuple(x.shape)}.")
        alone = x.ndim == 2
        if alone:
            x = x.unsqueeze(1)
        elif self.batch_first:
            x = x.transpose(0, 1)
        outputs, last = self._run(x, self._first_state(x, hx, alone, halves), lengths, halves)
        if alone:
            outputs, last = outputs.squeeze(1), tuple([state.squeeze(1) for state in last])
        elif self.batch_first:
            outputs = outputs.transpose(0, 1)
        return outputs, last if len(last) > 1 else last[0]

    def _packed(self, packed: PackedSequence, hx: Any, halves: Halves | None) -> tuple[PackedSequence, Any]:
        x, order, back = packed.padded(), packed.sorted_indices, packed.unsorted_indices
        first = self._first_state(x, hx, False, halves)
        if order is not None and hx is not None:
            first = tuple([state.index_select(1, order) for state in first])
        outputs, last = self._run(x, first, packed.lengths(), halves)
        if back is not None:
            last = tuple([state.index_select(1, back) for state in last])
        return packed._replace(data=outputs[packed.places()]), last if len(last) > 1 else last[0]

    def _first_state(self, x: Tensor, hx: Any, alone: bool, halves: Halves | None) -> State:
        """The state before the first step, for all layers: each part (num_layers·D, N, size)."""
        weight = self.weight_ih_l0
        if halves is not None and x.value.array.dtype == _SINGLE:
            weight = converted(weight, _SINGLE)
        check_dtype(x, weight)
        if x.shape[2] != self.input_size:
            raise ShapeError(f"got {x.shape[2]} features, expects {self.input_size}.")
        count, batch = self.num_layers * len(self._directions), x.shape[1]
        shapes = [(count, batch, self._size_of(name)) for name in self.states]
        if hx is None:
            if self.initial_state == "learned":
                learned = [getattr(self, f"{name}_0") for name in self.states]
                return tuple([p.expand(*shape) for p, shape in zip(learned, shapes, strict=True)])
            make = zeros if self.initial_state == "zeros" else randn
            return tuple([make(*shape, dtype=x.dtype, device=x.device) for shape in shapes])
        given = (hx,) if len(self.states) == 1 else tuple(hx)
        if len(given) != len(shapes):
            raise ShapeError(f"the state is a pair (h, c), got {len(given)} tensors.")
        for name, state, shape in zip(self.states, given, shapes, strict=True):
            wanted = (shape[0], shape[2]) if alone else shape
            if tuple(need_tensor(state, type(self).__name__).shape) != wanted:
                raise ShapeError(f"the first {name} has the shape {wanted} here, got {tuple(state.shape)}.")
            check_dtype(state, weight)
        return tuple([state.unsqueeze(1) for state in given]) if alone else given

    def _run(self, x: Tensor, first: State, lengths: Any, halves: Halves | None) -> tuple[Tensor, State]:
        """All layers over (T, N, features): the last one's outputs, and the last state of each."""
        inside = None if lengths is None else self._inside(x, lengths)
        last: list[State] = []
        for layer in range(self.num_layers):
            sides = []
            x = x if halves is None else cast(x, halves.half)
            for direction in self._directions:
                start = tuple([state[len(last)] for state in first])
                final, outputs = self._one_way(x, start, inside, f"_l{layer}{direction}", halves)
                last.append(final)
                sides.append(outputs)
            x = cat(sides, 2) if len(sides) > 1 else sides[0]
            if self.dropout and layer < self.num_layers - 1:
                x = dropout(x, self.dropout, self.training)
        return x, tuple([stack(parts) for parts in zip(*last, strict=True)])

    @staticmethod
    def _inside(x: Tensor, lengths: Any) -> Tensor:
        """(T, N, 1): whether a step lies inside of a sequence."""
        ends = as_tensor(lengths, device=x.device)
        if tuple(ends.shape) != (x.shape[1],):
            raise ShapeError(f"lengths are one number for each of {x.shape[1]} sequences, got {tuple(ends.shape)}.")
        return (arange(x.shape[0], device=x.device).unsqueeze(1) < ends).unsqueeze(2)

    def _one_way(
        self, x: Tensor, start: State, inside: Tensor | None, place: str, halves: Halves | None
    ) -> tuple[State, Tensor]:
        """One layer in one direction."""
        weights = {kind: getattr(self, kind + place) for kind in self._kinds}  # parameters, or computed from such
        own = {name.removesuffix(place): p for name, p in self._parameters.items() if name.endswith(place)}
        weights.update(own)  # a subclass may have further ones
        if halves is not None:
            weights = {kind: converted(weight, halves.half) for kind, weight in weights.items()}
            start = tuple(map(cast, start, (halves.results[0], _SINGLE)))  # h as it goes out, c in float32

        def step(state: State, row: tuple[Tensor, ...]) -> tuple[State, Tensor]:
            if halves is None:
                new = self.step(row[0], state, weights)
            else:
                new = self.step(cast(row[0], _SINGLE), state, weights)
                new = tuple([cast(after, before.value.array.dtype) for after, before in zip(new, state, strict=True)])
            if inside is not None:
                new = tuple([where(row[1], after, before) for after, before in zip(new, state, strict=True)])
            return new, new[0]

        rows = (self.input_sums(x, weights),) if inside is None else (self.input_sums(x, weights), inside)
        reverse = place.endswith("_reverse")
        if self._is_ours():
            settings = self.nonlinearity if isinstance(self, RNN) else None, self.proj_size > 0, inside is None, halves
            memory = _noted(type(self).step, tuple(weights), *settings)
            last, outputs = scan_again(step, start, rows, reverse, memory, tuple(weights.values()))
        else:
            last, outputs = scan(step, start, rows, reverse=reverse)
        return last, outputs if inside is None else where(inside, outputs, outputs.new_zeros(()))

    def input_sums(self, x: Tensor, weights: dict[str, Any]) -> Tensor:
        """What the inputs of all steps add to the sums: (T, N, sums·hidden_size), with both biases."""
        bias = weights["bias_ih"] + weights["bias_hh"] if self.bias else None
        return linear(x, weights["weight_ih"], bias)

    def state_sums(self, input_sums: Tensor, h: Tensor, weights: dict[str, Any], bias: Tensor | None = None) -> Tensor:
        """What the state adds to the sums, of their type: the product computes in the weights'."""
        weight = weights["weight_hh"]
        return cast(linear(cast(h, weight.value.array.dtype), weight, bias), input_sums.value.array.dtype)

    def step(self, input_sums: Tensor, state: State, weights: dict[str, Any]) -> State:
        """The next state; every kind of layer says it."""
        raise TypeError(f"{type(self).__name__} does not define step(input_sums, state, weights).")


@functools.lru_cache(maxsize=64)
def _noted(step: Any, *settings: Any) -> Memory:
    """What eager code has noted of a step with such settings."""
    return {}


class RNN(RNNBase):
    """A simple recurrent network: hₜ = tanh(W_ih·xₜ + b_ih + W_hh·hₜ₋₁ + b_hh), along sequences.

    Arguments, inputs and results as `RNNBase`; `nonlinearity` is "tanh", "relu", "sigmoid" or "identity". Its
    parameters are D·M + M·M + 2·M for D inputs and M units (the course notes count one bias). Source: Elman, 1990.

    >>> import chainrule
    >>> outputs, last = RNN(3, 5)(chainrule.ones(7, 2, 3))
    >>> outputs.shape, last.shape
    (Size([7, 2, 5]), Size([1, 2, 5]))
    """

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        num_layers: int = 1,
        nonlinearity: str = "tanh",
        bias: bool = True,
        batch_first: bool = False,
        dropout: float = 0.0,
        bidirectional: bool = False,
        device: Any = None,
        dtype: Any = None,
        *,
        initial_state: str = "zeros",
    ) -> None:
        self.__dict__["nonlinearity"] = check_nonlinearity(nonlinearity)
        super().__init__(
            f"RNN_{nonlinearity.upper()}", input_size, hidden_size, num_layers, bias, batch_first, dropout,
            bidirectional, 0, device, dtype, initial_state=initial_state,
        )  # fmt: skip

    def step(self, input_sums: Tensor, state: State, weights: dict[str, Any]) -> State:
        """The formula of the class."""
        return (NONLINEARITIES[self.nonlinearity](input_sums + self.state_sums(input_sums, state[0], weights)),)


class LSTM(RNNBase):
    """Long short-term memory along sequences; the formulas are at `nn.recurrent_steps.lstm_step`.

    Arguments, inputs and results as `RNNBase`; states are pairs (h, c). With `proj_size` the output is
    h = W_hr·(o⊙tanh(c)). The weights hold the gates i, f, g, o one after the other.

    >>> import chainrule
    >>> outputs, (h, c) = LSTM(3, 5, num_layers=2, bidirectional=True)(chainrule.ones(7, 2, 3))
    >>> outputs.shape, h.shape
    (Size([7, 2, 10]), Size([4, 2, 5]))
    """

    sums = 4
    states = ("h", "c")

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        num_layers: int = 1,
        bias: bool = True,
        batch_first: bool = False,
        dropout: float = 0.0,
        bidirectional: bool = False,
        proj_size: int = 0,
        device: Any = None,
        dtype: Any = None,
        *,
        initial_state: str = "zeros",
    ) -> None:
        super().__init__(
            "LSTM", input_size, hidden_size, num_layers, bias, batch_first, dropout, bidirectional, proj_size, device,
            dtype, initial_state=initial_state,
        )  # fmt: skip

    def types_within(self, half: DataType, given: DataType, before: DataType) -> tuple[DataType, ...]:
        """The half; what the state was before, where PyTorch has no fast code: c of projected states, and float16."""
        kept = half if before == half else _SINGLE
        if self.proj_size:
            return half, kept
        fast = given == _SINGLE or (given == half and half != np.float16)
        return (half if fast else kept,) * 2

    def step(self, input_sums: Tensor, state: State, weights: dict[str, Any]) -> State:
        """`lstm_step`, and the projection if there is one."""
        h, c, _ = lstm_step(input_sums + self.state_sums(input_sums, state[0], weights), state[1])
        if self.proj_size:
            weight = weights["weight_hr"]
            h = linear(cast(h, weight.value.array.dtype), weight)
        return h, c


class GRU(RNNBase):
    """Gated recurrent units along sequences; the formulas are at `nn.recurrent_steps.gru_step`.

    Arguments, inputs and results as `RNNBase`. The weights hold r, z, n one after the other.

    >>> import chainrule
    >>> outputs, last = GRU(3, 5, batch_first=True)(chainrule.ones(2, 7, 3))
    >>> outputs.shape, last.shape
    (Size([2, 7, 5]), Size([1, 2, 5]))
    """

    sums = 3

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        num_layers: int = 1,
        bias: bool = True,
        batch_first: bool = False,
        dropout: float = 0.0,
        bidirectional: bool = False,
        device: Any = None,
        dtype: Any = None,
        *,
        initial_state: str = "zeros",
    ) -> None:
        super().__init__(
            "GRU", input_size, hidden_size, num_layers, bias, batch_first, dropout, bidirectional, 0, device, dtype,
            initial_state=initial_state,
        )  # fmt: skip

    def types_within(self, half: DataType, given: DataType, before: DataType) -> tuple[DataType, ...]:
        """What the state was before: it is part of the next one."""
        return (half if before == half else _SINGLE,)

    def input_sums(self, x: Tensor, weights: dict[str, Any]) -> Tensor:
        """With the inputs' bias only: the state's is multiplied by the reset gate."""
        return linear(x, weights["weight_ih"], weights.get("bias_ih"))

    def step(self, input_sums: Tensor, state: State, weights: dict[str, Any]) -> State:
        """`gru_step`."""
        state_sums = self.state_sums(input_sums, state[0], weights, weights.get("bias_hh"))
        return (gru_step(input_sums, state_sums, cast(state[0], input_sums.value.array.dtype))[0],)
