"""Module: a tree of parameters, buffers and other modules, with names; and a function that uses them."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator
from typing import Any

from chainrule.cell import Handle
from chainrule.changes import Tells, WatchedDict, fields_of, note_change
from chainrule.errors import (
    DTypeError,
    EvaluationWarning,
    IndexRangeError,
    NoForwardError,
    SetUpError,
    ShapeError,
)
from chainrule.nn.changing import ChangingMethods
from chainrule.nn.hooks import Hook, add_hook, call_with_hooks
from chainrule.nn.state_dict import StateDictMethods
from chainrule.state import current_state
from chainrule.tensor import Buffer, Parameter, Tensor


class _Structure:
    """Counts changes of any module's children, so that cached paths know when they are out of date."""

    version = 0


class _Paths:
    """The paths of the modules below one, as they were at a version of the structure; and a program made of it, if any.

    A field that is filled in place: to a compiled step, a call of a module changes none of its attributes. A copy of
    the module has one of its own, and files none.
    """

    __slots__ = ("paths", "program", "version")

    def __init__(self) -> None:
        self.version, self.paths = -1, dict[int, str]()
        self.program: Any = None


class Module(Tells, StateDictMethods, ChangingMethods):
    """The base of all layers and models.

    A subclass makes its parts in `__init__` (after `super().__init__()`) and says in `forward` what it computes.
    Assigning a `Parameter` or a `Module` to an attribute registers it under that name.

    >>> import chainrule
    >>> from chainrule import nn
    >>> class Model(nn.Module):
    ...     def __init__(self):
    ...         super().__init__()
    ...         self.hidden = nn.Linear(4, 8)
    ...         self.out = nn.Linear(8, 1)
    ...     def forward(self, x):
    ...         return self.out(self.hidden(x).relu())
    >>> model = Model()
    >>> model(chainrule.ones(5, 4)).shape
    Size([5, 1])
    >>> [name for name, _ in model.named_parameters()]
    ['hidden.weight', 'hidden.bias', 'out.weight', 'out.bias']
    """

    training: bool
    #: Whether `forward` does something else in training than in evaluation.
    differs_in_training: bool = False
    #: Whether `train()` passes this module by, as one whose statistics are frozen (`chainrule.transfer.freeze`).
    stays_in_evaluation: bool = False

    def __init__(self) -> None:
        trace = current_state().trace
        if trace is not None:
            trace.note_module(self)
        fields = fields_of(self)
        fields["training"] = True
        fields["_parameters"] = WatchedDict()
        fields["_buffers"] = WatchedDict()
        fields["_not_saved"] = set()
        fields["_modules"] = WatchedDict()
        fields["_forward_hooks"] = WatchedDict()
        fields["_forward_pre_hooks"] = WatchedDict()
        fields["_backward_hooks"] = WatchedDict()
        fields["_backward_pre_hooks"] = WatchedDict()
        fields["_state_dict_hooks"] = {}
        fields["_paths"] = _Paths()

    def forward(self, *args: Any, **kwargs: Any) -> Any:
        """What the module computes; every subclass says it."""
        raise NoForwardError(f"{type(self).__name__} does not define forward(self, …).")

    # ----------------------------------------------------------------------------------- calling

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Run `forward`, with this module's path in the thread's state: records and errors take it from there."""
        state = current_state()
        before = state.path, state.module, state.paths
        try:
            if state.paths is None:
                state.paths = self._own_paths()
                if self.training and not state.gradients:
                    self._remind_of_eval()
            state.path = state.paths.get(id(self), state.path)
            state.module = type(self).__name__
            if not (self._forward_pre_hooks or self._forward_hooks or self._backward_hooks or self._backward_pre_hooks):
                return self.forward(*args, **kwargs)
            return call_with_hooks(self, args, kwargs)
        except (ShapeError, DTypeError, IndexRangeError) as error:
            if before[2] is None and state.recording is None:
                error.add_note("To see how far it came and what failed: print(chainrule.explain(model, x))")
            raise
        finally:
            state.path, state.module, state.paths = before

    def _remind_of_eval(self) -> None:
        different = [
            f"{name or 'it'} ({type(m).__name__})" for name, m in self.named_modules() if m.differs_in_training
        ]
        if different:
            warnings.warn(
                f"{type(self).__name__} is in training mode while gradients are off, and {different[0]} does something "
                "else in training. For evaluation call model.eval() first, and model.train() afterwards.",
                EvaluationWarning,
                stacklevel=3,
            )

    def _own_paths(self) -> dict[int, str]:
        """The path of each module below this one, by identity; made again when any module has changed."""
        known = self._paths
        if known.version != _Structure.version:
            known.paths = {id(module): name for name, module in self.named_modules()}
            known.version = _Structure.version
        return known.paths

    def register_forward_hook(
        self,
        hook: Callable[..., Any],
        *,
        prepend: bool = False,
        with_kwargs: bool = False,
        always_call: bool = False,
    ) -> Handle:
        """Call `hook(module, args, output)` after each forward; what it returns (if anything) replaces the output.

        `prepend` puts it before the hooks there are, `with_kwargs` makes it `hook(module, args, kwargs, output)`. With
        `always_call` it is also called, with None for the output, when `forward` or another hook raises an error.

        >>> import chainrule
        >>> layer = chainrule.nn.ReLU()
        >>> handle = layer.register_forward_hook(lambda module, args, output: print(tuple(output.shape)))
        >>> y = layer(chainrule.ones(2, 3))
        (2, 3)
        >>> handle.remove()
        """
        return add_hook(self._forward_hooks, Hook(hook, with_kwargs, always_call), prepend)

    def register_forward_pre_hook(
        self, hook: Callable[..., Any], *, prepend: bool = False, with_kwargs: bool = False
    ) -> Handle:
        """Call `hook(module, args)` before each forward; what it returns (if anything) replaces the arguments.

        With `with_kwargs` it is `hook(module, args, kwargs)` and returns both or None.
        """
        return add_hook(self._forward_pre_hooks, Hook(hook, with_kwargs), prepend)

    def register_full_backward_hook(self, hook: Callable[..., Any], prepend: bool = False) -> Handle:
        """Call `hook(module, grad_input, grad_output)` when gradients have come back through the module.

        Both are tuples: one gradient for each positional argument (None for what is no tensor, zeros for a tensor
        that wants none, and (None,) alone if none does) and for each result (None for one that was not used).
        What the hook returns (if anything) replaces `grad_input`.

        >>> import chainrule
        >>> layer = chainrule.nn.ReLU()
        >>> handle = layer.register_full_backward_hook(lambda module, gi, go: print(gi[0].tolist(), go[0].tolist()))
        >>> x = chainrule.tensor([-1.0, 1.0], requires_grad=True)
        >>> (layer(x) * 3).sum().backward()
        [0.0, 3.0] [3.0, 3.0]
        """
        return add_hook(self._backward_hooks, Hook(hook), prepend)

    def register_full_backward_pre_hook(self, hook: Callable[..., Any], prepend: bool = False) -> Handle:
        """Call `hook(module, grad_output)` when gradients arrive at the module's results, before they go through it.

        What the hook returns (if anything) replaces `grad_output`, a tuple with one gradient for each result.

        >>> import chainrule
        >>> layer = chainrule.nn.ReLU()
        >>> handle = layer.register_full_backward_pre_hook(lambda module, grad_output: (grad_output[0] * 10,))
        >>> x = chainrule.tensor([-1.0, 1.0], requires_grad=True)
        >>> layer(x).sum().backward(); x.grad
        tensor([ 0., 10.])
        """
        return add_hook(self._backward_pre_hooks, Hook(hook), prepend)

    # ----------------------------------------------------------------------------------- attributes

    def __setattr__(self, name: str, value: Any) -> None:
        fields = fields_of(self)
        if isinstance(value, (Parameter, Buffer, Module)) and "_parameters" not in fields:
            raise SetUpError(
                f"{type(self).__name__}.{name} was assigned before the module was set up; call super().__init__() "
                "first in __init__."
            )
        if isinstance(value, Parameter):
            self._forget(name, "_parameters")
            self.register_parameter(name, value)
        elif isinstance(value, Module):
            self._forget(name, "_modules")
            if hasattr(type(self), name) and name not in fields["_modules"]:
                warnings.warn(
                    f"{type(self).__name__} has {name!r} of its class, which {type(self).__name__}.{name} goes on "
                    f"giving; the module is registered, and get_submodule({name!r}) gives it.",
                    stacklevel=2,
                )
                fields["_modules"][name] = value
            self.add_module(name, value)
        elif isinstance(value, Buffer):
            self._forget(name, "_buffers")
            self.register_buffer(name, value, value.persistent)
        elif "_parameters" in fields and name in fields["_parameters"]:
            if value is not None:
                raise TypeError(f"{type(self).__name__}.{name} is a parameter; assign an nn.Parameter or None to it.")
            fields["_parameters"][name] = None
        elif "_buffers" in fields and name in fields["_buffers"]:
            if value is not None and not isinstance(value, Tensor):
                raise TypeError(f"{type(self).__name__}.{name} is a buffer; assign a tensor or None to it.")
            fields["_buffers"][name] = value
        elif "_modules" in fields and name in fields["_modules"]:
            if value is not None:
                raise TypeError(f"{type(self).__name__}.{name} is a module; assign an nn.Module or None to it.")
            fields["_modules"][name] = None
            _Structure.version += 1
        else:
            note_change(self, None if name == "__class__" else name)
            super().__setattr__(name, value)

    def __getattr__(self, name: str) -> Any:
        fields = fields_of(self)
        for table in ("_parameters", "_buffers", "_modules"):
            entries = fields.get(table, {})
            if name in entries:
                return entries[name]
        hint = "" if "_parameters" in fields else "; super().__init__() has not been called"
        if name == "register_backward_hook":
            hint = ": in PyTorch it shows the inputs of the module's last operation; use register_full_backward_hook"
            raise AttributeError(f"{type(self).__name__} has no attribute {name!r}{hint}.")
        # With name and object Python adds the nearest name there is.
        raise AttributeError(f"{type(self).__name__} has no attribute {name!r}{hint}.", name=name, obj=self)

    def __delattr__(self, name: str) -> None:
        for table in (self._parameters, self._buffers, self._modules):
            if name in table:
                del table[name]
                _Structure.version += 1
                return
        note_change(self, name)
        super().__delattr__(name)

    def __dir__(self) -> list[str]:
        fields = fields_of(self)
        tables = (fields.get(name, {}) for name in ("_parameters", "_buffers", "_modules"))
        return sorted({*super().__dir__(), *(name for table in tables for name in table)})

    def _forget(self, name: str, table: str) -> None:
        """Free a name everywhere but in one table, for what is assigned to it now."""
        fields = fields_of(self)
        for other in ("_parameters", "_buffers", "_modules"):
            if other != table and name in fields[other]:
                del fields[other][name]
                _Structure.version += 1
        fields.pop(name, None)

    def _check_entry(self, kind: type, what: str, name: str, entry: Any, table: dict[str, Any]) -> None:
        if entry is not None and not isinstance(entry, kind):
            raise TypeError(f"{type(self).__name__}.{name} is to be a {what}, got {_describe(entry)}")
        if not isinstance(name, str) or "." in name or not name:
            raise KeyError(f"the name of a {what} is a string without dots and not empty, got {name!r}.")
        fields = fields_of(self)  # not hasattr: a wrapper's __getattr__ asks for the part that is just being registered
        tables = (fields, fields["_parameters"], fields["_buffers"], fields["_modules"])
        if name not in table and (hasattr(type(self), name) or any(name in names for names in tables)):
            raise KeyError(f"{type(self).__name__} has an attribute {name!r} already, so no {what} can have that name.")

    def register_parameter(self, name: str, param: Parameter | None) -> None:
        """Register a parameter (or None, for one that is switched off).

        Raises TypeError for anything else, KeyError for a name with dots or one that is taken.
        """
        self._check_entry(Parameter, "parameter", name, param, self._parameters)
        self._parameters[name] = param

    def register_buffer(self, name: str, tensor: Tensor | None, persistent: bool = True) -> None:
        """Register a tensor that is kept and (if `persistent`) saved but not learned, such as a running mean.

        Raises TypeError for anything but a tensor or None, KeyError for a name with dots or one that is taken.
        """
        self._check_entry(Tensor, "buffer", name, tensor, self._buffers)
        self._buffers[name] = tensor
        (self._not_saved.discard if persistent else self._not_saved.add)(name)

    def add_module(self, name: str, module: Module | None) -> None:
        """Register a module as a part of this one.

        Raises TypeError for anything but a module or None, KeyError for a name with dots or one that is taken.
        """
        self._check_entry(Module, "module", name, module, self._modules)
        self._modules[name] = module
        _Structure.version += 1

    register_module = add_module

    # ----------------------------------------------------------------------------------- walking

    def named_modules(
        self, memo: set[int] | None = None, prefix: str = "", remove_duplicate: bool = True
    ) -> Iterator[tuple[str, Module]]:
        """This module and all below it with their dotted paths, each once unless `remove_duplicate` is False."""
        memo = set() if memo is None else memo
        if id(self) not in memo:
            if remove_duplicate:
                memo.add(id(self))
            yield prefix, self
            for name, module in self._modules.items():
                if module is not None:
                    yield from module.named_modules(memo, f"{prefix}.{name}" if prefix else name, remove_duplicate)

    def modules(self, remove_duplicate: bool = True) -> Iterator[Module]:
        """This module and all below it, each once unless `remove_duplicate` is False."""
        return (module for _, module in self.named_modules(remove_duplicate=remove_duplicate))

    def named_children(self) -> Iterator[tuple[str, Module]]:
        """The direct parts with their names; one that stands in two places comes once, by its first name."""
        seen: set[int] = set()
        for name, module in self._modules.items():
            if module is not None and id(module) not in seen:
                seen.add(id(module))
                yield name, module

    def _occupied(self) -> Iterator[tuple[str, Module]]:
        """Every name of a direct part with the part; one that stands in two places comes twice, as its entries do."""
        return ((name, module) for name, module in self._modules.items() if module is not None)

    def children(self) -> Iterator[Module]:
        """The direct parts, each once."""
        return (module for _, module in self.named_children())

    def _named(self, table: str, prefix: str, recurse: bool, duplicates: bool) -> Iterator[tuple[str, Any]]:
        seen: set[int] = set()
        walk = self.named_modules(None, prefix, not duplicates) if recurse else iter([(prefix, self)])
        for path, module in walk:
            for name, entry in getattr(module, table).items():
                if entry is not None and (duplicates or id(entry) not in seen):
                    seen.add(id(entry))
                    yield (f"{path}.{name}" if path else name), entry

    def named_parameters(
        self, prefix: str = "", recurse: bool = True, remove_duplicate: bool = True
    ) -> Iterator[tuple[str, Parameter]]:
        """All parameters with their dotted names; one that is shared comes once."""
        return self._named("_parameters", prefix, recurse, not remove_duplicate)

    def parameters(self, recurse: bool = True) -> Iterator[Parameter]:
        """All parameters; one that is shared comes once."""
        return (parameter for _, parameter in self.named_parameters(recurse=recurse))

    def named_buffers(
        self, prefix: str = "", recurse: bool = True, remove_duplicate: bool = True
    ) -> Iterator[tuple[str, Tensor]]:
        """All buffers with their dotted names."""
        return self._named("_buffers", prefix, recurse, not remove_duplicate)

    def buffers(self, recurse: bool = True) -> Iterator[Tensor]:
        """All buffers."""
        return (buffer for _, buffer in self.named_buffers(recurse=recurse))

    def get_submodule(self, target: str) -> Module:
        """The module at a dotted path; "" is this one. Raises AttributeError where there is none."""
        module: Any = self
        for name in target.split(".") if target else []:
            if name not in module._modules:
                raise AttributeError(f"{type(module).__name__} has no part {name!r} (looking for {target!r}).")
            module = module._modules[name]
        return module

    def set_submodule(self, target: str, module: Module, strict: bool = False) -> None:
        """Put a module at a dotted path; with `strict` only where there is one already.

        Raises ValueError for an empty path, AttributeError where the module that is to hold it (or, with `strict`,
        the place) is missing.

        >>> from chainrule import nn
        >>> model = nn.Sequential(nn.Sequential(nn.ReLU()))
        >>> model.set_submodule("0.0", nn.Tanh())
        >>> model.get_submodule("0.0")
        Tanh()
        """
        path, _, name = target.rpartition(".")
        if not name:
            raise ValueError(f"set_submodule needs the path of a part, got {target!r}.")
        holder = self.get_submodule(path)
        if strict:
            self.get_submodule(target)
        setattr(holder, name, module)

    def get_parameter(self, target: str) -> Parameter:
        """The parameter at a dotted name. Raises AttributeError where there is none."""
        return self._get("_parameters", "parameter", target)

    def get_buffer(self, target: str) -> Tensor:
        """The buffer at a dotted name. Raises AttributeError where there is none."""
        return self._get("_buffers", "buffer", target)

    def _get(self, table: str, what: str, target: str) -> Any:
        path, _, name = target.rpartition(".")
        module = self.get_submodule(path)
        entries = fields_of(module)[table]
        if name not in entries:
            raise AttributeError(
                f"{type(module).__name__} has no {what} {name!r} (looking for {target!r}); it has "
                f"{', '.join(entries) or 'none'}."
            )
        return entries[name]

    # ----------------------------------------------------------------------------------- printing, copying

    def extra_repr(self) -> str:
        """What distinguishes this module from others of its class, for printing."""
        return ""

    def _get_name(self) -> str:
        """What stands before the brackets when the module is printed."""
        return type(self).__name__

    def _repr_html_(self) -> str:
        """For notebooks: the parts as a tree that opens."""
        from chainrule.explain.notebook import module_html

        return module_html(self)

    def __repr__(self) -> str:
        parts = [f"({name}): " + repr(module).replace("\n", "\n  ") for name, module in self._modules.items()]
        extra, name = self.extra_repr(), self._get_name()
        if not parts and "\n" not in extra:
            return f"{name}({extra})"
        lines = "\n".join(f"  {part}" for part in extra.splitlines() + parts)
        return f"{name}(\n{lines}\n)"

    def __getstate__(self) -> dict[str, Any]:
        """What a copy gets. Results that were kept as attributes (a loss, a normalised weight) leave their history."""
        fields = {
            name: field.detach() if isinstance(field, Tensor) and not field.is_leaf else field
            for name, field in fields_of(self).items()
        }
        return {**fields, "_paths": _Paths()}  # paths are by identity, which a copy does not share

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)


def _describe(entry: Any) -> str:
    """What was given instead of a module, a parameter or a tensor, and what to do about it."""
    kind = type(entry).__name__
    if isinstance(entry, type):
        return f"the class {entry.__name__}; make one of it: {entry.__name__}(…)."
    if isinstance(entry, (list, tuple)):
        return f"a {kind}; nn.Sequential takes its layers one by one (*layers), nn.ModuleList takes a list."
    if isinstance(entry, Tensor):
        return "a plain tensor; nn.Parameter(tensor) makes a parameter of it."
    if hasattr(entry, "to_dense"):
        return (
            "a sparse tensor; keep it as an attribute (self.adjacency = A), or register its indices() and values() "
            "and put it together in forward."
        )
    if callable(entry) and not isinstance(entry, Module):
        return "a function; use the module of it (nn.ReLU() for relu), or call it in forward."
    return f"{kind}."
