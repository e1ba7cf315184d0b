"""PyTorch's mixed precision: products and convolutions in 16 bits, everything that needs the digits in float32.

Which operation computes in which type is said in `functions/autocasting.py`. Parameters stay float32, and so do their
gradients. bfloat16 has float32's range, so nothing has to be scaled: `GradScaler` is always disabled, as PyTorch's
where there is no GPU. With float16 gradients below 6·10⁻⁸ vanish; multiply the loss yourself if yours are so small.
"""

from __future__ import annotations

import functools
import warnings
from collections.abc import Callable
from typing import Any, Self

from chainrule.devices import Device
from chainrule.dtypes import DType, as_dtype, bfloat16, float16, float64
from chainrule.state import current_state

__path__: list[str] = []  # to Python it has modules below it, as PyTorch's has: see places.py
__all__ = [
    "GradScaler",
    "autocast",
    "custom_bwd",
    "custom_fwd",
    "get_autocast_dtype",
    "is_autocast_available",
    "is_autocast_enabled",
]


class autocast:  # noqa: N801 (PyTorch's name, which is used as a function)
    """Compute products, convolutions and attention in 16 bits, around a forward pass: a context and a decorator.

    Losses and linear algebra then compute in float32, normalisation gives the type that it gets, and all else follows
    the ordinary rules of promotion: PyTorch's lists for the CPU, with its result types. Sums of products are added up
    in float32 and rounded once. Gradients have their parameters' types. Backward passes belong behind the context.

    Compiled steps read 16 bits and multiply bfloat16 where the processor can (AVX512-BF16), which takes about half
    the time; eager code rounds and then computes in float32, which takes longer than float32 alone: it says so once.

    Args:
        device_type: "cpu". Others ("cuda") change nothing, as in PyTorch without such a device.
        dtype: bfloat16 or float16; others warn and change nothing. By default that of the `autocast` around this one,
            without one bfloat16.
        enabled: False changes back to the types that the tensors have.

    >>> import chainrule
    >>> import warnings; warnings.simplefilter("ignore")
    >>> with chainrule.autocast("cpu"):
    ...     y = chainrule.ones(2, 2) @ chainrule.ones(2, 2)
    ...     y.dtype, y.sum().dtype, (y + chainrule.ones(2)).dtype
    (chainrule.bfloat16, chainrule.bfloat16, chainrule.float32)
    """

    def __init__(
        self, device_type: Any = "cpu", dtype: Any = None, enabled: bool = True, cache_enabled: bool | None = None
    ) -> None:
        if not isinstance(device_type, str | Device | bool):
            raise TypeError(f'autocast: the first argument is a kind of device such as "cpu", got {device_type!r}.')
        self.dtype = (current_state().half or bfloat16) if dtype is None else as_dtype(dtype)
        #: Other devices are not there: their autocast leaves what is computed here alone.
        self.here = not isinstance(device_type, bool) and _kind(str(device_type), "autocast") == "cpu"
        self.enabled = enabled
        if self.here and enabled and self.dtype not in (bfloat16, float16):
            warnings.warn(f"autocast takes bfloat16 and float16; with {self.dtype} it changes nothing.", stacklevel=2)
            self.enabled = False
        self._before: list[tuple[DType | None, DType | None]] = []

    def __enter__(self) -> Self:
        state = current_state()
        self._before.append((state.autocast, state.half))
        if self.here:
            state.autocast, state.half = self.dtype if self.enabled else None, self.dtype
        return self

    def __exit__(self, *error: object) -> None:
        state = current_state()
        state.autocast, state.half = self._before.pop()

    def __call__(self, function: Callable[..., Any]) -> Callable[..., Any]:
        """As a decorator: the function within the context."""

        @functools.wraps(function)
        def run(*args: Any, **kwargs: Any) -> Any:
            with self:
                return function(*args, **kwargs)

        return run


def is_autocast_enabled(device_type: str = "cuda") -> bool:
    """Whether products compute in 16 bits here, on this kind of device.

    Ask for "cpu": as in PyTorch, the question without a kind is about "cuda", where nothing is autocast. Not so within
    the functions that `autocast` changes, which compute in the types that they get.

    >>> import chainrule
    >>> with chainrule.autocast("cpu"):
    ...     chainrule.is_autocast_enabled("cpu"), chainrule.is_autocast_enabled()
    (True, False)
    """
    return _kind(device_type, "is_autocast_enabled") == "cpu" and current_state().autocast is not None


