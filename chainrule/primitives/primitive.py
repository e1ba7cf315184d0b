r"""What a primitive is, and the one function through which all computation goes.

A primitive is a class with the same furniture in every room:

    class Multiply(Primitive):
        "z = x · y, elementwise."
        latex = r"x \odot y"

        def shape(x, y): ...                  # shapes and dtypes in, (shape, dtype) out; clear errors
        def evaluate(x, y): return x * y      # the meaning, on NumPy arrays
        def grad_x(g, y): return g * y        # one rule per argument, in Tensor code,
        def grad_y(g, x): return g * x        # whose argument names say what is kept for the backward pass

All of them are static methods. Positional arguments are tensors, keyword-only ones are settings. A gradient rule
may name

- `g`, the gradient of the result (`g_<output>` where there are several),
- an argument (`x`) or a result (`output`, or its name in `outputs`): its value is kept,
- `x_shape` or `x_dtype`: only the shape or data type is kept,
- keyword-only: any setting of the operation.

An argument without a rule has no gradient. A variadic argument (`*parts`) has one rule, which is called for each
part with its `position`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from types import FunctionType, MethodType
from typing import TYPE_CHECKING, Any, ClassVar, NamedTuple

import numpy as np

from chainrule.errors import ShapeError
from chainrule.primitives import placed
from chainrule.primitives.trace import settled
from chainrule.primitives.value import Array, DataType, Form, Symbol, Value
from chainrule.state import current_state
from chainrule.tape import Record

if TYPE_CHECKING:
    from chainrule.tensor import Tensor

_float16, _float32 = np.dtype(np.float16), np.dtype(np.float32)

#: From so many multiplications and additions on machine code is looked for: NumPy takes a tenth of a millisecond then.
MANY = 2**18


class Rule(NamedTuple):
    """A gradient rule: the function, the names of its positional arguments, and of its settings."""

    function: Callable[..., Any]
    names: tuple[str, ...]
    settings: tuple[str, ...]


class Registry(dict[str, type["Primitive"]]):
    """All primitives by name. The registry tests go through this."""


registry = Registry()


class Primitive:
    """The base of all primitives; see the module's text for what a subclass writes.

    Class attributes:
        latex: the formula, arguments under their own names.
        outputs: the names of the results.
        accumulates: it adds up many products or entries, so halves (float16, bfloat16) are computed in float32.
        moves: it computes nothing itself, so it cannot overflow and NumPy's warnings need no silencing.
        checks: it raises an error for some numbers, so it is done even where nothing uses its results.
        abstract: not an operation itself but the common part of some.
        is_view: its result can be a view of its input: it says how to `write` through.
        operations: of a primitive with long loops, how many multiplications and additions it takes, from its inputs,
            settings and the forms of its results. Where it is many, machine code does it in eager code (`as_program`).
        lies_like: of each result the argument whose order of dimensions in memory it takes over, "" for row by row. It
            says too that arguments are read as they lie: which order that is must not change the bits of a result.
        later: settings that came when files of programs were written already, each with what such a file means.
    """

    latex: ClassVar[str] = ""
    outputs: ClassVar[tuple[str, ...]] = ("output",)
    accumulates: ClassVar[bool] = False
    moves: ClassVar[bool] = False
    checks: ClassVar[bool] = False
    name: ClassVar[str] = ""
    operations: ClassVar[Callable[..., Any] | None] = None
    lies_like: ClassVar[tuple[str, ...]] = ()
    later: ClassVar[dict[str, Any]] = {}

    arguments: ClassVar[tuple[str, ...]] = ()
    variadic: ClassVar[str] = ""
    rules: ClassVar[dict[str, Rule]] = {}
    is_view: ClassVar[bool] = False
    _plans: ClassVar[dict[int, tuple[tuple[str, str, int], ...]]] = {}

    shape: ClassVar[Callable[..., Any]]
    evaluate: ClassVar[Callable[..., Any]]

    def __init_subclass__(cls, abstract: bool = False) -> None:
        cls.name = cls.__name__
        cls._plans = {}
        if abstract:
            return
        registry[cls.name] = cls
        cls.is_view = hasattr(cls, "write")
        cls.arguments, cls.variadic, _ = argument_names(cls.shape)
        cls.rules = {}
        for argument in (*cls.arguments, cls.variadic):
            function = getattr(cls, f"grad_{argument}", None)
            if function is not None:
                cls.rules[argument] = read_rule(function)

    @classmethod
    def apply(cls, *inputs: Tensor, **parameters: Any) -> Any:
        """Compute: check shapes, evaluate (or only note, while tracing), and record what a gradient will need.

        Returns:
            A Tensor, or a tuple of Tensors where the primitive has several outputs.
        """
        state = current_state()
        if state.trace is None:
            values = [x._value if x._base is None else x.value for x in inputs]
        else:
            values = state.trace.lift_tensors(inputs)
        arrays = [value.array for value in values]
        place = None
        if placed.in_use:
            place, moved = placed.together(cls, inputs, arrays, parameters)
            if moved is not None:
                return cls.apply(*moved, **parameters)
        forms = cls.shape(*arrays, **parameters)
        several = type(forms) is list
        if state.trace is not None:
            result = state.trace.note(cls, values, parameters, forms)
        else:
            try:
                if place is not None:
                    result = place.compute(cls, arrays, parameters, forms)
                elif cls.operations is None or cls.operations(arrays, parameters, forms) < MANY:
                    result = cls.compute(arrays, parameters, forms)
                else:
                    result = Primitive.as_program(cls, arrays, parameters, forms)
            except Exception:
                # Another thread is tracing with a tensor of ours, or not any more.
                if any(isinstance(array, Symbol) for array in arrays) and settled(inputs):
                    return cls.apply(*inputs, **parameters)
                raise
            if state.observer is not None:
                seen = (arrays, result) if place is None else placed.all_on_host(arrays, result)
                state.observer(cls, *seen)
        record = None
        if state.gradients and cls.rules:
            for value in values:
                if value.source is not None:
                    record = cls._record(values, parameters, result, forms)
                    break
        if state.recording is not None and state.trace is None:
            result = state.recording.note(cls, values, parameters, forms, result, record)
        if not several:
            made = Primitive.make_tensor(Value(result, None if record is None else (record, 0)))
            if state.trace is not None:
                state.trace.note_made(made)
            return made
        parts = tuple(
            Primitive.make_tensor(Value(part, (record, i) if record and form[1].kind not in "iub" else None))
            for i, (part, form) in enumerate(zip(result, forms, strict=True))
        )
        if state.trace is not None:
            for made in parts:
                state.trace.note_made(made)
        return parts

    @classmethod
    def first_guest(cls, count: int, parameters: dict[str, Any]) -> int:
        """From which of so many operands on they may come from the CPU to a device: places that are read or written."""
        return len(cls.arguments) if cls.variadic == "places" else count

    @classmethod
    def compute(cls, arrays: Sequence[Array], parameters: dict[str, Any], forms: Any) -> Any:
        """The meaning on arrays, with results exactly as the shape rule announced them."""
        if cls.accumulates and any(array.dtype.itemsize == 2 and array.dtype.kind in "fV" for array in arrays):
            arrays = [array.astype(_float32) if array.dtype.kind in "fV" else array for array in arrays]
        if cls.moves:
            result = cls.evaluate(*arrays, **parameters)
        else:
            result = current_state().quiet.run(cls.evaluate, *arrays, **parameters)
        if type(forms) is list:
            return [_as_announced(part, form[1]) for part, form in zip(result, forms, strict=True)]
        if type(result) is np.ndarray and result.dtype is forms[1]:
            return result
        return _as_announced(result, forms[1])

    #: Wraps a Value in a Tensor; set by chainrule.tensor, the one knot between primitives and tensors.
    make_tensor: ClassVar[Callable[[Value], Tensor]]

    #: Computes as `compute` does, by a program of one equation; set by the package, which knows the compiler.
    as_program: ClassVar[Callable[[type[Primitive], Sequence[Array], dict[str, Any], Any], Any]]

    #: Calls a gradient rule with arguments and settings; set by blocks, which know what is worth a program.
    call_rule: ClassVar[Callable[[Callable[..., Any], Sequence[Any], dict[str, Any]], Any]]

    @classmethod
    def _record(cls, values: list[Value], parameters: dict[str, Any], result: Any, forms: Any) -> Record | None:
        mask, bit = 0, 1
        for value in values:
            if value.source is not None:
                mask |= bit
            bit <<= 1
        plan = cls._plans.get(mask)
        if plan is None:
            plan = cls._plans[mask] = cls._plan(mask, len(values))
        saved: dict[str, Any] = {}
        for name, kind, i in plan:
            if kind == "value":
                saved[name] = values[i]
            elif kind == "output":
                saved[name] = result[i] if type(forms) is list else result
            elif kind == "shape":
                saved[name] = values[i].array.shape
            elif kind == "dtype":
                saved[name] = values[i].array.dtype
            else:
                saved[name] = tuple(values[i:])
        sources = tuple([value.source for value in values])
        return Record(cls, parameters, sources, saved, forms if type(forms) is list else (forms,))

    @classmethod
    def _plan(cls, mask: int, count: int) -> tuple[tuple[str, str, int], ...]:
        """What to keep when the inputs in `mask` want gradients: (name, kind, position) for each."""
        plan: dict[str, tuple[str, str, int]] = {}
        for i in range(count):
            rule = cls.rules.get(cls.argument_name(i)) if mask >> i & 1 else None
            for name in rule.names if rule else ():
                kept = cls._locate(name)
                if kept:
                    plan[name] = kept
        return tuple(plan.values())

    @classmethod
    def _locate(cls, name: str) -> tuple[str, str, int] | None:
        if name in cls.arguments:
            return name, "value", cls.arguments.index(name)
        if name in cls.outputs:
            return name, "output", cls.outputs.index(name)
        if name == cls.variadic:
            return name, "values", len(cls.arguments)
        for kind in ("shape", "dtype"):
            argument = name.removesuffix("_" + kind)
            if argument in cls.arguments and argument != name:
                return name, kind, cls.arguments.index(argument)
        if name == "g" or name == "position" or name.startswith("g_"):
            return None
        raise TypeError(f"{cls.name}: a gradient rule names {name!r}, which is no argument and no output.")

    @classmethod
    def argument_name(cls, position: int) -> str:
        """The name of the input at a position; all parts of a variadic argument share one."""
        return cls.arguments[position] if position < len(cls.arguments) else cls.variadic

    @classmethod
    def pull_back(cls, record: Record, upstream: list[Tensor | None], wanted: list[bool]) -> list[Tensor | None]:
        """Apply the gradient rules of the wanted inputs."""
        known = unpack(record, upstream, cls.outputs)
        gradients: list[Tensor | None] = []
        names, count = cls.arguments, len(cls.arguments)
        for position, is_wanted in enumerate(wanted):
            rule = cls.rules.get(names[position] if position < count else cls.variadic) if is_wanted else None
            if rule is None:
                gradients.append(None)
                continue
            if position >= count:
                known["position"] = position - count
            given = [known[name] for name in rule.names]
            settings = {name: record.parameters[name] for name in rule.settings} if rule.settings else {}
            if cls.is_view:  # its gradient is a single operation
                gradients.append(rule.function(*given, **settings))
            else:
                gradients.append(Primitive.call_rule(rule.function, given, settings))
        return placed.like_upstream(upstream, gradients) if placed.in_use else gradients


def _as_announced(result: Any, dtype: DataType) -> Array:
    array = np.asarray(result)
    if array.dtype == dtype:
        return array
    # Quietly too: a float32 result that is too large for a half becomes infinite.
    return current_state().quiet.run(array.astype, dtype)


def read_rule(function: Callable[..., Any]) -> Rule:
    """Read from a gradient rule's signature what it needs."""
    names, _, settings = argument_names(function)
    return Rule(function, names, settings)


