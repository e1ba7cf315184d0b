"""Every table in tests/peer_tables, run in chainrule and in PyTorch.

For modules: names, shapes and types of the state, printing, outputs, gradients of inputs and parameters, buffers
after passes in training, evaluation; in float32, and in both types with inputs that do not lie in order. For functions
outputs and gradients. For both: second derivatives against finite differences, float16 against float64; of these some
cases of each layer and function, and with CHAINRULE_NIGHTLY all.
"""

from __future__ import annotations

import copy
import dataclasses
import functools
import inspect
import re
from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest

import chainrule
from chainrule import autograd
from tests.peer_tables import Case, Refused, some_of_each, tables
from tests.together import together

TABLES = tables()
NAMES = "xyzuvw"


def of_each(cases: Sequence[Case | Refused]) -> Any:
    """A test for each layer or function: all its cases."""
    return together(cases, lambda case: re.sub(r"(nn\.|f\.)?(\w+).*", r"\2", case.source, flags=re.DOTALL))


#: So many cases of a layer or function by day.
FEW = 3
#: How far results may be apart, relative to the entry and to the largest entry of the result.
TOLERANCE = {"float32": 2e-5, "float64": 1e-11, "float16": 1e-2}
pytestmark = [
    pytest.mark.filterwarnings("ignore::UserWarning:torch"),
    pytest.mark.filterwarnings("ignore::FutureWarning:torch"),
]


def arrays(case: Case | Refused, dtype: str) -> list[np.ndarray]:
    """The inputs: floating-point arrays in the given type, others as they are."""
    random = np.random.default_rng(len(str(case)))
    found = []
    for given in case.inputs:
        array = given if isinstance(given, np.ndarray) else random.standard_normal(given)
        found.append(np.asarray(array.astype(dtype) if array.dtype.kind == "f" else array))
    return found


def build(framework: Any, source: str) -> Any:
    return eval(f"nn.{source}", {"nn": framework.nn, "lib": framework})


def flatten(results: Any) -> list[Any]:
    """The tensors of a result, however they are nested."""
    if results is None:
        return []
    if isinstance(results, dict):
        return [t for part in results.values() for t in flatten(part)]
    if isinstance(results, (tuple, list)):
        return [t for part in results for t in flatten(part)]
    return [results]


def given_tensors(
    framework: Any, inputs: list[np.ndarray], strided: bool, fixed: str = ""
) -> tuple[list[Any], list[Any]]:
    """Leaves, and the inputs made from them: the same numbers, if `strided` not in order in memory."""
    leaves, given = [], []
    for name, array in zip(NAMES, inputs):
        order = tuple(range(array.ndim))[::-1]
        leaf = framework.tensor(np.array(array.T if strided else array, order="C"))
        if array.dtype.kind == "f":
            leaf.requires_grad_(name not in fixed)
            given.append((leaf.permute(order) if strided and array.ndim else leaf) * 1)
        else:
            given.append(leaf.permute(order) if strided and array.ndim else leaf)
        leaves.append(leaf)
    return leaves, given


def send_back(framework: Any, results: list[Any]) -> None:
    """A backward pass with upstream gradients that are all different."""
    total = 0.0
    for i, y in enumerate(results):
        if y.requires_grad:
            upstream = np.cos(np.arange(y.numel()) + i).reshape(tuple(y.shape))
            total = total + (y * framework.tensor(upstream).to(y.dtype)).sum()
    if not isinstance(total, float):
        total.backward()


def called(framework: Any, layer: Any, case: Case, given: list[Any]) -> list[Any]:
    if not case.call:
        return flatten(layer(*given))
    names = dict(zip(NAMES, given))
    return flatten(eval(case.call, {"layer": layer, "lib": framework, "nn": framework.nn, **names}))


