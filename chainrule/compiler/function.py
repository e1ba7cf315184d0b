"""`compile`: a Python function of tensors becomes one native program for each way in which it is called.

The first call traces the function, compiles what it did, and runs that; later calls bind the new arguments and the
cells and run it again. What the function's code read while it was traced are facts (`observe.py`, `facts.py`); when one
of them is no longer true, the function is traced anew. If the same program comes out it is kept, otherwise the log says
why there is another one. A number that changes becomes an input, if it only enters arithmetic.

Below that lies a net (`net.py`): now and then a call is traced again although all facts hold, and compared.
"""

from __future__ import annotations

import functools
import logging
import os
import time
import types
from collections.abc import Sequence
from contextlib import suppress
from typing import Any

from chainrule.backends import build, configured
from chainrule.backends.native.profile import Profile, measure
from chainrule.cell import TensorCell
from chainrule.compiler.calls import called
from chainrule.compiler.collector import collector_waits
from chainrule.compiler.compare import arguments_used
from chainrule.compiler.facts import Change, read
from chainrule.compiler.net import stale
from chainrule.compiler.numbers import Number, NumberDecidesError
from chainrule.compiler.observe import Observer
from chainrule.compiler.origins import Cell
from chainrule.compiler.places import Place
from chainrule.compiler.sharing import APART, Plan, better_plan
from chainrule.compiler.step import Compiled, OtherFormError
from chainrule.compiler.structure import Contents, containers_in, given_attributes, put_together, take_apart
from chainrule.compiler.trace import trace_step
from chainrule.compiler.traced import Call, Knowledge, Traced, Variant, form_of
from chainrule.errors import TraceError
from chainrule.exactness import is_exact_arithmetic_enabled
from chainrule.forking import LockAcrossForks
from chainrule.state import current_state

log = logging.getLogger("chainrule.compile")
#: Names that PyTorch's programs give; they all mean our machine code.
PYTORCHS_BACKENDS = frozenset({"inductor", "eager", "aot_eager", "cudagraphs", "onnxrt", "openxla", "tvm"})
#: So many programs are kept for one form of arguments: a step that reads another number in each run makes more.
KEPT = 32
#: From so many programs on a step that counts in Python and decides by the count is refused.
CROWDED = 8
#: From so many on what a step asks of numbers (`if epoch > 5`) makes no further ones.
FULL = 16


def _read_knowingly(numbers: set[int], first: int, observer: Observer, known: Knowledge) -> None:
    """A tensor within an argument is written to or compared: it has to be an argument from the start."""
    found = [source for i, (source, _) in enumerate(observer.inputs) if first + i in numbers]
    places = [place for place in found if isinstance(place, Place)]
    if places:
        known.moving.update({place.identity: place for place in places})
        raise _AgainError


class _AgainError(BaseException):
    """A trace has to be done again with what is known now."""


