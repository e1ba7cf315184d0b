"""What all optimisers share: parameter groups, state, hooks, saving, loading. The rules have files of their own."""

from __future__ import annotations

import functools
import itertools
from collections.abc import Callable, Iterable, Mapping
from typing import Any, ClassVar

import numpy as np

from chainrule.autodiff.block import LARGE
from chainrule.autodiff.mode import enable_grad, set_grad_enabled
from chainrule.cell import Handle, TensorCell
from chainrule.changes import Group, State, Tells, WatchedDict, WatchedList, fields_of, note_change
from chainrule.devices import CPU
from chainrule.errors import GradientError
from chainrule.functions.creation import tensor
from chainrule.functions.promotion import cast
from chainrule.nn.changing import clear_gradient
from chainrule.nn.hooks import Hook, add_hook
from chainrule.optim.clock import clock_number, shared_number
from chainrule.optim.saved_state import is_ours, match_parameters
from chainrule.primitives.trace import outside_of_trace
from chainrule.primitives.value import Value
from chainrule.state import current_state
from chainrule.tensor import Tensor


def is_on(setting: float | Tensor) -> bool:
    """Whether a setting that is 0 when not wanted is wanted. A tensor is: its number may change."""
    return isinstance(setting, Tensor) or bool(setting)


class _Required:
    """The default of a setting that has none: a group must name it."""

    def __repr__(self) -> str:
        return "<required parameter>"


#: PyTorch's default for settings without one, in optimisers of one's own: `def __init__(self, params, lr=required)`.
required: Any = _Required()

#: For each group the parameters that have a gradient, with it and what the rule remembers.
Given = list[list[tuple[Any, Tensor, dict[str, Any]]]]

#: Entries of the state that go with time. They keep their data type, whatever the parameter's is.
TIMES = frozenset({"step", "eta", "mu", "mu_product"})