def run_module(framework: Any, layer: Any, case: Case, dtype: str, strided: bool) -> dict[str, Any]:
    """Everything that can be seen of a layer at work, by name. With buffers, training goes on from what they are then."""
    seen: dict[str, Any] = {}
    has_buffers = any(True for _ in layer.buffers())
    for mode in case.modes:
        layer.train(mode == "train")
        for turn in range(2 if mode == "train" and has_buffers else 1):
            layer.zero_grad()
            leaves, given = given_tensors(framework, arrays(case, dtype), strided, case.fixed)
            results = called(framework, layer, case, given)
            send_back(framework, results)
            where = f"{mode} {turn}"
            seen.update({f"{where} result {i}": y for i, y in enumerate(results)})
            seen.update({f"{where} gradient of {NAMES[i]}": leaf.grad for i, leaf in enumerate(leaves)})
            seen.update({f"{where} gradient of {name}": p.grad for name, p in layer.named_parameters()})
    seen.update({f"buffer {name}": buffer for name, buffer in layer.named_buffers()})
    return {name: None if t is None else t.detach().numpy() for name, t in seen.items()}


def assert_same(ours: dict[str, Any], theirs: dict[str, Any], dtype: str, factor: float) -> None:
    assert list(ours) == list(theirs)
    for name, wanted in theirs.items():
        found = ours[name]
        if wanted is None or found is None:
            # A gradient that is nowhere used: zeros and None say the same.
            rest = wanted if found is None else found
            assert rest is None or not np.any(rest), f"{name}: {found} instead of {wanted}"
            continue
        assert found.dtype == wanted.dtype and found.shape == wanted.shape, f"{name}: {found.dtype} {found.shape}"
        if wanted.dtype.kind not in "fc":
            np.testing.assert_array_equal(found, wanted, err_msg=name)
            continue
        allowed = TOLERANCE[dtype] * factor
        size = np.abs(wanted[np.isfinite(wanted)]).max(initial=0.0)
        np.testing.assert_allclose(found, wanted, rtol=allowed, atol=allowed * max(size, 1e-3), err_msg=name)


def is_lazy(layer: Any) -> bool:
    """Whether shapes wait for the first input."""
    entries = (*layer.parameters(), *layer.buffers())
    return any(type(entry).__name__.startswith("Uninitialized") for entry in entries)


def same_weights(case: Case) -> tuple[Any, Any]:
    """The module in both frameworks, ours with PyTorch's weights."""
    torch = pytest.importorskip("torch")
    theirs, ours = build(torch, case.source), build(chainrule, case.source)
    if is_lazy(theirs):
        x = arrays(case, "float32")
        called(torch, theirs, case, [torch.tensor(a) for a in x])
        called(chainrule, ours, case, [chainrule.tensor(a) for a in x])
    forms = [
        {name: (tuple(t.shape), str(t.dtype).split(".")[-1]) for name, t in module.state_dict().items()}
        for module in (ours, theirs)
    ]
    assert forms[0] == forms[1]
    assert [n for n, _ in ours.named_parameters()] == [n for n, _ in theirs.named_parameters()]
    ours.load_state_dict({name: chainrule.tensor(t.numpy()) for name, t in theirs.state_dict().items()})
    return ours, theirs


def ways(case: Case) -> list[tuple[str, bool]]:
    """Data types, and whether inputs do not lie in order: in the first type both, in the other one that alone."""
    return [(case.only[0], False), *((dtype, True) for dtype in case.only)]


@pytest.mark.peer
@of_each(TABLES.modules)
def test_module_is_pytorch_s(case: Case) -> None:
    torch = pytest.importorskip("torch")
    ours, theirs = same_weights(case)
    if case.printed:
        assert repr(ours) == repr(theirs)
    for dtype, strided in ways(case):
        mine = copy.deepcopy(ours).to(dtype)
        other = copy.deepcopy(theirs).to(getattr(torch, dtype))
        seen = [run_module(f, m, case, dtype, strided) for f, m in ((chainrule, mine), (torch, other))]
        assert_same(*seen, dtype, case.tolerance)


def run_function(framework: Any, case: Case, dtype: str, strided: bool) -> dict[str, Any]:
    leaves, given = given_tensors(framework, arrays(case, dtype), strided, case.fixed)
    names = {"f": framework.nn.functional, "lib": framework, **dict(zip(NAMES, given))}
    results = flatten(eval(f"f.{case.source}", names))
    send_back(framework, results)
    seen = {f"result {i}": y for i, y in enumerate(results)}
    seen.update({f"gradient of {name}": leaf.grad for name, leaf in zip(NAMES, leaves)})
    return {name: None if t is None else t.detach().numpy() for name, t in seen.items()}


