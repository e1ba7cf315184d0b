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
from chainrule.functions.pieces import cat
from chainrule.nn.module import Module
from chainrule.nn.utils.before_forward import WeightRule, parameter_of, rules_of, stop_computing
from chainrule.random import rand
from chainrule.tensor import Tensor

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


def _check_amount(amount: float) -> None:
    """Raise ValueError for what is neither a share in [0, 1] (a float) nor a number of entries (an int)."""
    most = 1 if isinstance(amount, float) else math.inf
    if isinstance(amount, bool) or not isinstance(amount, (int, float)) or not 0 <= amount <= most:
        raise ValueError(f"amount is a share in [0, 1] or a number of entries, got {amount!r}.")


def _count(amount: float, size: int) -> int:
    """How many of `size` are meant. Raises ValueError for a number above `size`."""
    if isinstance(amount, float):
        return round(amount * size)
    if amount > size:
        raise ValueError(f"amount: {amount} cannot be pruned of {size}.")
    return amount


class BasePruningMethod(WeightRule):
    """A rule that says what is pruned; a subclass has `compute_mask`.

    PRUNING_TYPE: "unstructured" (single entries), "structured" (whole channels along `dim`) or "global"; it says what
    of a pruned tensor a rule sees when it comes as the second one: the entries, or the channels, that are left.

    >>> from chainrule import nn, tensor
    >>> class Negative(BasePruningMethod):
    ...     def compute_mask(self, t, default_mask):
    ...         return default_mask * (t >= 0)
    >>> Negative().prune(tensor([1.0, -2.0, 3.0]))
    tensor([1., -0., 3.])
    >>> rule = Negative.apply(nn.Linear(2, 2), "weight")
    """

    PRUNING_TYPE = "unstructured"
    name = ""  # of the parameter: known when the rule is applied to one

    def __init__(self) -> None:
        super().__init__("")

    @property
    def _tensor_name(self) -> str:
        """PyTorch's word for `name`, by which programs find a rule among a module's hooks."""
        return self.name

    def compute_mask(self, t: Tensor, default_mask: Tensor) -> Tensor:
        """The mask, 0 where an entry is pruned, for what is important in `t`; `default_mask` is the mask of before."""
        raise NotImplementedError(f"{type(self).__name__} must define compute_mask(t, default_mask).")

    def __call__(self, module: Module, args: Any = ()) -> None:
        """Before a forward: the masked parameter under its name."""
        setattr(module, self.name, self.apply_mask(module))

    def apply_mask(self, module: Module) -> Tensor:
        """The parameter times its mask."""
        original = getattr(module, f"{self.name}_orig")
        return getattr(module, f"{self.name}_mask").to(original.dtype) * original

    def prune(self, t: Tensor, default_mask: Tensor | None = None, importance_scores: Tensor | None = None) -> Tensor:
        """A pruned version of a tensor that is no parameter of a module."""
        mask = ones_like(t) if default_mask is None else default_mask
        return t * self.compute_mask(t if importance_scores is None else importance_scores, mask)

    @classmethod
    def apply(
        cls, module: Module, name: str, *args: Any, importance_scores: Tensor | None = None, **kwargs: Any
    ) -> BasePruningMethod:
        """Prune a parameter of a module by this rule; args and kwargs are the rule's. The answer is the rule.

        If the parameter is pruned already it is a `PruningContainer` of the rules of before and this one.

        Raises ValueError, and leaves the module as it is, for a name that is no parameter, scores in another shape, or
        what the rule cannot take.
        """
        earlier = rules_of(module, BasePruningMethod).get(name)
        rule: BasePruningMethod = cls(*args, **kwargs)
        rule.name = name
        if earlier is None:
            parameter = parameter_of(module, name)
            mask = ones_like(parameter.detach())
        else:
            rule = PruningContainer(earlier, rule)
            parameter, mask = parameter_of(module, f"{name}_orig"), getattr(module, f"{name}_mask")
        scores = parameter.detach() * mask if importance_scores is None else importance_scores
        if scores.shape != parameter.shape:
            raise ValueError(f"importance_scores {tuple(scores.shape)} for a parameter {tuple(parameter.shape)}.")
        mask = rule.compute_mask(scores, mask)
        if earlier is None:
            delattr(module, name)
            module.register_parameter(f"{name}_orig", parameter)
        else:
            stop_computing(module, BasePruningMethod, name, "pruning")
        module.register_buffer(f"{name}_mask", mask)
        rule(module)
        module.register_forward_pre_hook(rule)
        return rule

    def remove(self, module: Module) -> None:
        """Make the masked parameter an ordinary one, as it is now. Raises ValueError if it is not pruned."""
        remove(module, self.name)


