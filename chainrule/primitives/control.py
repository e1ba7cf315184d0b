"""`Scan`: a loop with a carry, as one differentiable operation. The one primitive that holds others.

    carry₀ = start;   carryₜ₊₁, yₜ = body(carryₜ, xₜ, constants)      t = 0 … T−1

The body is a noted :class:`Graph`, its captures made explicit as constants. Its gradient is a loop of the same kind
that runs backwards over *residuals*: the values of each step that the gradient of the body needs. Where they come
from: when a gradient is wanted the body is noted together with its own backward pass; what that backward pass uses
of the forward pass is stacked over time by the forward loop. The gradients of the constants are summed over time
after the loop, where that can be done by one large operation (`time_sum.py`).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from chainrule.dtypes import get_default_dtype
from chainrule.errors import ShapeError, TraceError
from chainrule.primitives import placed
from chainrule.primitives.placed import is_number, place_of
from chainrule.primitives.primitive import Primitive, zeros_of
from chainrule.primitives.time_sum import TimeSums
from chainrule.primitives.trace import Trace, tracing, users_line
from chainrule.primitives.value import Array, Form, Symbol, Value
from chainrule.program.graph import Equation, Graph, replay
from chainrule.state import current_state
from chainrule.tape import Record, backpropagate

if TYPE_CHECKING:
    from chainrule.cell import TensorCell
    from chainrule.tensor import Tensor

Step = Callable[[list["Tensor"], list["Tensor"], list["Tensor"]], tuple[list["Tensor"], list["Tensor"]]]


class Backward(NamedTuple):
    """How the gradient of one step is computed from its residuals.

    Attributes:
        equations: the backward pass of the body.
        upstream: the symbols of the gradients of the new carry and of yₜ that come in, None where none can.
        downstream: the symbols (or literals) of the gradients of carry, xₜ and constants, None where there is none.
        residuals: the symbols of the forward pass that it uses, which the loop stacks.
        constants: the symbols of the constants, in their order.
        made: constants that gradient rules made, such as an identity matrix: their symbols and values.
        sums: how the gradients of the constants are summed over time.
        memory: what was noted of the loop backwards.
    """

    equations: Sequence[Equation]
    upstream: Sequence[Symbol]
    downstream: Sequence[Any]
    residuals: Sequence[Symbol]
    constants: Sequence[Symbol]
    made: Sequence[tuple[Symbol, Value]]
    sums: TimeSums
    memory: Memory


#: What it costs to call NumPy once, in multiplications and additions.
CALL = 2**13


class Scan(Primitive):
    """Run `body` over the first dimension of the sequences.

    Results: the last carry, then every yₜ and residual stacked. Inputs: the start of each carry, the sequences, and
    the constants. `reverse` runs from the last step to the first; stacked results keep the order of the sequences
    either way.
    """

    latex = r"c_{t+1}, y_t = f(c_t, x_t)"
    moves = True

    @staticmethod
    def shape(
        *inputs: Array, body: Graph, carries: int, sequences: int, length: int, reverse: bool, backward: Any
    ) -> list[Form]:
        finals = [(x.shape, x.dtype) for x in body.outputs[:carries]]
        stacked = [((length, *x.shape), x.dtype) for x in body.outputs[carries:]]
        return [*finals, *stacked]

    @classmethod
    def first_guest(cls, count: int, parameters: dict[str, Any]) -> int:
        """The constants: what the body does with them on a device it has moved there itself."""
        return int(parameters["carries"] + parameters["sequences"])

    @staticmethod
    def operations(arrays: Sequence[Any], parameters: dict[str, Any], forms: Any) -> int:
        # The program of a loop takes long to make, and another length is another program: so only for a large gain.
        equations = parameters["body"].equations
        inside = [e for e in equations if e.primitive.operations is not None]
        each = sum(e.primitive.operations(e.inputs, e.parameters, e.forms) for e in inside)
        return int(parameters["length"]) * (each + CALL * len(equations)) // 16

    @staticmethod
    def evaluate(
        *inputs: Array, body: Graph, carries: int, sequences: int, length: int, reverse: bool, backward: Any
    ) -> tuple[Array, ...]:
        run = body.interpreter
        carry = list(inputs[:carries])
        rows = inputs[carries : carries + sequences]
        constants = list(inputs[carries + sequences :])
        stacked = [np.empty((length, *x.shape), x.dtype) for x in body.outputs[carries:]]
        for t in reversed(range(length)) if reverse else range(length):
            results = run([*carry, *[np.asarray(x[t]) for x in rows], *constants])
            carry = results[:carries]
            for stack, y in zip(stacked, results[carries:], strict=True):
                stack[t] = y
        return (*carry, *stacked)

    @classmethod
    def _record(cls, values: list[Value], parameters: dict[str, Any], results: Any, forms: Any) -> Record | None:
        backward: Backward | None = parameters["backward"]
        if backward is None:
            return None
        first = len(results) - len(backward.residuals)
        saved = {"inputs": tuple(values), "residuals": tuple(enumerate(results))[first:]}
        return Record(cls, parameters, tuple([v.source for v in values]), saved, forms)

    @classmethod
    def pull_back(cls, record: Record, upstream: list[Tensor | None], wanted: list[bool]) -> list[Tensor | None]:
        """The loop backwards: its carries are the carries' gradients and what is added up for the constants."""
        saved, p = record.saved or {}, record.parameters
        backward: Backward = p["backward"]
        carries, sequences = p["carries"], p["sequences"]
        make = Primitive.make_tensor
        ordinary = len(upstream) - len(backward.residuals)
        if any(g is not None for g in upstream[ordinary:]):
            return cls._pull_back_through_residuals(record, upstream, wanted)
        constants = [make(value) for value in saved["inputs"][carries + sequences :]]
        residuals = [make(Value(a, (record, i) if a.dtype.kind not in "iub" else None)) for i, a in saved["residuals"]]
        coming = [
            zeros_of(form) if g is None else g for g, form in zip(upstream, record.forms[:ordinary], strict=False)
        ]
        # What the step reads of each t, and what it has to stack and to add up for the constants' gradients.
        read = dict(
            zip([*backward.upstream[carries:], *backward.residuals], [*coming[carries:], *residuals], strict=True)
        )
        by_row = backward.downstream[carries : carries + sequences]
        found = {*read, *[d for d in by_row if isinstance(d, Symbol)]}
        stacked = [symbol for symbol in backward.sums.stacked if symbol not in found]
        added = list(backward.sums.added)

        def step(carry: list[Tensor], rows: list[Tensor], captured: list[Tensor]) -> tuple[list[Tensor], list[Tensor]]:
            known = dict(zip(backward.constants, captured, strict=True))
            known.update((symbol, make(value)) for symbol, value in backward.made)
            known.update(zip(backward.upstream[:carries], carry, strict=False))
            known.update(zip(read, rows, strict=True))
            replay(backward.equations, known)
            down = [_find(d, known) for d in backward.downstream[:carries]]
            new = [
                zeros_of((c.shape, c.value.array.dtype)) if d is None else d for d, c in zip(down, carry, strict=False)
            ]
            totals = [total + known[d] for total, d in zip(carry[carries:], added, strict=True)]
            made = [_find(d, known) for d in by_row if d is not None]
            return [*new, *totals], [*made, *[known[symbol] for symbol in stacked]]  # type: ignore[list-item]

        start = [*coming[:carries], *[zeros_of((d.shape, d.dtype)) for d in added]]
        rows = list(read.values())
        final, rows = loop(step, start, rows, constants, p["length"], not p["reverse"], backward.memory)
        answers = iter(rows)
        of_rows = [None if d is None else next(answers) for d in by_row]
        gradients = [*final[:carries], *of_rows]
        # The gradient of a row's sums is most times what the weights' products need of each t: it is stacked once.
        by_symbol = {d: x for d, x in zip(by_row, of_rows, strict=True) if isinstance(d, Symbol) and x is not None}
        stacks = {**by_symbol, **read, **dict(zip(stacked, answers, strict=True))}
        sums = dict(zip(added, final[carries:], strict=True))
        return [*gradients, *[None if total is None else total(stacks, sums) for total in backward.sums.totals]]

    @classmethod
    def _pull_back_through_residuals(
        cls, record: Record, upstream: list[Tensor | None], wanted: list[bool]
    ) -> list[Tensor | None]:
        """Second derivatives arrive at the residuals too: run the loop again with these as ordinary results."""
        p, body = record.parameters, record.parameters["body"]
        carries, sequences = p["carries"], p["sequences"]
        inputs = [Primitive.make_tensor(value) for value in (record.saved or {})["inputs"]]

        def step(carry: list[Tensor], rows: list[Tensor], constants: list[Tensor]) -> tuple[list[Tensor], list[Tensor]]:
            known = dict(zip(body.inputs, [*carry, *rows, *constants], strict=True))
            replay(body.equations, known)
            outputs: Any = [_find(x, known) for x in body.outputs]
            return outputs[:carries], outputs[carries:]

        state = current_state()
        differentiable, state.gradients = state.gradients, True
        groups = inputs[:carries], inputs[carries : carries + sequences], inputs[carries + sequences :]
        final, stacked = loop(step, *groups, p["length"], p["reverse"])
        state.gradients = differentiable
        results = zip([*final, *stacked], upstream, strict=True)
        roots = [(y.value.source, g) for y, g in results if g is not None and y.value.source is not None]
        asked = [source for source, is_wanted in zip(record.sources, wanted, strict=True) if is_wanted]
        keep = {"keep_graph": differentiable, "differentiable": differentiable}
        found = iter(backpropagate(roots, asked, stop=True, **keep))  # type: ignore[arg-type]
        return [next(found) if is_wanted else None for is_wanted in wanted]


