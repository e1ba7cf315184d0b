"""Compiled is eager: every layer, loss and function of the tables, forward and gradient, many in one program.

Cases are of float64 and float32 in turn, so that both see every layer. Of a layer or function with many cases
a few are tried, from the first to the last; `test_peer_tables.py` tries all of them uncompiled. With CHAINRULE_NIGHTLY
all cases are compiled, in both types.
"""

from __future__ import annotations

import copy
import os
from typing import Any

import numpy as np
import pytest

import chainrule
from tests.peer_tables import Case, some_of_each
from tests.test_peer_tables import NAMES, TABLES, arrays, build, called, flatten, is_lazy, send_back

NIGHTLY = bool(os.environ.get("CHAINRULE_NIGHTLY"))
#: So many cases share a program.
TOGETHER = 12
#: So many cases of one layer or function are compiled.
FEW = 2
READS_NUMBERS = "EmbeddingBag(5, 3, mode='max'"


def batches(cases: list[Case]) -> list[Any]:
    """Groups of cases, each with the type of its program."""
    fine = [case for case in cases if not (case.source.startswith(READS_NUMBERS) and len(case.inputs) == 2)]
    fine = some_of_each(fine, FEW)
    pairs = [fine[i : i + 2 * TOGETHER] for i in range(0, len(fine), 2 * TOGETHER)]
    groups = [group for pair in pairs for group in (pair[::2], pair[1::2]) if group]
    types = ["float64", "float32"]
    return [
        pytest.param(group, dtype, id=f"{group[0].source[:40]}-{dtype}")
        for i, group in enumerate(groups)
        for dtype in (types if NIGHTLY else [types[i % 2]])
    ]


def leaves_of(case: Case, given: list[Any]) -> list[Any]:
    leaves = []
    for name, t in zip(NAMES, given):
        wanted = t.dtype.is_floating_point and name not in case.fixed
        leaves.append(t.detach().requires_grad_(wanted))
    return leaves


def with_whole_numbers(given: list[Any], fixed: list[Any]) -> list[Any]:
    """Labels, indices and lengths come from outside of the step, so that Python may read them."""
    return [t if other is None else other for t, other in zip(given, fixed, strict=True)]


def seen(case: Case, results: list[Any], leaves: list[Any], parameters: list[Any]) -> list[Any]:
    """Results and gradients, zeros where there is none."""
    send_back(chainrule, results)
    wanted = [t for t in (*leaves, *parameters) if t.requires_grad]
    gradients = [chainrule.zeros_like(t) if t.grad is None else t.grad for t in wanted]
    return [*[y.detach() for y in results], *gradients]


def assert_close(
    compiled: list[Any], eager: list[Any], labels: list[str], allowed: float, exact: list[Any] | None = None
) -> None:
    """Entry by entry; where a float64 result is given, an error as large as three times eager's is allowed too."""
    assert len(compiled) == len(eager)
    for i, (have, want, label) in enumerate(zip(compiled, eager, labels, strict=True)):
        assert (have.dtype, have.shape) == (want.dtype, want.shape), label
        a, b = have.numpy(), want.numpy()
        if exact is not None and b.dtype.kind == "f":
            reference = exact[i].numpy()
            error = np.nanmax(np.abs(b - reference), initial=0.0)
            size = np.nanmax(np.abs(reference[np.isfinite(reference)]), initial=1e-3)
            if np.nanmax(np.abs(a - reference), initial=0.0) <= 3 * error + 2e-5 * size:
                continue
        if b.dtype.kind not in "fc":
            np.testing.assert_array_equal(a, b, err_msg=label)
            continue
        size = np.abs(b[np.isfinite(b)]).max(initial=1e-3)
        np.testing.assert_allclose(a, b, rtol=allowed, atol=allowed * size, err_msg=label)


@pytest.mark.filterwarnings("ignore::chainrule.EvaluationWarning")
@pytest.mark.parametrize(("cases", "dtype"), batches(list(TABLES.modules)))
def test_modules(cases: list[Case], dtype: str) -> None:
    layers, inputs, doubles = [], [], []
    for case in cases:
        layer = build(chainrule, case.source)
        if is_lazy(layer):
            called(chainrule, layer, case, [chainrule.tensor(a) for a in arrays(case, "float32")])
        layers.append(layer.to(dtype).train("train" in case.modes))
        inputs.append([chainrule.tensor(a) for a in arrays(case, dtype)])
        doubles.append([t.double() if t.dtype.is_floating_point else t for t in inputs[-1]])
    precise = [copy.deepcopy(layer).double() for layer in layers]
    whole = [[t if not t.dtype.is_floating_point else None for t in given] for given in inputs]
    others = copy.deepcopy(layers)
    labels: list[str] = []

    def step(layers: list[Any], inputs: list[Any]) -> list[Any]:
        found = []
        labels.clear()
        for layer, case, given, fixed in zip(layers, cases, inputs, whole, strict=True):
            layer.zero_grad()
            given = with_whole_numbers(given, fixed)
            leaves = leaves_of(case, given)
            results = called(chainrule, layer, case, [t * 1 if t.requires_grad else t for t in leaves])
            new = seen(case, results, leaves, list(layer.parameters()))
            labels.extend([str(case)] * len(new))
            found += new
        return found

    chainrule.manual_seed(5)
    eager = [step(layers, inputs) for _ in range(2)][-1]
    chainrule.manual_seed(5)
    compiled_step = chainrule.compile(lambda inputs: step(others, inputs))
    compiled = [compiled_step(inputs) for _ in range(2)][-1]
    allowed = 1e-10 if dtype == "float64" else 5e-5
    chainrule.manual_seed(5)
    exact = [step(precise, doubles) for _ in range(2)][-1] if dtype == "float32" else None
    assert_close(compiled, eager, labels, allowed, exact)
    for case, ours, theirs in zip(cases, others, layers, strict=True):
        buffers = list(theirs.buffers())
        assert_close(list(ours.buffers()), buffers, [str(case)] * len(buffers), allowed)


@pytest.mark.parametrize(("cases", "dtype"), batches(list(TABLES.functions)))
def test_functions(cases: list[Case], dtype: str) -> None:
    inputs = [[chainrule.tensor(a) for a in arrays(case, dtype)] for case in cases]
    whole = [[t if not t.dtype.is_floating_point else None for t in given] for given in inputs]
    labels: list[str] = []

    def step(inputs: list[Any]) -> list[Any]:
        found = []
        labels.clear()
        for case, given, fixed in zip(cases, inputs, whole, strict=True):
            given = with_whole_numbers(given, fixed)
            leaves = leaves_of(case, given)
            names = {"f": chainrule.nn.functional, "lib": chainrule}
            names.update(zip(NAMES, [t * 1 if t.requires_grad else t for t in leaves]))
            results = flatten(eval(f"f.{case.source}", names))
            new = seen(case, results, leaves, [])
            labels.extend([str(case)] * len(new))
            found += new
        return found

    chainrule.manual_seed(5)
    eager = step(inputs)
    chainrule.manual_seed(5)
    compiled = chainrule.compile(step)(inputs)
    assert_close(compiled, eager, labels, 1e-10 if dtype == "float64" else 5e-5)
