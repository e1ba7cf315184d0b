"""Which operations belong together: to a module, to a use of a block, to one of several equal modules in a row."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import TYPE_CHECKING, Any

from chainrule.explain.recording import Phase
from chainrule.primitives.value import Symbol
from chainrule.program.graph import BlockUse, Equation

if TYPE_CHECKING:
    from chainrule.explain.explanation import Explanation

Ends = Mapping[BlockUse, tuple[Sequence[Symbol | None], Sequence[Symbol]]]


class Group:
    """Some operations under one name."""

    def __init__(self, kind: str, name: str, kind_of: str, parent: Group | None) -> None:
        self.kind, self.name, self.kind_of, self.parent = kind, name, kind_of, parent
        self.children: list[Group] = []
        self.numbers: list[int] = []
        self.count = 1
        self.use: BlockUse | None = None
        self.id = ""
        if parent is not None:
            parent.children.append(self)


class Groups:
    """The tree of groups over the equations."""

    def __init__(
        self, equations: Sequence[Equation], classes: Mapping[str, str], ends: Ends, failed: str | None = None
    ) -> None:
        self._equations, self._classes, self._ends = equations, classes, ends
        self._modules: dict[tuple[Phase | None, str], Group] = {}
        self._uses: dict[BlockUse, Group] = {}
        self._all: list[Group] = []
        self._of: list[Group | None] = []
        for number, equation in enumerate(equations):
            group = self._group_of(equation)
            self._of.append(group)
            if group is not None:
                group.numbers.append(number)
        if failed is not None:  # what failed stands in its module, whether anything worked there or not
            self._module(failed.partition("/")[0], None)
        self._fold_repeats()
        for i, group in enumerate(self._all):
            group.id = f"g{i}"

    def of(self, number: int) -> str | None:
        """The id of the innermost group of an equation."""
        group = self._of[number]
        return None if group is None else group.id

    def of_path(self, failure: Any) -> str | None:
        """The id of the group of the module at a path, or of the nearest above it that computed something."""
        path = failure.path.partition("/")[0]
        while path and (None, path) not in self._modules:
            path = path.rpartition(".")[0]
        return self._modules[None, path].id if path else None

    def data(self, explanation: Explanation) -> list[dict[str, Any]]:
        """The groups as data; those of blocks with a gradient of their own have that step of the backward pass too."""
        return [
            {
                "id": group.id,
                "kind": group.kind,
                "name": group.name,
                "class": group.kind_of,
                "parent": None if group.parent is None else group.parent.id,
                "count": group.count,
                **self._block(group, explanation),
            }
            for group in self._all
        ]

    def _block(self, group: Group, explanation: Explanation) -> dict[str, Any]:
        if group.use is None or group.use not in self._ends:
            return {}
        inputs, outputs = self._ends[group.use]
        answer: dict[str, Any] = {
            "inputs": [explanation.ids[x] for x in inputs if x is not None],
            "outputs": [explanation.ids[x] for x in outputs],
        }
        step = None if explanation.walk is None else explanation.walk.composites.get(group.use)
        if step is not None:
            upstream, downstream = step
            tensors = [g for g, x in zip(downstream, inputs, strict=True) if x is not None]
            answer["contributions"] = [
                None
                if g is None
                else {"upstream": explanation.summarised(upstream[0]), "downstream": explanation.summarised(g)}
                for g in tensors
            ]
        return answer

    # ------------------------------------------------------------------------------------- making

    def _group_of(self, equation: Equation) -> Group | None:
        phase = equation.block
        while phase is not None and not isinstance(phase, Phase):
            phase = phase.outer
        module = self._module(equation.path.partition("/")[0], phase)
        if equation.block is None or equation.block is phase:
            return module
        return self._use(equation.block, module, phase)

    def _phase(self, phase: Phase | None) -> Group | None:
        if phase is None:
            return None
        if phase not in self._uses:
            self._uses[phase] = self._new("block", phase.name, phase.name, None)
        return self._uses[phase]

    def _module(self, path: str, phase: Phase | None) -> Group | None:
        """The group of a module: one for the forward pass, one in each backward pass."""
        if not path:
            return self._phase(phase)
        if (phase, path) not in self._modules:
            parent = self._module(path.rpartition(".")[0], phase)
            self._modules[phase, path] = self._new("module", path, self._classes.get(path, ""), parent)
        return self._modules[phase, path]

    def _use(self, use: BlockUse, module: Group | None, phase: Phase | None) -> Group:
        if use not in self._uses:
            parent = module if use.outer is None or use.outer is phase else self._use(use.outer, module, phase)
            self._uses[use] = self._new("block", use.name, use.name, parent)
            self._uses[use].use = use
        return self._uses[use]

    def _new(self, kind: str, name: str, kind_of: str, parent: Group | None) -> Group:
        group = Group(kind, name, kind_of, parent)
        self._all.append(group)
        return group

    def _fold_repeats(self) -> None:
        """Put three or more equal modules that follow each other (h.0 … h.11) into a group of their own."""
        for siblings in _families(self._all):
            for run in _runs(siblings, self._signature):
                first, last = run[0], run[-1]
                parent = first.parent
                stem, _, number = first.name.rpartition(".")
                name = f"{stem}.{number}–{last.name.rpartition('.')[2]}".lstrip(".")
                group = self._new("repeat", name, first.kind_of, parent)
                group.count = len(run)
                for one in run:
                    if parent is not None:
                        parent.children.remove(one)
                    one.parent = group
                    group.children.append(one)

    def _signature(self, group: Group) -> Any:
        """What two groups have in common when they do the same: operations, shapes, parts."""
        own = tuple(
            (e.primitive.name, tuple(tuple(x.shape) for x in e.outputs))
            for e in (self._equations[n] for n in group.numbers)
        )
        parts = tuple((c.kind, re.sub(r".*\.", "", c.name), self._signature(c)) for c in group.children)
        return group.kind_of, own, parts


def _families(groups: Sequence[Group]) -> list[list[Group]]:
    """Modules with a number for a name and one parent, in the order of these numbers."""
    families: dict[tuple[int, str], list[Group]] = {}
    for group in groups:
        stem, _, last = group.name.rpartition(".")
        if group.kind == "module" and last.isdigit():
            families.setdefault((id(group.parent), stem), []).append(group)
    return [sorted(family, key=lambda group: int(group.name.rpartition(".")[2])) for family in families.values()]


def _runs(siblings: Sequence[Group], signature: Any) -> list[list[Group]]:
    """Stretches of three and more that follow each other by number and do the same, each of several operations."""
    runs: list[list[Group]] = [[siblings[0]]]
    signatures = {id(group): signature(group) for group in siblings}
    for one, other in pairwise(siblings):
        follows = int(other.name.rpartition(".")[2]) == int(one.name.rpartition(".")[2]) + 1
        if follows and signatures[id(one)] == signatures[id(other)]:
            runs[-1].append(other)
        else:
            runs.append([other])
    return [run for run in runs if len(run) > 2]