class Optimizer(Tells):
    """The base of all optimisers. A subclass gives the defaults, `initial_state` and `update`, the rule.

    Attributes:
        param_groups: dictionaries with "params" and the settings for them; change a setting (`group["lr"]`) freely. A
            learning rate may be a tensor of one number too: it is read anew in every step.
        state: for each parameter what the rule remembers: tensors that stay the same cells from step to step.
        stepped: whether a step has been taken; learning-rate schedules warn if not.
        closure: what the function computes that `step` must be given: "loss" or "loss and gradients"; "" if it needs
            none.
        elementwise: whether the rule takes every entry of a parameter by itself, and keeps tensors only: then a step of
            eager code may be one program, to the same bits.
    """

    closure: ClassVar[str] = ""
    elementwise: ClassVar[bool] = False

    def __init__(self, params: Iterable[Any], defaults: dict[str, Any]) -> None:
        self.defaults: dict[str, Any] = WatchedDict(defaults)
        self.state: dict[Tensor, dict[str, Any]] = State()
        self.param_groups: list[dict[str, Any]] = WatchedList()
        self.stepped = False
        self._hooks: dict[str, dict[int, Hook]] = WatchedDict()
        if isinstance(params, TensorCell):
            raise TypeError("an optimiser takes a list of parameters (or groups), got a single tensor; use [tensor].")
        if defaults.get("fused") and (defaults.get("foreach") or defaults.get("differentiable")):
            raise RuntimeError("fused=True goes neither with foreach=True nor with differentiable=True.")
        groups = list(params)
        if not groups:
            raise ValueError("the optimiser got no parameters; is model.parameters() exhausted, or the model empty?")
        if not isinstance(groups[0], dict):
            groups = [{"params": groups}]
        for group in groups:
            self.add_param_group(group)

    def __setattr__(self, name: str, value: Any) -> None:
        if name != "stepped":  # of which no step depends
            note_change(self)
        super().__setattr__(name, value)

    # ------------------------------------------------------------------------------------- parameters

    def add_param_group(self, param_group: dict[str, Any]) -> None:
        """Add parameters with settings of their own; what is not set follows the defaults.

        Parameters may come with names, as from `named_parameters()`; the names are kept in `group["param_names"]`.

        Raises ValueError for a parameter that stands somewhere already, for names that only some have and for a
        `required` setting that is missing, TypeError for what is no tensor, GradientError for tensors that were
        computed from others.
        """
        group = param_group
        if not isinstance(group, dict):
            raise TypeError(f'a parameter group is a dictionary with "params", got {type(group).__name__}.')
        if "params" not in group:
            raise ValueError(f'a parameter group is a dictionary with "params", got {", ".join(group) or "nothing"}.')
        if isinstance(group["params"], set):
            raise TypeError("the parameters of a group are a list: in a set their order changes from run to run.")
        given = [group["params"]] if isinstance(group["params"], TensorCell) else list(group["params"])
        named = [p for p in given if isinstance(p, tuple)]
        params = [p[1] if isinstance(p, tuple) else p for p in given]
        others = [other for other in self.param_groups if ("param_names" in other) != bool(named)]
        if (named and len(named) != len(given)) or others:
            raise ValueError("either all parameters of an optimiser come with names, or none does.")
        self._check_parameters(params)
        names = {"param_names": [name for name, _ in named]} if named else {}
        own = {name: value for name, value in group.items() if name != "params"}
        complete = Group({"params": WatchedList(params), **names, **self.defaults, **own})
        missing = [name for name, value in complete.items() if value is required]
        if missing:
            raise ValueError(f"this optimiser has no default for {', '.join(missing)}: give it, here or in the group.")
        rate = complete.get("lr")
        if isinstance(rate, Tensor):
            if rate.numel() != 1:
                raise ValueError(f"lr is one number, got a tensor of shape {tuple(rate.shape)}.")
            complete["lr"] = rate.reshape(()) if rate.ndim else rate  # a view: it follows the tensor that was given
        self.param_groups.append(complete)

    def _check_parameters(self, params: list[Any]) -> None:
        known = {id(p) for other in self.param_groups for p in other["params"]}
        for p in params:
            if not isinstance(p, Tensor):
                raise TypeError(f"optimisers update tensors, got {type(p).__name__}.")
            if not p.is_leaf and not self.defaults.get("differentiable"):
                raise GradientError("optimisers update leaves; this tensor was computed from others (detach() it).")
            if id(p) in known:
                raise ValueError(
                    f"a parameter of shape {tuple(p.shape)} stands in more than one group, or twice in one: it would "
                    "be updated twice in every step."
                )
            known.add(id(p))

    def zero_grad(self, set_to_none: bool = True) -> None:
        """Forget all gradients (or fill them with zeros); without it the next backward pass adds to them."""
        for group in self.param_groups:
            for p in group["params"]:
                clear_gradient(p, set_to_none)

    # ------------------------------------------------------------------------------------------- a step

    def step(self, closure: Callable[[], Any] | None = None) -> Any:
        """Update every parameter that has a gradient. A closure computes the loss first and is answered with it."""
        return self._between_hooks(self._counted_step, () if closure is None else (closure,), {})

    def _between_hooks(self, step: Callable[..., Any], given: tuple[Any, ...], settings: dict[str, Any]) -> Any:
        """Take a step after those hooks that may change what it is given, and before those that follow it.

        A step that a subclass defines may take this class's own within: the hooks are called once.
        """
        fields = fields_of(self)  # written past the attributes: no compiled step depends on it
        if fields.get("_within_step"):
            return step(*given, **settings)
        arguments: tuple[Any, ...] = (self, *given)
        for hook in self._hooks_for("step_pre"):
            changed = hook.function(self, arguments, settings)
            if changed is not None:
                if not (isinstance(changed, tuple) and len(changed) == 2):
                    raise RuntimeError(f"a step pre-hook gives None or (args, kwargs), got {changed!r:.60}.")
                arguments, settings = changed
        fields["_within_step"] = True
        try:
            answer = step(*arguments[1:], **settings)
        finally:
            del fields["_within_step"]
        for hook in self._hooks_for("step_post"):
            hook.function(self, arguments, settings)
        return answer

    def _counted_step(self, *given: Any, **settings: Any) -> Any:
        self.stepped = True
        state = current_state()
        before = state.block
        if state.recording is not None:
            state.block = state.recording.phase(f"{type(self).__name__}.step")
        try:
            return self.take_step(*given, **settings)
        finally:
            state.block = before

    def take_step(self, closure: Callable[[], Any] | None = None) -> Any:
        """The step itself, between the hooks: the rule for one parameter after the other."""
        loss = None
        if closure is not None:
            with enable_grad():
                loss = closure()
        given = [self._given(group) for group in self.param_groups]
        if not (self.elementwise and _is_large(given) and _as_program(self, given)):
            self.update_all(given)
        trace = current_state().trace
        for parameter, _, state in itertools.chain.from_iterable(given):
            if trace is not None:
                trace.note_gradient(parameter._leaf, "spent")
            if not state:
                del self.state[parameter]
        return loss

    def _given(self, group: dict[str, Any]) -> list[tuple[Any, Tensor, dict[str, Any]]]:
        """The parameters that have a gradient, with it and what is remembered of them."""
        given = []
        for p in group["params"]:
            gradient = p.grad
            if gradient is not None:
                state = self.state.get(p)
                if not state:
                    state = self.state[p] = self._begun(p, group)
                given.append((p, gradient, state))
        return given

    def update_all(self, given: Given) -> None:
        """The rule for every parameter that has a gradient."""
        trace = current_state().trace
        with set_grad_enabled(bool(self.defaults.get("differentiable"))):
            for group, parameters in zip(self.param_groups, given, strict=True):
                climbing, settings = group.get("maximize", False), group if trace is None else trace.numbers_in(group)
                for parameter, gradient, state in parameters:
                    self.update(parameter, -gradient if climbing else gradient, state, settings)

    def _begun(self, parameter: Tensor, group: dict[str, Any]) -> WatchedDict:
        with outside_of_trace():  # so that the first step and the second are one program
            return WatchedDict(self.initial_state(parameter, group))

    def initial_state(self, parameter: Tensor, group: dict[str, Any]) -> dict[str, Tensor]:
        """What the rule remembers of a parameter before its first step; nothing, if an optimiser does not say."""
        return {}

    def update(self, parameter: Tensor, gradient: Tensor, state: dict[str, Any], group: dict[str, Any]) -> None:
        """The rule for one parameter; every optimiser says it."""
        raise TypeError(f"{type(self).__name__} does not define update(parameter, gradient, state, group).")

    # ----------------------------------------------------------------------------------- saving, loading

    def state_dict(self) -> dict[str, Any]:
        """The state and settings, parameters numbered in order, in PyTorch's form."""
        for hook in self._hooks_for("state_dict_pre"):
            hook.function(self)
        numbers: dict[int, int] = {}
        groups = []
        for group in self.param_groups:
            for p in group["params"]:
                numbers[id(p)] = len(numbers)
            settings = {name: value for name, value in group.items() if name != "params"}
            groups.append({**settings, "params": [numbers[id(p)] for p in group["params"]]})
        state = {numbers[id(p)]: dict(entries) for p, entries in self.state.items()}
        result: dict[str, Any] = {"state": state, "param_groups": groups}
        for hook in self._hooks_for("state_dict_post"):
            changed = hook.function(self, result)
            result = result if changed is None else changed
        return result

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Go on from a saved state, ours or PyTorch's, in each parameter's data type.

        Nothing is changed unless everything fits. Raises CheckpointError if this is no optimiser's state or another
        optimiser's, if its groups have other sizes, or an entry has not its parameter's shape.
        """
        state_dict = dict(state_dict) if isinstance(state_dict, Mapping) else state_dict
        for hook in self._hooks_for("load_state_dict_pre"):
            changed = hook.function(self, state_dict)
            state_dict = state_dict if changed is None else changed
        by_number = match_parameters(self, state_dict)  # looks at everything; nothing is changed before
        ours = is_ours(self)
        state = {
            by_number[int(number)]: WatchedDict(
                {name: _own_entry(name, entry, by_number[int(number)], ours) for name, entry in entries.items()}
            )
            for number, entries in state_dict["state"].items()
        }
        settings = [
            {name: _own_copy(value) for name, value in group.items() if name != "params"}
            for group in state_dict["param_groups"]
        ]
        self.state = State(state)
        for group, saved in zip(self.param_groups, settings, strict=True):
            for name in set(group) - {"params", "param_names"} - set(self.defaults) - set(saved):
                del group[name]  # such as the "initial_lr" of a schedule that came after what was saved
            group.update(saved)
        for hook in self._hooks_for("load_state_dict_post"):
            hook.function(self)

    def __getstate__(self) -> dict[str, Any]:
        """Copies and pickles come without hooks and programs: these belong to the object that they were made for."""
        kept = {name: value for name, value in fields_of(self).items() if name != "_program"}
        return {**kept, "_hooks": {}}

    # ------------------------------------------------------------------------------------------- hooks

    def _hooks_for(self, kind: str) -> list[Hook]:
        hooks = getattr(self, "_hooks", {})  # an optimiser around another may do without our __init__
        return list(hooks[kind].values()) if kind in hooks else []

    def _register(self, kind: str, hook: Callable[..., Any], first: bool = False) -> Handle:
        return add_hook(self._hooks.setdefault(kind, WatchedDict()), Hook(hook), first)

    def register_step_pre_hook(self, hook: Callable[..., Any]) -> Handle:
        """Call `hook(optimizer, args, kwargs)` before each step; it may answer with other (args, kwargs).

        `args` starts with the optimiser itself, as in PyTorch.
        """
        _call_hooks_around_step(type(self))
        return self._register("step_pre", hook)

    def register_step_post_hook(self, hook: Callable[..., None]) -> Handle:
        """Call `hook(optimizer, args, kwargs)` after each step."""
        _call_hooks_around_step(type(self))
        return self._register("step_post", hook)

    def register_state_dict_pre_hook(self, hook: Callable[..., None], prepend: bool = False) -> Handle:
        """Call `hook(optimizer)` before `state_dict` collects."""
        return self._register("state_dict_pre", hook, prepend)

    def register_state_dict_post_hook(self, hook: Callable[..., Any], prepend: bool = False) -> Handle:
        """Call `hook(optimizer, state_dict)` with what was collected; it may answer with another."""
        return self._register("state_dict_post", hook, prepend)

    def register_load_state_dict_pre_hook(self, hook: Callable[..., Any], prepend: bool = False) -> Handle:
        """Call `hook(optimizer, state_dict)` with a shallow copy before loading; it may answer with another."""
        return self._register("load_state_dict_pre", hook, prepend)

    def register_load_state_dict_post_hook(self, hook: Callable[..., None], prepend: bool = False) -> Handle:
        """Call `hook(optimizer)` after loading."""
        return self._register("load_state_dict_post", hook, prepend)

    def __repr__(self) -> str:
        lines = [f"{type(self).__name__} ("]
        for i, group in enumerate(self.param_groups):
            lines.append(f"Parameter Group {i}")
            lines += [f"    {name}: {group[name]}" for name in sorted(group) if name != "params"]
        return "\n".join([*lines, ")"])


def _is_large(given: Given) -> bool:
    """Whether parameters have so many entries together that a program pays."""
    return sum([parameter.value.array.size for group in given for parameter, _, _ in group]) >= LARGE


def _as_program(optimizer: Optimizer, given: Given) -> bool:
    """Take a step as a program, if it can be one. The compiler is loaded when it is wanted first."""
    from chainrule.compiler.eager_step import step_as_program

    return step_as_program(optimizer, given)


def _call_hooks_around_step(kind: type[Optimizer]) -> None:
    """Let a class whose `step` is its own call the hooks too, as PyTorch's optimisers do."""
    own = kind.step
    if own is Optimizer.step or hasattr(own, "calls_hooks"):
        return

    @functools.wraps(own)
    def step(self: Optimizer, *given: Any, **settings: Any) -> Any:
        return self._between_hooks(functools.partial(own, self), given, settings)

    step.calls_hooks = True  # type: ignore[attr-defined]
    kind.step = step  # type: ignore[method-assign]