class PruningContainer(BasePruningMethod):
    """Several rules, one after the other, for one parameter; each sees what those before it have left.

    Raises TypeError for what is no rule, ValueError for rules of different parameters.

    >>> from chainrule import nn
    >>> layer = nn.Linear(4, 4)
    >>> first, both = L1Unstructured.apply(layer, "weight", 8), LnStructured.apply(layer, "weight", 1, n=1)
    >>> [type(rule).__name__ for rule in both]
    ['L1Unstructured', 'LnStructured']
    """

    def __init__(self, *args: BasePruningMethod) -> None:
        super().__init__()
        self._pruning_methods: tuple[BasePruningMethod, ...] = ()
        for method in args:
            self.add_pruning_method(method)

    def add_pruning_method(self, method: BasePruningMethod) -> None:
        """One more rule, for the same parameter. Raises TypeError for what is none, ValueError for another's."""
        if not isinstance(method, BasePruningMethod):
            raise TypeError(f"a pruning method is expected, got {type(method).__name__}.")
        if self._pruning_methods and method.name != self.name:
            raise ValueError(f"rules for {self.name!r} and {method.name!r} cannot be one.")
        self.name = method.name
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
    """Nothing is pruned; the parameter gets its mask of ones.

    >>> from chainrule import ones
    >>> Identity().compute_mask(ones(3), ones(3))
    tensor([1., 1., 1.])
    """

    def compute_mask(self, t: Tensor, default_mask: Tensor) -> Tensor:
        """The mask of before."""
        return default_mask


class _Smallest(BasePruningMethod):
    """What has the smallest scores: a share of it, or a number."""

    def __init__(self, amount: float) -> None:
        super().__init__()
        _check_amount(amount)
        self.amount = amount

    def scores(self, t: Tensor) -> Tensor:
        """How important each entry is, or each channel."""
        raise NotImplementedError(f"{type(self).__name__} must define scores(t).")

    def kept(self, t: Tensor) -> Tensor:
        """In the shape of the scores: 0 at the smallest, else 1."""
        scores = self.scores(t)
        kept = ones_like(scores.reshape(-1))
        kept[scores.reshape(-1).argsort()[: _count(self.amount, scores.numel())]] = 0
        return kept.reshape(tuple(scores.shape))

    def compute_mask(self, t: Tensor, default_mask: Tensor) -> Tensor:
        """0 at the entries with the smallest scores."""
        return default_mask * self.kept(t).to(default_mask.dtype)


class RandomUnstructured(_Smallest):
    """Entries by chance: a share of them, or a number. Raises ValueError for another amount.

    >>> from chainrule import ones
    >>> RandomUnstructured(amount=0.25).prune(ones(8)).sum()
    tensor(6.)
    """

    def scores(self, t: Tensor) -> Tensor:
        """Numbers by chance."""
        return rand(*t.shape, device=t.device)


