"""From a tensor to a sparse one. `chainrule.sparse` is loaded when that is first asked for."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

from chainrule.functions.words import teach


def _sparse(name: str) -> Callable[..., Any]:
    """A function of `chainrule.sparse` as a method; that part is loaded when it is first used."""

    def method(self: Any, *args: Any, **kwargs: Any) -> Any:
        from chainrule.sparse import making

        return getattr(making, name)(self, *args, **kwargs)

    method.__name__, method.__doc__ = name, f"See `sparse.making.{name}`."
    return method


@functools.partial(teach, out=False)
class SparseMethods:
    """`x.to_sparse()` and its like."""

    to_sparse, to_sparse_coo, to_sparse_csr = (
        _sparse(name) for name in ("to_sparse", "to_sparse_coo", "to_sparse_csr")
    )
    sparse_mask = _sparse("sparse_mask")

    def to_dense(self: Any, dtype: Any = None, *, masked_grad: bool | None = None) -> Any:
        """The tensor itself: it is dense."""
        return self if dtype is None else self.to(dtype)
