"""PyTorch's mixed precision, as scripts write it. Here it changes nothing: a CPU gains no time from 16-bit numbers.

`autocast` computes in the types that the tensors have, so results are more exact than asked for, and `GradScaler`
has nothing to scale, as PyTorch's where there is no GPU.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any, Self

from chainrule.devices import Device
from chainrule.dtypes import as_dtype

__path__: list[str] = []  # to Python it has modules below it, as PyTorch's has: see places.py
__all__ = ["GradScaler", "autocast"]


class autocast:  # noqa: N801 (PyTorch's name, which is used as a function)
    """Do nothing, around a forward pass: everything is computed in the types that the tensors have.

    It is a context and a decorator. `device_type` may be "cuda" too: PyTorch then warns and does nothing either.

    >>> import chainrule
    >>> with chainrule.autocast("cpu", dtype=chainrule.bfloat16):
    ...     print((chainrule.ones(2) @ chainrule.ones(2)).dtype)
    chainrule.float32
    """

    def __init__(
        self, device_type: Any = "cpu", dtype: Any = None, enabled: bool = True, cache_enabled: bool | None = None
    ) -> None:
        if not isinstance(device_type, str | Device | bool):
            raise TypeError(f'autocast: the first argument is a kind of device such as "cpu", got {device_type!r}.')
        self.dtype = None if dtype is None else as_dtype(dtype)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        pass

    def __call__(self, function: Callable[..., Any]) -> Callable[..., Any]:
        """As a decorator: the function itself."""

        @functools.wraps(function)
        def run(*args: Any, **kwargs: Any) -> Any:
            with self:
                return function(*args, **kwargs)

        return run


class GradScaler:
    """Scale no loss: gradients here are as wide as their parameters. It is always disabled, and steps the optimiser.

    >>> import chainrule
    >>> p = chainrule.nn.Parameter(chainrule.ones(1))
    >>> optimizer, scaler = chainrule.optim.SGD([p], lr=0.5), chainrule.amp.GradScaler()
    >>> scaler.scale(p.sum()).backward(); scaler.step(optimizer); scaler.update()
    >>> p.item(), scaler.is_enabled()
    (0.5, False)
    """

    def __init__(
        self,
        device: Any = "cpu",
        init_scale: float = 65536.0,
        growth_factor: float = 2.0,
        backoff_factor: float = 0.5,
        growth_interval: int = 2000,
        enabled: bool = True,
    ) -> None:
        pass

    def scale(self, outputs: Any) -> Any:
        """The losses themselves."""
        return outputs

    def unscale_(self, optimizer: Any) -> None:
        """Nothing: the gradients are what they are."""

    def step(self, optimizer: Any, *args: Any, **kwargs: Any) -> Any:
        """`optimizer.step(…)`."""
        return optimizer.step(*args, **kwargs)

    def update(self, new_scale: Any = None) -> None:
        """Nothing: there is no scale."""

    def get_scale(self) -> float:
        """1."""
        return 1.0

    def is_enabled(self) -> bool:
        """False."""
        return False

    def state_dict(self) -> dict[str, Any]:
        """Empty, as PyTorch's of a disabled scaler."""
        return {}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Nothing: there is no scale to restore."""