class L1Unstructured(_Smallest):
    """The entries of the smallest size: a share of them, or a number. Raises ValueError for another amount.

    >>> from chainrule import tensor
    >>> L1Unstructured(amount=2).prune(tensor([3.0, -1.0, 2.0, -4.0]))
    tensor([ 3., -0., 0., -4.])
    """

    def scores(self, t: Tensor) -> Tensor:
        """The size of each entry."""
        return t.abs()


class _Structured(_Smallest):
    """Whole channels along a dimension, those with the smallest scores."""

    PRUNING_TYPE = "structured"

    def __init__(self, amount: float, dim: int = -1) -> None:
        super().__init__(amount)
        self.dim = dim

    def compute_mask(self, t: Tensor, default_mask: Tensor) -> Tensor:
        """0 at all entries of the channels with the smallest scores. Raises ValueError for a vector."""
        if t.ndim < 2:
            raise ValueError(f"whole channels are pruned of tensors with two dimensions or more, got {tuple(t.shape)}.")
        shape = [1] * t.ndim
        shape[self.dim % t.ndim] = -1
        return default_mask * self.kept(t).reshape(shape).to(default_mask.dtype)


class RandomStructured(_Structured):
    """Channels by chance: a share of them, or a number. Raises ValueError for another amount.

    >>> from chainrule import ones
    >>> RandomStructured(amount=1, dim=0).prune(ones(4, 2)).sum(0)
    tensor([3., 3.])
    """

    def scores(self, t: Tensor) -> Tensor:
        """(channels,): numbers by chance."""
        return rand(t.shape[self.dim % t.ndim], device=t.device)


class LnStructured(_Structured):
    """The channels with the smallest n-norm: a share of them, or a number. Raises ValueError for another amount.

    >>> from chainrule import tensor
    >>> LnStructured(amount=1, n=2, dim=1).prune(tensor([[3.0, 1.0], [4.0, 5.0]]))
    tensor([[0., 1.],
            [0., 5.]])
    """

    def __init__(self, amount: float, n: float | str, dim: int = -1) -> None:
        super().__init__(amount, dim)
        self.n = n

    def scores(self, t: Tensor) -> Tensor:
        """(channels,): the n-norm of each."""
        others = tuple(axis for axis in range(t.ndim) if axis != self.dim % t.ndim)
        return t.norm(math.inf if self.n == "inf" else self.n, others)


class CustomFromMask(BasePruningMethod):
    """What a given mask says. Raises ValueError if the tensor has another shape.

    >>> from chainrule import tensor
    >>> CustomFromMask(tensor([1, 0, 1])).prune(tensor([1.0, 2.0, 3.0]))
    tensor([1., 0., 3.])
    """

    PRUNING_TYPE = "global"

    def __init__(self, mask: Tensor) -> None:
        super().__init__()
        self.mask = mask

    def compute_mask(self, t: Tensor, default_mask: Tensor) -> Tensor:
        """The mask of before where the given one is not 0."""
        if self.mask.shape != default_mask.shape:
            raise ValueError(f"the mask has shape {tuple(self.mask.shape)}, the tensor {tuple(default_mask.shape)}.")
        return default_mask * self.mask.to(default_mask.dtype)


def identity(module: Module, name: str) -> Module:
    """Give a parameter a mask of ones; the answer is `module`. Raises ValueError for a name that is no parameter.

    >>> from chainrule import nn
    >>> sorted(identity(nn.Linear(2, 2), "weight").state_dict())
    ['bias', 'weight_mask', 'weight_orig']
    """
    Identity.apply(module, name)
    return module


def random_unstructured(module: Module, name: str, amount: float) -> Module:
    """Prune entries by chance: a share of those that are left (a float), or a number; the answer is `module`.

    Raises ValueError for a name that is no parameter, or an amount that there is not.

    >>> from chainrule import nn
    >>> layer = random_unstructured(nn.Linear(4, 4), "weight", amount=5)
    >>> int((layer.weight == 0).sum()), sorted(name for name, _ in layer.named_parameters())
    (5, ['bias', 'weight_orig'])
    """
    RandomUnstructured.apply(module, name, amount=amount)
    return module