def argument_names(function: Any) -> tuple[tuple[str, ...], str, tuple[str, ...]]:
    """The names of a function's positional arguments, of its variadic one ("" if none), and of its keyword-only ones.

    As `inspect.signature` tells them, in a tenth of the time: it is asked three hundred times at every start.
    """
    bound = isinstance(function, MethodType)
    plain: FunctionType = function.__func__ if bound else function
    code = plain.__code__
    positional, keyword = code.co_argcount, code.co_argcount + code.co_kwonlyargcount
    variadic = code.co_varnames[keyword] if code.co_flags & 4 else ""
    return code.co_varnames[1 if bound else 0 : positional], variadic, code.co_varnames[positional:keyword]


def unpack(record: Record, upstream: list[Tensor | None], outputs: tuple[str, ...]) -> dict[str, Any]:
    """Everything a gradient rule can name, as Tensors: the upstream gradients and what the record kept."""
    make = Primitive.make_tensor
    if len(outputs) == 1:
        known: dict[str, Any] = {"g": upstream[0]}
    else:
        known = {}
        for name, gradient, form in zip(outputs, upstream, record.forms, strict=False):
            known["g_" + name] = zeros_of(form) if gradient is None else gradient
        if placed.in_use:
            known = dict(zip(known, placed.like_upstream(upstream, list(known.values())), strict=True))
    for name, kept in (record.saved or {}).items():
        if isinstance(kept, Value):
            known[name] = make(kept)
        elif name in outputs:
            position = outputs.index(name)
            inexact = record.forms[position][1].kind not in "iub"
            known[name] = make(Value(kept, (record, position) if inexact else None))
        elif type(kept) is tuple and kept and isinstance(kept[0], Value):
            known[name] = tuple(make(value) for value in kept)
        else:
            known[name] = kept
    return known


def zeros_of(form: Form) -> Tensor:
    """Zeros of a given shape and data type, for results that nothing used."""
    zero = np.zeros((), form[1])
    return Primitive.make_tensor(Value(np.broadcast_to(zero, form[0])))


def same_shape(name: str, x: Any, y: Any) -> None:
    """Raise a ShapeError unless both have the same shape (broadcasting has been done before)."""
    if x.shape != y.shape:
        raise ShapeError(f"{name}: shapes {tuple(x.shape)} and {tuple(y.shape)} differ.")