def memory_of(optimizer: Optimizer) -> list[Tensor]:
    """All tensors that an optimiser remembers, with those that its next step begins with."""
    for group in optimizer.param_groups:
        for p in group["params"]:
            if p.grad is not None and not optimizer.state.get(p) and (state := optimizer._begun(p, group)):
                optimizer.state[p] = state
    parts = [part for entries in optimizer.state.values() if isinstance(entries, dict) for part in entries.values()]
    inner = [x for part in parts for x in (part if isinstance(part, list | tuple) else (part,))]
    return list(dict.fromkeys(x for x in inner if isinstance(x, Tensor)))


def write(parameter: Tensor, new: Tensor, state: dict[str, Any], entries: Mapping[str, Tensor | None]) -> None:
    """Put what a rule gave into the parameter and the state; entries that are None are not remembered."""
    parameter.assign(new)
    for name, entry in entries.items():
        if entry is not None:
            keep(state, name, entry)


def keep(state: dict[str, Any], name: str, new: Tensor) -> None:
    """Remember a tensor under a name: the cell stays the same from step to step, its value changes.

    The first time a cell of the state's own is made: `new` may be the gradient's, which the next backward pass or
    `zero_grad` writes to.
    """
    if name not in state:
        state[name] = new.detach_copy()
        return
    # A rate in float64 widens what has no dimensions: the state keeps the type that it began with.
    new = cast(new, state[name].value.array.dtype)
    if current_state().gradients:
        state[name].assign(new)  # with its history
    else:
        value = new.value  # one without a history may be shared, so that `of_step` knows it again
        state[name].set_value(value if value.source is None else Value(value.array))