def get_autocast_dtype(device_type: str) -> DType:
    """The half that `autocast` of this kind takes here where it is told none: that of the innermost one around.

    >>> import chainrule
    >>> with chainrule.autocast("cpu", dtype=chainrule.float16):
    ...     chainrule.get_autocast_dtype("cpu")
    chainrule.float16
    >>> chainrule.get_autocast_dtype("cpu"), chainrule.get_autocast_dtype("cuda")
    (chainrule.bfloat16, chainrule.float16)
    """
    kind = _kind(device_type, "get_autocast_dtype")
    if kind == "cuda":
        return float16
    half = current_state().half if kind == "cpu" else None
    return half or bfloat16


def is_autocast_available(device_type: str) -> bool:
    """Whether `autocast` of this kind of device changes something: "cpu" alone does.

    >>> from chainrule import amp
    >>> amp.is_autocast_available("cpu")
    True
    """
    return _kind(device_type, "is_autocast_available") == "cpu"


def custom_fwd(
    fwd: Callable[..., Any] | None = None, *, device_type: str = "cuda", cast_inputs: DType | None = None
) -> Callable[..., Any]:
    """Decorate the `forward` of an `autograd.Function`: its backward, under `custom_bwd`, computes in the same types.

    Args:
        fwd: `forward(ctx, …)`; without it the decorator.
        device_type: The kind of device whose `autocast` is meant. "cuda", what `cuda.amp`'s means, changes nothing.
        cast_inputs: Within `autocast`, the type to which floating-point tensors among the arguments are cast (float64
            stays); `forward` then runs outside of it.

    >>> import chainrule
    >>> class Double(chainrule.autograd.Function):
    ...     @staticmethod
    ...     @chainrule.amp.custom_fwd(device_type="cpu", cast_inputs=chainrule.float32)
    ...     def forward(ctx, x):
    ...         return 2 * x
    ...     @staticmethod
    ...     @chainrule.amp.custom_bwd(device_type="cpu")
    ...     def backward(ctx, grad):
    ...         return 2 * grad
    >>> with chainrule.autocast("cpu"):
    ...     Double.apply(chainrule.ones(1, dtype=chainrule.bfloat16)).dtype
    chainrule.float32
    """
    kind = _kind(device_type, "custom_fwd")
    if fwd is None:
        return functools.partial(custom_fwd, device_type=kind, cast_inputs=cast_inputs)

    @functools.wraps(fwd)
    def forward(ctx: Any, *args: Any, **kwargs: Any) -> Any:
        within = is_autocast_enabled(kind)
        ctx.autocast_of_forward = within and cast_inputs is None, get_autocast_dtype(kind)
        if not within or cast_inputs is None:
            return fwd(ctx, *args, **kwargs)
        with autocast(kind, enabled=False):
            return fwd(ctx, *_cast(args, cast_inputs), **_cast(kwargs, cast_inputs))

    return forward


def custom_bwd(bwd: Callable[..., Any] | None = None, *, device_type: str = "cuda") -> Callable[..., Any]:
    """Decorate the `backward` of an `autograd.Function` whose `forward` has `custom_fwd`: see there."""
    kind = _kind(device_type, "custom_bwd")
    if bwd is None:
        return functools.partial(custom_bwd, device_type=kind)

    @functools.wraps(bwd)
    def backward(ctx: Any, *args: Any, **kwargs: Any) -> Any:
        enabled, dtype = ctx.autocast_of_forward
        with autocast(kind, enabled=enabled, dtype=dtype):
            return bwd(ctx, *args, **kwargs)

    return backward


def _cast(value: Any, dtype: DType) -> Any:
    """The floating-point tensors in lists, tuples and dictionaries, in this type; float64 stays."""
    if isinstance(getattr(value, "dtype", None), DType):  # a tensor: its class is made of what stands here, and more
        return value.to(dtype) if value.is_floating_point() and value.dtype is not float64 else value
    if isinstance(value, list | tuple):
        return type(value)(_cast(item, dtype) for item in value)
    if isinstance(value, dict):
        return {key: _cast(item, dtype) for key, item in value.items()}
    return value


def _kind(device_type: Any, asked: str) -> str:
    """The kind in the name of a device, the beginning of "cuda:0"."""
    if not isinstance(device_type, str):
        raise TypeError(f'{asked}: the argument is a kind of device such as "cpu", got {device_type!r}.')
    return device_type.split(":")[0]


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
