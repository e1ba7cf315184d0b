"""Pruning: entries of a parameter held at 0 by a mask, under PyTorch's names.

The parameter becomes `weight_orig`, the mask a buffer `weight_mask`, and before every forward `weight` is their
product; so what is masked gets no gradient. Pruned again, an entry that is masked stays so. `remove` makes the product
a parameter and forgets the rest.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Any

from chainrule.functions.creation import ones_like
from chainrule.functions.shape import cat
from chainrule.nn.module import Module
from chainrule.random import rand, randperm
from chainrule.tensor import Parameter, Tensor

__all__ = [
    "BasePruningMethod",
    "CustomFromMask",
    "Identity",
    "L1Unstructured",
    "LnStructured",
    "PruningContainer",
    "RandomStructured",
    "RandomUnstructured",
    "custom_from_mask",
    "global_unstructured",
    "identity",
    "is_pruned",
    "l1_unstructured",
    "ln_structured",
    "random_structured",
    "random_unstructured",
    "remove",
]


def _count(amount: float, size: int) -> int:
    """How many of `size` are meant: a share in [0, 1], or a number. Raises ValueError for other amounts."""
    if isinstance(amount, bool) or not isinstance(amount, (int, float)) or amount < 0:
        raise ValueError(f"amount is a share in [0, 1] or a number of entries, got {amount!r}.")
    if isinstance(amount, float):
        if amount > 1:
            raise ValueError(f"amount is a share in [0, 1] or a number of entries, got {amount}.")
        return round(amount * size)
    if amount > size:
        raise ValueError(f"amount: {amount} cannot be pruned of {size}.")
    return amount


class BasePruningMethod:
    """A rule that says what is pruned; a subclass has `compute_mask`.

    PRUNING_TYPE: "unstructured" (single entries), "structured" (whole channels along `dim`) or "global"; it says what
    of a pruned tensor a rule sees when it comes as the second one: the entries, or the channels, that are left.
    """

    PRUNING_TYPE = "unstructured"
    _tensor_name: str

    def compute_mask(self, t: Tensor, default_mask: Tensor) -> Tensor:
        """The mask, 0 where an entry is pruned, for what is important in `t`; `default_mask` is the mask of before."""
        raise NotImplementedError(f"{type(self).__name__} must define compute_mask(t, default_mask).")

    def __call__(self, module: Module, inputs: Any = ()) -> None:
        """Before a forward: the masked parameter under its name."""
        setattr(module, self._tensor_name, self.apply_mask(module))

    def apply_mask(self, module: Module) -> Tensor:
        """The parameter times its mask."""
        original = getattr(module, f"{self._tensor_name}_orig")
        return getattr(module, f"{self._tensor_name}_mask").to(original.dtype) * original

    def prune(self, t: Tensor, default_mask: Tensor | None = None, importance_scores: Tensor | None = None) -> Tensor:
        """A pruned version of a tensor that is no parameter of a module."""
        mask = ones_like(t) if default_mask is None else default_mask
        return t * self.compute_mask(t if importance_scores is None else importance_scores, mask)

    @classmethod
    def apply(
        cls, module: Module, name: str, *args: Any, importance_scores: Tensor | None = None, **kwargs: Any
    ) -> BasePruningMethod:
        """Prune a parameter of a module by this rule; args and kwargs are the rule's. The answer is the rule."""
        earlier = _methods(module).get(name)
        method = cls(*args, **kwargs)
        method._tensor_name = name
        if earlier is None:
            parameter = module._parameters.get(name)
            if parameter is None:
                known = ", ".join(module._parameters)
                raise ValueError(f"{type(module).__name__} has no parameter {name!r}; it has {known}.")
            _check_scores(importance_scores, parameter)
            scores = parameter.detach() if importance_scores is None else importance_scores
            mask = method.compute_mask(scores, ones_like(parameter.detach()))
            delattr(module, name)
            module.register_parameter(f"{name}_orig", parameter)
        else:
            container = PruningContainer(earlier[0])
            container.add_pruning_method(method)
            before = getattr(module, f"{name}_mask")
            original = getattr(module, f"{name}_orig").detach()
            _check_scores(importance_scores, original)
            scores = original * before if importance_scores is None else importance_scores
            mask = container.compute_mask(scores, before)
            earlier[1].remove()
            method = container
        module.register_buffer(f"{name}_mask", mask)
        method(module)
        _methods(module)[name] = method, module.register_forward_pre_hook(method)
        return method

    def remove(self, module: Module) -> None:
        """Make the masked parameter an ordinary one, which stays as it is now."""
        name = self._tensor_name
        original = getattr(module, f"{name}_orig")
        value = self.apply_mask(module).detach_copy()
        for ending in ("", "_orig", "_mask"):
            delattr(module, name + ending)
        original.data = value
        module.register_parameter(name, original if isinstance(original, Parameter) else Parameter(value))
        _methods(module).pop(name)[1].remove()


def _methods(module: Module) -> dict[str, tuple[BasePruningMethod, Any]]:
    """The rules at work in a module, with the handle of their hook, by the parameter's name."""
    return module.__dict__.setdefault("_pruning", {})


