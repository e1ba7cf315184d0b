"""Every layer and function of the tables is Tensor code: it can be noted without computing anything."""

from __future__ import annotations

from typing import Any

import chainrule
from chainrule.primitives.primitive import Primitive
from chainrule.primitives.trace import Trace, tracing
from tests.peer_tables import Case
from tests.test_peer_tables import NAMES, TABLES, arrays, build, called, is_lazy, of_each


def symbols(trace: Trace, case: Case) -> list[Any]:
    """The floating-point inputs as symbols; labels and indices stay numbers."""
    given = []
    for array in arrays(case, "float32"):
        if array.dtype.kind == "f":
            given.append(Primitive.make_tensor(trace.new_input(array.shape, array.dtype, True)) * 1)
        else:
            given.append(chainrule.tensor(array))
    return given


@of_each(TABLES.modules)
def test_modules_trace(case: Case) -> None:
    layer, trace = build(chainrule, case.source), Trace()
    if is_lazy(layer):
        called(chainrule, layer, case, [chainrule.tensor(a) for a in arrays(case, "float32")])
    layer.train("train" in case.modes)
    before = {name: t.tolist() for name, t in layer.state_dict().items()}
    try:
        with tracing(trace):
            called(chainrule, layer, case, symbols(trace, case))
    finally:
        trace.take_back_writes()
    assert {name: t.tolist() for name, t in layer.state_dict().items()} == before, "nothing was computed"


@of_each(TABLES.functions)
def test_functions_trace(case: Case) -> None:
    trace = Trace()
    try:
        with tracing(trace):
            given = dict(zip(NAMES, symbols(trace, case)))
            eval(f"f.{case.source}", {"f": chainrule.nn.functional, "lib": chainrule, **given})
    finally:
        trace.take_back_writes()
