"""Lists, tuples and dictionaries of things, flat and back: PyTorch's private part that many programs import.

>>> leaves, spec = tree_flatten({"a": 1, "b": (2, [3])})
>>> leaves, tree_unflatten([10 * leaf for leaf in leaves], spec)
([1, 2, 3], {'a': 10, 'b': (20, [30])})
"""

from __future__ import annotations

from collections import OrderedDict, defaultdict, deque
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any

Leaf = Callable[[Any], bool] | None


@dataclass
class TreeSpec:
    """How a tree is built, without its leaves.

    Attributes:
        type: the container's type; None for a leaf.
        context: what else it takes to build it: keys, a factory, a length.
        children_specs: of its parts, in order.
    """

    type: Any = None
    context: Any = None
    children_specs: list[TreeSpec] = field(default_factory=list)

    @property
    def num_leaves(self) -> int:
        """How many leaves the tree has."""
        return 1 if self.type is None else sum(child.num_leaves for child in self.children_specs)

    def is_leaf(self) -> bool:
        """Whether the tree is a single leaf."""
        return self.type is None


def _parts(tree: Any) -> tuple[list[Any], Any] | None:
    """A container's parts and its context; None for what is a leaf."""
    kind = type(tree)
    if kind in (dict, OrderedDict):
        return list(tree.values()), list(tree)
    if kind is defaultdict:
        return list(tree.values()), (tree.default_factory, list(tree))
    if kind is deque:
        return list(tree), tree.maxlen
    if kind in (list, tuple) or (isinstance(tree, tuple) and hasattr(tree, "_fields")):
        return list(tree), None
    return None


def _build(spec: TreeSpec, parts: list[Any]) -> Any:
    kind, context = spec.type, spec.context
    if kind in (dict, OrderedDict):
        return kind(zip(context, parts, strict=True))
    if kind is defaultdict:
        return defaultdict(context[0], zip(context[1], parts, strict=True))
    if kind is deque:
        return deque(parts, maxlen=context)
    return kind(*parts) if hasattr(kind, "_fields") else kind(parts)


def tree_flatten(tree: Any, is_leaf: Leaf = None) -> tuple[list[Any], TreeSpec]:
    """The leaves of a tree in order, and what `tree_unflatten` builds it from. None is a leaf."""
    found = None if is_leaf is not None and is_leaf(tree) else _parts(tree)
    if found is None:
        return [tree], TreeSpec()
    leaves: list[Any] = []
    specs = []
    for part in found[0]:
        below, spec = tree_flatten(part, is_leaf)
        leaves += below
        specs.append(spec)
    return leaves, TreeSpec(type(tree), found[1], specs)


def tree_unflatten(leaves: Iterable[Any], treespec: TreeSpec) -> Any:
    """The tree with these leaves. Raises ValueError unless there are as many as it needs."""
    leaves = list(leaves)
    if len(leaves) != treespec.num_leaves:
        raise ValueError(f"the tree has {treespec.num_leaves} leaves, got {len(leaves)}.")
    return _filled(treespec, iter(leaves))


def _filled(spec: TreeSpec, leaves: Iterator[Any]) -> Any:
    if spec.type is None:
        return next(leaves)
    return _build(spec, [_filled(child, leaves) for child in spec.children_specs])


def tree_leaves(tree: Any, is_leaf: Leaf = None) -> list[Any]:
    """The leaves of a tree in order."""
    return tree_flatten(tree, is_leaf)[0]


def tree_structure(tree: Any, is_leaf: Leaf = None) -> TreeSpec:
    """How a tree is built."""
    return tree_flatten(tree, is_leaf)[1]


def tree_map(func: Callable[..., Any], tree: Any, *rests: Any, is_leaf: Leaf = None) -> Any:
    """The tree with `func` of each leaf, and of the leaves at the same places in the other trees.

    >>> tree_map(lambda a, b: a + b, {"x": [1, 2]}, {"x": [10, 20]})
    {'x': [11, 22]}
    """
    leaves, spec = tree_flatten(tree, is_leaf)
    others = [tree_flatten(rest, is_leaf) for rest in rests]
    if any(other != spec for _, other in others):
        raise ValueError("tree_map: the trees are not built alike.")
    return tree_unflatten(map(func, leaves, *(found for found, _ in others)), spec)


def tree_map_only(kind: Any, func: Callable[[Any], Any], tree: Any, is_leaf: Leaf = None) -> Any:
    """The tree with `func` of each leaf of a type, or of one of several in a tuple; the others stay."""
    return tree_map(lambda leaf: func(leaf) if isinstance(leaf, kind) else leaf, tree, is_leaf=is_leaf)


def tree_all(pred: Callable[[Any], bool], tree: Any, is_leaf: Leaf = None) -> bool:
    """Whether a condition holds for all leaves."""
    return all(map(pred, tree_leaves(tree, is_leaf)))


def tree_any(pred: Callable[[Any], bool], tree: Any, is_leaf: Leaf = None) -> bool:
    """Whether a condition holds for some leaf."""
    return any(map(pred, tree_leaves(tree, is_leaf)))
