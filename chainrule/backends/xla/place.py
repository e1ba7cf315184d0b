"""A device of JAX's as a place for tensors: what eager code computes there, one jitted function for each operation.

The functions are the same rules that programs are made of (`lower.apply`). One is kept for each primitive with its
settings; JAX keeps the compiled code for each form of the inputs. Numbers that a rule does not like (a label out of
range) are looked at by NumPy, which raises the error of eager code on the CPU.
"""

from __future__ import annotations

import functools
import os
import threading
from collections.abc import Sequence
from typing import Any

import jax
import numpy as np

from chainrule.backends.xla.layout import plain
from chainrule.backends.xla.lower import apply, jitted
from chainrule.backends.xla.rules import REASONS, Run, Wrong, running
from chainrule.devices import PLATFORMS, Device
from chainrule.errors import DeviceError
from chainrule.primitives.placed import Placed
from chainrule.primitives.primitive import Primitive
from chainrule.primitives.value import Array
from chainrule.program.known_by import known_by

_forked = False


def _note_fork() -> None:
    global _forked
    _forked = True


os.register_at_fork(after_in_child=_note_fork)  # JAX's threads are not there


def _check_process() -> None:
    if _forked:
        raise DeviceError(
            "a forked process cannot use JAX's devices, whose threads it does not have. Workers of a DataLoader read "
            "data that is on the CPU: move batches in the training loop, x.to(device); or start workers by "
            'multiprocessing_context="spawn".'
        )


class Place:
    """Where arrays of one device lie.

    Attributes:
        device: its name for the user, with its number.
        where: JAX's device.
    """

    def __init__(self, device: Device, where: Any) -> None:
        self.device, self.where = device, where
        self._zero = self._sent(np.zeros((), np.int64))

    def __deepcopy__(self, memo: Any) -> Place:
        return self

    def __reduce__(self) -> Any:
        return place_of, (self.device.type, self.device.index)

    def _sent(self, array: Any) -> Any:
        _check_process()
        with jax.enable_x64(True):
            return jax.device_put(np.array(array), self.where, may_alias=False)

    def put(self, array: Array) -> Placed:
        """A copy of a NumPy array here."""
        return Placed(self._sent(array), (array.shape, array.dtype), self)

    def fetch(self, entries: Any) -> Array:
        """The entries for NumPy, which must not write to them."""
        _check_process()
        return np.asarray(entries)

    def compute(self, primitive: type[Primitive], arrays: Sequence[Any], parameters: dict[str, Any], forms: Any) -> Any:
        """What `Primitive.compute` is on the CPU: the results, as the shape rule has announced them."""
        _check_process()
        if primitive in REASONS:
            return self._by_numpy(primitive, arrays, parameters, forms)
        function = _function(primitive, parameters)
        with jax.enable_x64(True):
            results, wrong = function(self._zero, [array.entries for array in arrays])
        if wrong is not None and wrong:
            return self._by_numpy(primitive, arrays, parameters, forms)
        if type(forms) is list:
            return [Placed(x, form, self) for x, form in zip(results, forms, strict=True)]
        return Placed(results[0], forms, self)

    def _by_numpy(self, primitive: type[Primitive], arrays: Sequence[Any], parameters: Any, forms: Any) -> Any:
        """On the host, and back: what XLA has no operation for, and the errors of eager code."""
        made = primitive.compute([x.on_host() for x in arrays], parameters, forms)
        return [self.put(x) for x in made] if type(forms) is list else self.put(made)

    def wait(self) -> None:
        """Come back when all that was begun here is done."""
        jax.block_until_ready([x for x in jax.live_arrays(self.where.platform) if self.where in x.devices()])

    def memory(self, kind: str) -> int:
        """Bytes in use ("bytes_in_use") or at most so far ("peak_bytes_in_use"), as the device counts them.

        JAX's CPU device counts nothing: there it is the arrays that are alive, for both.
        """
        figures = self.where.memory_stats()
        if figures is None:
            return sum(x.nbytes for x in jax.live_arrays(self.where.platform) if self.where in x.devices())
        return int(figures.get(kind, 0))


#: How many functions are kept: the ones used last. A network has some hundred; a loop over `x[i]` has one for each i.
KEPT = 2048
_known: dict[Any, Any] = {}
_guard = threading.Lock()


def _function(primitive: type[Primitive], parameters: dict[str, Any]) -> Any:
    """The jitted function of a primitive with these settings; made anew where a setting cannot be looked up."""
    key = primitive, tuple([(name, known_by(value)) for name, value in parameters.items()])
    try:
        hash(key)
    except TypeError:
        return _jitted(primitive, parameters)
    with _guard:
        found = _known.pop(key, None)
        if found is None:
            found = _jitted(primitive, parameters)
            while len(_known) >= KEPT:
                _known.pop(next(iter(_known))).clear_cache()  # the compiled code goes too
        _known[key] = found  # behind all others: used last
    return found


def _jitted(primitive: type[Primitive], parameters: dict[str, Any]) -> Any:
    """From (the 0 that XLA does not know, inputs) to the results and whether numbers were wrong (None: cannot be)."""

    def compute(zero: Any, inputs: list[Any]) -> Any:
        forms = primitive.shape(*inputs, **parameters)
        with running(Run(zero, Wrong())) as run:
            made = apply(primitive, inputs, parameters, forms)
        results = [plain(x) for x in (made if type(forms) is list else [made])]
        return results, run.wrong.so_far()

    return jitted(compute)


@functools.cache
def _devices(kind: str) -> list[Any]:
    try:
        return list(jax.local_devices(backend=PLATFORMS[kind]))
    except RuntimeError:  # JAX has no such platform
        return []


def count(kind: str) -> int:
    """How many devices of a kind ("xla", "cuda", "tpu") there are."""
    return len(_devices(kind))


@functools.cache
def place_of(kind: str, index: int) -> Place:
    """The place of a device that is there."""
    return Place(Device(kind, index), _devices(kind)[index])