# A variadic primitive takes part in differentiation if it has a rule; this one answers for all inputs in pull_back.
Scan.rules = {"inputs": None}  # type: ignore[dict-item]


def _find(x: Any, known: dict[Symbol, Tensor]) -> Tensor | None:
    if x is None:
        return None
    return known[x] if isinstance(x, Symbol) else Primitive.make_tensor(Value(x))


class Noted(NamedTuple):
    """What a loop does in each step, and where its inputs come from; no tensor of the call that it was noted in.

    Attributes:
        body: one step; its last results are the residuals.
        backward: how its gradient is computed, if one was wanted.
        results: how many results it has without the residuals.
        captured: of each tensor that it found outside the number among those that may be there, or its value, made anew
            each time; None if it is another's.
        given: the symbols of constants and of what it found.
        moved: equations that only rearrange these: they are done once, outside.
        made: the symbols of what these make that a step needs, further constants.
    """

    body: Graph
    backward: Backward | None
    results: int
    captured: Sequence[Any]
    given: Sequence[Symbol]
    moved: Sequence[Equation]
    made: Sequence[Symbol]


#: What was noted of one step, by the forms of what it was given.
Memory = dict[Any, Noted]

#: So many forms of a step are remembered.
MOST = 16


def loop(
    step: Step,
    carry: list[Tensor],
    rows: list[Tensor],
    constants: list[Tensor],
    length: int,
    reverse: bool,
    memory: Memory | None = None,
    outside: Sequence[Tensor] = (),
) -> tuple[list[Tensor], list[Tensor]]:
    """Note `step(carry, rows, constants)` once and run it as a Scan. Tensors that the step captures are found.

    memory: where eager code remembers what it has noted, for a step that does the same in every call.
    outside: all tensors from outside that such a step may capture; other tensors it makes itself.
    """
    state = current_state()
    looked_at = any(x is not None for x in (state.trace, state.recording, state.observer, state.autocast))
    if memory is None or looked_at or placed.in_use or any(map(_may_change_unseen, outside)):
        noted, captured = _note(step, carry, rows, constants, length, ())
    else:
        key = _key([*carry, *rows, *constants], outside, length)
        known = memory.get(key)
        if known is None:
            noted, captured = _note(step, carry, rows, constants, length, outside)
            if None not in noted.captured:
                if len(memory) >= MOST:
                    memory.clear()
                memory[key] = noted
        else:
            noted = known
            captured = [outside[x] if isinstance(x, int) else Primitive.make_tensor(x) for x in noted.captured]
    there = dict(zip(noted.given, [*constants, *captured], strict=True))
    replay(noted.moved, there)
    answer = Scan.apply(
        *carry,
        *rows,
        *constants,
        *captured,
        *[there[symbol] for symbol in noted.made],
        body=noted.body,
        carries=len(carry),
        sequences=len(rows),
        length=length,
        reverse=reverse,
        backward=noted.backward,
    )
    return list(answer[: len(carry)]), list(answer[len(carry) : noted.results])