class CompiledFunction:
    """What `compile` makes of a function: it is called as the function is.

    Attributes:
        programs: for each form of arguments (shapes, data types, plain values) the programs made so far.
        left_behind: the form of the arguments, for each run that has left a tensor behind in Python.
    """

    def __init__(
        self, function: Any, debug: bool = False, strict: bool = False, on_stale: str = "raise",
        backend: Any = "native", exact: bool | None = None,
    ) -> None:  # fmt: skip
        if not callable(function):
            raise TypeError(f"compile takes a function, a method or a module, got {type(function).__name__}.")
        if on_stale not in ("raise", "warn"):
            raise ValueError(f'on_stale is "raise" or "warn", got {on_stale!r}.')
        self.function = function
        self.debug, self.on_stale, self.backend, self.exact = debug, on_stale, backend, exact
        self.strict = strict or os.environ.get("CHAINRULE_STRICT", "") not in ("", "0")
        self.name = getattr(function, "__name__", type(function).__name__)
        self.__doc__ = getattr(function, "__doc__", None)
        self.__name__ = self.name
        self.programs: dict[Any, list[Variant]] = {}
        self.left_behind: list[Any] = []
        self._last: Compiled | None = None
        self._known = Knowledge()
        self._lock = LockAcrossForks()

    def __get__(self, instance: Any, owner: Any = None) -> Any:
        """As a method: the instance is an argument like others."""
        return self if instance is None else functools.partial(self, instance)

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Run the program for arguments like these; the first time, make it."""
        state = current_state()
        if state.trace is not None or state.recording is not None:
            return self.function(*args, **kwargs)  # within another compiled function it is part of that one
        call = Call(args, kwargs, is_exact_arithmetic_enabled() if self.exact is None else self.exact)
        with self._lock:  # a program has one memory
            known = self.programs.setdefault(call.key, [])
            for variant in reversed(known):  # the newest has the most inputs
                found = variant.holds(call)
                if found is not None:
                    self._last = variant.compiled
                    if variant.net.is_due(self.strict):
                        return self._check(variant, found[0], known, call)
                    with suppress(OtherFormError):  # nothing has run yet
                        return variant.net.timed(variant.run, call, *found)
            return self._make(known, call)

    # ------------------------------------------------------------------------------------- tracing

    def _make(self, known: list[Variant], call: Call) -> Any:
        """Trace this call, and run what comes out: a program that is there already, or a new one."""
        changed = self._note_changes(known, call)
        traced, observer = self._trace(call, self._known)
        try:
            for variant in reversed(known):
                if not traced.program.leaves_behind and not traced.same_as(variant.traces[0]):
                    arguments = traced.arguments(call)
                    traced.guard(arguments[0])
                    variant.add(traced)
                    self._last = variant.compiled
                    with suppress(OtherFormError):
                        return variant.run(call, traced, arguments)
            return self._compile(known, call, traced, changed)
        except BaseException:
            observer.roll_back()
            raise

    def _note_changes(self, known: list[Variant], call: Call) -> list[Change]:
        """What has changed since the last program; numbers and tensors among it are inputs from now on."""
        if not known:
            return []
        changed = known[-1].traces[0].facts.changes(call.given)
        for _, place, before, now in changed:
            if place is None or place.identity in self._known.deciding or type(before) is not type(now):
                continue
            if _is_setting(place) and _are_numbers(before) and _are_numbers(now):  # for rules of ours
                self._known.settings.add((id(place.holder), place.key))
                self._known.kept.append(place.holder)
            if type(now) in (int, float) or (
                isinstance(now, TensorCell) and not now.requires_grad and not before.requires_grad
                and not _is_setting(place)
            ):  # fmt: skip
                self._known.moving[place.identity] = place
                if isinstance(now, TensorCell):
                    self._known.replaced.add(place.identity)
        return changed

    def _trace(self, call: Call, known: Knowledge) -> tuple[Traced, Observer]:
        """Run the function on symbols.

        And once more if a number that was an input shapes the program, or if the step turns out to write into memory
        that its tensors share. The observer knows what was there before.
        """
        plan = APART
        while True:
            observer = self._observer(call, known)
            try:
                traced, better = self._traced(call, plan, observer, known)
                if better is None:
                    return traced, observer
                observer.roll_back()
                plan = better
                continue
            except _AgainError:
                observer.roll_back()
            except NumberDecidesError as found:
                observer.roll_back()
                known.decide(found.places)
            except BaseException as error:
                observer.roll_back()
                if isinstance(error, TraceError) and known.settings:
                    known.settings.clear()  # a rule decides by one of them in Python: each value gets a program
                elif isinstance(error, TraceError) and known.hold_tensors():
                    pass  # their numbers decide: each tensor gets a program
                elif isinstance(error, Exception) and (given := observer.numbers_given()):
                    known.decide(given)  # Python itself was handed one of them (by `__index__`, say)
                else:
                    raise
            plan = APART  # the arguments are others now

    def _observer(self, call: Call, known: Knowledge) -> Observer:
        count = len(self.programs.get(call.key, ()))
        return Observer(known.moving, known.deciding, count >= CROWDED, count >= FULL)

    def _traced(self, call: Call, plan: Plan, observer: Observer, known: Knowledge) -> tuple[Traced, Plan | None]:
        """One trace, and how its arguments should have shared memory; None if as they did."""
        started = time.perf_counter()
        prepared = [
            (identity, place, tensor)
            for identity, place in known.moving.items()
            if (tensor := _tensor_at(place, call.given)) is not None
        ]
        arguments = [*call.leaves, *(tensor for _, _, tensor in prepared)]
        traced = self._trace_planned(call, plan, arguments, [identity for identity, _, _ in prepared], observer, known)
        program = traced.program
        given = [*arguments, *plan.hidden_roots(arguments)]
        changed = program.changed()
        traced.compared = observer.compared
        compared = {x for pair in traced.compared for x in pair[:2] if isinstance(x, int)}
        _read_knowingly(changed | compared, len(given), observer, known)
        better = better_plan(plan, arguments, given, changed, *program.cells())
        if better is not None and program.leaves_behind:
            raise TraceError(
                "the step writes into memory that an argument shares, and leaves a tensor behind in Python (in an "
                "attribute, a list), so it cannot be traced again. Return that tensor, or pass the step a clone()."
            )
        # Of one that nothing depends on the form may count all the same (`len(x)`), if the step has seen it.
        seen = [identity in observer.stand_ins for identity, _, _ in prepared]
        traced.prepared = [
            (place, form_of(tensor)) if was_seen else (None, None)
            for (_, place, tensor), was_seen in zip(prepared, seen, strict=True)
        ]
        traced.inputs = [(source, _kind_of(source, stand_in)) for source, stand_in in observer.inputs]
        entered = {id(source) for source, _ in observer.inputs}
        others = [x for x in observer.stand_ins.values() if isinstance(x, Number) and id(x) not in entered]
        traced.decisions = observer.decisions
        traced.numbers = [(x.place, type(x.value)) for x in others if x.place is not None]
        used = arguments_used(program)
        traced.used = [source for i, (source, _) in enumerate(traced.prepared) if len(call.leaves) + i in used]
        traced.used += [source for i, (source, _) in enumerate(traced.inputs) if len(given) + i in used]
        traced.seconds = time.perf_counter() - started
        return traced, better

    def _trace_planned(
        self, call: Call, plan: Plan, arguments: list[Any], moving: list[Any], observer: Observer, known: Knowledge
    ) -> Traced:
        traced = Traced()
        traced.known, traced.plan, traced.writes = known.copy(), plan, []
        count, written = len(call.leaves), []

        def run(stand_ins: list[Any]) -> list[Any]:
            observer.prepared = dict(zip(moving, stand_ins[count:], strict=False))
            answers: list[Any] = []
            with observer.watching():
                observer.enter(self.function)
                for argument in arguments:
                    observer.see(argument)  # its hooks
                attached = _attach(call.leaves, stand_ins)
                others = [_argument(observer, thing, way) for thing, way in call.others]
                args, kwargs = put_together(call.form, stand_ins[:count], others)
                contents = Contents(args, kwargs)
                for copy, way in containers_in((args, kwargs)):
                    observer.copies[id(copy)] = copy, Place(None, "argument", way)
                answer = called(observer, self.function, list(args), kwargs)
                if any(given_attributes(stand_in) != given for stand_in, given in attached):
                    raise TraceError(
                        f"{self.name} sets an attribute of an argument, a tensor, in Python, which a compiled step "
                        "would do to a copy of it. Return what is new, or keep it elsewhere."
                    )
                if changed := contents.changed():
                    raise TraceError(
                        f"{self.name} changes {changed}, in Python, which a compiled step would do to a copy of it. "
                        "Return what is new, or write into a tensor that is there."
                    )
                traced.shape = take_apart(answer, answers, kept=observer.kept)
                written.extend(observer.writes())
            for place, value in written:
                first = len(answers)
                form = take_apart(value, answers, kept=observer.kept)
                traced.writes.append((place, form, len(answers) - first))
            return answers

        given = [*arguments, *plan.hidden_roots(arguments)]
        with collector_waits():
            traced.program = trace_step(run, given, known.settings, plan, observer)
        observer.rewind()
        cells = [origin.tensor for _, origin in traced.program.inputs if isinstance(origin, Cell)]
        traced.facts = observer.found(written, cells, known.settings)
        return traced

    def _compile(self, known: list[Variant], call: Call, traced: Traced, changed: Sequence[Change] = ()) -> Any:
        arguments = traced.arguments(call)
        traced.guard(arguments[0])
        others = [variant.compiled for known in reversed(self.programs.values()) for variant in reversed(known)]
        with collector_waits():
            debug = self.debug or call.watched
            compiled = Compiled(traced.program, traced.plan, debug, self.backend, others, call.exact)
        if not compiled.is_new:
            log.info("%s goes on with a program that it has, for other tensors.", self.name)
        else:
            self._say_why(known, call, changed)
            log.info(
                "%s: %d kernels, traced in %.2f s, compiled in %.2f s.",
                self.name, compiled.runnable.size, traced.seconds, compiled.seconds,
            )  # fmt: skip
        variant = Variant(traced, compiled)
        if traced.program.leaves_behind:
            if self.left_behind.count(call.form) >= 2:
                raise TraceError(
                    f"{self.name} leaves tensors behind in Python every time it runs (in a list, or in an object that "
                    "it makes). A compiled step is not Python any more: return them, or write into tensors that exist."
                )
        else:
            known.append(variant)
            del known[:-KEPT]
        self._last = compiled
        answer = variant.run(call, traced, arguments)
        if traced.program.leaves_behind:
            self.left_behind.append(call.form)  # not after an error, which leaves nothing behind
        return answer

    def _say_why(self, known: list[Variant], call: Call, changed: Sequence[Change]) -> None:
        if known:
            why = str(changed[0]) if changed else "a gradient came or went, numbers that it read are others, or a shape"
            log.info("%s is compiled again: %s.", self.name, why)
        elif len(self.programs) > 1:
            log.info("%s is compiled again: arguments of another form, %s.", self.name, call.key[1])

    # ------------------------------------------------------------------------------------- the net

    def _check(self, variant: Variant, before: Traced, known: list[Variant], call: Call) -> Any:
        """Trace a call whose facts hold all the same, and compare; the trace takes the place of the call."""
        traced, observer = self._trace(call, before.known.copy())
        try:
            found = traced.same_as(before) if not traced.program.leaves_behind else "it leaves tensors behind"
            if not found:
                variant.net.agreed()
                arguments = traced.arguments(call)
                traced.guard(arguments[0])
                return variant.run(call, traced, arguments)
            if variant.compiled.has_other_forms():  # which a run would have noticed
                return self._compile(known, call, traced)
            known.remove(variant)
            stale(self.name, found, variant.net.last_agreed, warn=self.on_stale == "warn")
            return self._compile(known, call, traced)
        except BaseException:
            observer.roll_back()
            raise

    # ------------------------------------------------------------------------------------- asking

    @property
    def program(self) -> Compiled:
        """The program that ran last. Raises TraceError if the function has not been called yet."""
        if self._last is None:
            raise TraceError(f"{self.name} has no program yet: the first call makes it.")
        return self._last

    def explain(self) -> str:
        """What the last program does, one kernel in a line; see :meth:`Compiled.explain`."""
        return self.program.explain()

    def profile(self, *args: Any, runs: int = 10, **kwargs: Any) -> Profile:
        """Run the step some times with these arguments and measure each kernel. The runs count: a step trains."""
        self(*args, **kwargs)
        executable = self.program.executable
        return measure(executable, lambda: self(*args, **kwargs), runs)

    def __reduce__(self) -> tuple[Any, ...]:
        # A copy makes programs of its own.
        return CompiledFunction, (self.function, self.debug, self.strict, self.on_stale, self.backend, self.exact)

    def __repr__(self) -> str:
        return f"<compiled {self.name}>"


def _argument(observer: Observer, thing: Any, way: Any) -> Any:
    """What the function gets for a part of its arguments that is no tensor: a number may be one that changes."""
    place = Place(None, "argument", way, "argument " + "".join(f"[{key!r}]" for key in way[1:]))
    if type(thing) in (int, float):
        return observer.read(place, thing)
    observer.mark(thing, place if not callable(thing) or isinstance(thing, types.FunctionType) else None)
    observer.everything(thing) if observer.blind else observer.see(thing)
    return thing


def _attach(tensors: list[Any], stand_ins: list[Any]) -> list[tuple[Any, Any]]:
    """Give stand-ins what the user has attached to the tensors; the answer is each with what it has got."""
    for tensor, stand_in in zip(tensors, stand_ins, strict=False):
        if stand_in is not tensor:
            stand_in.__dict__.update(given_attributes(tensor) or {})
    return [(stand_in, given_attributes(stand_in)) for stand_in in stand_ins[: len(tensors)]]


def _tensor_at(place: Place, call: Any) -> Any:
    """The tensor at a place that may be an input; None if there is none."""
    found = read(place, call)
    return found if isinstance(found, TensorCell) and not found.requires_grad else None


def _kind_of(source: Any, stand_in: Any) -> Any:
    return type(source.value) if isinstance(source, Number) else form_of(stand_in)


def _is_setting(place: Place) -> bool:
    from chainrule.changes import Group

    return isinstance(place.holder, Group) or (type(place.holder) is dict and "params" in place.holder)


def _are_numbers(value: Any) -> bool:
    parts = value if type(value) is tuple else (value,)
    return all(type(x) in (int, float) for x in parts)


def compile(
    model: Any = None,
    *,
    fullgraph: bool = False,
    dynamic: bool | None = None,
    backend: Any = "inductor",
    mode: str | None = None,
    options: Any = None,
    debug: bool = False,
    disable: bool = False,
    strict: bool = False,
    on_stale: str = "raise",
    exact: bool | None = None,
) -> Any:
    """Make one native program of a function of tensors (a decorator), for instance of a whole training step.

    The step is written as always; nothing in it has to change:

        @chainrule.compile
        def step(x, y):
            optimizer.zero_grad()
            loss = F.cross_entropy(model(x), y)
            loss.backward()
            optimizer.step()
            return loss

    Tensors from outside (parameters, running statistics, the optimiser's memory, random states) and NumPy arrays are
    read anew in every call, the tensors changed in place. So is the learning rate, and so is any other number that has
    been seen to change and only enters arithmetic: an argument, a setting, a global variable, an attribute, what the
    step itself counts (`state["step"] += 1`); an `if` on it makes a program for each way that it goes. Everything else
    that the function reads while it is traced (modes, layers, hooks, settings, the contents of containers) is
    remembered; when it changes, the step is traced again, and the log (`chainrule.compile`, level INFO) says why there
    is another program. Results are detached; an argument or a parameter that is returned is that object. Gradients are
    left as in eager code, but where storing what an optimiser has used up would cost time: reading one of these is a
    GradientError.

    A Python branch on a tensor's value, `.item()` or `.numpy()` of a computed tensor raise a TraceError. Wrong numbers
    (a label that is no class, a singular matrix) raise what they raise in eager code, with nothing changed.

    In the calls 2, 4, 8, … of a program, later in about one percent of the time, the function is traced again and
    compared; if another program comes out although nothing that was read has changed, this call raises a StaleError
    before anything is written, or with `on_stale="warn"` warns and goes on with the new program. With `strict=True`, or
    CHAINRULE_STRICT=1 in the environment, every call is compared: for searching.

    With `debug=True` the program is checked before it runs (a BoundsError means a mistake in the compiler), and a step
    that makes a NaN or an infinity raises an AnomalyError that names the first operation and module to do so; nothing
    has been changed then either. That copies all state in every run: it is for searching.

    With `exact=True` nothing is computed by arithmetic that is faster and rounds in another order: no products of
    bfloat16 in pairs, no convolutions by Winograd's algorithm. Without it, `chainrule.use_exact_arithmetic` says so for
    all functions that do not say it.

    A module becomes a :class:`~chainrule.compiler.module.CompiledModule`: native where no gradients are recorded, the
    module itself while it learns. PyTorch's settings are taken: with `disable` the answer is what was given;
    `fullgraph`, `dynamic`, `mode`, PyTorch's backends and their `options` change nothing, since there is one way to
    compile, always the whole function, for each size anew. `backend="numpy"` runs the same program in NumPy, operation
    by operation: to compare with, and for where there is no LLVM. `backend="xla"` makes a program for XLA, on JAX's
    default device (the extra `xla`); its `options` spread it over several: `{"devices": 8}` splits each argument's
    samples, `{"devices": 8, "parameters": "split"}` what lives on as well. What is compiled, a function or a module,
    has PyTorch's name, `model`.

    >>> import chainrule
    >>> double = chainrule.compile(lambda x: x * 2)
    >>> double(chainrule.tensor([1.0, 2.0]))
    tensor([2., 4.])
    """
    if model is None:
        return functools.partial(
            compile, debug=debug, disable=disable, strict=strict, on_stale=on_stale, backend=backend, exact=exact,
            options=options,
        )  # fmt: skip
    if disable:
        return model
    name = backend if isinstance(backend, str) else "inductor"
    if name not in PYTORCHS_BACKENDS:
        build(name)  # an error that names those that there are
    from chainrule.compiler.module import CompiledModule
    from chainrule.nn.module import Module

    kind = CompiledModule if isinstance(model, Module) else CompiledFunction
    chosen = configured("native" if name in PYTORCHS_BACKENDS else name, options)
    return kind(model, debug, strict, on_stale, chosen, exact)