@pytest.mark.peer
@of_each(TABLES.functions)
def test_function_is_pytorch_s(case: Case) -> None:
    torch = pytest.importorskip("torch")
    for dtype, strided in ways(case):
        seen = [run_function(f, case, dtype, strided) for f in (chainrule, torch)]
        assert_same(*seen, dtype, case.tolerance)


def shaken(layer: Any) -> Any:
    """The layer with parameters that are small random numbers: none is special, as zeros and ones are."""
    random = np.random.default_rng(1)
    with chainrule.no_grad():
        for p in layer.parameters():
            p += chainrule.tensor(random.standard_normal(tuple(p.shape)) * 0.1).to(p.dtype)
    return layer


def assert_second_derivatives(function: Any, tensors: list[Any]) -> None:
    """The gradient's derivative along a random direction v, by autodiff and as (g(x + εv) − g(x − εv)) / 2ε.

    The first gradient is compared with PyTorch's above, so it is what the difference quotient may rest on.
    """
    random = np.random.default_rng(5)
    start = [t.detach().numpy() for t in tensors]
    directions = [random.standard_normal(a.shape) for a in start]

    def gradients(step: float, create_graph: bool) -> tuple[list[Any], list[Any]]:
        xs = [chainrule.tensor(a + step * v, requires_grad=True) for a, v in zip(start, directions)]
        results = [y for y in function(*xs) if y.dtype.is_floating_point]
        if not results or not xs:
            return xs, []
        total = sum((y * chainrule.tensor(np.cos(np.arange(y.numel())).reshape(tuple(y.shape)))).sum() for y in results)
        found = autograd.grad(total, xs, create_graph=create_graph, allow_unused=True)
        return xs, [chainrule.zeros_like(x) if g is None else g for x, g in zip(xs, found)]

    xs, first = gradients(0.0, True)
    if not first:
        return
    along = sum((g * chainrule.tensor(v)).sum() for g, v in zip(first, directions))
    second = autograd.grad(along, xs, allow_unused=True) if along.requires_grad else [None] * len(xs)
    scale = max((np.abs(a.detach().numpy()).max(initial=0.0) for a in first), default=0.0)

    def compare(eps: float) -> None:
        (_, ahead), (_, behind) = gradients(eps, False), gradients(-eps, False)
        for found, a, b in zip(second, ahead, behind):
            quotient = (a.detach().numpy() - b.detach().numpy()) / (2 * eps)
            ours = np.zeros_like(quotient) if found is None else found.numpy()
            np.testing.assert_allclose(ours, quotient, rtol=1e-4, atol=1e-5 * max(1.0, scale))

    try:
        compare(1e-6)
    except AssertionError:  # a kink may lie within the step; a derivative that is wrong is so at a smaller one too
        compare(1e-8)


@pytest.mark.filterwarnings("ignore::chainrule.EvaluationWarning")
@of_each(some_of_each([c for c in TABLES.modules if c.second], FEW))
def test_second_derivatives_of_modules(case: Case) -> None:
    layer = build(chainrule, case.source)
    inputs = arrays(case, "float64")
    if is_lazy(layer):
        called(
            chainrule,
            layer,
            case,
            [chainrule.tensor(a.astype("float32") if a.dtype.kind == "f" else a) for a in inputs],
        )
    layer = shaken(layer.double())
    layer.train("train" in case.modes)
    parameters = {f"layer.{name}": p for name, p in layer.named_parameters()}
    numbers = [i for i, a in enumerate(inputs) if a.dtype.kind == "f" and NAMES[i] not in case.fixed]
    tensors = [chainrule.tensor(inputs[i]) for i in numbers]

    class Called(chainrule.nn.Module):
        """So that `call` sees the layer with the parameters in question."""

        def __init__(self) -> None:
            super().__init__()
            self.layer = layer

        def forward(self, given: Any) -> Any:
            return called(chainrule, self.layer, case, given)

    outer = Called().train("train" in case.modes)

    def function(*values: Any) -> Any:
        given = [chainrule.tensor(a) for a in inputs]
        for i, value in zip(numbers, values):
            given[i] = value * 1  # times 1: a leaf cannot be written in place
        named = dict(zip(parameters, values[len(numbers) :], strict=True))
        return chainrule.func.functional_call(outer, named, (given,))

    assert_second_derivatives(function, [*tensors, *parameters.values()])