def _may_change_unseen(tensor: Tensor) -> bool:
    """Whether what is noted of a step has more of a tensor in it than its form: a view, a single number (`lift`)."""
    return tensor._base is not None or (tensor.value.array.size == 1 and tensor.value.source is None)


def _key(tensors: Sequence[Tensor], outside: Sequence[Tensor], length: int) -> Any:
    """All that what is noted of a step depends on, the place in the program that equations name included."""
    state, values = current_state(), [x.value for x in (*tensors, *outside)]
    forms = tuple([(v.array.shape, v.array.dtype, v.source is None) for v in values])
    first = {id(v): i for i, v in reversed(list(enumerate(values[len(tensors) :])))}
    alike = tuple([first[id(v)] for v in values[len(tensors) :]])  # two weights may hold one value, for a while
    return forms, alike, length, state.gradients, get_default_dtype(), state.path, state.module, users_line()


def _note(
    step: Step, carry: list[Tensor], rows: list[Tensor], constants: list[Tensor], length: int, outside: Sequence[Tensor]
) -> tuple[Noted, list[Tensor]]:
    """Run the step on symbols; with what it captured."""
    differentiate = current_state().gradients
    trace = Trace()
    with tracing(trace):
        carry_in = [_input_for(trace, c, c.shape, _inexact(c.value)) for c in carry]
        rows_in = [_input_for(trace, x, x.shape[1:], x.requires_grad) for x in rows]
        given_in = [_input_for(trace, c, c.shape, c.requires_grad) for c in constants]
        tensors = [[Primitive.make_tensor(v) for v in group] for group in (carry_in, rows_in, given_in)]
        new_carry, ys = _run_once(trace, step, tensors)
        _check_carry(carry, new_carry)
        results = [trace.lift([t.value])[0] for t in (*new_carry, *ys)]
    captured = [Primitive.make_tensor(outer) for outer, _ in trace.captures.values()]
    given_in += [inside for _, inside in trace.captures.values()]
    moved, made = _hoist(trace, [value.array for value in given_in], results)
    inputs = [*carry_in, *rows_in, *given_in, *map(trace.value_of, made)]
    with tracing(trace):
        wanted = differentiate and any(t.requires_grad for t in (*carry, *rows, *constants, *captured))
        forward = list(trace.equations)
        backward = _note_backward(trace, inputs, results, len(carry) + len(rows), length) if wanted else None
    outputs = [value.array for value in results]
    residuals = list(backward.residuals) if backward else []
    body = Graph([value.array for value in inputs], forward, [*outputs, *residuals])
    numbers = {id(x.value): i for i, x in enumerate(outside)}
    where = [numbers.get(id(x.value), None if x.requires_grad else x.value) for x in captured]
    return Noted(body, backward, len(outputs), where, [value.array for value in given_in], moved, made), captured


