"""Making an explanation: run a function or a module once, keep everything, walk back."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from chainrule.autodiff.backward import upstream_of
from chainrule.cell import TensorCell
from chainrule.explain.backward import Walk, walk_back
from chainrule.explain.explanation import Explanation
from chainrule.explain.failing import Failure
from chainrule.explain.naming import Names, argument_names
from chainrule.explain.reading import explain_tensor
from chainrule.explain.recording import Recording, recorded
from chainrule.functions.creation import tensor as make_tensor
from chainrule.nn.module import Module
from chainrule.primitives.value import Symbol
from chainrule.tape import Leaf


def explain(thing: Any, *inputs: Any, gradient: Any = None, **settings: Any) -> Explanation:
    r"""Lay open a computation: every operation with its formula and numbers, forward and backward.

    Args:
        thing: a function or a module, which is run once with `inputs` (and `settings`, its keyword arguments); or a
            tensor, whose history is read off its tape.
        inputs: tensors, arrays, numbers, or nests of these; whatever else is given on as it is. Gradients are computed
            for them too. Floats and arrays become tensors.
        gradient: the upstream gradient of the result. A single number needs none: it is 1 there. Without one, and with
            a result of several numbers, there is no backward pass to show.

    Returns:
        An `Explanation`: `print` it, or take its `text()`, `svg()`, `html()`, `data()`.

    What the function writes into tensors, buffers, gradients and generators of random numbers is taken back, so a
    training step may be explained and the training goes on as if it had not been. What it does to other objects of
    Python (a counter, a data loader) stays. If it raises an error, the part that worked is shown with what failed.

    >>> import chainrule
    >>> found = chainrule.explain(lambda x, y: x * y, 3.0, -4.0)
    >>> found.gradient("x").item(), found.data()["nodes"][0]["substituted"]
    (-4.0, '3 \\odot (-4) = -12')
    """
    if isinstance(thing, TensorCell):
        if inputs or settings:
            raise TypeError("explain: a tensor has its inputs already; inputs are for functions and modules.")
        return explain_tensor(thing, gradient)
    if not callable(thing):
        raise TypeError(f"explain takes a function, a module, a compiled step or a tensor, got {type(thing).__name__}.")
    return explain_call(thing, inputs, settings, gradient)


def explain_call(
    function: Callable[..., Any], inputs: tuple[Any, ...], settings: Mapping[str, Any], gradient: Any = None
) -> Explanation:
    """Run `function(*inputs, **settings)` once and lay open what it computed."""
    names = argument_names(function, len(inputs))
    pairs = [*zip(names, inputs, strict=True), *settings.items()]
    known = Names(function, pairs)
    given: list[tuple[str, Any]] = []
    args = [_as_input(name, x, given, isinstance(function, Module)) for name, x in zip(names, inputs, strict=True)]
    kwargs = {name: _as_input(name, x, given, isinstance(function, Module)) for name, x in settings.items()}
    recording = Recording(known.roots)
    symbols = {recording.symbol(x.value): name for name, x in given}
    answer, failure = None, None
    with recorded(recording):
        try:
            answer = function(*args, **kwargs)
        except Exception as error:
            failure = Failure(error, recording, known)
    results = [] if failure is not None else _tensors_in(answer)
    outputs = [recording.symbol(x.value) for x in results]
    if failure is None:
        recording.drop_unused(outputs)
    walk = _walk(recording, results, outputs, gradient)
    title = type(function).__name__ if isinstance(function, Module) else _title(function)
    return _explanation(title, recording, known, symbols, outputs, walk, failure)


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


def _as_input(name: str, x: Any, given: list[tuple[str, Any]], numbers: bool) -> Any:
    """An argument as the function gets it: tensors as ones whose gradient is wanted, but not leaves.

    So in-place changes of an input are allowed, as they are where no gradient is asked for, and reach nobody else.
    Numbers with a point and arrays become tensors.
    """
    if isinstance(x, float | np.ndarray | np.floating):
        x = make_tensor(x)
    if isinstance(x, TensorCell):
        made: Any = x
        if not x.requires_grad:
            made = make_tensor(x.array) if not x.dtype.is_floating_point else _wanting(x)
        given.append((name, made))
        return made
    if isinstance(x, dict):
        return {key: _as_input(f"{name}[{key!r}]", part, given, numbers) for key, part in x.items()}
    if isinstance(x, tuple | list) and any(isinstance(part, TensorCell | tuple | list | dict) for part in x):
        parts = [_as_input(f"{name}[{i}]", part, given, numbers) for i, part in enumerate(x)]
        return type(x)(*parts) if hasattr(x, "_fields") else type(x)(parts)
    return x


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