def _own_copy(entry: Any) -> Any:
    """A tensor, ours or another library's, as a cell of its own; anything else as it is."""
    if isinstance(entry, Tensor):
        return entry.detach_copy()
    return tensor(np.asarray(entry), device=CPU) if hasattr(entry, "__array__") else entry


def _own_entry(name: str, entry: Any, parameter: Tensor, ours: bool) -> Any:
    """An entry of a saved state for a parameter, in its data type; what goes with time keeps its own.

    `ours`: whether a rule of ours goes on from it; what a user's own counts by stays the number that it is.
    """
    if isinstance(entry, list):  # the history of L-BFGS
        return [_own_entry(name, part, parameter, ours) for part in entry]
    own = _own_copy(entry)
    if name == "step" and ours:  # some save it as a Python number
        number = clock_number(float(own))
        if isinstance(own, Tensor) and own.dtype is not number.dtype:
            number.set_value(shared_number(float(own), own.dtype))
        return number
    if isinstance(own, Tensor) and name not in TIMES and own.dtype.is_floating_point:
        return own.to(dtype=parameter.dtype, device=parameter.device)
    return own


def check_not_negative(**settings: Any) -> None:
    """Raise a ValueError for a setting that is negative."""
    for name, value in settings.items():
        if isinstance(value, Tensor) and value.numel() != 1:
            raise ValueError(f"{name} is one number, got a tensor of shape {tuple(value.shape)}.")
        if not value >= 0.0:
            raise ValueError(f"{name} is not negative, got {value}.")


def check_betas(betas: tuple[float, float]) -> None:
    """Raise a ValueError unless these are two numbers in [0, 1)."""
    if len(betas) != 2 or not all(0.0 <= beta < 1.0 for beta in betas):
        raise ValueError(f"betas are two numbers in [0, 1), got {betas}.")