def _hoist(trace: Trace, constants: Sequence[Symbol], results: list[Value]) -> tuple[list[Equation], list[Symbol]]:
    """Take out of the body what only rearranges constants, such as a weight's transpose: it is done once, outside.

    Otherwise each step would do it again, and the loop would stack its result for the backward pass. The answer is
    what to do outside, and the symbols of what the body needs of it, as further constants.
    """
    moved: list[Equation] = []
    still = set(constants)
    for e in trace.equations:
        if e.primitive.moves and e.primitive is not Scan and all(x in still for x in e.inputs if isinstance(x, Symbol)):
            moved.append(e)
            still.update(e.outputs)
    trace.equations = [e for e in trace.equations if e.outputs[0] not in still]
    ends = [*[x for e in trace.equations for x in e.inputs], *[value.array for value in results]]
    used = {x for x in ends if isinstance(x, Symbol)}
    moved = [e for e in Graph([], moved, [s for e in moved for s in e.outputs if s in used]).equations]
    return moved, [s for e in moved for s in e.outputs if s in used]


class OutsideWritesError(TraceError):
    """The body of a loop wrote to tensors from outside; `cells` are these, with their old values again."""

    def __init__(self, cells: list[TensorCell]) -> None:
        shapes = ", ".join(str(tuple(cell.shape)) for cell in cells)
        super().__init__(
            f"the body of a loop changes tensors from outside in place (of shape {shapes}). It runs once to be noted "
            "and is then repeated without Python, so such a change must be part of the carry: take the tensor in, "
            "return the new one."
        )
        self.cells = cells


