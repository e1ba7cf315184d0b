"""Several devices for one program: a batch is split over them, parameters are whole on each or split as well.

The program stays the same; XLA is told where the parts of arrays lie, and adds what has to be sent: the sum of the
gradients, say. So the numbers are those of one device with the whole batch, but for the order of additions.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import jax
from jax.sharding import NamedSharding, PartitionSpec

from chainrule.errors import DeviceError
from chainrule.primitives.value import Shape


class Devices(NamedTuple):
    """How a program is spread: over so many devices, with parameters "whole" or "split"."""

    devices: int = 1
    parameters: str = "whole"

    def check(self) -> Devices:
        """The settings themselves, if they can be had.

        Raises DeviceError where JAX has fewer devices, ValueError for what is no such setting.
        """
        if self.parameters not in ("whole", "split"):
            raise ValueError(f'parameters are "whole" or "split", got {self.parameters!r}.')
        if type(self.devices) is not int or self.devices < 1:
            raise ValueError(f"a program is spread over at least 1 device, got {self.devices!r}.")
        found = jax.local_devices()
        if self.devices > len(found):
            raise DeviceError(
                f"{self.devices} devices are asked for, JAX has {len(found)} ({found[0].platform}). A CPU is taken for "
                f"several if the environment has XLA_FLAGS=--xla_force_host_platform_device_count={self.devices}."
            )
        return self

    def mesh(self) -> Any:
        """The devices in a row; None for one."""
        if self.devices == 1:
            return None
        return jax.sharding.Mesh(jax.local_devices()[: self.devices], ("batch",))

    def of_argument(self, shape: Shape) -> Any:
        """Samples are split, if they can be in equal parts; everything else is whole on each device."""
        return self._split_along(0 if shape and shape[0] and shape[0] % self.devices == 0 else None)

    def of_cell(self, shape: Shape) -> Any:
        """A parameter: whole, or its first dimension that divides into equal parts split."""
        fitting = (axis for axis, extent in enumerate(shape) if extent and extent % self.devices == 0)
        return self._split_along(next(fitting, None) if self.parameters == "split" else None)

    def _split_along(self, axis: int | None) -> Any:
        mesh = self.mesh()
        if mesh is None:
            return None
        return NamedSharding(mesh, PartitionSpec() if axis is None else PartitionSpec(*[None] * axis, "batch"))
