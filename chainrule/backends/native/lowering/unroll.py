"""Loops with a carry, written out step by step.

Every step has the same kernels, so they are compiled once; what grows with the length is the table of calls. What a
step reads of a sequence is a view of it, and what it stacks is written to its place at once.

>>> import chainrule
>>> total = chainrule.compile(lambda h, xs: chainrule.scan(lambda h, x: ((h * x).sin(), h), h, xs))
>>> _ = total(chainrule.ones(8), chainrule.ones(3, 8)); print(total.explain())
3 kernels in 3 stages, 2 functions, 0.0 MB of working memory, on one thread
   0  [8] copy
   1  [8] Multiply Sin Multiply Sin Multiply Sin
   2  [3×8] copy
"""

from __future__ import annotations

from typing import Any

from chainrule.backends.native.lowering.fuse import Lowering
from chainrule.backends.native.lowering.loops import copied, lower_loop
from chainrule.backends.native.lowering.place import Place, View
from chainrule.backends.native.lowering.rules import RULES, rule
from chainrule.backends.passes.simplify import simplify
from chainrule.primitives.value import Symbol
from chainrule.program.graph import Equation, Graph

#: Longer loops (steps times operations) are compiled as loops.
LONGEST = 500
#: Longer ones whose body has an operation without native code are left to NumPy: their table would take too long.
MOST = 30_000


@rule
def lower_Scan(at: Lowering, e: Equation) -> tuple[Place, ...] | None:
    """All steps, one after the other."""
    p = e.parameters
    body, carries, sequences, length = p["body"], p["carries"], p["sequences"], p["length"]
    if length == 0:
        return None
    simple = simplify(body)
    size = length * _size(simple)
    if size > LONGEST and length > 1:
        answer = lower_loop(at, e, simple)
        if answer is not None:
            return answer
    if size > MOST:
        return None
    equations, ends = simple.equations, simple.outputs
    carry = list(e.inputs[:carries])
    rows = [at.plain(x) for x in e.inputs[carries : carries + sequences]]
    constants = list(e.inputs[carries + sequences :])
    made: dict[Any, View] = {}  # what two sequences share is stacked once
    stacks = [
        made[x] if isinstance(x, Symbol) and x in made else made.setdefault(x, _stack(at, symbol))
        for symbol, x in zip(e.outputs[carries:], ends[carries:], strict=True)
    ]
    for t in reversed(range(length)) if p["reverse"] else range(length):
        here = [at.value(view.index((t,))) for view in rows]
        known = dict(zip(body.inputs, [*carry, *here, *constants], strict=True))
        copies = [copied(equation, known) for equation in equations]
        results = [known.get(x, x) if isinstance(x, Symbol) else x for x in ends]
        carry = results[:carries]
        ends_here = [(x, stack.index((t,))) for stack, x in zip(stacks, results[carries:], strict=True)]
        at.homes.update((x, view) for x, view in ends_here if isinstance(x, Symbol) and x not in at.places)
        at.run(copies, RULES)
        for x, view in ends_here:
            if not at.lies_at(x, view):
                at.into(x, view)
    return (*[at.place(x) for x in carry], *stacks)


def _size(body: Graph) -> int:
    """How many equations it has, those of its loops written out."""
    return sum(
        p["length"] * _size(p["body"]) if (p := e.parameters) and e.primitive.name == "Scan" else 1
        for e in body.equations
    )


def _stack(at: Lowering, symbol: Symbol) -> View:
    """Memory for what all steps give, step after step."""
    dims = list(range(len(symbol.shape)))
    return at.allocate(symbol.shape, symbol.dtype, dims, dims, ())