def _run_once(trace: Trace, step: Step, tensors: list[list[Tensor]]) -> tuple[list[Tensor], list[Tensor]]:
    try:
        new_carry, ys = step(*tensors)
    except BaseException:
        trace.take_back_writes()
        raise
    outside = trace.take_back_writes([*new_carry, *ys])
    if outside:
        raise OutsideWritesError(outside)
    return new_carry, ys


def _input_for(trace: Trace, tensor: Tensor, shape: Any, differentiable: bool) -> Value:
    """An input of the body, where the tensor is that it comes from."""
    array = tensor.value.array
    value = trace.new_input(tuple(shape), array.dtype, differentiable, place_of(array))
    value.array.number = value.array.place is None and is_number(array)
    return value


def _inexact(value: Value) -> bool:
    return value.array.dtype.kind not in "iub"


def _check_carry(carry: list[Tensor], new: list[Tensor]) -> None:
    for i, (before, after) in enumerate(zip(carry, new, strict=True)):
        if before.shape != after.shape or before.dtype is not after.dtype:
            raise ShapeError(
                f"scan: carry {i} starts as {before.dtype} {tuple(before.shape)} and the body returns "
                f"{after.dtype} {tuple(after.shape)}; they must be alike."
            )


def _note_backward(trace: Trace, inputs: list[Value], results: list[Value], varying: int, length: int) -> Backward:
    """Note the backward pass of the body after its forward pass, and see what it uses of it."""
    first, known = len(trace.equations), set(trace.captures)
    upstream = [trace.new_input(v.array.shape, v.array.dtype, False, place_of(v.array)) for v in results]
    roots = [
        (value.source, Primitive.make_tensor(g))
        for value, g in zip(results, upstream, strict=True)
        if value.source is not None
    ]
    leaves = [value.source for value in inputs if value.source is not None]
    gradients = iter(backpropagate(roots, leaves, keep_graph=True, stop=True))
    found = [None if value.source is None else next(gradients) for value in inputs]
    downstream = [None if gradient is None else gradient.value.array for gradient in found]
    new = [(inside.array, outside) for key, (outside, inside) in trace.captures.items() if key not in known]
    made = {s for e in trace.equations[first:] for s in e.outputs}
    made |= {g.array for g in upstream} | {symbol for symbol, _ in new}
    constants = [value.array for value in inputs[varying:]]
    used = [x for e in trace.equations[first:] for x in e.inputs] + downstream
    symbols = dict.fromkeys(x for x in used if isinstance(x, Symbol))  # each once, in order
    residuals = [x for x in symbols if x not in made and x not in constants]
    needed = Graph([], trace.equations[first:], [x for x in downstream if x is not None]).equations
    sums = TimeSums(needed, downstream[varying:], {*constants, *[symbol for symbol, _ in new]}, length)
    return Backward(needed, [g.array for g in upstream], downstream, residuals, constants, new, sums, {})