def l1_unstructured(module: Module, name: str, amount: float, importance_scores: Tensor | None = None) -> Module:
    """Prune the smallest entries: a share of those that are left (a float), or a number; the answer is `module`.

    importance_scores: prune where these are smallest instead. Raises ValueError for a name that is no parameter, an
    amount that there is not, or scores in another shape.

    >>> import chainrule
    >>> layer = chainrule.nn.Linear(2, 1)
    >>> layer.weight.data[:] = chainrule.tensor([[0.5, -2.0]])
    >>> l1_unstructured(layer, "weight", amount=1).weight_mask
    tensor([[0., 1.]])
    """
    L1Unstructured.apply(module, name, amount=amount, importance_scores=importance_scores)
    return module


def random_structured(module: Module, name: str, amount: float, dim: int) -> Module:
    """Prune whole channels along `dim` by chance: a share, or a number; the answer is `module`.

    Raises ValueError for a name that is no parameter, a vector, or an amount that there is not.

    >>> from chainrule import nn
    >>> layer = random_structured(nn.Linear(4, 2), "weight", amount=0.5, dim=1)
    >>> (layer.weight == 0).sum(1)
    tensor([2, 2])
    """
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
    """Prune the channels along `dim` with the smallest n-norm: a share, or a number; the answer is `module`.

    importance_scores: the norms are these numbers' instead. Raises ValueError for a name that is no parameter, a
    vector, an amount that there is not, or scores in another shape.

    >>> from chainrule import nn
    >>> layer = ln_structured(nn.Linear(4, 2), "weight", amount=1, n=2, dim=0)
    >>> int((layer.weight == 0).sum())
    4
    """
    LnStructured.apply(module, name, amount=amount, n=n, dim=dim, importance_scores=importance_scores)
    return module


def custom_from_mask(module: Module, name: str, mask: Tensor) -> Module:
    """Prune where a mask is 0; the answer is `module`.

    Raises ValueError for a name that is no parameter, or a mask in another shape.

    >>> from chainrule import nn, tensor
    >>> layer = custom_from_mask(nn.Linear(2, 3), "bias", tensor([1, 0, 1]))
    >>> float(layer.bias[1])
    0.0
    """
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
    kwargs are the rule's. Raises TypeError for what is no rule for single entries, ValueError for an amount that there
    is not.

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
    mask = PruningContainer(pruning_method(**kwargs)).compute_mask(cat(scores), cat(masks))
    start = 0
    for module, name in pairs:
        parameter = getattr(module, name)
        custom_from_mask(module, name, mask[start : start + parameter.numel()].reshape(tuple(parameter.shape)))
        start += parameter.numel()


def remove(module: Module, name: str) -> Module:
    """Make a pruned parameter an ordinary one, with its zeros; the answer is `module`.

    Raises ValueError, and leaves the module as it is, if it is not pruned.

    >>> from chainrule import nn
    >>> layer = remove(l1_unstructured(nn.Linear(2, 2), "weight", amount=2), "weight")
    >>> int((layer.weight == 0).sum()), is_pruned(layer)
    (2, False)
    """
    rule = stop_computing(module, BasePruningMethod, name, "pruning")
    parameter, value = parameter_of(module, f"{name}_orig"), rule.apply_mask(module).detach_copy()
    for ending in ("", "_orig", "_mask"):
        delattr(module, name + ending)
    parameter.data = value
    module.register_parameter(name, parameter)
    return module


def is_pruned(module: Module) -> bool:
    """Whether a parameter of the module, or of one below it, is pruned.

    >>> from chainrule import nn
    >>> layer = nn.Linear(2, 2)
    >>> is_pruned(layer), is_pruned(nn.Sequential(identity(layer, "weight")))
    (False, True)
    """
    return any(rules_of(part, BasePruningMethod) for part in module.modules())
