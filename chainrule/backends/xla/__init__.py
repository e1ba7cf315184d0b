"""Programs for XLA, through JAX: on CPUs, GPUs and TPUs. It needs the extra `xla` (`pip install chainrule[xla]`).

A program becomes one function of JAX's arrays (`lower.py`), by rules for each primitive (`rules/`), compiled by
`jax.jit`. Cells that a run reads and changes are donated: XLA writes where they lie. 64-bit types are switched on
within these functions only; a program of the user's that uses JAX itself sees no difference.

Numbers are checked within the program. Where a check fails, all donated cells are what they were, and the step is done
again in NumPy, which raises what eager code does.
"""

from __future__ import annotations

import copy
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from chainrule.backends.passes.simplify import simplify
from chainrule.errors import ChainruleError, DeviceError
from chainrule.primitives.primitive import Primitive
from chainrule.primitives.value import Array, Shape, Symbol
from chainrule.program.graph import Equation, Graph
from chainrule.program.program import Program

try:
    import jax
    from jax import lax
except ImportError as error:
    raise ImportError("the backend 'xla' needs JAX: pip install 'chainrule[xla]'.") from error

from chainrule.backends.xla.devices import Devices
from chainrule.backends.xla.home import DeviceHome, PlacedHome, on_device
from chainrule.backends.xla.lower import jitted, lowered
from chainrule.backends.xla.rules import REASONS, Run, Wrong, running


class WrongNumbersError(ChainruleError, RuntimeError):
    """A check within a program failed; `compiler/failure.py` finds out which, and raises what eager code does."""


class At(NamedTuple):
    """For a program whose tensors are on a device: its place, and the numbers of the cells that are there."""

    place: Any
    cells: frozenset[int]


class Kept:
    """What cells hold if a number is wrong: their old entries.

    A cell's new entries are chosen as soon as they are computed, by what is known to be wrong then, and later
    operations are given what was chosen: if these took the new entries themselves, XLA would have to copy the old ones,
    since it writes where they lie. What is found to be wrong later is chosen by at the end.

    Args:
        befores: the old entries, by the symbol of the new ones, if these are for one cell only (numbers that are known
            when the step is traced have no symbol).
        wrong: whether something was wrong; more may turn out to be as the program is written down.
    """

    def __init__(self, befores: dict[Any, Any], wrong: Wrong) -> None:
        self.befores, self.wrong = befores, wrong
        self.known: dict[Any, Any] = {}

    def as_far_as_known(self, symbol: Any, new: Any) -> Any:
        """The old entries or the new ones; other results are what they are, and those that lie in another order."""
        if symbol not in self.befores or not isinstance(new, jax.Array):
            return new
        self.known[symbol] = self.wrong.so_far()
        return _chosen(self.befores[symbol], new, self.known[symbol])

    def at_last(self, x: Any, before: Any, new: Any) -> Any:
        """The same by all that is wrong, for an output of the graph: a symbol or an array."""
        wrong = self.wrong.so_far()
        known = self.known.get(x) if isinstance(x, Symbol) else None
        return new if wrong is known else _chosen(before, new, wrong)


def _chosen(before: Any, new: Any, wrong: Any) -> Any:
    return new if wrong is None else lax.select(wrong, before, new)


