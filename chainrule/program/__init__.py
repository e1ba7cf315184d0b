"""The one graph: what a traced computation is, as data that any machine can take.

`graph.py` has the equations and `program.py` the inputs and outputs by name. Nothing here holds a tensor: tensors,
leaves and optimisers live where a program is bound to them (`compiler/step.py`).
"""

from chainrule.program.graph import BlockUse, Equation, Graph, GraphError, checks, needed, replay
from chainrule.program.program import Program, Slot

__all__ = ["BlockUse", "Equation", "Graph", "GraphError", "Program", "Slot", "checks", "needed", "replay"]
