"""Making an explanation: run a function or a module once, keep everything, walk back."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from chainrule.autodiff.backward import upstream_of
from chainrule.cell import TensorCell
from chainrule.compiler.collector import collector_waits
from chainrule.compiler.function import CompiledFunction
from chainrule.errors import DeviceError, GradientError
from chainrule.explain.backward import Walk, walk_back
from chainrule.explain.compiled import add_kernels
from chainrule.explain.explanation import Explanation
from chainrule.explain.failing import Failure
from chainrule.explain.naming import Names, argument_names
from chainrule.explain.reading import explain_tensor
from chainrule.explain.recording import Recording, recorded
from chainrule.functions.creation import tensor as make_tensor
from chainrule.nn.module import Module
from chainrule.primitives.placed import on_a_device, place_of
from chainrule.primitives.value import Symbol
from chainrule.tape import Leaf, Record


def explain(thing: Any, *inputs: Any, gradient: Any = None, **settings: Any) -> Explanation:
    r"""Lay open a computation: every operation with its formula and numbers, forward and backward.

    Args:
        thing: a function or a module, which is run once with `inputs` (and `settings`, its keyword arguments); a
            compiled step or module, whose program runs five times besides, so that its kernels are measured; or a
            tensor, whose history is read off its tape.
        inputs: tensors, arrays, numbers, or nests of these; whatever else is given on as it is. Gradients are computed
            for them too. Floats and arrays become tensors.
        gradient: the upstream gradient of the result. A single number needs none: it is 1 there. Without one, and with
            a result of several numbers, there is no backward pass to show.

    Returns:
        An `Explanation`: `print` it, or take its `text()`, `svg()`, `html()`, `data()`.

    What the function writes into tensors, buffers, gradients, an optimiser's memory and generators of random numbers is
    taken back, so a training step may be explained and the training goes on as if it had not been. What it does to
    other objects of Python (a counter, a data loader) stays. If it raises an error, the part that worked is shown with
    what failed.

    >>> import chainrule
    >>> found = chainrule.explain(lambda x, y: x * y, 3.0, -4.0)
    >>> found.gradient("x").item(), found.data()["nodes"][0]["substituted"]
    (-4.0, '3 \\odot (-4) = -12')
    """
    if isinstance(thing, TensorCell):
        if inputs or settings:
            raise TypeError("explain: a tensor has its inputs already; inputs are for functions and modules.")
        if place_of(thing.value.array) is not None:
            raise on_a_device()
        return explain_tensor(thing, gradient)
    if not callable(thing):
        raise TypeError(f"explain takes a function, a module, a compiled step or a tensor, got {type(thing).__name__}.")
    step = getattr(thing, "_compiled", thing)
    if not isinstance(step, CompiledFunction):
        return explain_call(thing, inputs, settings, gradient)[0]
    found, recording = explain_call(step.function, inputs, settings, gradient)
    if found.failure is None:
        add_kernels(found, recording, step, [_as_tensors(x) for x in inputs], settings, runs=3)
    return found


def explain_call(
    function: Callable[..., Any], inputs: tuple[Any, ...], settings: Mapping[str, Any], gradient: Any = None
) -> tuple[Explanation, Recording]:
    """Run `function(*inputs, **settings)` once and lay open what it computed."""
    names = argument_names(function, len(inputs))
    pairs = [*zip(names, inputs, strict=True), *settings.items()]
    known = Names(function, pairs)
    run = _Run(function, known, [*pairs], len(inputs), wanting=True)
    if isinstance(run.error, GradientError | AttributeError | TypeError) and run.recording.asked:
        # A function may insist on inputs that require no gradient: to make leaves of them, say.
        run = _Run(function, known, [*pairs], len(inputs), wanting=False)
    results = [] if run.failure is not None else _tensors_in(run.answer)
    outputs = [run.recording.symbol(x.value) for x in results]
    title = type(function).__name__ if isinstance(function, Module) else _title(function)
    with collector_waits():
        if run.failure is None:
            run.recording.drop_unused(outputs)
        walk = _walk(run.recording, results, outputs, gradient)
        return _explanation(title, run.recording, known, run.symbols, outputs, walk, run.failure), run.recording


class _Run:
    """One recorded run of a function.

    Attributes:
        answer: what the function returned; or `error`, what it raised, and `failure`, where.
        symbols: of the inputs, with their names.
    """

    def __init__(
        self, function: Callable[..., Any], known: Names, inputs: list[tuple[str, Any]], count: int, wanting: bool
    ) -> None:
        given: list[tuple[str, Any]] = []
        made = [_as_input(name, x, given, wanting) for name, x in inputs]
        self.recording = Recording(known.roots)
        self.symbols = {self.recording.symbol(x.value): name for name, x in given}
        sources = [x.value.source for _, x in given]
        self.recording.asked = {source[0] for source in sources if source is not None and isinstance(source[0], Record)}
        self.answer: Any = None
        self.error: Exception | None = None
        self.failure: Failure | None = None
        named = dict(zip([name for name, _ in inputs[count:]], made[count:], strict=True))
        with recorded(self.recording):
            try:
                self.answer = function(*made[:count], **named)
            except DeviceError:  # what is on a device is not shown at all
                raise
            except Exception as error:
                self.error, self.failure = error, Failure(error, self.recording, known)


def _explanation(
    title: str,
    recording: Recording,
    known: Names,
    given: dict[Symbol, str],
    outputs: list[Symbol],
    walk: Walk | None,
    failure: Failure | None,
) -> Explanation:
    names, kinds = dict(given), dict.fromkeys(given, "input")
    for symbol, value in recording.outside.items():
        if symbol in given:
            continue
        name = known.arrays.get(id(value.array))
        if name is not None:
            names[symbol] = name
        leaf = value.source is not None and isinstance(value.source[0], Leaf)
        kinds[symbol] = "parameter" if leaf or id(value.array) in known.parameters else "constant"
        # A compiled step may later write other numbers into this memory.
        recording.arrays[symbol] = np.array(value.array)
    ends = {t.use: (t.inputs, t.outputs) for t in recording.taped.values() if t.use is not None}
    return Explanation(
        title,
        recording.equations,
        recording.arrays,
        names=names,
        kinds=kinds,
        outputs=outputs,
        walk=walk,
        failure=failure,
        classes=known.classes,
        symbols=list(given),
        block_ends=ends,
    )


def _walk(recording: Recording, results: list[Any], outputs: list[Symbol], gradient: Any) -> Walk | None:
    """The backward pass from the result: the one that `gradient` is for, else the first single number."""
    sources = [(x, symbol) for x, symbol in zip(results, outputs, strict=True) if x.requires_grad]
    if gradient is not None:
        upstream: Any = gradient if isinstance(gradient, TensorCell) else make_tensor(gradient)
        fitting = [pair for pair in sources if pair[0].shape == upstream.shape]
        root, symbol = (fitting or sources or list(zip(results, outputs, strict=True)))[0]
        source, upstream = upstream_of(root, upstream.to(root.dtype), "explain")
    else:
        single = [pair for pair in sources if pair[0].numel() == 1]
        if not single:
            return None
        root, symbol = single[0]
        source, upstream = upstream_of(root, None, "explain")
    return walk_back(recording, symbol, source, upstream)


def _as_input(name: str, x: Any, given: list[tuple[str, Any]], wanting: bool) -> Any:
    """An argument as the function gets it: a tensor as a copy, with `wanting` one whose gradient is wanted but no leaf.

    So in-place changes of an input are allowed, as they are where no gradient is asked for, and reach nobody else.
    Numbers with a point and arrays become tensors.
    """
    x = _as_tensors(x)
    if isinstance(x, TensorCell):
        made: Any = x
        if not x.requires_grad:
            made = _wanting(x) if wanting and x.dtype.is_floating_point else x.detach().clone()  # type: ignore[attr-defined]
        given.append((name, made))
        return made
    if isinstance(x, dict):
        return {key: _as_input(f"{name}[{key!r}]", part, given, wanting) for key, part in x.items()}
    if isinstance(x, tuple | list) and any(isinstance(part, TensorCell | tuple | list | dict) for part in x):
        parts = [_as_input(f"{name}[{i}]", part, given, wanting) for i, part in enumerate(x)]
        return type(x)(*parts) if hasattr(x, "_fields") else type(x)(parts)
    return x


def _as_tensors(x: Any) -> Any:
    return make_tensor(x) if isinstance(x, float | np.ndarray | np.floating) else x


def _wanting(x: Any) -> Any:
    return x.detach().clone().requires_grad_().clone()


def _tensors_in(answer: Any) -> list[Any]:
    """The tensors in what a function returned."""
    if isinstance(answer, TensorCell):
        return [answer]
    if isinstance(answer, dict):
        answer = list(answer.values())
    if isinstance(answer, tuple | list):
        return [tensor for part in answer for tensor in _tensors_in(part)]
    if hasattr(answer, "__dataclass_fields__"):
        return _tensors_in(list(vars(answer).values()))
    return []


def _title(function: Any) -> str:
    name = getattr(function, "__qualname__", None) or type(function).__name__
    return "function" if name.endswith("<lambda>") else name.rpartition("<locals>.")[2]