def _check_scores(scores: Tensor | None, parameter: Tensor) -> None:
    if scores is not None and scores.shape != parameter.shape:
        raise ValueError(f"importance_scores {tuple(scores.shape)} for a parameter {tuple(parameter.shape)}.")


class PruningContainer(BasePruningMethod):
    """Several rules, one after the other, for one parameter; each sees what those before it have left."""

    def __init__(self, *args: BasePruningMethod) -> None:
        self._pruning_methods: tuple[BasePruningMethod, ...] = ()
        for method in args:
            self.add_pruning_method(method)

    def add_pruning_method(self, method: BasePruningMethod) -> None:
        """One more rule, for the same parameter."""
        if not isinstance(method, BasePruningMethod):
            raise TypeError(f"a pruning method is expected, got {type(method).__name__}.")
        if self._pruning_methods and method._tensor_name != self._tensor_name:
            raise ValueError(f"rules for {self._tensor_name!r} and {method._tensor_name!r} cannot be one.")
        self._tensor_name = method._tensor_name
        parts = method._pruning_methods if isinstance(method, PruningContainer) else (method,)
        self._pruning_methods += tuple(parts)

    def __len__(self) -> int:
        return len(self._pruning_methods)

    def __iter__(self) -> Any:
        return iter(self._pruning_methods)

    def __getitem__(self, index: int) -> BasePruningMethod:
        return self._pruning_methods[index]

    def compute_mask(self, t: Tensor, default_mask: Tensor) -> Tensor:
        """What the last rule leaves of what the others have left."""
        method, mask = self._pruning_methods[-1], default_mask.clone()
        if method.PRUNING_TYPE == "unstructured":
            left: Any = mask == 1
        elif method.PRUNING_TYPE == "global":
            left = ...
        else:
            dim = getattr(method, "dim", -1) % t.ndim
            kept = mask.sum(tuple(axis for axis in range(t.ndim) if axis != dim)) != 0
            left = (slice(None),) * dim + (kept,)
        mask[left] = method.compute_mask(t[left], mask[left]).to(mask.dtype)
        return mask


class Identity(BasePruningMethod):
    """Nothing is pruned; the parameter gets its mask of ones."""

    def compute_mask(self, t: Tensor, default_mask: Tensor) -> Tensor:
        """The mask of before."""
        return default_mask


class RandomUnstructured(BasePruningMethod):
    """Entries by chance: a share of them, or a number."""

    def __init__(self, amount: float) -> None:
        _count(amount, 2**62)
        self.amount = amount

    def compute_mask(self, t: Tensor, default_mask: Tensor) -> Tensor:
        """0 at entries drawn by chance."""
        mask = default_mask.clone()
        mask.reshape(-1)[randperm(t.numel())[: _count(self.amount, t.numel())]] = 0
        return mask


class L1Unstructured(BasePruningMethod):
    """The entries of the smallest size: a share of them, or a number."""

    def __init__(self, amount: float) -> None:
        _count(amount, 2**62)
        self.amount = amount

    def compute_mask(self, t: Tensor, default_mask: Tensor) -> Tensor:
        """0 at the entries with the smallest |t|."""
        mask = default_mask.clone()
        mask.reshape(-1)[t.abs().reshape(-1).argsort()[: _count(self.amount, t.numel())]] = 0
        return mask


class _Structured(BasePruningMethod):
    """Whole channels along a dimension, those with the smallest scores."""

    PRUNING_TYPE = "structured"

    def __init__(self, amount: float, dim: int = -1) -> None:
        _count(amount, 2**62)
        self.amount, self.dim = amount, dim

    def scores(self, t: Tensor) -> Tensor:
        """(channels,): how important each is."""
        raise NotImplementedError

    def compute_mask(self, t: Tensor, default_mask: Tensor) -> Tensor:
        """0 at all entries of the channels with the smallest scores."""
        if t.ndim < 2:
            raise ValueError(f"whole channels are pruned of tensors with two dimensions or more, got {tuple(t.shape)}.")
        dim, scores = self.dim % t.ndim, self.scores(t)
        kept = ones_like(scores)
        kept[scores.argsort()[: _count(self.amount, t.shape[dim])]] = 0
        shape = [1] * t.ndim
        shape[dim] = -1
        return default_mask * kept.reshape(shape).to(default_mask.dtype)


class RandomStructured(_Structured):
    """Channels by chance: a share of them, or a number."""

    def scores(self, t: Tensor) -> Tensor:
        """Numbers by chance."""
        return rand(t.shape[self.dim % t.ndim])


class LnStructured(_Structured):
    """The channels with the smallest n-norm: a share of them, or a number."""

    def __init__(self, amount: float, n: float | str, dim: int = -1) -> None:
        super().__init__(amount, dim)
        self.n = n

    def scores(self, t: Tensor) -> Tensor:
        """The n-norm of each channel."""
        others = tuple(axis for axis in range(t.ndim) if axis != self.dim % t.ndim)
        return t.norm(math.inf if self.n == "inf" else self.n, others)


