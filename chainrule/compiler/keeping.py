"""Which gradients a compiled step keeps for whoever reads them afterwards.

All that somebody may need: what the step adds to, what it leaves for another. A gradient that the step clears first,
makes, and gives to an optimiser is of no use any more unless somebody looks at it. It is kept too where that costs
about nothing; elsewhere the leaf remembers that it was not (`Leaf.spent`), and reading it is an error.
"""

from __future__ import annotations

import math

from chainrule.compiler.origins import Step

#: Gradients of so few entries in all are kept whatever the work.
FEW_ENTRIES = 65_536
#: So many multiplications for each entry of the gradients make it cheap to keep these.
MUCH_WORK = 1000
_PRODUCTS = frozenset({"MatMul", "Convolution", "ConvolutionTranspose", "ConvolutionWeight"})


def is_cheap_to_keep(program: Step) -> bool:
    """Whether storing the gradients that the step has used up costs about nothing beside its other work.

    An entry is written in the time of some dozen multiplications, so it does if there are few entries or much is
    computed for each. A product of x (m, k) and w (k, n) has √(m·k · k·n · m·n) = m·k·n of them, a convolution more.
    """
    spent = [x for leaf, x in program.gradients if leaf in program.spent]
    entries = sum(x.size for x in spent)
    products = [e for e in program.equations if e.primitive.name in _PRODUCTS]
    work = sum(math.sqrt(math.prod(x.size for x in (*e.inputs[:2], e.outputs[0]))) for e in products)
    return entries <= FEW_ENTRIES or work >= MUCH_WORK * entries