@of_each(some_of_each([c for c in TABLES.functions if c.second], FEW))
def test_second_derivatives_of_functions(case: Case) -> None:
    inputs = arrays(case, "float64")
    numbers = [i for i, a in enumerate(inputs) if a.dtype.kind == "f" and NAMES[i] not in case.fixed]

    def function(*values: Any) -> Any:
        given = [chainrule.tensor(a) for a in inputs]
        for i, value in zip(numbers, values, strict=True):
            given[i] = value * 1  # times 1: a leaf cannot be written in place
        names = {"f": chainrule.nn.functional, "lib": chainrule, **dict(zip(NAMES, given))}
        return flatten(eval(f"f.{case.source}", names))

    assert_second_derivatives(function, [chainrule.tensor(inputs[i]) for i in numbers])


def rounded(case: Case) -> Case:
    """The same case with numbers that float16 can hold, so that both computations begin at the same place."""
    inputs = [a.astype("float16").astype("float64") if a.dtype.kind == "f" else a for a in arrays(case, "float64")]
    return Case(case.source, inputs, case.call, case.modes[-1:], fixed=case.fixed)


def assert_close_in_half(exact: dict[str, Any], half: dict[str, Any], moves: dict[str, float] | None = None) -> None:
    """Two per cent of the number or of the largest one, and four times as far as the result `moves` by itself."""
    for name, wanted in exact.items():
        if wanted is None or wanted.dtype.kind != "f":
            continue
        found = half[name]
        assert str(found.dtype) == "float16" and np.isfinite(found).all(), f"{name}: {found}"
        allowed = 2e-2 * max(np.abs(wanted).max(initial=0.0), 0.1) + (4 * moves[name] if moves else 0.0)
        np.testing.assert_allclose(found.astype("float64"), wanted, rtol=2e-2, atol=allowed, err_msg=name)


def moves_by_rounding(layer: Any, case: Case, exact: dict[str, Any]) -> dict[str, float]:
    """How far results go, in float64, if weights and inputs are one float16 rounding (2⁻¹¹ of each) beside themselves.

    Far where a ReLU of many is at its kink, or a normalisation divides by little. The farthest of eight.
    """
    random = np.random.default_rng(3)
    farthest = dict.fromkeys(exact, 0.0)
    for _ in range(8):
        other = copy.deepcopy(layer).double()
        with chainrule.no_grad():
            for p in other.parameters():
                p *= chainrule.tensor(1 + 2**-11 * random.choice([-1.0, 1.0], tuple(p.shape)))
        inputs = [
            a * (1 + 2**-11 * random.choice([-1.0, 1.0], a.shape)) if a.dtype.kind == "f" else a
            for a in arrays(case, "float64")
        ]
        seen = run_module(chainrule, other, dataclasses.replace(case, inputs=inputs), "float64", False)
        for name, wanted in exact.items():
            if wanted is not None and wanted.dtype.kind == "f" and wanted.size:
                farthest[name] = max(farthest[name], float(np.abs(seen[name] - wanted).max()))
    return farthest


@of_each(some_of_each([c for c in TABLES.modules if c.half], FEW))
def test_modules_in_float16(case: Case) -> None:
    layer = build(chainrule, case.source)
    case = rounded(case)
    if is_lazy(layer):
        called(
            chainrule,
            layer,
            case,
            [chainrule.tensor(a.astype("float32") if a.dtype.kind == "f" else a) for a in case.inputs],
        )
    layer = layer.half()
    start = copy.deepcopy(layer)
    exact = run_module(chainrule, copy.deepcopy(layer).double(), case, "float64", False)
    half = run_module(chainrule, layer, case, "float16", False)
    try:
        assert_close_in_half(exact, half)
    except AssertionError:  # perhaps for a reason, which takes time to find
        assert_close_in_half(exact, half, moves_by_rounding(start, case, exact))