class CustomFromMask(BasePruningMethod):
    """What a given mask says."""

    PRUNING_TYPE = "global"

    def __init__(self, mask: Tensor) -> None:
        self.mask = mask

    def compute_mask(self, t: Tensor, default_mask: Tensor) -> Tensor:
        """The mask of before where the given one is not 0."""
        if self.mask.shape != default_mask.shape:
            raise ValueError(f"the mask has shape {tuple(self.mask.shape)}, the tensor {tuple(default_mask.shape)}.")
        return default_mask * self.mask.to(default_mask.dtype)


def identity(module: Module, name: str) -> Module:
    """Give a parameter a mask of ones; the answer is `module`."""
    Identity.apply(module, name)
    return module


def random_unstructured(module: Module, name: str, amount: float) -> Module:
    """Prune entries by chance: a share of those that are left (a float), or a number; the answer is `module`.

    >>> from chainrule import nn
    >>> layer = random_unstructured(nn.Linear(4, 4), "weight", amount=5)
    >>> int((layer.weight == 0).sum()), sorted(name for name, _ in layer.named_parameters())
    (5, ['bias', 'weight_orig'])
    """
    RandomUnstructured.apply(module, name, amount=amount)
    return module


def l1_unstructured(module: Module, name: str, amount: float, importance_scores: Tensor | None = None) -> Module:
    """Prune the smallest entries: a share of those that are left (a float), or a number; the answer is `module`.

    importance_scores: prune where these are smallest instead.
    """
    L1Unstructured.apply(module, name, amount=amount, importance_scores=importance_scores)
    return module


def random_structured(module: Module, name: str, amount: float, dim: int) -> Module:
    """Prune whole channels along `dim` by chance; the answer is `module`."""
    RandomStructured.apply(module, name, amount=amount, dim=dim)
    return module


def ln_structured(
    module: Module,
    name: str,
    amount: float,
    n: float | str,
    dim: int,
    importance_scores: Tensor | None = None,
) -> Module:
    """Prune the channels along `dim` with the smallest n-norm; the answer is `module`."""
    LnStructured.apply(module, name, amount=amount, n=n, dim=dim, importance_scores=importance_scores)
    return module


def custom_from_mask(module: Module, name: str, mask: Tensor) -> Module:
    """Prune where a mask is 0; the answer is `module`."""
    CustomFromMask.apply(module, name, mask=mask)
    return module


def global_unstructured(
    parameters: Iterable[tuple[Module, str]],
    pruning_method: type[BasePruningMethod],
    importance_scores: dict[tuple[Module, str], Tensor] | None = None,
    **kwargs: Any,
) -> None:
    """Prune the entries of several parameters as if they were one: the smallest of all, wherever they are.

    parameters: (module, name) pairs. importance_scores: for some of the pairs, what is compared instead of the entries.

    >>> from chainrule import nn
    >>> model = nn.Sequential(nn.Linear(3, 3), nn.Linear(3, 1))
    >>> global_unstructured([(model[0], "weight"), (model[1], "weight")], L1Unstructured, amount=0.25)
    >>> sum(int((layer.weight == 0).sum()) for layer in model)
    3
    """
    pairs, given = list(parameters), importance_scores or {}
    if not (isinstance(pruning_method, type) and issubclass(pruning_method, BasePruningMethod)):
        raise TypeError(f"pruning_method is a class such as L1Unstructured, got {pruning_method!r}.")
    if pruning_method.PRUNING_TYPE != "unstructured":
        raise TypeError(f"several parameters are pruned entry by entry; {pruning_method.__name__} is for channels.")
    scores = [given.get((module, name), getattr(module, name)).detach().reshape(-1) for module, name in pairs]
    masks = [
        getattr(module, f"{name}_mask", ones_like(getattr(module, name).detach())).reshape(-1) for module, name in pairs
    ]
    container, method = PruningContainer(), pruning_method(**kwargs)
    method._tensor_name = "all"
    container.add_pruning_method(method)
    mask = container.compute_mask(cat(scores), cat(masks))
    start = 0
    for module, name in pairs:
        parameter = getattr(module, name)
        custom_from_mask(module, name, mask[start : start + parameter.numel()].reshape(tuple(parameter.shape)))
        start += parameter.numel()


def remove(module: Module, name: str) -> Module:
    """Make a pruned parameter an ordinary one, with its zeros; the answer is `module`. ValueError if it is not pruned.

    >>> from chainrule import nn
    >>> layer = remove(l1_unstructured(nn.Linear(2, 2), "weight", amount=2), "weight")
    >>> int((layer.weight == 0).sum()), is_pruned(layer)
    (2, False)
    """
    found = _methods(module).get(name)
    if found is None:
        raise ValueError(f"{name!r} of {type(module).__name__} is not pruned.")
    found[0].remove(module)
    return module


def is_pruned(module: Module) -> bool:
    """Whether a parameter of the module, or of one below it, is pruned."""
    return any(part.__dict__.get("_pruning") for part in module.modules())