class InXLA:
    """A program as one function for XLA. See :class:`~chainrule.backends.Runnable`.

    Attributes:
        changed: the cells that a run reads and changes where they lie.
        read: those that it reads and leaves alone; `made`: those that it makes anew. A single number that it changes is
            in both: XLA would copy it twice to write where it lies.
    """

    def __init__(self, program: Program, homes: Sequence[Any], devices: Devices, at: At | None = None) -> None:
        self.devices, self.at = devices.check(), at
        self.program, self.graph = program, simplify(program.graph)
        used = self.graph.used()
        reads = {slot.number for slot, x in self._inputs() if slot.kind == "cell" and x in used}
        written = program.written()
        changed = {number for number in reads & written if program.cells()[number][0]}
        self.changed, self.read, self.made = sorted(changed), sorted(reads - changed), sorted(written - changed)
        self.homes = self._homes(homes)
        if devices.devices > 1:
            self._refuse_numpy()
        self.zero = on_device(np.int64(0), self._where(()))
        self.function = jitted(self._compute, donate_argnums=1, out_shardings=self._shardings())

    def _refuse_numpy(self) -> None:
        named = next((p for e in self.graph.equations if (p := _by_numpy(e)) is not None), None)
        if named is not None:
            raise DeviceError(
                f"{named.name} is computed by NumPy, on the host ({REASONS[named]}), which several "
                "devices cannot share. Do it outside of the step, or compile for one device."
            )

    def _shardings(self) -> Any:
        """Where the results and the cells go; None: there is one device."""
        if self.devices.devices == 1:
            return None
        forms, whole = self.program.cells(), self.devices.of_cell(())
        changed, made = ([self.devices.of_cell(forms[i][0]) for i in cells] for cells in (self.changed, self.made))
        return whole, changed, made, whole

    def _where(self, shape: Shape) -> Any:
        """Where a cell goes whose tensor is on no device. XLA compiles again for arrays that come from elsewhere."""
        return self.devices.of_cell(shape) if self.at is None else self.at.place.where

    def _inputs(self) -> Any:
        return zip(self.program.inputs, self.graph.inputs, strict=True)

    def _outputs(self) -> Any:
        return zip(self.program.outputs, self.graph.outputs, strict=True)

    def _homes(self, homes: Sequence[Any]) -> list[Any]:
        """A home for each cell that is needed."""
        needed = {*self.changed, *self.read, *self.made}
        known = [*homes, *[None] * (len(self.program.cells()) - len(homes))]
        found: list[Any] = []
        for number, (home, (shape, dtype)) in enumerate(zip(known, self.program.cells(), strict=True)):
            if self.at is not None and number in self.at.cells:
                fits = type(home) is PlacedHome and home.place is self.at.place
                home = home if fits else PlacedHome(shape, dtype, self.at.place) if number in needed else None
                found.append(home if number in needed else None)
                continue
            home = home if type(home) is DeviceHome else None
            sharding = self._where(shape)
            if home is None or home.sharding != sharding:
                home = DeviceHome(shape, dtype, sharding) if number in needed else None
            found.append(home if number in needed else None)
        return found

    def with_homes(self, homes: Sequence[Any]) -> InXLA:
        """The same code for other cells."""
        twin = copy.copy(self)
        twin.homes = self._homes(homes)
        return twin

    @property
    def size(self) -> int:
        """How many operations there are."""
        return len(self.graph.equations)

    def _compute(self, zero: Any, changed: list[Any], read: list[Any], given: list[Any]) -> Any:
        """What JAX traces: results, the changed cells, the made ones, and whether something was wrong (or None)."""
        cells = dict(zip([*self.changed, *self.read], [*changed, *read], strict=True))
        others = iter(given)  # a cell that is not needed is None
        arrays = [cells.get(slot.number) if slot.kind == "cell" else next(others) for slot in self.program.inputs]
        with running(Run(zero, Wrong())) as run:
            kept = Kept(self._befores(cells), run.wrong)
            ends = lowered(self.graph, kept.as_far_as_known)(arrays)
        results, new = [], {}
        for (slot, x), end in zip(self._outputs(), ends, strict=True):
            if slot.kind == "result":
                results.append(end)
            else:
                new[slot.number] = kept.at_last(x, cells[slot.number], end) if slot.number in self.changed else end
        return results, [new[i] for i in self.changed], [new[i] for i in self.made], run.wrong.so_far()

    def _befores(self, cells: dict[int, Any]) -> dict[Symbol, Any]:
        """What changed cells hold now, by the symbol of what they will hold, if that is for one of them only."""
        written: dict[Symbol, list[int]] = {}
        for slot, x in self._outputs():
            if slot.kind == "cell" and slot.number in self.changed and isinstance(x, Symbol):
                written.setdefault(x, []).append(slot.number)
        return {x: cells[numbers[0]] for x, numbers in written.items() if len(numbers) == 1}

    def run(self, arrays: Sequence[Array]) -> list[Array]:
        """Run once, and wait for it. The results come to NumPy."""
        return [np.array(x) for x in self.run_there(arrays)]

    def run_there(self, arrays: Sequence[Any]) -> list[Any]:
        """Run once, and wait for it, with arrays of NumPy's and of JAX's; the results are JAX's."""
        changed = [self.homes[i].entries for i in self.changed]
        read = [self.homes[i].entries for i in self.read]
        given = list(arrays)
        with jax.enable_x64(True):
            if self.devices.devices > 1:
                given = [jax.device_put(x, self.devices.of_argument(x.shape)) for x in given]
            results, after, made, wrong = self.function(self.zero, changed, read, given)
        for i, x in zip(self.changed, after, strict=True):
            self.homes[i].take(x)  # the old bits, if something was wrong
        # All of a run is ready at once: one array is waited for, what was wrong if that is looked at anyway.
        for x in [*results, *after, *made][:1] if wrong is None else ():
            x.block_until_ready()
        if wrong is not None and np.asarray(wrong):
            raise WrongNumbersError("a number is outside of the range that it must be in. Nothing was changed.")
        for i, x in zip(self.made, made, strict=True):
            self.homes[i].take(x)
        return list(results)

    def explain(self) -> str:
        """The operations in their order, and what NumPy does in between."""
        lines = []
        for e in self.graph.equations:
            named = _by_numpy(e)
            note = "" if named is None else " in NumPy" if named is e.primitive else f", {named.name} in NumPy"
            lines.append(f"  {e.primitive.name}{note}  {e.path}".rstrip())
        place = jax.devices()[0].platform
        return "\n".join([f"{self.size} operations in one program for XLA ({place})", *lines])


def _by_numpy(equation: Equation) -> type[Primitive] | None:
    """The first primitive of an equation, or of the body of its loop, that NumPy computes; None if there is none."""
    if equation.primitive in REASONS:
        return equation.primitive
    body = equation.parameters.get("body")
    within = body.equations if isinstance(body, Graph) else []
    return next((primitive for e in within if (primitive := _by_numpy(e)) is not None), None)


def build(program: Program, homes: Sequence[Any], debug: bool) -> InXLA:
    """The program for XLA, on JAX's default device; with `debug` the graph is checked first."""
    return XLA().build(program, homes, debug)


class XLA(Devices):
    """The backend with its settings: `compile(step, backend="xla", options={"devices": 8, "parameters": "split"})`."""

    def build(self, program: Program, homes: Sequence[Any], debug: bool, at: At | None = None) -> InXLA:
        """As the function of that name; with `at` for tensors on a device."""
        if debug:
            program.graph.check()
        return InXLA(program, homes, self, at)