@of_each(some_of_each([c for c in TABLES.functions if c.half], FEW))
def test_functions_in_float16(case: Case) -> None:
    case = rounded(case)
    exact = run_function(chainrule, case, "float64", False)
    assert_close_in_half(exact, run_function(chainrule, case, "float16", False))


@pytest.mark.peer
@of_each(TABLES.refused)
def test_what_pytorch_refuses_is_refused(case: Refused) -> None:
    torch = pytest.importorskip("torch")
    for framework in (chainrule, torch):
        given = [framework.tensor(a) for a in arrays(case, "float32")]
        names = {"nn": framework.nn, "f": framework.nn.functional, "lib": framework, **dict(zip(NAMES, given))}
        if framework is chainrule:
            with pytest.raises((chainrule.ChainruleError, ValueError, TypeError), match=case.says) as caught:
                eval(case.source, names)
            last = caught.traceback[-1].path
            assert "chainrule" in str(last), f"the error comes from {last}"
        elif case.by_pytorch:
            with pytest.raises((RuntimeError, ValueError, IndexError, TypeError, AssertionError, NotImplementedError)):
                eval(case.source, names)


#: Arguments of PyTorch that are not taken, for the reason on docs/differences.md.
LEFT_OUT = {"size_average", "reduce"}


def settings(thing: Any) -> dict[str, Any]:
    """The arguments and their defaults, without those we leave out."""
    found = inspect.signature(thing).parameters
    return {
        name: parameter.default
        for name, parameter in found.items()
        if name not in LEFT_OUT and parameter.kind not in (parameter.VAR_POSITIONAL, parameter.VAR_KEYWORD)
    }


def documented(thing: Any) -> list[str]:
    """The names of the arguments in the first line of a docstring, for what PyTorch has written in C++."""
    (names,) = re.findall(r"\A\s*\w+\(((?:[^()]|\([^()]*\))*)\)", thing.__doc__)
    names = re.sub(r"\([^()]*\)", "", names)  # a tuple that is a default
    return [name for name in re.findall(r"(?:^|,)\s*(\w+)", names) if name not in LEFT_OUT]


#: Modules that take any arguments or none: Identity ignores them, a Sequential's are its parts.
WITHOUT_ARGUMENTS = {
    "nn.Identity", "nn.LogSigmoid", "nn.Sequential", "nn.Sigmoid", "nn.Softmax2d", "nn.Softsign", "nn.Tanh", "nn.Tanhshrink",
}  # fmt: skip


def compared_names(cases: list[Case]) -> list[str]:
    return sorted({case.source.split("(")[0] for case in cases})


@pytest.mark.peer
@pytest.mark.parametrize(
    "name",
    [f"nn.{n}" for n in compared_names(TABLES.modules)]
    + [f"nn.functional.{n}" for n in compared_names(TABLES.functions)],
)
def test_arguments_and_defaults_are_pytorch_s(name: str) -> None:
    torch = pytest.importorskip("torch")
    mine, their = (functools.reduce(getattr, name.split("."), lib) for lib in (chainrule, torch))
    ours = settings(mine)
    try:
        theirs = settings(their)
    except ValueError:
        theirs = {}
    if name in WITHOUT_ARGUMENTS:
        assert not ours and not theirs
    elif not theirs or "args" in theirs:  # no signature for Python
        names = documented(their)
        assert names and list(ours)[: len(names)] == names
        return
    assert list(ours)[: len(theirs)] == list(theirs)
    for argument, default in theirs.items():
        mine = ours[argument]
        if inspect.isfunction(default):  # functional.relu is functional.relu
            mine, default = mine.__name__, default.__name__
        assert mine == default or (mine is None and default is False) or str(mine) == str(default), argument
