"""Tracing a step: the Python function runs once, on symbols, and leaves the equations of all that it computes.

Every tensor that existed before is a *cell*: an input of the program, and an output if the step changed it. While the
trace runs, a cell that is touched holds a symbol, so its views follow by themselves; afterwards it holds its old value
again. An array that the step itself puts into a cell (`zeros`, `fill_`) is a constant, the same in every run.
Which tensors share memory is said by `sharing.py`.
"""

from __future__ import annotations

import gc
from collections import Counter
from collections.abc import Callable, Set
from typing import Any

from chainrule.cell import change_of_leaf
from chainrule.compiler.origins import Argument, Cell, Gradient, Origin, Step
from chainrule.compiler.sharing import APART, Plan, Returned, steps_to, view_of
from chainrule.compiler.touched import Touched, is_in
from chainrule.errors import TraceError
from chainrule.primitives.placed import place_of
from chainrule.primitives.trace import tracing
from chainrule.primitives.value import Symbol, Value
from chainrule.state import current_state
from chainrule.tape import Leaf


class StepTrace(Touched):
    """A trace that can be finished: all that the step did, with the cells as they were before."""

    # ------------------------------------------------------------------------------------- the end

    def finish(self, results: list[Any]) -> Step:
        """All that the step did, after the cells hold their old values again."""
        self._check_settings()
        self._check_tape()
        made, returned = self._find(results)
        grown = self._grown(made)
        answers = [value.array for value in self.lift_tensors(made)]
        after = self._gradients_after()
        changed = [(o, t._value.array) for o, t in self._changed_arguments()]
        wanted = self._leaf_changes()
        self._restore_leaves()
        writes = self._restore(_with_bases(results))
        held = self._restore_gradients(after, {o.leaf: x for o, x in writes if isinstance(o, Gradient)})
        self._forget_tape(results)
        left = self.left_behind(results)
        cells = [(Cell(tensor), tensor._value.array) for tensor in left if not self._settle_view(tensor)]
        equations = [e._replace(inputs=tuple(map(self.filled, e.inputs))) for e in self.equations]
        kept = [(o, x) for o, x in writes if not isinstance(o, Gradient)]
        return Step(
            equations=equations,
            inputs=[(s, o) for s, o in self.origins.items() if s not in self.constants],
            results=[self.filled(x) for x in answers],
            places=[place_of(x) for x in answers],
            returned=returned,
            writes=[(o, self.filled(x)) for o, x in (*kept, *cells, *changed)],
            gradients=[(leaf, self.filled(x)) for leaf, x in held if not isinstance(x, Returned)],
            given=[(leaf, x) for leaf, x in held if isinstance(x, Returned)],
            added=[o.leaf for o, _ in writes if isinstance(o, Gradient)],
            spent=self._used_up(held, returned),
            wanted=wanted,
            grown=grown,
            held=[
                (leaf, g)
                for leaf, (g, first) in self.leaves.items()
                if first != "set" and g is not None and g._base is not None
            ],
            views=[(v, b, s) for reference, b, s in self.views_used.values() if (v := reference()) is not None],
            exchanged=self.exchanged,
            own_leaves=[
                (origin.number, leaf)
                for stand_in, value in self.arguments
                for origin in [self.stand_ins[id(stand_in)]]
                if value.source is not None and isinstance(leaf := value.source[0], Leaf) and leaf in self.leaves
            ],
            empty=[(leaf, before is None) for leaf, (before, first) in self.leaves.items() if first != "set"],
            numbers=[(cell, value) for reference, value in self.numbers if (cell := reference()) is not None],
            leaves_behind=bool(left),
            first=[(o.tensor, self.filled(self.first[id(o.tensor)])) for o, _ in cells],
        )

    def _find(self, results: list[Any]) -> tuple[list[Any], list[Returned]]:
        """The tensors that the program has to make for the results, and where each result is found after a run."""
        places = {id(tensor): self._place_of(tensor) for tensor in results}
        own = {id(tensor): tensor for tensor in results if places[id(tensor)] is None}
        sharing = Counter(id(tensor.root) for tensor in own.values())
        made: list[Any] = []
        for tensor in own.values():
            base = tensor if sharing[id(tensor.root)] == 1 else tensor.root
            if all(base is not other for other in made):
                made.append(base)
            number = next(i for i, other in enumerate(made) if other is base)
            places[id(tensor)] = Returned(number, None if base is tensor else steps_to(tensor, base))
        return made, [places[id(tensor)] for tensor in results]  # type: ignore[misc]

    def _place_of(self, tensor: Any) -> Returned | None:
        """Where a tensor is found that is there without the program, or is a view of such a one."""
        gradients = {id(leaf.gradient): leaf for leaf in self.leaves if leaf.gradient is not None}
        base = tensor
        while base is not None:
            steps = None if base is tensor else steps_to(tensor, base)
            if id(base) in self.stand_ins:
                return Returned(self.stand_ins[id(base)], steps)
            if id(base) in gradients:
                return Returned(Gradient(gradients[id(base)]), steps)
            if self.from_outside(base) and id(base) not in self.gradient_of:
                return Returned(Cell(base), steps)
            base = base._base
        return None

    def _grown(self, made: list[Any]) -> list[tuple[Origin, int]]:
        """Gradients of tensors from outside that did not require one before: further results."""
        grown: list[tuple[Origin, int]] = []
        for tensor, _, _ in self.required.values():
            leaf = tensor._leaf
            if leaf in self.inner and leaf.gradient is not None:
                grown.append((self.stand_ins.get(id(tensor), Cell(tensor)), len(made)))
                made.append(leaf.gradient)
        return grown

    def _gradients_after(self) -> dict[Leaf, Any]:
        """What leaves have collected in the end: None, a symbol or array, or where the tensor is found."""
        first = {id(leaf.gradient): leaf for leaf in reversed(self.leaves)}
        return {
            leaf: self._gradient_after(leaf.gradient)
            if leaf.gradient is None or first[id(leaf.gradient)] is leaf
            else Returned(Gradient(first[id(leaf.gradient)]))
            for leaf in self.leaves
        }

    def _gradient_after(self, gradient: Any) -> Any:
        if gradient is None:
            return None
        if id(gradient) not in self.gradient_of and (id(gradient) in self.stand_ins or self.from_outside(gradient)):
            return Returned(self.stand_ins.get(id(gradient), Cell(gradient)))
        return self.lift_tensors([gradient])[0].array

    def _used_up(self, held: list[tuple[Leaf, Any]], returned: list[Returned]) -> set[Leaf]:
        """Leaves whose gradient nobody needs any more, unless somebody looks at it."""
        places = [*returned, *[x for _, x in held if isinstance(x, Returned)]]
        shown = {place.origin.leaf for place in places if isinstance(place.origin, Gradient)}
        made = {leaf for leaf, x in held if x is not None and not isinstance(x, Returned)}
        return {leaf for leaf in self.spent & made - shown if self.leaves[leaf][1] == "set"}

    def _check_tape(self) -> None:
        """Refuse in-place changes, recorded by the step, of what was computed with a gradient before it."""
        # One that the step has made is here too if it has held a constant, and its history is that of the step.
        held = [(cell, a.before) for a in self.adopted if (cell := a.cell()) is not None and not self.made_here(cell)]
        for tensor, before in [*held, *self.arguments]:
            source = tensor._value.source
            frozen = source is None and before.source is not None and isinstance(before.source[0], Leaf)
            if before.source is None or tensor._base is not None or source == before.source or frozen:
                continue
            argument = self.given_for(tensor)
            if argument is not None and argument.root.is_leaf:
                raise change_of_leaf("a view of a leaf tensor that requires a gradient")
            raise TraceError(
                "a compiled step changes a tensor in place that was computed with a gradient outside of it, whose "
                "gradient would then be another. Compute it in the step, or pass a detach()."
            )

    def given_for(self, stand_in: Any) -> Any:
        """The argument that a tensor stands for; None for other tensors."""
        origin = self.stand_ins.get(id(stand_in))
        return self.given[origin.number] if origin is not None and origin.number < len(self.given) else None

    def _changed_arguments(self) -> list[tuple[Argument, Any]]:
        """Stand-ins that hold something else than in the beginning."""
        return [
            (self.stand_ins[id(stand_in)], stand_in)
            for stand_in, before in self.arguments
            if stand_in._base is None and stand_in._value.array is not before.array
        ]

    def filled(self, x: Any) -> Any:
        """What a symbol stands for, if that is a constant."""
        return self.constants.get(x, x) if isinstance(x, Symbol) else x

    def _restore(self, returned: Set[int] = frozenset()) -> list[tuple[Origin, Any]]:
        """Give cells their old values; the answer is what they were to hold.

        What a tensor of the step held at first is a constant, if the tensor is gone, returned or changed. One that
        somebody keeps as it was made (a table made at the first call) is like one from outside.
        """
        writes: list[tuple[Origin, Any]] = []
        for a in self.adopted:
            cell = a.cell()
            changed = cell is not None and cell._value.array is not (a.inside or a.before).array
            of_the_step = cell is None or (is_in(self.made, cell) and (changed or id(cell) in returned))
            if of_the_step and a.inside is not None:
                self.constants[a.inside.array] = a.before.array
            if cell is None or (of_the_step and changed):
                continue
            if a.inside is not None and isinstance(self.origins[a.inside.array], Cell):
                self.origins[a.inside.array] = Cell(cell)
            origin = self.origins[a.inside.array] if a.inside is not None else self._origin(cell)
            if changed:
                writes.append((origin, cell._value.array))
            cell._value = a.before
        return writes

    def _origin(self, cell: Any) -> Origin:
        leaf = self.gradient_of.get(id(cell))
        return Gradient(leaf) if leaf is not None else Cell(cell)

    def _leaf_changes(self) -> list[tuple[Origin, bool]]:
        """Tensors that require a gradient now and did not before, or the other way round."""
        return [
            (self.stand_ins.get(id(tensor), Cell(tensor)), before is None)
            for tensor, before, _ in self.required.values()
            if tensor.is_leaf and tensor.requires_grad is (before is None)
        ]

    def _restore_leaves(self) -> None:
        """Tensors from outside come from where they did before."""
        for tensor, source, own in self.required.values():
            if tensor._leaf in self.inner:
                tensor._leaf.gradient = None
            if tensor._base is not None:
                tensor._own, tensor._seen, tensor._value = own, None, Value(tensor._value.array, source)

    def _restore_gradients(self, after: dict[Leaf, Any], changed: dict[Leaf, Any]) -> list[tuple[Leaf, Any]]:
        """Leaves hold what they had collected before the step; the answer is what they are to hold."""
        gradients: list[tuple[Leaf, Any]] = []
        for leaf, (before, _) in self.leaves.items():
            same, leaf.gradient = leaf.gradient is before, before
            leaf.spent = self.spent_before[leaf]
            if not same or before is None:
                gradients.append((leaf, after.get(leaf)))
            elif leaf in changed:
                gradients.append((leaf, changed[leaf]))
        return gradients

    def _check_settings(self) -> None:
        """Raise a TraceError if the step has changed the settings of an optimiser that it uses."""
        for group, before in self.groups.values():
            for name, value in group.items():
                if type(value) in (int, float) and type(before.get(name)) in (int, float) and value != before[name]:
                    raise TraceError(
                        f"a compiled step changes group[{name!r}] of an optimiser: that is Python, which runs while "
                        "the step is traced and not again. Change it after the compiled step, which reads it anew."
                    )

    def left_behind(self, known: list[Any]) -> list[Any]:
        """Tensors of the step that somebody still holds now, besides its results and what these are views of."""
        kept = _with_bases(known) | {id(leaf.gradient) for leaf in self.inner}
        # What is in a cycle of references is held by nobody else. The collector has waited since the step began, so its
        # tensors are among the youngest, unless the step has called it.
        for generation in (0, 2):
            if self._alive(kept):
                gc.collect(generation)
        return self._alive(kept)

    def _alive(self, kept: set[int]) -> list[Any]:
        alive = [t for reference in self.made.values() if (t := reference()) is not None]
        return [t for t in alive if id(t) not in kept and isinstance(t._value.array, Symbol)]

    def _settle_view(self, tensor: Any) -> bool:
        """Whether a tensor that was left behind is a view of something outside, or of an argument, which it follows."""
        place = None if tensor._base is None else self._place_of(tensor)
        if place is None:
            tensor._base, tensor._steps, tensor._seen, tensor._own = None, (), None, False
            return False
        base = place.origin.tensor if isinstance(place.origin, Cell) else None
        if isinstance(place.origin, Argument):
            base = self.given[place.origin.number]
        if base is None:
            return False
        view = view_of(base, place.steps or ())
        tensor._value, tensor._base, tensor._steps, tensor._own = view._value, view._base, view._steps, False
        return True

    def _forget_tape(self, results: list[Any]) -> None:
        """Let go of the tape of the step: tensors that only it holds (a checkpoint's arguments) are not left behind."""
        self._own.clear()
        for result in results:
            tensor = result
            while tensor is not None and not (id(tensor) in self.stand_ins or self.from_outside(tensor)):
                tensor._value, tensor._seen = Value(tensor._value.array), None
                tensor = tensor._base


def _with_bases(tensors: list[Any]) -> set[int]:
    """The identities of tensors and of what they are views of."""
    found = set()
    for tensor in tensors:
        while tensor is not None:
            found.add(id(tensor))
            tensor = tensor._base
    return found


def trace_step(
    function: Callable[[list[Any]], list[Any]],
    arguments: list[Any],
    moving: Set[tuple[int, str]] = frozenset(),
    plan: Plan = APART,
    observer: Any = None,
) -> Step:
    """Run a function of tensors on symbols. It gets stand-ins for its arguments and answers the tensors it returns.

    `moving` names settings of optimisers, (the group's identity, name), that become inputs as the learning rate does;
    `plan` says which arguments share memory. The observer is asked about NumPy arrays; what it finds may become further
    arguments.
    """
    if current_state().trace is not None:
        raise TraceError("a compiled function was called while another is being traced; call the plain one instead.")
    trace = StepTrace(moving, observer)
    try:
        with tracing(trace):
            return trace.finish(function(trace.stand_in_for(arguments, plan)))
    except BaseException:
        trace._restore()
        trace._restore_leaves()
        trace._restore_gradients({}, {})
        raise
