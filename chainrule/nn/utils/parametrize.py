"""Parametrizations: a parameter computed from others by a module, so that it obeys a constraint at every moment.

`register_parametrization(layer, "weight", Symmetric())` makes `layer.weight` the result of `Symmetric` applied to a
new parameter, `layer.parametrizations.weight.original`, which the optimiser then trains. Whoever reads `layer.weight`
gets the constrained one; the gradient goes through the constraint by itself.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

from chainrule.autodiff.mode import no_grad
from chainrule.changes import note_change
from chainrule.errors import ShapeError
from chainrule.nn.container import ModuleDict, ModuleList
from chainrule.nn.module import Module
from chainrule.tensor import Parameter, Tensor

_cache: ContextVar[dict[tuple[int, str], Any] | None] = ContextVar("parametrizations", default=None)


@contextmanager
def cached() -> Iterator[None]:
    """Within this block every parametrized tensor is computed once: for weights that are used again and again.

    >>> from chainrule import nn
    >>> layer = nn.utils.parametrizations.weight_norm(nn.Linear(2, 2))
    >>> with cached():
    ...     layer.weight is layer.weight
    True
    """
    token = _cache.set(_cache.get() or {})
    try:
        yield
    finally:
        _cache.reset(token)


class ParametrizationList(ModuleList):
    """The parametrizations of one tensor, in the order in which they are applied, with what they are applied to.

    That is the parameter `original`; or `original0`, `original1`, … where the first one computes the tensor from
    several. Calling the list computes the tensor.
    """

    def __init__(self, modules: Sequence[Module], original: Tensor, unsafe: bool = False) -> None:
        if not modules:
            raise ValueError("a list of parametrizations has at least one.")
        super().__init__(modules)
        self.unsafe = unsafe
        source: Any = original
        with no_grad():
            for module in reversed(modules):
                if hasattr(module, "right_inverse"):
                    source = module.right_inverse(source)
        self.several = isinstance(source, (tuple, list))
        if self.several:
            self.names = [f"original{i}" for i in range(len(source))]
            for name, part in zip(self.names, source, strict=True):
                self._add(name, part.detach_copy(), original)
        else:
            self.names = ["original"]
            self._add("original", _with_value(original, source), original)
        if not unsafe:
            with no_grad():
                _check(self(), original)

    def _add(self, name: str, value: Tensor, like: Tensor) -> None:
        if not isinstance(like, Parameter):
            self.register_buffer(name, value)
            return
        parameter = value if isinstance(value, Parameter) else Parameter(value, requires_grad=like.requires_grad)
        self.register_parameter(name, parameter)

    @no_grad()
    def right_inverse(self, value: Tensor) -> None:
        """Set the originals so that the tensor becomes `value`; every parametrization needs a `right_inverse` for it.

        Raises NotImplementedError if one has none.
        """
        source: Any = value
        for module in reversed(list(self)):
            if not hasattr(module, "right_inverse"):
                raise NotImplementedError(
                    f"{type(module).__name__} has no right_inverse, so a parametrized tensor cannot be assigned to."
                )
            source = module.right_inverse(source)
        for name, part in zip(self.names, source if self.several else (source,), strict=True):
            getattr(self, name).copy_(part)

    def forward(self) -> Tensor:
        """The tensor."""
        first, *others = self
        x: Tensor = first(*[getattr(self, name) for name in self.names])
        for module in others:
            x = module(x)
        return x


def _check(result: Tensor, original: Tensor) -> None:
    if result.shape != original.shape or result.dtype != original.dtype:
        raise ShapeError(
            f"the parametrization makes {result.dtype} {tuple(result.shape)} out of {original.dtype} "
            f"{tuple(original.shape)}; if that is meant, say unsafe=True."
        )


def _with_value(original: Tensor, value: Tensor) -> Tensor:
    """The same cell with a new value where it fits, so that an optimiser that knows it goes on."""
    if value.shape == original.shape and value.dtype == original.dtype:
        with no_grad():
            original.copy_(value)
        return original
    return value.detach_copy()


def register_parametrization(
    module: Module, tensor_name: str, parametrization: Module, *, unsafe: bool = False
) -> Module:
    """Let a parameter or buffer be computed by a module from then on; the answer is `module`.

    A second one is applied to the result of the first, so the tensor changes. With a method `right_inverse` the
    parametrization says which original gives a wanted tensor: the first one is asked at the start, so the tensor stays
    what it was, and all are asked when the tensor is assigned to. Raises ValueError for
    a name that is no tensor of the module; ShapeError if shape or type would change (allowed with `unsafe`).

    >>> import chainrule
    >>> from chainrule import nn
    >>> class Symmetric(nn.Module):
    ...     def forward(self, X):
    ...         return X.triu() + X.triu(1).T
    >>> layer = register_parametrization(nn.Linear(3, 3), "weight", Symmetric())
    >>> bool((layer.weight == layer.weight.T).all()), [name for name, _ in layer.named_parameters()]
    (True, ['bias', 'parametrizations.weight.original'])
    """
    parametrization.train(module.training)
    if is_parametrized(module, tensor_name):
        known: ParametrizationList = module.parametrizations[tensor_name]
        if not unsafe:
            before = module.__getattribute__(tensor_name)
            with no_grad():
                _check(parametrization(before), before)
        known.append(parametrization)
        return module
    table = module._parameters if tensor_name in module._parameters else module._buffers
    if table.get(tensor_name) is None:
        raise ValueError(
            f"{type(module).__name__} has no parameter, buffer or parametrized tensor {tensor_name!r}; it has "
            f"{', '.join([*module._parameters, *module._buffers]) or 'none'}."
        )
    entries = ParametrizationList([parametrization], table[tensor_name], unsafe)
    del table[tensor_name]
    if not is_parametrized(module):
        _give_own_class(module)
        module.parametrizations = ModuleDict()
    _add_property(type(module), tensor_name)
    module.parametrizations[tensor_name] = entries
    return module


def _give_own_class(module: Module) -> None:
    """A subclass for this module alone, on which its parametrized tensors are properties."""
    kind = type(module)
    fields = {"__doc__": kind.__doc__, "parametrized_class": kind, "__reduce_ex__": _reduce}
    object.__setattr__(module, "__class__", type(f"Parametrized{kind.__name__}", (kind,), fields))
    note_change(module)


def _reduce(self: Any, protocol: Any) -> Any:
    """How copying and pickling take a parametrized module apart: the class is made again, for the copy alone."""
    return _with_own_class, (self.parametrized_class, list(self.parametrizations)), self.__getstate__()


def _with_own_class(kind: type, names: list[str]) -> Any:
    module: Any = object.__new__(kind)
    _give_own_class(module)
    for name in names:
        _add_property(type(module), name)
    return module


def _add_property(kind: type, name: str) -> None:
    def read(self: Any) -> Tensor:
        cache, key = _cache.get(), (id(self), name)
        if cache is None:
            return self.parametrizations[name]()
        if key not in cache:
            cache[key] = self.parametrizations[name]()
        return cache[key]

    def write(self: Any, value: Tensor) -> None:
        self.parametrizations[name].right_inverse(value)

    setattr(kind, name, property(read, write))


def is_parametrized(module: Module, tensor_name: str | None = None) -> bool:
    """Whether a module has parametrized tensors, or whether one of them is.

    >>> from chainrule import nn
    >>> is_parametrized(nn.Linear(2, 2))
    False
    """
    entries = module._modules.get("parametrizations")
    if not isinstance(entries, ModuleDict):
        return False
    return len(entries) > 0 if tensor_name is None else tensor_name in entries


def remove_parametrizations(module: Module, tensor_name: str, leave_parametrized: bool = True) -> Module:
    """Make a parametrized tensor an ordinary one again; the answer is `module`.

    It keeps the constrained value, or with `leave_parametrized=False` the original. Raises ValueError for a tensor that
    is not parametrized, or whose original is in several parts when it is to be kept.

    >>> from chainrule import nn
    >>> layer = nn.utils.parametrizations.weight_norm(nn.Linear(2, 2))
    >>> remove_parametrizations(layer, "weight")
    Linear(in_features=2, out_features=2, bias=True)
    """
    if not is_parametrized(module, tensor_name):
        raise ValueError(f"{tensor_name!r} of {type(module).__name__} is not parametrized.")
    entries: ParametrizationList = module.parametrizations[tensor_name]
    if entries.several and not leave_parametrized:
        raise ValueError(
            f"the original of {tensor_name!r} is in {len(entries.names)} parts; it cannot be left as it is."
        )
    first = getattr(entries, entries.names[0])
    value = module.__getattribute__(tensor_name).detach_copy() if leave_parametrized else first.detach_copy()
    if not entries.several:
        value = _with_value(first, value)
    del module.parametrizations[tensor_name]
    delattr(type(module), tensor_name)
    if isinstance(first, Parameter):
        kept = value if isinstance(value, Parameter) else Parameter(value, requires_grad=first.requires_grad)
        module.register_parameter(tensor_name, kept)
    else:
        module.register_buffer(tensor_name, value)
    if not is_parametrized(module):
        del module.parametrizations
        object.__setattr__(module, "__class__", type(module).parametrized_class)  # type: ignore[attr-defined]
        note_change(module)
    return module


def type_before_parametrizations(module: Module) -> type:
    """The class of a module as it was before anything of it was parametrized.

    >>> from chainrule import nn
    >>> type_before_parametrizations(nn.utils.parametrizations.weight_norm(nn.Linear(2, 2))).__name__
    'Linear'
    """
    return getattr(type(module), "parametrized_class", type(module))


def transfer_parametrizations_and_params(
    from_module: Module, to_module: Module, tensor_name: str | None = None
) -> Module:
    """Parametrize a module as another one is, with copies of the parametrizations and the same originals.

    All parametrized tensors, or one by name. The answer is `to_module`.
    """
    import copy

    if not is_parametrized(from_module):
        raise ValueError(f"{type(from_module).__name__} has no parametrized tensors to transfer.")
    names = [tensor_name] if tensor_name is not None else list(from_module.parametrizations)
    for name in names:
        entries = from_module.parametrizations[name]
        if getattr(to_module, name, None) is None:
            to_module.register_parameter(name, Parameter(from_module.__getattribute__(name).detach_copy()))
        for parametrization in entries:
            register_parametrization(to_module, name, copy.deepcopy(parametrization), unsafe=entries.unsafe)
        # The originals, and what a `right_inverse` found for the weight that was there: a base, say.
        to_module.parametrizations[name].load_state_dict(entries.state_dict())
    return to_module


__all__ = [
    "ParametrizationList",
    "cached",
    "is_parametrized",
    "register_parametrization",
    "remove_parametrizations",
    "transfer_parametrizations_and_params",
    "type_before_parametrizations",
]
